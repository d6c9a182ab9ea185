"""What does a model gain from what was learned in another language, modality or task?

    python benchmarks/transfer.py DATA umsab languages other_language other_modality other_task shortage [--seeds 3] [--out saved_models/transfer]

DATA is a folder with the tables `umsab`, `emoji`, `easy_vqa` and `mnist`. What is asked is never trained on. Runs that are there are not trained again.

    umsab           how tweets in eight languages feel, by one model, beside a linear one on words and letters; asked is the validation part
    languages       the same, trained on each of the languages alone and asked in all
    other_language  how tweets feel in a language with few labels, with and without a model that learned it in the seven others
    other_modality  whether a handwritten number of the embedded sample is even, and the category of an emoji by its picture, with few labels, with and without a tower that learned
                    to find pictures by words, without a label
    other_task      the shape in a picture of `easy_vqa`, with few labels, with and without a tower that learned to answer yes or no
    shortage        digits of `mnist`, of which half have 300 pictures and half 10, and tweets that are rare in half of the languages: what augmentation, mixing, weights and
                    resampling do
"""

import collections
import json
import random
import time
from pathlib import Path

from sklearn.metrics import f1_score
from tables import ask_validation, command, ingest, main, rows_of, score, train

from cross_modal import baselines, samples

TWEETS = {
    "features": {"text": {"vocab_size": 8000, "length": 64, "fold_case": True}, "label": {}},
    "towers.text": {"kind": "gru", "dropout": 0.3},
    "options": {"dim": 128, "dropout": 0.3, "label_smoothing": 0.1},
    "training": {"epochs": 8, "batch_size": 128, "learning_rate": 2e-3, "ema": 0.99, "bucket_by": "text"},
    "training.augment.text": {"word_dropout": 0.2},
}
FEW_TWEETS = {
    **{key: value for key, value in TWEETS.items() if key != "features"},
    "towers.text.kind": "bag",
    "training.epochs": 10,
    "training.steps_per_epoch": 20,
    "training.batch_size": 64,
}
NUMBERS = {"image": {"size": [16, 40], "channels": 1}, "text": {"vocab_size": 600, "length": 16}}
ALIGNED = {
    "features": NUMBERS,
    "towers.text.kind": "gru",
    "options": {"views": {"text": 3}, "always": ["text:en"]},
    "training": {"epochs": 10, "steps_per_epoch": 100, "batch_size": 64, "ema": 0.99},
    "training.augment.image": {"rotation": 5, "shift": 0.05, "scale": 0.05},
}
EVEN = {
    "features": {"image": NUMBERS["image"], "parity": {}},
    "options": {"dropout": 0.3},
    "training": {"epochs": 10, "steps_per_epoch": 20, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.98},
}
BESIDE = {
    "features": {"image": {"size": [48, 48]}, "text": {"length": 24, "vocab_size": 8000, "fold_case": True}},
    "towers.image": {"kind": "resnet", "widths": [32, 64, 128], "depth": 1, "stem": 2},
    "towers.text": {"kind": "gru"},
    "options": {"views": {"text": 4}, "always": ["text:en"]},
    "training": {"epochs": 60, "batch_size": 64, "ema": 0.99},
    "training.augment.image": {"crop": 0.7, "rotation": 10, "brightness": 0.1, "contrast": 0.2},
    "training.augment.text": {"word_dropout": 0.1},
}
PICTURES = {
    **{key: BESIDE[key] for key in ("towers.image", "training.augment.image")},
    "features": {"image": {"size": [48, 48]}, "label": {}},
    "options": {"dropout": 0.3, "label_smoothing": 0.1},
    "training": {"epochs": 30, "steps_per_epoch": 20, "batch_size": 64, "ema": 0.98},
}
ANSWERS = {
    "features": {"image": {"size": [32, 32]}, "question": {"length": 24}, "answer": {}},
    "towers.question.kind": "bag",
    "fusion.kind": "multiply",
    "options.dim": 96,
    "training": {"epochs": 4, "batch_size": 128, "learning_rate": 3e-3, "ema": 0.99},
}
SHAPES = {
    "features": {"image": {"size": [32, 32]}, "label": {}},
    "options.dim": 96,
    "training": {"epochs": 20, "steps_per_epoch": 20, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.98},
    "training.augment.image": {"flip": True, "shift": 0.1},
}
DIGITS = {"features": {"image": {"channels": 1}, "label": {}}, "training": {"epochs": 12, "steps_per_epoch": 40, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.98}}


