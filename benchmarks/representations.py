"""What are shared representations worth? A latent of pictures and speech, sentences of four languages in one space, and vectors of words.

    python benchmarks/representations.py DATA digits bitext words [--seeds 3] [--out saved_models/representations]

DATA is a folder with the tables `mnist`, `fsdd` and `multi30k`. Runs that are there already are not trained again.

    digits  an autoencoder of pictures and recordings of the same digit, whose towers learned before, without a label, to find the one by the other; a classifier that was trained
            on real pictures reads the digit in pictures made from speech alone, and simple classifiers read it in the latents, and in plain features
    bitext  multi30k, one tower for texts in four languages; each of 1,014 sentences looks for its translation among all of a language, in models trained on all pairs, and on
            pairs with English alone; and pairs are mined from two files of which a third of the sentences have no translation in the other
    words   skip-gram and GloVe on multi30k, and skip-gram by gensim, in the Python that GENSIM_PYTHON in the environment names, on one core (as all that is asked in the same
            call): words a second, and how often the translation of a word is found by vectors in two languages
"""

import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np
from tables import ask_validation, ingest, main, rows_of, score, train

from cross_modal import encoding, lexicons, probing, word_vectors
from cross_modal.cli.runs import load_run
from cross_modal.data import Dataset
from cross_modal.serving import ask
from cross_modal.words import words_of

ALIGNED = {
    "features": {"image": {"size": [28, 28], "channels": 1}, "audio": {"bins": 40, "hop_ms": 20, "seconds": 1.2, "range_db": 60}},
    "towers": {"image": {"kind": "cnn", "widths": [16, 32, 64]}, "audio": {"kind": "cnn", "widths": [24, 48, 96]}},
    "training": {"epochs": 10, "steps_per_epoch": 100, "batch_size": 128, "ema": 0.99},
}
DIGITS = {
    **ALIGNED,
    "decoders": {"image": {"kind": "deconv", "widths": [32, 16]}, "audio": {"kind": "deconv", "widths": [32, 16, 8]}},
    "options": {"dim": 128, "latent": 64, "weights": {"image": 10.0, "audio": 10.0}, "agreement": 0.5},
    "training": {"epochs": 25, "steps_per_epoch": 100, "batch_size": 64, "ema": 0.99, "weight_decay": 0.0},
}
_MORE = 5  # Pictures, and recordings, of a training item besides the first.
READER = {
    "features": {"image": {"size": [28, 28], "channels": 1}, "label": {}},
    "towers.image": {"kind": "cnn"},
    "training": {"epochs": 10, "batch_size": 64, "ema": 0.99},
    "training.augment.image": {"brightness": 0.3, "contrast": 0.5, "rotation": 10, "shift": 0.08, "scale": 0.1},  # Else it reads strokes as dark as those it knows alone.
}
SENTENCES = {
    "features.text": {"vocab_size": 8000, "length": 48, "fold_case": True},
    "towers.text": {"kind": "bag", "dropout": 0.1},
    "options": {"views": {"text": 4}, "dim": 256, "embedding": 256, "dropout": 0.1},
    "training": {"epochs": 12, "batch_size": 256, "learning_rate": 2e-3, "ema": 0.99},
    "training.augment.text": {"word_dropout": 0.1},
}
GENSIM = """
import json, sys, time
from gensim.models import Word2Vec
given = json.load(open(sys.argv[1]))
began = time.perf_counter()
model = Word2Vec(given["texts"], vector_size=100, window=5, negative=5, sample=1e-3, epochs=given["epochs"], min_count=2, sg=1, workers=1, seed=given["seed"])
seconds = time.perf_counter() - began
model.wv.save_word2vec_format(sys.argv[2])
print(seconds)
"""


