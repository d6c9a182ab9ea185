"""What transfer is worth: models trained on one language and asked in others, and on few items, with and without what was learned elsewhere."""

import dataclasses
import json
import pathlib
import warnings

import numpy as np
import scipy.stats
from tqdm import tqdm

from cross_modal import evaluation, training
from cross_modal.data import learn_labels
from cross_modal.words import words_of

_EVERY = "all"  # What stands for all languages at once.


def language_matrix(task, dataset, run, field="text", languages=(), split="test", seeds=1, progress=True, **options):
    """Trains a model on each language, and one on all, and asks each in all languages.

    What is done stays in the folder: a call that was stopped goes on.

    Args:
        task: `Task`, whose features know all languages.
        dataset: `Dataset`.
        run: folder for the models and `languages.json`.
        field: of texts or recordings, of which one language alone is shown.
        languages: tags; all of the field. Those with training items are trained on, those with items in the split are asked.
        split: that is asked.
        seeds: how many models for each.
        progress: whether to show a progress bar.
        options: of `training.fit`.

    Returns:
        List of dicts: `train`, a tag or "all", `test`, a tag; `merit`, mean over the seeds (see the task's `merit`), `sd`, and `gap`, how much less it is than that of the model
        trained on the language that is asked, None where there is none; `interval`, of the first seed, between what 95 % of tables like this have it, where the task tells;
        `unknown`, the share of the words asked that are in no training text; `items`.

    Raises:
        ValueError: if the field lacks a language, has fewer than two, or none with items to train on or to ask, or the folder is of other languages or another field.
    """
    _check_seeds(seeds)
    field_tags = dataset.fields[field].languages if field in dataset.fields else ()
    languages = list(languages) or list(field_tags)
    if len(languages) < 2 or not set(languages) <= set(field_tags):
        raise ValueError(f"Expected two languages or more of {field}: {', '.join(field_tags) or 'it has none'}. Received: {', '.join(languages) or 'none'}")
    kept = _Kept(pathlib.Path(run) / "languages.json", {"field": field, "languages": sorted(languages)})
    asked = {tag: part for tag in languages if (part := dataset.only(languages={split: {field: [tag]}})).splits[split]}
    taught = [tag for tag in languages if dataset.only(languages={"train": {field: [tag]}}).splits["train"]]
    if not taught or not asked:
        raise ValueError(f"Expected views of {field} in {', '.join(languages)} in the splits train and {split}. Received: none in {'train' if not taught else split}")
    texts = dataset.fields[field].kind == "text"
    known, said = ({tag: _words(dataset, part, field, tag) if texts else [] for tag in languages} for part in ("train", split))
    for train in tqdm([*taught, _EVERY], desc="languages", disable=not progress):
        tags = languages if train == _EVERY else [train]
        shown = dataset.only(languages={name: {field: tags} for name in ("train", "validation") if name in dataset.splits})
        todo = [seed for seed in range(seeds) if not all(kept.has(train, tag, seed, split) for tag in asked)]
        taught_task = _taught(task, shown) if todo else None
        for seed in todo:
            model = _fitted(taught_task, shown, pathlib.Path(run) / f"{train}-{seed}", seed, options)
            for tag in asked:
                scores = evaluation.evaluate(taught_task, model, asked[tag], split, baseline=False)
                kept.add(train, tag, seed, split, task.merit(scores), interval=_interval(scores), items=asked[tag].splits[split])
    rows = []
    for train in (*taught, _EVERY):
        for tag in asked:
            found = [kept.of(train, tag, seed, split) for seed in range(seeds)]
            merits, own = [one["merit"] for one in found], [kept.of(tag, tag, seed, split)["merit"] for seed in range(seeds)] if tag in taught else []
            gap = float(np.mean(own) - np.mean(merits)) if own else None
            row = {"train": train, "test": tag, "merit": float(np.mean(merits)), "sd": float(np.std(merits)), "gap": gap}
            seen = {word for name in (languages if train == _EVERY else [train]) for word in known[name]}
            unknown = sum(word not in seen for word in said[tag]) / len(said[tag]) if said[tag] else None
            rows.append({**row, "interval": found[0]["interval"], "unknown": unknown, "items": found[0]["items"]})
    return rows