def umsab(data, out, seeds):
    found, rows = collections.defaultdict(list), ask_validation(rows_of(data, "umsab"))
    dataset = ingest(_tweets(rows), out / "umsab", "--splits", "1,0,0")
    for seed in seeds:
        began = time.monotonic()
        _noted(found, "network", score(dataset, out / "umsab" / f"run-{seed}", seed, TWEETS, baseline=False))
        found["minutes"].append((time.monotonic() - began) / 60)
    _linear(found, rows)
    return found


def _tweets(rows):
    return [{"id": row["id"], f"text:{row['language']}": row["text"], "label": row["label"], "split": row["split"]} for row in rows]


def _noted(found, name, scores):
    tags = {tag.removeprefix("text:"): one["macro_f1"] for tag, one in scores["label"]["languages"].items()}
    found[f"{name}, macro-F1, mean over languages"].append(sum(tags.values()) / len(tags))
    for tag, value in sorted(tags.items()):
        found[f"{name}, {tag}"].append(value)


def _linear(found, rows):
    """TF-IDF of words and of 2 to 4 letters, and logistic regression, over all languages."""
    shown, asked = ([row for row in rows if row["split"] == split] for split in ("train", "test"))
    names = sorted({row["label"] for row in shown})
    answers = baselines.linear_baseline(
        {"text": "text"}, {"text": [row["text"].encode() for row in shown]}, [names.index(row["label"]) for row in shown], {"text": [row["text"].encode() for row in asked]}
    )
    tags = sorted({row["language"] for row in rows})
    scores = {}
    for tag in tags:
        pairs = [(names.index(row["label"]), answer) for row, answer in zip(asked, answers) if row["language"] == tag]
        scores[f"text:{tag}"] = {"macro_f1": f1_score(*zip(*pairs), average="macro")}
    _noted(found, "linear model", {"label": {"languages": scores}})


def languages(data, out, seeds):
    dataset, found = ingest(_tweets(ask_validation(rows_of(data, "umsab"))), out / "umsab", "--splits", "1,0,0"), collections.defaultdict(list)
    command("transfer", dataset, "--run", out / "umsab" / "languages", "--task", "classification", "--seeds", len(seeds), *_set(TWEETS))
    for key, one in json.loads((out / "umsab" / "languages" / "languages.json").read_text()).items():
        shown, asked, _ = json.loads(key)
        found[f"{shown}, asked in {'it' if asked == shown else 'each' if shown == 'all' else 'others'}"].append(one["merit"])
    return found


