"""How good classes are that are answered: of each label, pattern of presence and language, beside what costs nothing."""

import itertools

import numpy as np
import tensorflow as tf

from cross_modal import baselines, metrics
from cross_modal.features.label import UNDETERMINED
from cross_modal.serving import ask, first_views

_PATTERNS = 4  # Fields of which all patterns of presence are scored; of more, there are too many.
_PLAIN = 5_000  # Items that the baseline is trained on, and asked, at most.
_SHOWN = 100  # Classes whose confusions are kept.


def score_classes(task, model, batches):
    """Scores all items as they are; of several inputs also each pattern of presence, over the items that have its fields, with the others hidden.

    Args:
        task: `tasks.Classification`.
        model: that it built.
        batches: of `data.batches`, all views, of which the first of each field is taken.

    Returns:
        Dict of label to a dict: `accuracy`, `macro_f1`, `average_precision`, `calibration_error`, `majority`, `examples`, of single labels also `intervals` and `confusion`;
        `unknown`, how many items are left out as the model knows none of their classes, if there are such; and dicts of `classes`, `languages`, such as `text:fr`, and `patterns`,
        such as `image+text`, to such scores.
    """
    patterns = _scored_patterns(task.inputs)
    rows = {name: {pattern: ([], []) for pattern in patterns} for name in task.heads}
    tags, unknown = {name: {field: [] for field in task.inputs} for name in task.heads}, dict.fromkeys(task.heads, 0)
    languages = np.array(task.languages.names)
    for batch in batches:
        x, y, weight = task.labelled(batch)
        present = {name: x[name]["mask"].numpy().any(axis=1) for name in task.inputs}
        anything = np.any(list(present.values()), axis=0)
        for name in task.heads:
            said, known = batch[name]["mask"].numpy()[:, :, 0], batch[name]["value"].numpy() >= 0
            unknown[name] += int((said.any(axis=1) & ~(said & known).any(axis=1) & anything).sum())
        for pattern in patterns:
            hidden = {name: one if not pattern or name in pattern else {**one, "mask": tf.zeros_like(one["mask"])} for name, one in x.items()}
            outputs = model(hidden, training=False)
            there = np.all([present[name] for name in pattern], axis=0) if pattern else anything
            for name in task.heads:
                real = (weight[name].numpy() > 0) & there
                rows[name][pattern][0].append(y[name].numpy()[real] > 0)
                rows[name][pattern][1].append(task.probabilities(name, outputs[name]).numpy()[real])
                if not pattern:
                    for field in task.inputs:
                        tags[name][field] += np.where(present[field], languages[x[field]["language"].numpy()], UNDETERMINED)[real].tolist()
    return _scores(task, rows, tags, unknown)


def score_answers(task, endpoint, chunks):
    """Scores what is answered to raw values, as `score_classes` does; a field is there that has a value.

    Args:
        task: `tasks.Classification`, of whose labels and classes the answers are.
        endpoint: `tasks.Endpoint`, with the outputs of `task.answers`.
        chunks: iterable of lists of items of a `data.Dataset`, each list asked at once.

    Returns:
        As `score_classes`.
    """
    inputs = [name for name in endpoint.signature if f"{name}_language" in endpoint.signature]
    patterns = _scored_patterns(inputs)
    rows = {name: {pattern: ([], []) for pattern in patterns} for name in task.heads}
    tags, unknown = {name: {field: [] for field in inputs} for name in task.heads}, dict.fromkeys(task.heads, 0)
    for chunk in chunks:
        chunk = [item for item in chunk if any(len(item[field]["value"]) for field in inputs)]
        for pattern in patterns:
            asked = [item for item in chunk if all(len(item[field]["value"]) for field in pattern)]
            answers = ask(endpoint, [first_views(item, pattern or inputs) for item in asked])
            for name in task.heads if asked else ():
                targets = _targets(task, name, asked)
                real = targets.any(axis=1)
                rows[name][pattern][0].append(targets[real])
                rows[name][pattern][1].append(answers[f"{name}_probabilities"][real])
                if not pattern:
                    unknown[name] += sum(not known and len(item[name]["value"]) > 0 for known, item in zip(real, asked))
                    for field in inputs:
                        tags[name][field] += [_tag(task, item[field]) for known, item in zip(real, asked) if known]
    return _scores(task, rows, tags, unknown)


