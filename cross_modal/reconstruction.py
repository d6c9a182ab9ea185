"""How well the fields of an item are made again, from each part of them."""

import collections
import functools

import numpy as np
import tensorflow as tf

from cross_modal import metrics
from cross_modal.writer import taught

_SHOWN = 6  # Items that are kept to look at.


def lengths(logits):
    """How many steps there are before the first that is not, int32 `(batch,)`, of logits `(batch, time)`."""
    return tf.reduce_sum(tf.math.cumprod(tf.cast(logits > 0.0, tf.int32), axis=1), axis=1)


def score_patterns(task, model, batches):
    """Makes each field of each item again from each pattern of its fields.

    Of several views of a field one is taken, another one in another item, so that all languages are.

    Args:
        task: `tasks.Autoencoding`.
        model: that it built.
        batches: of `data.batches`, all views, with their keys.

    Returns:
        Dict of `patterns`, a list of dicts: `given` and `field`, names; `missing`, whether the field is not given; `explained`, at most 1: the share of the variance over
        these items that is explained, 0 where their mean would do as well, and of texts the share of the cross-entropy by the frequencies of subwords in each language, of which
        what a decoder knows of the languages alone explains some; `items`; and `mse`, or of texts `exact`, `cer` and `nats` a subword; of
        sounds also `seconds`, by which its length is wrong. `reconstruction`, dict of field to its error when all is given. `examples`, see `pages.examples_page`.
    """
    run = tf.function(functools.partial(_made, task, model), reduce_retracing=True)
    tallies, examples = {(pattern, name): _Tally(task.features[name]) for pattern in task.patterns for name in task.features}, []
    for batch in batches:
        x, texts = _one_view(task, batch)
        present = {name: one["mask"].numpy().any(axis=1) for name, one in x.items()}
        targets = {name: _target(task, name, x[name]) for name in task.features}
        languages = {name: one["language"].numpy() for name, one in x.items()}
        shown = [{"id": item.decode(), "views": _views(task, targets, texts, present, row), "made": {}} for row, item in enumerate(batch["id"].numpy())]
        for pattern in task.patterns:
            some = np.all([present[name] for name in pattern], axis=0)
            if not some.any():
                continue
            hidden = {name: one if name in pattern else {**one, "mask": tf.zeros_like(one["mask"])} for name, one in x.items()}
            answers = run(hidden, {name: (one["value"], one["mask"]) for name, one in x.items()})
            made, costs = ({name: one.numpy() for name, one in part.items()} for part in answers)
            for name in task.features:
                rows, tally = some & present[name], tallies[pattern, name]
                tally.known.add(targets[name], rows, languages[name])
                tally.add(rows, targets[name], made[name], texts.get(name), costs.get(name))
            for row in np.flatnonzero(some)[: _SHOWN - len(examples)]:
                shown[row]["made"]["+".join(pattern)] = {name: _plain(task.features[name], one[row]) for name, one in made.items()}
        examples += [one for one in shown if one["made"]][: _SHOWN - len(examples)]
    rows = []
    for (pattern, name), tally in tallies.items():
        if tally.items:
            rows.append({"given": "+".join(pattern), "field": name, "missing": name not in pattern, **tally.scores()})
    every = "+".join(task.features)
    errors = {row["field"]: row["nats" if "nats" in row else "mse"] for row in rows if row["given"] == every}
    return {"patterns": rows, "reconstruction": errors, "examples": examples}


def _one_view(task, batch):
    """One view of each field of each item, and the texts of those that are written."""
    x, texts, turn = {}, {}, batch["item"].numpy()
    for name in task.features:
        count = batch[name]["mask"].numpy().any(axis=-1).sum(axis=1)
        place = turn % np.maximum(count, 1)
        x[name] = {key: tf.gather(batch[name][key], place, axis=1, batch_dims=1) for key in ("value", "mask", "language")}
        if name in task.texts:
            texts[name] = [one.decode() for one in task.features[name].detokenize(tf.where(x[name]["mask"], x[name]["value"], 0)).numpy()]
    return x, texts


def _target(task, name, view):
    feature = task.features[name]
    if name in task.texts:
        return taught(feature, view["value"], view["mask"])[1:]
    return (view["value"].numpy(), view["mask"].numpy()) if feature.has_time else (view["value"].numpy(), None)


def _made(task, model, x, targets):
    latent = task.encode(model, x)
    languages, costs = {name: one["language"] for name, one in x.items()}, {}
    for name in task.texts:
        before, after, weight = taught(task.features[name], *targets[name])
        logits = model.get_layer(f"{name}_decoder")({"latent": latent, "language": languages[name], "before": before}, training=False)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(after, tf.cast(logits, tf.float32))
        costs[name] = tf.stack([tf.reduce_sum(each * weight, 1), tf.reduce_sum(weight, 1)], 1)  # (batch, 2)
    return task.make(model, latent, languages), costs