def _set(keys):
    return [word for key, value in keys.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def _few(found, dataset, run, seeds, keys, label="label"):
    """Ten and fifty items of each class, with transfer and without."""
    command("few-shot", dataset, "--run", run, "--task", "classification", "--label", label, "--sizes", "10,50", "--seeds", 5 * len(seeds), *_set(keys))
    for key, one in json.loads((run / "few-shot.json").read_text()).items():
        size, transfer, _ = json.loads(key)
        found[f"{run.name}, {size} of a class, {'with' if transfer else 'without'} transfer"].append(one["merit"])


def other_language(data, out, seeds):
    found, rows = collections.defaultdict(list), ask_validation(rows_of(data, "umsab"))
    for tag in ("es", "it", "pt"):
        others = ingest(_tweets(row for row in rows if row["language"] != tag), out / f"tweets-but-{tag}", "--splits", "1,0,0")
        source = str(out / f"tweets-but-{tag}" / "run")
        train(others, Path(source), "classification", 0, {**TWEETS, "towers.text.kind": "bag"})
        dataset = ingest(_tweets(row for row in rows if row["language"] == tag), out / f"tweets-{tag}", "--splits", "1,0,0")
        keys = {**FEW_TWEETS, "features": {"text": {"from": source}, "label": {}}, "training.start_from": {"text": source, "joined": source}}
        _few(found, dataset, out / f"tweets-{tag}" / f"tweets in {tag}", seeds, {**keys, "training.paces": {"text": 0.1, "joined": 0.1}})
    return found


def _even(found, out, seeds):
    """Whether a handwritten number of the embedded sample is even, with a tower that learned to find pictures by words in nine languages."""
    folder = out / "numbers"
    if not (folder / "items.jsonl").exists():
        samples.write_sample(folder)
    speech = [f"--ignore=audio:{tag}" for tag in samples.SPEECH_LANGUAGES]
    command("ingest", folder / "items.jsonl", "--out", folder / "beside", *speech, "--ignore=parity", "--ignore=digits")
    train(folder / "beside", folder / "aligned", "alignment", 0, ALIGNED)
    command("ingest", folder / "items.jsonl", "--out", folder / "pictures", *speech, "--ignore=digits", *(f"--ignore=text:{tag}" for tag in samples.TEXT_LANGUAGES))
    keys = {**EVEN, "training.start_from": {"image": str(folder / "aligned")}, "training.paces": {"image": 0.1}}
    _few(found, folder / "pictures", folder / "numbers in pictures", seeds, keys, "parity")


def _shown(rows, *fields):
    return [{key: row[key] for key in ("id", "split", *fields) if key in row} for row in rows]


def other_modality(data, out, seeds):
    found, chance = collections.defaultdict(list), random.Random(0)
    _even(found, out, seeds)
    rows = [{**row, "split": "test" if chance.random() < 0.2 else "train"} for row in rows_of(data, "emoji") if row["label"] not in ("Flags", "Component")]  # Two are too rare.
    beside = ingest(_shown(rows, "image", *(key for key in rows[0] if key.startswith("text:"))), out / "emoji-beside", "--splits", "1,0,0")
    source = out / "emoji-beside" / "run"
    train(beside, source, "alignment", 0, BESIDE)
    dataset = ingest(_shown(rows, "label", "image"), out / "emoji-pictures", "--splits", "1,0,0")
    _few(found, dataset, out / "emoji-pictures" / "pictures", seeds, {**PICTURES, "training.start_from": {"image": str(source)}})
    return found


def other_task(data, out, seeds):
    found, rows = collections.defaultdict(list), rows_of(data, "easy_vqa")
    asked = [{**row, "split": "train" if row["split"] == "train" else "test"} for row in rows]
    source = out / "yes-no" / "run"
    closed = ingest([row for row in asked if row["answer:en"] in ("yes", "no")], out / "yes-no", "--field", "answer=label", "--splits", "1,0,0")
    train(closed, source, "question_answering", 0, ANSWERS)
    shapes = {row["image"]: row for row in asked if row["answer:en"] in ("circle", "rectangle", "triangle")}
    shapes = [{"id": row["id"], "image": row["image"], "label": row["answer:en"], "split": row["split"]} for row in shapes.values()]
    dataset = ingest(shapes, out / "shapes", "--splits", "1,0,0")
    _few(found, dataset, out / "shapes" / "shapes", seeds, {**SHAPES, "training.start_from": {"image": str(source)}})
    return found


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
    for name, keys in ways.items():
        for seed in seeds:
            scores = score(ingest(rows, out / "rare", "--splits", "1,0,0"), out / "rare" / f"{_plain(name)}-{seed}", seed, {**DIGITS, **keys}, baseline=False)
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
    for name, keys in ways.items():
        for seed in seeds:
            keys = {**TWEETS, "towers.text.kind": "bag", **keys}
            scores = score(ingest(_tweets(rows), out / "rare-tweets", "--splits", "1,0,0"), out / "rare-tweets" / f"{_plain(name)}-{seed}", seed, keys, baseline=False)["label"]
            found[f"tweets, {name}: macro-F1 in the four rare languages"].append(sum(scores["languages"][f"text:{tag}"]["macro_f1"] for tag in rare) / len(rare))
    return found


def _plain(name):
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    main(__doc__, {function.__name__: function for function in (umsab, languages, other_language, other_modality, other_task, shortage)}, "transfer", 3)
