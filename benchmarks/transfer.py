"""What does a model gain from what was learned in another language, modality or task?

    python benchmarks/transfer.py DATA umsab folds languages other_language other_modality other_task after_questions shortage [--seeds 3] [--out saved_models/transfer]

DATA is a folder with the tables `umsab`, `emoji`, `mnist`, `fsdd`, `flickr8k` and `easy_vqa`. What is asked is never trained on. Runs that are there are not trained again.

    umsab           how tweets in eight languages feel, by models of n-grams, with weights and without, three of them also as one, and of subwords, beside a linear one; asked is
                    the validation part
    folds           the same by n-grams and the linear one, all tweets asked in five folds, so that less is left to chance
    languages       the same, trained on each of the languages alone and asked in all
    other_language  what kind of thing an emoji shows, by its name in Galician, Slovak and Danish, with few labels, with and without what learned it in languages like them
    other_modality  the digit in a picture, or in a recording, with few labels, with and without towers that learned without a label to find the one by the other
    other_task      which digit is said in a recording, with few labels, with and without a tower that learned to write down strings of digits; and who is in a photo, with and
                    without one that learned to caption others, or to find them by their captions
    after_questions which shape is in a picture, with few labels, with and without a tower that learned to answer questions about others
    shortage        digits of `mnist`, of which half have 300 pictures and half 10, and tweets that are rare in half of the languages: what augmentation, mixing, weights and
                    resampling do
"""

import collections
import json
import random
import re
import time

from generation import CAPTIONS, split_of_take, spoken_digits
from generation import DIGITS as STRINGS
from questions import EASY_VQA
from representations import ALIGNED, pairs_of_digits
from retrieval import DESCRIBED
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from tables import ask_validation, command, ingest, main, rows_of, score, sets, train

from cross_modal import baselines

NGRAMS = {"units": "ngrams", "vocab_size": 600_000, "fold_case": True}
TWEETS = {
    "features": {"text": {**NGRAMS, "weigh_by": "label", "by_language": True}, "label": {}},
    "options": {"dim": 4, "dropout": 0.0, "linear": True},
    "training": {"epochs": 5, "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine", "warmup": 0.0, "weight_decay": 0.0, "ema": 0.99},
    "training.freeze": {"joined": 1.0},  # What is held small would else be made up for there.
}
JOINED = {
    "n-grams": TWEETS,
    "n-grams of no language": {**TWEETS, "features": {"text": {**NGRAMS, "weigh_by": "label"}, "label": {}}},
    "n-grams of no language by idf": {**TWEETS, "features": {"text": {**NGRAMS, "idf": True}, "label": {}}, "towers.text": {"kind": "ngrams", "l2": 2e-5}},
}
SUBWORDS = {
    "features": {"text": {"vocab_size": 8000, "length": 64, "fold_case": True}, "label": {}},
    "towers.text": {"kind": "gru", "dropout": 0.3},
    "options": {"dim": 128, "dropout": 0.3, "label_smoothing": 0.1},
    "training": {"epochs": 8, "batch_size": 128, "learning_rate": 2e-3, "ema": 0.99, "bucket_by": "text"},
    "training.augment.text": {"word_dropout": 0.2},
}
NAMES = {
    "features": {"text": {"vocab_size": 3000, "length": 32, "fold_case": True}, "label": {}},
    "towers.text": {"kind": "bag", "dropout": 0.3},
    "options.dropout": 0.3,
    "training": {"epochs": 30, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.99},
    "training.augment.text": {"word_dropout": 0.1},
}
FEW = {"training.epochs": 10, "training.steps_per_epoch": 20, "training.batch_size": 64, "training.learning_rate": 2e-3, "training.ema": 0.98}
DIGITS = {"features": {"image": {"channels": 1}, "label": {}}, "training": {"epochs": 8, "steps_per_epoch": 40, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.98}}
SHAPES = "circle", "rectangle", "triangle"
WHO = {
    "dog": {"dog", "dogs", "puppy", "puppies"},
    "child": {"boy", "boys", "girl", "girls", "child", "children", "kid", "kids", "baby", "toddler"},
    "grown-up": {"man", "men", "woman", "women", "lady", "guy"},
}