def pairs_of_digits(data, seed):
    """Items of a picture and a recording of the same digit; no picture or recording stands in two splits. For training several of each stand in an item, and in several items, so
    that no recording is taken for that of a certain picture."""
    chance, parts = np.random.default_rng(seed), {}
    for name, field in (("mnist", "image"), ("fsdd", "audio")):
        found = collections.defaultdict(list)
        for row in rows_of(data, name):
            found[row["label"]].append(row[field])
        for label, some in found.items():
            some = [some[place] for place in chance.permutation(len(some))]
            bounds = [int(share * len(some)) for share in (0, 0.8, 0.9, 1)]
            parts[field, label] = [some[a:b] for a, b in zip(bounds, bounds[1:])]
    rows = []
    for label in sorted({label for _, label in parts}):
        for split, pictures, sounds in zip(("train", "validation", "test"), parts["image", label], parts["audio", label]):
            for number, (picture, sound) in enumerate(zip(pictures, sounds)):
                row = {"id": f"{label}-{split}-{number}", "split": split, "image": [picture], "audio": [sound], "label": label}
                if split == "train":
                    row["image"] += [pictures[place] for place in chance.choice(len(pictures), _MORE, replace=False)]
                    row["audio"] += [sounds[place] for place in chance.choice(len(sounds), _MORE, replace=False)]
                rows.append(row)
    return rows


def digits(data, out, seeds):
    found = collections.defaultdict(list)
    for seed in seeds:
        folder = out / f"digits-{seed}"
        dataset = ingest(pairs_of_digits(data, seed), folder, "--max-bad", 0.1)
        found["reader of real pictures"].append(score(dataset, folder / "reader", seed, READER, baseline=False)["label"]["accuracy"])
        began = time.monotonic()
        train(dataset, folder / "aligned", "alignment", seed, ALIGNED)
        scores = score(dataset, folder / "run", seed, {**DIGITS, "training.start_from": dict.fromkeys(("image", "audio"), str(folder / "aligned"))}, "autoencoding")
        found["autoencoder, minutes"].append((time.monotonic() - began) / 60)
        for row in scores["patterns"]:
            found[f"{row['field']} from {row['given']}, share explained"].append(row["explained"])
        (reader, made), items = (_endpoints(folder / name) for name in ("reader", "run")), list(Dataset(dataset).items("test").as_numpy_iterator())
        for given in (("audio",), ("image",), ("image", "audio")):
            pictures = ask(made["reconstruct"], [{name: item[name]["value"][0] for name in given} for item in items])["image_bytes"]
            said = ask(reader["classify"], [{"image": picture} for picture in pictures])["label"]
            right = [item["label"]["value"][0] == one for item, one in zip(items, said)]
            found[f"digit read in pictures made from {'+'.join(given)}"].append(float(np.mean(right)))
        for row in probing.probe(made, Dataset(dataset), "label", seed=seed):
            for kind in ("vectors", "plain"):
                found[f"{row['classifier']} on {'latents' if kind == 'vectors' else 'plain features'} of {row['given']}"].append(row[kind]["accuracy"])
    return found


def _endpoints(run):
    _, task, model = load_run(run)
    return task.endpoints(model)


def bitext(data, out, seeds):
    found = collections.defaultdict(list)
    dataset = ingest(ask_validation(rows_of(data, "multi30k")), out / "bitext", "--splits", "1,0,0")
    for name, routes, epochs in (("all pairs", ["*->*"], 30), ("pairs with English", ["!*->*", "text:en->*"], 12)):
        for seed in seeds:
            run, began = out / "bitext" / f"{name.replace(' ', '-')}-{seed}", time.monotonic()
            rows = score(dataset, run, seed, {**SENTENCES, "options.routes": routes, "training.epochs": epochs}, "alignment")["routes"]
            found[f"{name}, minutes"].append((time.monotonic() - began) / 60)
            for row in rows:
                tags = " to ".join(row[end].partition(":")[2] for end in ("source", "target"))
                found[f"{name}, {tags}{'' if row['trained'] else ' (never trained)'}, recall@1"].append(row["recall@1"])
            for trained in (True, False):
                some = [row["recall@1"] for row in rows if row["trained"] == trained]
                if some:
                    found[f"{name}, {'trained' if trained else 'never trained'}, lowest recall@1"].append(min(some))
            found[f"{name}, F1 of mined pairs, German and French"].append(_mined(_endpoints(run), Dataset(dataset)))
    return found