class _Known:
    """What is known of a field without looking at an item: means of its values, frequencies of its subwords."""

    def __init__(self, feature):
        self.feature, self.sums, self.squares, self.count, self.ids = feature, 0.0, 0.0, 0, collections.defaultdict(collections.Counter)

    def add(self, target, rows, languages):
        values, mask = target
        if self.feature.kind == "text":
            for row in np.flatnonzero(rows):
                self.ids[languages[row]].update(np.asarray(values[row])[np.asarray(mask[row]) > 0].tolist())
            return
        real = values[rows] if mask is None else values[mask & rows[:, None]]
        self.sums, self.squares, self.count = self.sums + real.sum(axis=0, dtype=np.float64), self.squares + (real.astype(np.float64) ** 2).sum(axis=0), self.count + len(real)

    def cost(self):
        """Squared error of the means, on average; of texts, nats a subword."""
        if self.feature.kind == "text":
            counts = [np.array(list(some.values()), float) for some in self.ids.values()]
            return float(-sum((some * np.log(some / some.sum())).sum() for some in counts) / sum(some.sum() for some in counts))
        return float(np.mean(self.squares / self.count - (self.sums / self.count) ** 2))


class _Tally:
    """Errors of a field made from a pattern."""

    def __init__(self, feature):
        self.feature, self.known, self.items, self.sum, self.count, self.late = feature, _Known(feature), 0, 0.0, 0, 0.0
        self.references, self.hypotheses = [], []

    def add(self, rows, target, made, texts, costs):
        self.items += int(rows.sum())
        if self.feature.kind == "text":
            self.sum, self.count = self.sum + float(costs[rows, 0].sum()), self.count + float(costs[rows, 1].sum())
            self.references += [[texts[row]] for row in np.flatnonzero(rows)]
            self.hypotheses += [made[row].decode() for row in np.flatnonzero(rows)]
            return
        values, mask = target
        if mask is None:
            errors = (values[rows] - made[rows]) ** 2
            self.sum, self.count = self.sum + float(errors.sum()), self.count + errors.size
            return
        time = min(values.shape[1], made.shape[1])
        errors = ((values[rows, :time] - made[rows, :time, :-1]) ** 2)[mask[rows, :time]]
        self.sum, self.count = self.sum + float(errors.sum()), self.count + errors.size
        self.late += float(np.abs(lengths(made[rows, :, -1]).numpy() - mask[rows].sum(axis=1)).sum()) * self.feature.hop_ms / 1000

    def scores(self):
        error, plain = self.sum / max(self.count, 1), self.known.cost()
        scores = {"explained": 1.0 - error / max(plain, 1e-9), "items": self.items}
        if self.feature.kind == "text":
            found = metrics.text_scores(self.references, self.hypotheses)
            return {**scores, "nats": error, "exact": found["exact"], "cer": found["cer"]}
        return {**scores, "mse": error, **({"seconds": self.late / max(self.items, 1)} if self.feature.has_time else {})}


def _views(task, targets, texts, present, row):
    views = {}
    for name in task.features:
        if present[name][row]:
            values, mask = targets[name]
            views[name] = texts[name][row] if name in texts else values[row] if mask is None else values[row][mask[row]]
    return views


def _plain(feature, made):
    """What was made, without what is behind its end."""
    if feature.kind == "text":
        return made.decode()
    return made[: int(lengths(made[None, :, -1])[0]), :-1] if feature.has_time else made


def pattern_table(scores, fields):
    """Says scores of `score_patterns` to a person, in a few lines."""
    rows = {(row["given"], row["field"]): row for row in scores["patterns"]}
    if not rows:
        return "No item has a view: nothing to make again."
    width = max(len("given"), *(len(given) for given, _ in rows)) + 1
    lines = ["share explained of each field (* not given)", f"{'given':<{width}}" + "".join(f"{name:>10} " for name in fields)]
    for given in dict.fromkeys(given for given, _ in rows):
        cells = [rows.get((given, name)) for name in fields]
        lines.append(f"{given:<{width}}" + "".join(f"{one['explained']:>10.3f}{'*' if one['missing'] else ' '}" if one else " " * 11 for one in cells))
    texts = [row for row in scores["patterns"] if "exact" in row]
    if texts:
        lines += ["", f"{'given':<{width}}{'text':>10} {'exact':>8} {'CER':>8} {'items':>8}"]
        lines += [f"{row['given']:<{width}}{row['field']:>10} {row['exact']:>8.3f} {row['cer']:>8.3f} {row['items']:>8,}" for row in texts]
    loss = scores["loss"]
    parts = ", ".join(f"{name} {value:.4f}" for name, value in loss["reconstruction"].items())
    lines.append(f"\nreconstruction when all is given: {parts}; regularization: {loss['regularization']:.1f} (alpha {loss['alpha']:g})")
    return "\n".join(lines)
