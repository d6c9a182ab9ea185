"""How good is search that is trained from scratch? Photos by their captions, things in 15 languages and 6 tongues, emoji in 102 languages.

    python benchmarks/retrieval.py DATA described patches together flickr8k spaces stamps emoji [--seeds 1] [--out saved_models/retrieval]

DATA is a folder with the tables `flickr8k`, `stamps` and `emoji`. Runs that are there already are not trained again.

    described 6,000 photos with five captions each to train on, by what is known of photos without captions (`units: descriptors`); each caption of 1,000 others looks for its photo
              among the 1,000
    patches   the same without Fisher vectors, through a hidden layer
    together  three runs of `described`, of seeds 0 to 2, in one SavedModel
    flickr8k  the same by a tower of convolutions that sees histograms and patches too
    spaces    two towers of photos that learn at once, each with a space of its own
    stamps    950 things; a fifth of all views (pictures, names, recordings) is never seen in training; asked are all pairs of views of which one or both were never seen, among all
              views of the kind; Japanese names are trained beside English ones alone, Romanian speech beside texts alone, and no two recordings beside each other
    emoji     1,585 pictures; in training names in 90 languages, of which English alone beside pictures; then names in the 89 others and in 12 more look for the picture
"""

import collections
import json
import random

import numpy as np
from tables import ask_validation, command, ingest, main, rows_of, score, train

from cross_modal import config, retrieval
from cross_modal.data import Dataset
from cross_modal.exporting import load
from cross_modal.galleries import build_gallery, search
from cross_modal.report import retrieval_picture
from cross_modal.serving import ask

PHOTOS = {
    "features": {"image": {"size": [128, 128], "fit": "stretch", "patches": 400}, "text": {"length": 32, "vocab_size": 4000, "fold_case": True}},
    "towers.image": {"kind": "resnet", "stem": 4, "depth": 1, "dropout": 0.2, "descriptors": 512},
    "towers.text": {"kind": "bag", "dropout": 0.2},
    "options": {"views": {"text": 5}, "weights": {"text:*->text:*": 0.1}, "dim": 256, "embedding": 256, "dropout": 0.2, "temperature": 0.125},
    "training": {"epochs": 80, "batch_size": 128, "learning_rate": 2e-3, "weight_decay": 0.1, "ema": 0.99, "precision": "auto"},
    "training.augment.image": {"crop": 0.35, "rotation": 5, "flip": True, "brightness": 0.2, "contrast": 0.3, "saturation": 0.3, "erase": 0.3},
    "training.augment.text": {"word_dropout": 0.2},
}
SPACES = PHOTOS | {
    "towers.image": [PHOTOS["towers.image"], {"kind": "descriptors", "widths": [512], "dropout": 0.2}],
    "training": {**PHOTOS["training"], "epochs": 60},
}
DESCRIBED = {
    "features": {"image": {"units": "descriptors"}, "text": PHOTOS["features"]["text"]},
    "towers.text": PHOTOS["towers.text"],
    "options": PHOTOS["options"],
    "training": {"epochs": 25, "batch_size": 256, "learning_rate": 2e-3, "weight_decay": 0.1, "ema": 0.99},
    "training.augment.text": PHOTOS["training.augment.text"],
}
PATCHES = DESCRIBED | {
    "features": {"image": {"units": "descriptors", "fisher": 0}, "text": PHOTOS["features"]["text"]},
    "towers.image": {"kind": "descriptors", "widths": [512], "dropout": 0.2},
}
STAMPS = {
    "features": {
        "image": {"size": [48, 48]},
        "text": {"length": 32, "vocab_size": 3000, "fold_case": True, "punctuation": False},
        "audio": {"bins": 40, "hop_ms": 20, "seconds": 3},
    },
    "towers.image": {"kind": "resnet", "widths": [32, 64, 128], "depth": 1, "stem": 2},
    "towers.text": {"kind": "gru"},
    "towers.audio": {"kind": "crnn", "widths": [32, 64]},
    "options": {"views": {"text": 4}, "routes": ["*->*", "!text:ja->*", "text:ja->text:en", "!audio:ro->image"], "weights": {"image->audio:*": 0.1}},
    "training": {"epochs": 300, "batch_size": 64, "ema": 0.99},
    "training.augment.image": {"crop": 0.6, "rotation": 10, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2},
    "training.augment.audio": {"time_mask": 0.15, "bin_mask": 0.2, "warp": 0.1},
    "training.augment.text": {"word_dropout": 0.1},
}
EMOJI = {
    "features": {"image": {"size": [48, 48]}, "text": {"length": 32, "vocab_size": 12000, "fold_case": True}},
    "towers.image": {"kind": "resnet", "widths": [32, 64, 128], "depth": 1, "stem": 2},
    "towers.text": {"kind": "gru"},
    "options": {"views": {"text": 8}, "always": ["text:en"], "routes": ["*->*", "!text:*->image", "text:en->image"]},
    "training": {"epochs": 80, "batch_size": 64, "ema": 0.99},
    "training.augment.image": {"crop": 0.7, "rotation": 10, "brightness": 0.1, "contrast": 0.2},
    "training.augment.text": {"word_dropout": 0.1},
}