def _mined(endpoints, dataset):
    """F1 at the best margin for the first half of the sentences, of pairs mined in the second; a third of each file has no translation in the other."""
    items = list(dataset.items("test").as_numpy_iterator())
    texts = [{tag.decode(): value.decode() for tag, value in zip(item["text"]["language"], item["text"]["value"])} for item in items]
    best, margin = 0.0, 0.0
    for part in (texts[: len(texts) // 2], texts[len(texts) // 2 :]):
        quarter = len(part) // 4
        sources, targets = [one["de"] for one in part[: 3 * quarter]], [one["fr"] for one in part[quarter:]]
        right = {(one["de"], one["fr"]) for one in part[quarter : 3 * quarter]}
        pairs = encoding.mine(*(encoding.encode(endpoints, "text", some, tag) for some, tag in ((sources, "de"), (targets, "fr"))))
        hits = np.cumsum([(sources[place], targets[end]) in right for place, end, _ in pairs])
        f1 = 2 * hits / (np.arange(1, len(pairs) + 1) + len(right))
        if not margin:
            margin = pairs[int(f1.argmax())][2]
        else:
            best = float(f1[max(0, sum(one[2] >= margin for one in pairs) - 1)])
    return best


def words(data, out, seeds):
    found, rows = collections.defaultdict(list), [row for row in rows_of(data, "multi30k") if row["split"] == "train"]
    texts = {tag: [row[f"text:{tag}"] for row in rows] for tag in ("en", "de", "fr", "cs")}
    python = os.environ.get("GENSIM_PYTHON")
    for seed in seeds:
        vectors = collections.defaultdict(dict)
        for tag in texts:
            ends, began = [], time.perf_counter()
            vectors["skip-gram"][tag] = word_vectors.skip_gram(texts[tag], seed=seed, progress=lambda *_, ends=ends: ends.append(time.perf_counter()))
            seconds, count = time.perf_counter() - began, sum(len(words_of(text)) for text in texts[tag])
            if tag == "en":
                found["skip-gram, words a second, with all that comes before the first step"].append(5 * count / seconds)
                found["skip-gram, words a second, after the first epoch"].append(4 * count / (ends[-1] - ends[0]))
            vectors["GloVe"][tag] = word_vectors.glove(texts[tag], seed=seed) if tag in ("en", "de") else None
            if python:
                vectors["gensim"][tag], seconds = _gensim(python, texts[tag], seed)
                if tag == "en":
                    found["gensim, words a second"].append(5 * count / seconds)
        for tag in ("de", "fr", "cs"):
            pairs = lexicons.seed_lexicon(texts[tag], texts["en"])
            random.Random(seed).shuffle(pairs)
            for name, some in vectors.items():
                if some.get(tag):
                    a, b = lexicons.align(some[tag], some["en"], pairs[: len(pairs) // 2])
                    for csls in (0, 10):
                        scores = lexicons.lexicon_scores(a, b, pairs[len(pairs) // 2 :], csls)
                        found[f"{name}, {tag} to en, {'CSLS' if csls else 'cosine'}, precision@1 of {scores['words']} words"].append(scores["precision@1"])
    return found


def _gensim(python, texts, seed):
    with tempfile.TemporaryDirectory() as folder:
        given, made = pathlib.Path(folder) / "given.json", pathlib.Path(folder) / "made.vec"
        given.write_text(json.dumps({"texts": [words_of(text) for text in texts], "seed": seed, "epochs": 5}))
        done = subprocess.run([python, "-c", GENSIM, str(given), str(made)], check=True, capture_output=True, text=True)
        return word_vectors.WordVectors.load(made), float(done.stdout)


if __name__ == "__main__":
    if "words" in sys.argv and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # Before TensorFlow starts its threads; gensim inherits it.
    main(__doc__, {function.__name__: function for function in (digits, bitext, words)}, "representations", 3)