def _tag(task, field):
    tag = field["language"][0].decode() if len(field["value"]) else UNDETERMINED
    return tag if tag in task.languages.names else UNDETERMINED


def patterns_of(inputs):
    """Returns the patterns of presence of some fields, tuples of them; the last is all."""
    return [shown for count in range(1, len(inputs) + 1) for shown in itertools.combinations(inputs, count)]


def _scored_patterns(inputs):
    """The patterns that are scored; the first is items as they are."""
    return [(), *patterns_of(inputs)] if 1 < len(inputs) <= _PATTERNS else [()]


def _scores(task, rows, tags, unknown):
    scores = {name: scored for name in task.heads if (scored := _score_head(task, name, rows[name], tags[name]))}
    return {name: {**one, **({"unknown": unknown[name]} if unknown[name] else {})} for name, one in scores.items()}


def linear_classes(task, dataset, split):
    """Trains a linear model on plain features of each input, and of all of them, for each label, on the first items.

    Args:
        task: `tasks.Classification`.
        dataset: `data.Dataset`.
        split: that is asked.

    Returns:
        Dict of label to a dict of fields, joined by `+`, to a dict of `accuracy`, `macro_f1` and `examples`.
    """
    known, asked = ([item for item in dataset.items(part).take(_PLAIN).as_numpy_iterator()] for part in ("train", split))
    sets = [(name,) for name in task.inputs] + ([tuple(task.inputs)] if len(task.inputs) > 1 else [])
    scores = {}
    for name in task.heads:
        (train, targets), (test, references) = (_labelled(task, name, items) for items in (known, asked))
        if not len(targets) or not len(references):
            continue
        scores[name] = {}
        for fields in sets:
            kinds = {field: task.features[field].kind for field in fields}
            several = name in task.multi_label
            said = baselines.linear_baseline(kinds, train, targets if several else targets.argmax(axis=1), test, several)
            answers = said if several else np.arange(references.shape[1]) == said[:, None]
            scores[name]["+".join(fields)] = _score_rows(task, name, references, answers.astype(float), False)
    return scores