def umsab(data, out, seeds):
    found, rows = collections.defaultdict(list), ask_validation(rows_of(data, "umsab"))
    dataset = ingest(_tweets(rows), out / "umsab", "--splits", "1,0,0")
    alike = {**TWEETS, "features": {"text": NGRAMS, "label": {}}}
    for name, keys in {**JOINED, "n-grams of no language, all alike": alike, "subwords": SUBWORDS}.items():
        for seed in seeds:
            began = time.monotonic()
            _noted(found, name, _by_language(score(dataset, out / "umsab" / f"{_plain(name)}-{seed}", seed, keys, baseline=False)))
            found[f"{name}, minutes"].append((time.monotonic() - began) / 60)
    for seed in seeds:
        _noted(found, "the first three as one", _as_one(out / "umsab", seed))
    _linear(found, rows)
    return found


def folds(data, out, seeds):
    """The same for all tweets, each asked of models that learned from four fifths of the others: seven times as many are asked as in the validation part."""
    found, rows = collections.defaultdict(list), rows_of(data, "umsab")
    cut = StratifiedKFold(5, shuffle=True, random_state=0).split(rows, [row["language"] + row["label"] for row in rows])
    for number, (_, asked) in enumerate(cut):
        asked, folder = set(asked), out / "umsab" / f"fold-{number}"
        rows = [{**row, "split": "test" if place in asked else "train"} for place, row in enumerate(rows)]
        dataset = ingest(_tweets(rows), folder, "--splits", "1,0,0")
        for seed in seeds:
            for name, keys in JOINED.items():
                _noted(found, name, _by_language(score(dataset, folder / f"{_plain(name)}-{seed}", seed, keys, baseline=False)))
            _noted(found, "the three as one", _as_one(folder, seed))
        _linear(found, rows)
    return found


def _as_one(folder, seed):
    """Scores of the three runs of a folder as one, by language."""
    out = folder / f"joined-{seed}"
    command("evaluate", *(folder / f"{_plain(name)}-{seed}" for name in JOINED), "--out", out)
    return _by_language(json.loads((out / "metrics.json").read_text())["test"])


def _tweets(rows):
    return [{"id": row["id"], f"text:{row['language']}": row["text"], "label": row["label"], "split": row["split"]} for row in rows]


def _by_language(scores):
    return {tag.removeprefix("text:"): one["macro_f1"] for tag, one in scores["label"]["languages"].items()}


def _noted(found, name, scores):
    found[f"{name}, macro-F1, mean over languages"].append(sum(scores.values()) / len(scores))
    for tag, value in sorted(scores.items()):
        found[f"{name}, {tag}"].append(value)


def _linear(found, rows):
    """TF-IDF of words and of 2 to 4 letters, and logistic regression, over all languages."""
    shown, asked = ([row for row in rows if row["split"] == split] for split in ("train", "test"))
    names = sorted({row["label"] for row in shown})
    answers = baselines.linear_baseline(
        {"text": "text"}, {"text": [row["text"].encode() for row in shown]}, [names.index(row["label"]) for row in shown], {"text": [row["text"].encode() for row in asked]}
    )
    scores = {}
    for tag in {row["language"] for row in asked}:
        pairs = [(names.index(row["label"]), answer) for row, answer in zip(asked, answers) if row["language"] == tag]
        scores[tag] = f1_score(*zip(*pairs), average="macro")
    _noted(found, "linear model", scores)


def languages(data, out, seeds):
    dataset, found = ingest(_tweets(ask_validation(rows_of(data, "umsab"))), out / "umsab", "--splits", "1,0,0"), collections.defaultdict(list)
    command("transfer", dataset, "--run", out / "umsab" / "languages", "--task", "classification", "--seeds", len(seeds), *sets(TWEETS))
    for key, one in json.loads((out / "umsab" / "languages" / "languages.json").read_text())["found"].items():
        shown, asked, *_ = json.loads(key)
        found[f"{shown}, asked in {'it' if asked == shown else 'each' if shown == 'all' else 'others'}"].append(one["merit"])
    return found


def _few(found, dataset, run, seeds, keys):
    """Ten and fifty items of each class, with transfer and without."""
    command("few-shot", dataset, "--run", run, "--task", "classification", "--label", "label", "--sizes", "10,50", "--seeds", 5 * len(seeds), *sets(keys))
    for key, one in json.loads((run / "few-shot.json").read_text())["found"].items():
        size, transfer, *_ = json.loads(key)
        found[f"{run.name}, {size} of a class, {'with' if transfer else 'without'} transfer"].append(one["merit"])


