"""Questions to learn from, made like the embedded sample: about pictures of numbers, and about short texts in four languages."""

import json
import pathlib

import cv2
import numpy as np
from num2words import num2words

from cross_modal.samples import SHARES, draw_number, number_splits, split_digits

LANGUAGES = ("de", "en", "es", "fr")
_ABOUT_PICTURES = {
    "even": {"en": "is the number even?", "de": "ist die Zahl gerade?", "es": "¿es par el número?", "fr": "le nombre est-il pair ?"},
    "digits": {"en": "how many digits does it have?", "de": "wie viele Ziffern hat sie?", "es": "¿cuántas cifras tiene?", "fr": "combien de chiffres a-t-il ?"},
    "last": {"en": "what is the last digit?", "de": "was ist die letzte Ziffer?", "es": "¿cuál es la última cifra?", "fr": "quel est le dernier chiffre ?"},
    "holds": {"en": "is there a {} in it?", "de": "ist eine {} darin?", "es": "¿hay un {} en él?", "fr": "y a-t-il un {} dedans ?"},
}
_NAMES = ("Ada", "Ben", "Chen", "Dara", "Emil", "Fatma", "Goran", "Hana", "Ivo", "Jun", "Kofi", "Lea", "Mila", "Nuri", "Olga", "Pablo", "Quinn", "Rosa", "Sami", "Tova")
_THINGS = {
    "en": ("apples", "books", "cats", "dogs", "cups", "keys", "hats", "stones"),
    "de": ("Äpfel", "Bücher", "Katzen", "Hunde", "Tassen", "Schlüssel", "Hüte", "Steine"),
    "es": ("manzanas", "libros", "gatos", "perros", "tazas", "llaves", "sombreros", "piedras"),
    "fr": ("pommes", "livres", "chats", "chiens", "tasses", "clés", "chapeaux", "pierres"),
}
_SAYS = {"en": "{} has {} {}.", "de": "{} hat {} {}.", "es": "{} tiene {} {}.", "fr": "{} a {} {}."}
_ASKS = {
    "count": {"en": "how many {thing} does {name} have?", "de": "wie viele {thing} hat {name}?", "es": "¿cuántas {thing} tiene {name}?", "fr": "combien de {thing} a {name} ?"},
    "who": {"en": "who has {thing}?", "de": "wer hat {thing}?", "es": "¿quién tiene {thing}?", "fr": "qui a des {thing} ?"},
}
_PEOPLE = 3  # In a text.
_UNKNOWN = 0.2  # Share of questions to which the text has no answer.


def write_questions(folder, numbers=1000, seed=0):
    """Writes questions about pictures of numbers as `items.jsonl` with `image/` beside it.

    An item is a question in four languages about a handwritten number: whether it is even, how many digits it has, which is the last, and whether there is a certain one. Its
    answer is one of twelve labels, the same in all languages. The numbers of the test split are in no training picture.

    Args:
        folder: where to.
        numbers: how many numbers, from 0; at least 20 and at most 1,000.
        seed: of all draws.

    Returns:
        Path of the table.

    Raises:
        ValueError: if `numbers` is out of range.
    """
    if not 20 <= numbers <= 1000:
        raise ValueError(f"Expected between 20 and 1000 numbers. Received: numbers={numbers}")
    folder, draw = pathlib.Path(folder), np.random.default_rng(seed)
    (folder / "image").mkdir(parents=True, exist_ok=True)
    splits, digits, rows = number_splits(numbers, draw), split_digits(draw), []
    for number in range(numbers):
        picture = f"image/{number}.png"
        cv2.imwrite(str(folder / picture), draw_number(number, digits[splits[number]], draw))
        other = int(draw.choice(list(str(number)))) if draw.random() < 0.5 else int(draw.integers(10))
        answers = {"even": "no" if number % 2 else "yes", "digits": str(len(str(number))), "last": str(number % 10), "holds": "yes" if str(other) in str(number) else "no"}
        for kind, answer in answers.items():
            questions = {f"question:{tag}": words.format(num2words(other, lang=tag)) for tag, words in _ABOUT_PICTURES[kind].items()}
            rows.append({"id": f"{number}-{kind}", "group": str(number), "split": splits[number], "image": picture, **questions, "answer": answer})
    return _written(folder, rows)


def write_reading(folder, texts=2000, seed=0):
    """Writes questions about short texts as `items.jsonl`.

    An item is a text of three sentences in two of four languages, who has how many of what, a question about it in all four, and its answer, a few words of the text, in the
    languages of the text. To every fifth question the text has no answer.

    Args:
        folder: where to.
        texts: how many; at least 20.
        seed: of all draws.

    Returns:
        Path of the table.

    Raises:
        ValueError: if there are fewer than 20 `texts`.
    """
    if texts < 20:
        raise ValueError(f"Expected 20 texts or more. Received: texts={texts}")
    folder, draw, rows = pathlib.Path(folder), np.random.default_rng(seed), []
    folder.mkdir(parents=True, exist_ok=True)
    for number, split in enumerate(draw.choice(list(SHARES), texts, p=list(SHARES.values()))):
        people, things = draw.permutation(len(_NAMES))[: _PEOPLE + 1], draw.permutation(len(_THINGS["en"]))[: _PEOPLE + 1]
        counts, kind = draw.integers(2, 100, _PEOPLE), draw.choice(list(_ASKS))
        place = int(draw.integers(_PEOPLE))
        known = draw.random() >= _UNKNOWN
        asked = place if known else _PEOPLE  # One who, or something that, is not in the text.
        name, thing = (people[asked], things[place]) if kind == "count" else (people[place], things[asked])
        row = {"id": str(number), "split": str(split)}
        for tag in LANGUAGES:
            row[f"question:{tag}"] = _ASKS[kind][tag].format(name=_NAMES[name], thing=_THINGS[tag][thing])
        for tag in sorted(draw.choice(LANGUAGES, 2, replace=False).tolist()):
            row[f"context:{tag}"] = " ".join(
                _SAYS[tag].format(_NAMES[who], num2words(int(count), lang=tag), _THINGS[tag][what]) for who, count, what in zip(people[:_PEOPLE], counts, things)
            )
            if known:
                row[f"answer:{tag}"] = num2words(int(counts[place]), lang=tag) if kind == "count" else _NAMES[people[place]]
        rows.append(row)
    return _written(folder, rows)


def _written(folder, rows):
    (folder / "items.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return folder / "items.jsonl"