def few_shot(task, dataset, run, label, start_from, sizes=(1, 5, 10, 50), split="test", seeds=5, progress=True, **options):
    """Trains on a few items of each class, with what was learned elsewhere and without.

    What is done stays in the folder: a call that was stopped goes on.

    Args:
        task: `Task`.
        dataset: `Dataset`.
        run: folder for the models and `few-shot.json`.
        label: field of the classes.
        start_from: what the models with transfer start with, see `transfer.start_from`.
        sizes: items of each class; of one with fewer all. What no class has as many of is left out, with a warning.
        split: that is asked.
        seeds: how many models of each sort; each has other items.
        progress: whether to show a progress bar.
        options: of `training.fit`; `freeze` and `paces` count for the models with transfer alone.

    Returns:
        List of dicts: `per_class`, `transfer`, whether with; `merit`, mean over the seeds, `sd`, and `interval` of the mean, 95 % by Student's t, as far
        as it is between 0 and 1.

    Raises:
        ValueError: if the dataset lacks the label, or it has no class with as many items, or there is nothing to start from, or the folder is of another label.
    """
    _check_seeds(seeds)
    dataset.check_label(label)
    if not start_from:
        raise ValueError("Expected `start_from`, what the models with transfer start with, such as {'text': 'saved_models/first'}. Received: none")
    kept, classes = _Kept(pathlib.Path(run) / "few-shot.json", {"label": label}), _classes(dataset, label, task.sources)
    most = max(map(len, classes.values()), default=0)
    if min(sizes) < 1 or most < min(sizes):
        raise ValueError(f"Expected {max(1, min(sizes))} training items or more of a class of {label} that have {' or '.join(task.sources)}. Received: {most} at most")
    if max(sizes) > most:
        warnings.warn(f"Expected classes of {label} with {max(sizes):,} training items. Received: {most:,} at most. Sizes above are left out.", stacklevel=2)
        sizes = [size for size in sizes if size <= most]
    for size, seed in tqdm([(size, seed) for size in sizes for seed in range(seeds)], desc="few shots", disable=not progress):
        todo = [transfer for transfer in (False, True) if not kept.has(size, transfer, seed, split)]
        if not todo:
            continue
        chance = np.random.default_rng(seed)
        ids = [one for some in classes.values() for one in chance.permutation(some)[:size].tolist()]
        shown = dataset.only(ids={"train": ids, **({"validation": []} if "validation" in dataset.splits else {})})
        shown_task = _taught(task, shown)
        for transfer in todo:
            own = {"start_from": start_from} if transfer else {"freeze": None, "paces": None}
            model = _fitted(shown_task, shown, pathlib.Path(run) / f"{size}-{'with' if transfer else 'without'}-{seed}", seed, {**options, **own})
            scores = evaluation.evaluate(shown_task, model, dataset, split, baseline=False)
            kept.add(size, transfer, seed, split, task.merit(scores))
    rows = []
    for size in sizes:
        for transfer in (False, True):
            merits = [kept.of(size, transfer, seed, split)["merit"] for seed in range(seeds)]
            row = {"per_class": size, "transfer": transfer, "merit": float(np.mean(merits)), "sd": float(np.std(merits)), "interval": None}
            if seeds > 1 and row["sd"] > 0:
                row["interval"] = np.clip(scipy.stats.t.interval(0.95, seeds - 1, row["merit"], scipy.stats.sem(merits)), 0.0, 1.0).tolist()
            rows.append(row)
    return rows


def _check_seeds(seeds):
    if seeds < 1:
        raise ValueError(f"Expected `seeds` of at least 1. Received: seeds={seeds}")