def other_language(data, out, seeds):
    """Kinds of emoji by their names in a language, by what learned them of its relatives; the emoji that are asked are in no training, in whatever language."""
    found, chance = collections.defaultdict(list), random.Random(0)
    rows = [row for row in rows_of(data, "emoji") if row["label"] not in ("Flags", "Component")]  # Of those there are but 13.
    rows = [{**row, "split": "test" if chance.random() < 0.3 else "train"} for row in rows]
    for tag, relatives in (("gl", ("es", "pt", "ca", "it", "fr")), ("sk", ("cs", "pl", "sl", "hr")), ("da", ("no", "sv", "de", "nl"))):
        known, source = (out / "emoji" / f"kin-of-{tag}" / name for name in ("data", "run"))
        train(ingest(_named(rows, relatives), known, "--splits", "1,0,0"), source, "classification", 0, NAMES)
        dataset = ingest(_named(rows, [tag]), out / "emoji" / tag, "--splits", "1,0,0")
        start = dict.fromkeys(("text", "joined"), str(source))
        keys = {**NAMES, **FEW, "features": {"text": {"from": str(source)}, "label": {}}, "training.start_from": start, "training.paces": dict.fromkeys(start, 0.3)}
        _few(found, dataset, out / "emoji" / f"names in {tag}", seeds, keys)
    return found


def _named(rows, tags):
    """Names in some languages, each an item of its own."""
    return [{"id": f"{row['id']}-{tag}", f"text:{tag}": row[f"text:{tag}"], "label": row["label"], "split": row["split"]} for row in rows for tag in tags]


def other_modality(data, out, seeds):
    """Which digit is seen, or said, by towers that learned without a label to find the one by the other."""
    found, rows = collections.defaultdict(list), pairs_of_digits(data, 0)
    beside = ingest([{key: value for key, value in row.items() if key != "label"} for row in rows], out / "digits", "--max-bad", 0.1)
    train(beside, out / "digits" / "aligned", "alignment", 0, ALIGNED)
    for field in ("image", "audio"):
        dataset = ingest([{"id": row["id"], field: row[field][0], "label": row["label"], "split": row["split"]} for row in rows], out / f"digits-{field}", "--max-bad", 0.1)
        keys = _frozen(field, out / "digits" / "aligned", ALIGNED["towers"][field])
        _few(found, dataset, out / f"digits-{field}" / f"digits by {field}", seeds, keys)
    return found


def _frozen(field, source, tower):
    """Settings of a classifier by few labels whose tower is that of another run, kept as it is."""
    start = {field: str(source)}
    return {**FEW, "features": {field: {"from": start[field]}, "label": {}}, f"towers.{field}": tower, "training.start_from": start, "training.freeze": {field: 1.0}}


def other_task(data, out, seeds):
    """Which digit is said, by a tower that wrote down strings of them; the recordings that are asked are in none. Who is in a photo, by one that captioned or found others."""
    found, source = collections.defaultdict(list), out / "strings" / "run"
    train(ingest(spoken_digits(data, 0, {"train": 4000, "validation": 200}), out / "strings", "--max-bad", 0.1), source, "generation", 0, {**STRINGS, "options.ctc": 1.0})
    rows = [{key: row[key] for key in ("id", "audio", "label")} | {"split": split_of_take(row)} for row in rows_of(data, "fsdd")]
    dataset = ingest([row for row in rows if row["split"] != "validation"], out / "single", "--splits", "1,0,0", "--max-bad", 0.1)
    keys = _frozen("audio", source, STRINGS["towers.audio"]) | {"options.dim": STRINGS["options"]["dim"]}
    _few(found, dataset, out / "single" / "digits", seeds, keys)

    rows, seen = ask_validation(rows_of(data, "flickr8k")), collections.Counter()
    photos, labels = ingest(rows, out / "flickr8k", "--splits", "1,0,0"), {row["id"]: _who(row["text:en"]) for row in rows if row["split"] == "test"}
    rows = [{"id": row["id"], "image": row["image"], "label": labels[row["id"]]} for row in rows if labels.get(row["id"])]
    random.Random(0).shuffle(rows)
    for row in rows:
        seen[row["label"]] += 1
        row["split"] = "train" if seen[row["label"]] <= 60 else "test"
    dataset = ingest(rows, out / "who", "--splits", "1,0,0")
    captions = {**CAPTIONS, "training.epochs": 40, "options.routes": ["image->text:en"]}
    for name, task, keys, tower in (("captioned", "generation", captions, CAPTIONS["towers.image"]), ("found", "alignment", DESCRIBED, "descriptors")):
        source = out / "flickr8k" / f"{name}-0"
        train(photos, source, task, 0, keys)
        _few(found, dataset, out / "who" / f"who, after others were {name}", seeds, _frozen("image", source, tower) | {"options.dim": keys["options"]["dim"]})
    return found


