"""What does a model gain from what was learned in another language, modality or task?

    python benchmarks/transfer.py DATA umsab languages other_language other_modality other_task shortage [--seeds 3] [--out saved_models/transfer]

DATA is a folder with the tables `umsab`, `easy_vqa` and `mnist`. What is asked is never trained on. Runs that are there are not trained again.

    umsab           how tweets in eight languages feel, by one model, beside a linear one on words and letters; asked is the validation part
    languages       the same, trained on each of the languages alone and asked in all
    other_language  whether a number of the embedded sample, spoken in Spanish, is even, with few labels, with and without what learned it of English and French speech
    other_modality  the same by French speech, and by pictures, with and without towers that learned without a label to find words by them
    other_task      the shape in a picture of `easy_vqa`, with few labels, with and without a tower that learned to answer yes or no
    shortage        digits of `mnist`, of which half have 300 pictures and half 10, and tweets that are rare in half of the languages: what augmentation, mixing, weights and
                    resampling do
"""

import collections
import json
import random
import time
from pathlib import Path

from questions import EASY_VQA
from sklearn.metrics import f1_score
from tables import ask_validation, command, ingest, main, rows_of, score, sets, train

from cross_modal import baselines, samples

TWEETS = {
    "features": {"text": {"vocab_size": 8000, "length": 64, "fold_case": True}, "label": {}},
    "towers.text": {"kind": "gru", "dropout": 0.3},
    "options": {"dim": 128, "dropout": 0.3, "label_smoothing": 0.1},
    "training": {"epochs": 8, "batch_size": 128, "learning_rate": 2e-3, "ema": 0.99, "bucket_by": "text"},
    "training.augment.text": {"word_dropout": 0.2},
}
ALIGNED = {
    "features": {"image": {"size": [16, 40], "channels": 1}, "text": {"vocab_size": 600, "length": 64}, "audio": {"bins": 40, "hop_ms": 20}},
    "towers.image": {"widths": [16, 32, 64], "normalization": "layer", "dropout": 0.0},
    "towers.text.dropout": 0.0,
    "towers.audio": {"normalization": None},
    "options": {"views": {"text": 3}, "dropout": 0.0},
    "training": {"epochs": 9, "steps_per_epoch": 100, "batch_size": 64},
}
EVEN = {"options": {"dropout": 0.3}, "training": {"epochs": 10, "steps_per_epoch": 20, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.98}}
ANSWERS = {**EASY_VQA, "towers.question.kind": "bag", "training.epochs": 4}
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
        _noted(found, "network", _by_language(score(dataset, out / "umsab" / f"run-{seed}", seed, TWEETS, baseline=False)))
        found["minutes"].append((time.monotonic() - began) / 60)
    _linear(found, rows)
    return found


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
    for key, one in json.loads((out / "umsab" / "languages" / "languages.json").read_text()).items():
        shown, asked, _ = json.loads(key)
        found[f"{shown}, asked in {'it' if asked == shown else 'each' if shown == 'all' else 'others'}"].append(one["merit"])
    return found


def _few(found, dataset, run, seeds, keys, label="label"):
    """Ten and fifty items of each class, with transfer and without."""
    command("few-shot", dataset, "--run", run, "--task", "classification", "--label", label, "--sizes", "10,50", "--seeds", 5 * len(seeds), *sets(keys))
    for key, one in json.loads((run / "few-shot.json").read_text()).items():
        size, transfer, _ = json.loads(key)
        found[f"{run.name}, {size} of a class, {'with' if transfer else 'without'} transfer"].append(one["merit"])


def _aligned(out):
    """The embedded sample, and a model that brings pictures, words in nine languages and speech in three together, without a label."""
    folder = out / "numbers"
    if not (folder / "items.jsonl").exists():
        samples.write_sample(folder)
    dataset = _numbers(folder, "beside", ["image", *_tagged("text", samples.TEXT_LANGUAGES), *_tagged("audio", samples.SPEECH_LANGUAGES)])
    train(dataset, folder / "aligned", "alignment", 0, ALIGNED)
    return folder


def _tagged(field, tags):
    return [f"{field}:{tag}" for tag in tags]


def _numbers(folder, name, fields):
    every = ["image", "parity", "digits", *_tagged("text", samples.TEXT_LANGUAGES), *_tagged("audio", samples.SPEECH_LANGUAGES)]
    command("ingest", folder / "items.jsonl", "--out", folder / name, "--max-bad", 0.02, *(f"--ignore={one}" for one in every if one not in fields))
    return folder / name


def _even(folder, field, start):
    """Keys of a classifier of one field of the sample, with weights of other runs."""
    features = {field: {"from": str(folder / "aligned")}, "parity": {}}
    towers = {f"towers.{field}": ALIGNED[f"towers.{field}"]}
    return {**EVEN, **towers, "features": features, "training.start_from": start, "training.paces": dict.fromkeys(start, 0.1)}


def other_language(data, out, seeds):
    found, folder = collections.defaultdict(list), _aligned(out)
    aligned, source = str(folder / "aligned"), str(folder / "known")
    known = _numbers(folder, "speech-known", ["parity", *_tagged("audio", ("en", "fr"))])
    train(known, Path(source), "classification", 0, {**_even(folder, "audio", {"audio": aligned}), "training.freeze": {"audio": 1.0}})
    dataset = _numbers(folder, "speech-es", ["parity", "audio:es"])
    _few(found, dataset, folder / "even by Spanish speech", seeds, _even(folder, "audio", {"audio": source, "joined": source}), "parity")
    return found


def other_modality(data, out, seeds):
    found, folder = collections.defaultdict(list), _aligned(out)
    for name, field, view in (("even by French speech", "audio", "audio:fr"), ("even by picture", "image", "image")):
        dataset = _numbers(folder, view.replace(":", "-"), ["parity", view])
        _few(found, dataset, folder / name, seeds, _even(folder, field, {field: str(folder / "aligned")}), "parity")
    return found


def other_task(data, out, seeds):
    found, asked = collections.defaultdict(list), ask_validation(rows_of(data, "easy_vqa"))
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
            scores = _by_language(score(dataset, out / "rare-tweets" / f"{_plain(name)}-{seed}", seed, {**TWEETS, "towers.text.kind": "bag", **keys}, baseline=False))
            found[f"tweets, {name}: macro-F1 in the four rare languages"].append(sum(scores[tag] for tag in rare) / len(rare))
    return found


def _plain(name):
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    main(__doc__, {function.__name__: function for function in (umsab, languages, other_language, other_modality, other_task, shortage)}, "transfer", 3)