class _Kept:
    """Results in a file, by what they are of; `about` is what all of them, and the models beside it, have in common."""

    def __init__(self, path, about):
        self.path, self.about, self.found = path, about, {}
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept.get("about") != about:
                words = ", ".join(f"{name}={value}" for name, value in (kept.get("about") or {}).items())
                raise ValueError(f"Expected a new folder, or one of the same study: {about}. Received: {path.parent}, of {words or 'an earlier version'}")
            self.found = kept["found"]

    def has(self, *key):
        return json.dumps(key) in self.found

    def of(self, *key):
        return self.found[json.dumps(key)]

    def add(self, *key, interval=None, items=None):
        *key, merit = key
        self.found[json.dumps(key)] = {"merit": merit, "interval": interval, "items": items}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps({"about": self.about, "found": self.found}, indent=1), encoding="utf-8")


def _taught(task, shown):
    """The task with features that know of no label but those that are shown."""
    return dataclasses.replace(task, features=learn_labels(task.features, shown))


def _fitted(task, dataset, run, seed, options):
    return training.fit(task, dataset, run, seed=seed, resume=(run / "checkpoints").exists(), progress=False, **options)


def _words(dataset, split, field, tag):
    """The words of the texts of a field in a language, as often as they occur."""
    return [word for text, language in dataset.only(languages={split: {field: [tag]}}).values(split, field) for word in words_of(text.decode())]


def _classes(dataset, label, sources):
    """Dict of class to the ids of the training items that have it first, and something to tell it from."""
    found = {}
    for item in dataset.items("train").as_numpy_iterator():
        if len(item[label]["value"]) and any(len(item[name]["value"]) for name in sources):
            found.setdefault(item[label]["value"][0], []).append(item["id"].decode())
    return found


def _interval(scores):
    """Bounds of the first score that has them."""
    for one in scores.values():
        if isinstance(one, dict) and "intervals" in one:
            return one["intervals"]["macro_f1"]
        if isinstance(one, dict) and "interval" in one:
            return one.get("f1_interval", one["interval"])  # Of what is the merit.
    return None


def matrix_table(rows):
    """Writes the rows of `language_matrix` as a table: a row a language of training, a column one that is asked."""
    tags = list(dict.fromkeys(row["test"] for row in rows))
    found = {(row["train"], row["test"]): row for row in rows}
    lines = [f"{'trained on':<12}" + "".join(f"{tag:>9}" for tag in tags) + f"{'mean':>9}"]
    for train in dict.fromkeys(row["train"] for row in rows):
        merits = [found[train, tag]["merit"] for tag in tags]
        lines.append(f"{train:<12}" + "".join(f"{one:>9.3f}" for one in (*merits, np.mean(merits))))
    others = [row for row in rows if row["train"] not in (row["test"], _EVERY)]
    gaps = [row["gap"] for row in others if row["gap"] is not None]
    less = f", {np.mean(gaps):.3f} less than in its own" if gaps else ""
    if others:
        lines += ["", f"in another language than that of training {np.mean([row['merit'] for row in others]):.3f}{less}"]
    if others and others[0]["unknown"] is not None:
        lines.append(f"of the words asked there {np.mean([row['unknown'] for row in others]):.0%} are in no training text")
    return "\n".join(lines)


def few_shot_table(rows):
    """Writes the rows of `few_shot` as a table."""
    lines = [f"{'items a class':<14}{'without':>9}{'95 %':>18}{'with':>9}{'95 %':>18}"]
    for size in dict.fromkeys(row["per_class"] for row in rows):
        line = f"{size:<14}"
        for row in sorted((row for row in rows if row["per_class"] == size), key=lambda row: row["transfer"]):
            bounds = "{:.3f} to {:.3f}".format(*row["interval"]) if row["interval"] else ""
            line += f"{row['merit']:>9.3f}{bounds:>18}"
        lines.append(line)
    return "\n".join(lines)