def after_questions(data, out, seeds):
    """Which shape is in a picture, by a tower that answered questions about others."""
    found, rows = collections.defaultdict(list), rows_of(data, "easy_vqa")
    numbers = sorted({row["group"] for row in rows})
    random.Random(0).shuffle(numbers)
    asked, learned = set(numbers[:600]), set(numbers[600:1000])
    shapes = {row["group"]: row for row in rows if row["group"] in asked | learned and row["answer:en"] in SHAPES}
    source = out / "questions" / "run"
    train(ingest([row for row in rows if row["group"] not in shapes], out / "questions", "--field", "answer=label"), source, "question_answering", 0, EASY_VQA)
    rows = [{"id": name, "image": row["image"], "label": row["answer:en"], "split": "test" if name in asked else "train"} for name, row in sorted(shapes.items())]
    dataset = ingest(rows, out / "shapes", "--splits", "1,0,0")
    _few(found, dataset, out / "shapes" / "shapes", seeds, _frozen("image", source, "cnn") | {"options.dim": EASY_VQA["options.dim"]})
    return found


def _who(captions):
    """Who is in a photo of which three captions or more name one kind and none another; None for other photos."""
    words = [set(re.findall("[a-z]+", caption.lower())) for caption in captions]
    named = {kind: sum(bool(one & names) for one in words) for kind, names in WHO.items()}
    kinds = [kind for kind, count in named.items() if count]
    return kinds[0] if len(kinds) == 1 and named[kinds[0]] >= 3 else None


def shortage(data, out, seeds):
    found, chance = collections.defaultdict(list), random.Random(0)
    rows, counts = [], collections.Counter()
    pictures = rows_of(data, "mnist")
    chance.shuffle(pictures)
    for row in pictures:
        counts[row["label"]] += 1
        most = 300 if int(row["label"]) % 2 else 10
        rows += [{**row, "split": "test" if counts[row["label"]] <= 200 else "train"}] if counts[row["label"]] <= 200 + most else []
    turned = {"training.augment.image": {"rotation": 10, "shift": 0.08, "scale": 0.1}}
    again = {"training.oversample": {"label": 1.0}}
    ways = {
        "as they are": {},
        "class weights": {"options.balance": 1.0},
        "focal loss": {"options.focal": 2.0},
        "resampling": again,
        "augmentation": turned,
        "mixing": {"training.mixup": 0.3},
        "resampling and augmentation": {**again, **turned},
        "resampling, augmentation and mixing": {**again, **turned, "training.mixup": 0.3},
    }
    dataset = ingest(rows, out / "rare", "--splits", "1,0,0")
    for name, keys in ways.items():
        for seed in seeds:
            scores = score(dataset, out / "rare" / f"{_plain(name)}-{seed}", seed, {**DIGITS, **keys}, baseline=False)
            found[f"digits, {name}: macro-F1"].append(scores["label"]["macro_f1"])
    rows, rare = ask_validation(rows_of(data, "umsab")), ("de", "es", "fr", "it")
    rows = [row for row in rows if row["split"] == "test" or row["language"] not in rare or chance.random() < (0.3 if row["label"] == "neutral" else 0.05)]
    again = {"training.oversample": {"label*text": 1.0}}
    ways = {
        "as they are": {"training.augment": {}},
        "class weights": {"training.augment": {}, "options.balance": 1.0},
        "weights by label and language": {"training.augment": {}, "training.weigh": {"label*text": 1.0}},
        "resampling by label and language": {"training.augment": {}, **again},
        "words left out": {},
        "resampling by label and language, words left out": again,
    }
    dataset = ingest(_tweets(rows), out / "rare-tweets", "--splits", "1,0,0")
    for name, keys in ways.items():
        for seed in seeds:
            scores = _by_language(score(dataset, out / "rare-tweets" / f"{_plain(name)}-{seed}", seed, {**SUBWORDS, "towers.text.kind": "bag", **keys}, baseline=False))
            found[f"tweets, {name}: macro-F1 in the four rare languages"].append(sum(scores[tag] for tag in rare) / len(rare))
    return found


def _plain(name):
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    main(__doc__, {function.__name__: function for function in (umsab, folds, languages, other_language, other_modality, other_task, after_questions, shortage)}, "transfer", 3)