def class_table(scores):
    """Writes what `score_classes` returned as a table."""
    scores = dict(scores)
    plain = scores.pop("baseline", {})
    lines = [f"{'label':<12} {'accuracy':>8} {'95 %':>15} {'macro-F1':>8} {'AP':>6} {'ECE':>6} {'majority':>8} {'linear':>8} {'examples':>8}"]
    for name, one in scores.items():
        linear = max((own["accuracy"] for own in plain.get(name, {}).values()), default=None)
        low, high = one.get("intervals", {}).get("accuracy", (None, None))
        bounds = "" if low is None else f"{low:.3f} to {high:.3f}"
        lines.append(
            f"{name:<12} {one['accuracy']:>8.3f} {bounds:>15} {one['macro_f1']:>8.3f} {one['average_precision']:>6.3f} {one['calibration_error']:>6.3f}"
            f" {one['majority']:>8.3f} {'' if linear is None else f'{linear:.3f}':>8} {one['examples']:>8}"
        )
    for name, one in scores.items():
        if "unknown" in one:
            whole = one["examples"] + one["unknown"]
            lines.append(
                f"{one['unknown']:,} more items are of other classes of {name} than the model knows; with them the accuracy is {one['accuracy'] * one['examples'] / whole:.3f}"
            )
    for title, key in (("with only", "patterns"), ("in the language", "languages")):
        parts = sorted({part for one in scores.values() for part in one[key]}, key=lambda part: (part.count("+"), part))
        if len(parts) > 1:
            width = max(len(part) for part in (*parts, title)) + 1
            lines += ["", f"accuracy {title:<{width}}" + "".join(f"{name:>12}" for name in scores)]
            for part in parts:
                cells = [f"{one[key][part]['accuracy']:.3f}" if part in one[key] else "" for one in scores.values()]
                lines.append(f"         {part:<{width}}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)


def _labelled(task, name, items):
    """The raw views, dict of field to list, and the classes, bool `(examples, classes)`, of those items that have the label."""
    targets = _targets(task, name, items)
    chosen = [item for item, row in zip(items, targets) if row.any()]
    raws = {field: [item[field]["value"][0] if len(item[field]["value"]) else None for item in chosen] for field in task.inputs}
    return raws, targets[targets.any(axis=1)]


def _targets(task, name, items):
    """The classes of raw items, bool `(items, classes)`; none where the model knows none of an item's."""
    names = task.features[name].names
    said = [item[name]["value"] if name in task.multi_label else item[name]["value"][:1] for item in items]
    return np.array([[label.encode() in one for label in names] for one in said], bool).reshape(len(items), len(names))


def _score_head(task, name, rows, tags):
    joined = {pattern: tuple(np.concatenate(part) for part in parts) for pattern, parts in rows.items() if sum(map(len, parts[0]))}
    if () not in joined:
        return None
    references, probabilities = joined[()]
    scores = _score_rows(task, name, references, probabilities)
    mean, each = metrics.average_precision(references, probabilities)
    classes = {}
    for place, label in enumerate(task.features[name].names):
        if references[:, place].any():
            own = _answers(task, name, probabilities)[:, place]
            right, said, real = (own & references[:, place]).sum(), own.sum(), references[:, place].sum()
            counts = {"precision": float(right / max(said, 1)), "recall": float(right / real), "f1": float(2 * right / (said + real))}
            classes[label] = {**counts, "average_precision": float(each[place]), "examples": int(real)}
    languages = {}
    for field, spoken in tags.items():
        for tag in sorted(set(spoken) - {UNDETERMINED}):
            some = np.array(spoken) == tag
            languages[f"{field}:{tag}"] = _score_rows(task, name, references[some], probabilities[some], False)
    shown = {"+".join(pattern): _score_rows(task, name, *parts, False) for pattern, parts in joined.items() if pattern}
    return {**scores, "average_precision": mean, "classes": classes, "languages": languages, "patterns": shown}


def _answers(task, name, probabilities):
    """The classes that are answered, bool `(examples, classes)`."""
    if name in task.multi_label:
        return probabilities > 0.5
    return np.arange(probabilities.shape[1]) == np.argmax(probabilities, axis=1)[:, None]


def _score_rows(task, name, references, probabilities, whole=True):
    answers, count = _answers(task, name, probabilities), len(references)
    if name in task.multi_label:
        right, said = (answers & references).sum(0), answers.sum(0) + references.sum(0)
        there = references.any(axis=0)
        scores = {"accuracy": float((answers == references).all(axis=1).mean()), "macro_f1": float((2 * right / np.maximum(said, 1))[there].mean()), "examples": count}
        if whole:
            usual = references.mean(axis=0) > 0.5
            scores |= {"majority": float((references == usual).all(axis=1).mean())}
            scores |= {"calibration_error": metrics.calibration_error(references.ravel(), probabilities.ravel())}
        return scores
    table = metrics.confusion(references.argmax(axis=1), answers.argmax(axis=1), references.shape[1])
    scores = {"accuracy": float(np.trace(table) / count), "macro_f1": float(metrics.f1_of(table)), "examples": count}
    if whole:
        right = (answers & references).any(axis=1)
        scores |= {
            "intervals": metrics.bootstrap(table),
            "majority": float(table.sum(1).max() / count),
            "calibration_error": metrics.calibration_error(right, probabilities.max(axis=1)),
        }
        scores |= {"confusion": table.tolist()} if len(table) <= _SHOWN else {}
    return scores