def described(data, out, seeds):
    return _photos(data, out, seeds, "described", DESCRIBED)


def patches(data, out, seeds):
    return _photos(data, out, seeds, "patches", PATCHES)


def together(data, out, seeds):
    """Three runs in one SavedModel, which is what is asked."""
    found, dataset, joined = collections.defaultdict(list), _photo_dataset(data, out), out / "flickr8k" / "together"
    folders = [out / "flickr8k" / f"described-{seed}" for seed in range(3)]
    for seed, folder in enumerate(folders):
        train(dataset, folder, "alignment", seed, DESCRIBED)
    command("export", *folders, "--out", joined)
    endpoints = load(joined)
    vectors = _embedded(config.load_task(folders[0])[1], endpoints, dataset, "test")
    for source, target in (("text:en", "image"), ("image", "text:en")):
        _note(found, {"source": source, "target": target, **retrieval.retrieve(vectors[source], vectors[target])})
    _draw(endpoints, dataset, [("text", "en")] * 8, out / "flickr8k-together.png")
    return found


def flickr8k(data, out, seeds):
    return _photos(data, out, seeds, "run", PHOTOS)


def spaces(data, out, seeds):
    return _photos(data, out, seeds, "spaces", SPACES)


def _photos(data, out, seeds, name, keys):
    dataset = _photo_dataset(data, out)
    found = collections.defaultdict(list)
    for seed in seeds:
        run = out / "flickr8k" / f"{name}-{seed}"
        for row in score(dataset, run, seed, keys, "alignment")["routes"]:
            _note(found, row)
        _draw(_load(run)[1], dataset, [("text", "en")] * 8, out / f"flickr8k-{name}-{seed}.png")
    return found


def _photo_dataset(data, out):
    return ingest(ask_validation(rows_of(data, "flickr8k")), out / "flickr8k", "--splits", "1,0,0")


def _note(found, row):
    for k in (1, 5, 10):
        found[f"{row['source']} to {row['target']}, recall@{k}"].append(row[f"recall@{k}"])
    found[f"{row['source']} to {row['target']}, median rank"].append(row["median_rank"])


def stamps(data, out, seeds):
    found = collections.defaultdict(list)
    for seed in seeds:
        chance, train_rows, held_rows = random.Random(seed), [], []
        for row in rows_of(data, "stamps"):
            held = {key for key in sorted(row) if key.partition(":")[0] in ("image", "text", "audio") and chance.random() < 0.2}
            train_rows.append({key: value for key, value in row.items() if key not in held and key not in ("label", "group")} | {"split": "train"})
            held_rows.append({key: value for key, value in row.items() if key in held} | {"id": row["id"], "split": "test"})
        folder = out / f"stamps-{seed}"
        dataset, held = (ingest(rows, folder / name, "--max-bad", 0.05, "--splits", "1,0,0") for name, rows in (("seen", train_rows), ("unseen", held_rows)))
        train(dataset, folder / "run", "alignment", seed, STAMPS)
        task, endpoints = _load(folder / "run")
        seen, unseen = _embedded(task, endpoints, dataset, "train"), _embedded(task, endpoints, held, "test")
        trained, rows = task.trained(), []
        for a, source in enumerate(task.kinds):
            for b, target in enumerate(task.kinds):
                if a != b and source in unseen and target in unseen:
                    there = _joined([seen[target], unseen[target]])
                    new = np.isin(seen[source].items, unseen[target].items)  # Sources that were seen, of things whose target was not.
                    row = retrieval.retrieve(_joined([unseen[source], _chosen(seen[source], new)]), there)
                    strict = retrieval.retrieve(unseen[source], there)
                    rows.append({"source": source, "target": target, "trained": bool(trained[a, b]), **row, "source never seen": strict["recall@1"] if strict else None})
        (folder / "routes.json").write_text(json.dumps(rows, indent=1))
        _print_matrix(task.kinds, rows)
        for name, chosen in (("trained", True), ("never trained", False)):
            some = [row for row in rows if row["trained"] == chosen]
            found[f"{len(some)} {name} routes, recall@1"].append(np.mean([row["recall@1"] for row in some]))
            found[f"{name}, lowest recall@1"].append(min(row["recall@1"] for row in some))
            found[f"{name}, times chance, mean"].append(np.mean([row["recall@1"] / row["chance@1"] for row in some]))
            found[f"{name}, times chance, lowest"].append(min(row["recall@1"] / row["chance@1"] for row in some))
            found[f"{name}, recall@1 of sources never seen"].append(np.mean([row["source never seen"] for row in some if row["source never seen"] is not None]))
        queries = [("text", "de"), ("text", "en"), ("text", "fr"), ("text", "ru"), ("text", "pl"), ("audio", "fr"), ("audio", "es"), ("audio", "ro")]
        _draw(endpoints, dataset, queries, out / f"stamps-{seed}.png", held, "train")
    return found


def emoji(data, out, seeds):
    found = collections.defaultdict(list)
    table = rows_of(data, "emoji")
    languages = sorted({key.partition(":")[2] for row in table for key in row if key.startswith("text:")})
    for seed in seeds:
        never = sorted(random.Random(seed).sample([tag for tag in languages if tag != "en"], 12))
        apart = {f"text:{tag}" for tag in never}
        known = [{key: value for key, value in row.items() if key != "label" and key not in apart} | {"split": "train"} for row in table]
        others = [{key: value for key, value in row.items() if key == "id" or key in apart} | {"split": "test"} for row in table]
        folder = out / f"emoji-{seed}"
        dataset, unseen = ingest(known, folder / "seen", "--splits", "1,0,0", "--max-bad", 0.05), ingest(others, folder / "unseen", "--splits", "1,0,0", "--max-bad", 0.05)
        train(dataset, folder / "run", "alignment", seed, EMOJI)
        task, endpoints = _load(folder / "run")
        seen, asked = _embedded(task, endpoints, dataset, "train"), _embedded(task, endpoints, unseen, "test")
        rows = {kind: retrieval.retrieve(vectors, seen["image"]) for kind, vectors in (seen | asked).items() if kind != "image"}
        (folder / "routes.json").write_text(json.dumps(rows, indent=1))
        groups = {"English, trained": ["text:en"], "12 languages never trained": sorted(asked)}
        groups["89 languages never beside a picture"] = [kind for kind in rows if kind not in (*groups["English, trained"], *asked)]
        for name, kinds in groups.items():
            for k in (1, 10):
                found[f"{name}, recall@{k}"].append(np.mean([rows[kind][f"recall@{k}"] for kind in kinds]))
        for kind in sorted(asked):
            print(f"{kind}: recall@1 {rows[kind]['recall@1']:.3f}, recall@10 {rows[kind]['recall@10']:.3f} (chance {rows[kind]['chance@10']:.3f})")
        _draw(endpoints, dataset, [("text", tag) for tag in ("en", "de", "tr", "ru", "hi", "ja", "ar", "sw") if tag not in never], out / f"emoji-{seed}.png", split="train")
    return found


def _load(run):
    import keras

    _, task = config.load_task(run)
    return task, task.endpoints(keras.models.load_model(run / "model.keras"))


def _embedded(task, endpoints, dataset, split):
    """Embeds all views of a dataset: dict of kind to `retrieval.Embedded`; equal contents of a kind have equal numbers."""
    found, opened = {}, Dataset(dataset)
    for name in task.features:
        parts = collections.defaultdict(lambda: ([], [], []))
        for item in opened.items(split).as_numpy_iterator() if name in opened.fields else ():
            for value, tag in zip(item[name]["value"], item[name]["language"]):
                kind = name if tag == b"und" else f"{name}:{tag.decode()}"
                for part, one in zip(parts[kind], (value, tag, item["id"])):
                    part.append(one)
        for kind, (values, tags, ids) in parts.items():
            vectors = ask(endpoints[f"embed_{name}"], [{name: value, f"{name}_language": tag} for value, tag in zip(values, tags)])["embedding"]
            found[kind] = retrieval.Embedded(vectors, np.array([int(hash(one)) for one in ids]), np.array([hash(value) for value in values]))
    return found


def _chosen(embedded, some):
    return retrieval.Embedded(embedded.vectors[some], embedded.items[some], embedded.contents[some])


def _joined(parts):
    return retrieval.Embedded(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("vectors", "items", "contents")))


def _print_matrix(kinds, rows):
    cells = {(row["source"], row["target"]): row for row in rows}
    kinds = [kind for kind in kinds if any(kind in pair for pair in cells)]
    print("\nrecall@1, from the row to the column (* never trained)\n" + " " * 11 + "".join(f"{kind.removeprefix('text:'):>9}" for kind in kinds))
    for source in kinds:
        line = [cells.get((source, target)) for target in kinds]
        print(f"{source:<11}" + "".join(f"{'' if cell is None else format(cell['recall@1'], '.2f') + ('' if cell['trained'] else '*'):>9}" for cell in line))


def _draw(endpoints, dataset, queries, path, asked=None, split="test", asked_split="test"):
    """Draws what the views of some items find among the pictures."""
    gallery, drawn = build_gallery(endpoints, Dataset(dataset), split, "image"), []
    items = iter(Dataset(asked or dataset).items(asked_split if asked else split).as_numpy_iterator())
    for field, language in queries:
        for item in items:
            tags = [tag.decode() for tag in item[field]["language"]]
            if language in tags and item["id"].decode() in gallery.ids:
                value = item[field]["value"][tags.index(language)]
                nearest = search(endpoints, gallery, field, value, language, 5)
                found = [(gallery.values[place], f"{cosine:.2f}", gallery.ids[place] == item["id"].decode()) for place, cosine in nearest]
                drawn.append({"name": f"{language}: {value.decode() if field == 'text' else 'speech'}", "audio": value if field == "audio" else None, "found": found})
                break
    print(retrieval_picture(drawn, path))


if __name__ == "__main__":
    main(__doc__, {function.__name__: function for function in (described, patches, together, flickr8k, spaces, stamps, emoji)}, "retrieval", 1)
