"""Some views to one or more labels."""

import dataclasses
import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from cross_modal import baselines, metrics
from cross_modal import fusion as fusions
from cross_modal.features import Label, featurize_batch
from cross_modal.layers import AttentionPooling
from cross_modal.tasks.task import STRING, Endpoint, Task

_PATTERNS = 4  # Fields of which all patterns of presence are scored; of more, there are too many.
_PLAIN = 5_000  # Items that the baseline is trained on, and asked, at most.
_SHOWN = 100  # Classes whose confusions are kept.


def _from(name, pattern):
    """The output for a label where the other fields are hidden."""
    return f"{name}_from_{'.'.join(pattern)}"


@dataclasses.dataclass(frozen=True)
class Classification(Task):
    """Learns one or more labels from any of the views of an item; an absent view is masked, an absent label has no weight.

    Args:
        features: dict of field to `Feature`: `Label` for what is to be learned, others for what it is learned from.
        languages: `Language`.
        towers: dict of input field to tower, a function `(feature, dim, name, languages) -> keras.Model`.
        fusion: function from a dict of states and masks to states and a mask.
        dim: size of a state.
        dropout: share dropped before the heads.
        loss_weights: dict of label to its weight in the loss; 1 where it is not named.
        multi_label: labels of which an item may have several, each learned by itself.
        label_smoothing: share of each target that is spread over all classes.
        balance: power of the weight that makes up for rare classes: 0 for none, 1 for all classes to weigh the same.
        every_pattern: whether each item is learned from with each pattern of its fields hidden in turn, as often as it is seen: it is then answered from some of them about as well
            as by a model for those alone. Towers run once all the same.
        focal: how much less what is already right counts (gamma); 0 for the plain cross-entropy.

    Raises:
        ValueError: if there is no label or no input, an input has no tower, or an option names what is no label.

    Source:
        Lin et al. (2017), "Focal Loss for Dense Object Detection", equation 4, for `focal`.
    """

    towers: dict[str, Callable] = dataclasses.field(kw_only=True)
    fusion: Callable = fusions.concat
    dim: int = 128
    dropout: float = 0.1
    loss_weights: dict[str, float] = dataclasses.field(default_factory=dict)
    multi_label: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    balance: float = 0.0
    focal: float = 0.0
    every_pattern: bool = False

    def __post_init__(self):
        if not self.heads or not self.inputs:
            raise ValueError(f"Expected at least one label and one other field. Received: {', '.join(self.features) or 'none'}")
        if set(self.inputs) != set(self.towers):
            raise ValueError(f"Expected a tower for each of {', '.join(self.inputs)}. Received: towers for {', '.join(self.towers)}")
        if not set(self.loss_weights) <= set(self.heads):
            raise ValueError(f"Expected `loss_weights` for labels among {', '.join(self.heads)}. Received: {', '.join(self.loss_weights)}")
        if not set(self.multi_label) <= set(self.heads):
            raise ValueError(f"Expected `multi_label` to name labels among {', '.join(self.heads)}. Received: {', '.join(self.multi_label)}")

    @property
    def inputs(self):
        """Names of the fields that are learned from."""
        return [name for name, feature in self.features.items() if not isinstance(feature, Label)]

    @property
    def heads(self):
        """Names of the labels."""
        return [name for name, feature in self.features.items() if isinstance(feature, Label)]

    @property
    def draws(self):
        return {name: len(self.features[name].names) if name in self.multi_label else 1 for name in self.features}

    def build(self):
        # --- inputs ---
        towers = {name: self.towers[name](self.features[name], self.dim, name, languages=len(self.languages.names)) for name in self.inputs}
        inputs = {name: {key: keras.Input(value.shape[1:], dtype=value.dtype, name=f"{name}_{key}") for key, value in tower.input.items()} for name, tower in towers.items()}

        # --- body ---
        states = {name: tower(inputs[name]) for name, tower in towers.items()}
        joined = self._joined(states)
        outputs = joined(states)
        for pattern in self._partly():
            shown = {name: one if name in pattern else {**one, "mask": ops.zeros_like(one["mask"])} for name, one in states.items()}
            outputs |= {_from(name, pattern): logits for name, logits in joined(shown).items()}

        # --- model ---
        return keras.Model(inputs, outputs, name="classification")

    def _joined(self, states):
        """From the states of the towers to the logits of each label, a model that can be called with other masks."""
        inputs = {name: {key: keras.Input(part.shape[1:], dtype=part.dtype, name=f"{name}_{key}") for key, part in one.items()} for name, one in states.items()}
        joined = self.fusion(inputs)
        x = AttentionPooling()(joined["states"], joined["mask"])  # (batch, queries * dim)
        x = layers.Dense(self.dim, activation="gelu")(layers.Dropout(self.dropout)(x))
        return keras.Model(inputs, {name: layers.Dense(len(self.features[name].names), dtype="float32", name=name)(x) for name in self.heads}, name="joined")

    def _patterns(self):
        """Patterns of presence, tuples of fields; the last is all of them."""
        return [shown for count in range(1, len(self.inputs) + 1) for shown in itertools.combinations(self.inputs, count)]

    def _partly(self):
        """The patterns that are learned from besides items as they are."""
        return self._patterns()[:-1] if self.every_pattern else []

    def example(self, batch):
        x = {name: {key: batch[name][key][:, 0] for key in ("value", "mask", "language")} for name in self.inputs}
        y, weight = {}, {}
        for name in self.heads:
            y[name] = self._targets(name, batch[name]["value"], batch[name]["mask"])
            if "share" in batch[name]:  # Mixed with another item.
                share = batch[name]["share"][:, None]
                y[name] = share * y[name] + (1.0 - share) * self._targets(name, batch[name]["other"], batch[name]["mask"])
            weight[name] = tf.cast(tf.reduce_any(y[name] > 0.0, 1), tf.float32) * self._class_weights(name, y[name])
        for pattern in self._partly():
            there = tf.cast(tf.reduce_any([tf.reduce_any(x[field]["mask"], 1) for field in pattern], 0), tf.float32)
            y |= {_from(name, pattern): y[name] for name in self.heads}
            weight |= {_from(name, pattern): weight[name] * there for name in self.heads}
        return x, y, weight

    def _targets(self, name, value, mask):
        """The classes of each item, float32 `(batch, classes)`."""
        value = tf.where(mask[:, :, 0], value, -1)
        if name not in self.multi_label:
            value = value[:, :1]
        return tf.reduce_max(tf.one_hot(value, len(self.features[name].names)), 1)

    def _class_weights(self, name, targets):
        counts = self.features[name].counts
        if not self.balance or not counts:
            return 1.0
        counts = np.maximum(counts, 1)
        weights = (counts.sum() / (len(counts) * counts)) ** self.balance
        weights = weights * counts.sum() / (weights * counts).sum()  # One on average over the training items, so that the learning rate keeps its meaning.
        return tf.reduce_sum(targets * weights.astype(np.float32), 1) / tf.maximum(tf.reduce_sum(targets, 1), 1e-6)

    def objective(self):
        partly = self._partly()
        outputs = {name: name for name in self.heads} | {_from(name, pattern): name for pattern in partly for name in self.heads}
        return {
            "loss": {output: self._loss(name) for output, name in outputs.items()},
            "loss_weights": {output: float(self.loss_weights.get(name, 1.0)) / (1 + len(partly)) for output, name in outputs.items()},
            "weighted_metrics": {output: [self._accuracy(name)] for output, name in outputs.items()},
        }

    def _loss(self, name):
        options = {"from_logits": True, "label_smoothing": self.label_smoothing, "reduction": "mean_with_sample_weight"}
        if name in self.multi_label:
            return keras.losses.BinaryFocalCrossentropy(gamma=self.focal, **options) if self.focal else keras.losses.BinaryCrossentropy(**options)
        return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=self.focal, **options) if self.focal else keras.losses.CategoricalCrossentropy(**options)

    def _accuracy(self, name):
        return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0) if name in self.multi_label else keras.metrics.CategoricalAccuracy(name="accuracy")

    def score(self, model, batches):
        """Scores all items as they are; of several inputs also each pattern of presence, over the items that have its fields, with the others hidden."""
        patterns = [()]
        if 1 < len(self.inputs) <= _PATTERNS:
            patterns += self._patterns()
        rows = {name: {pattern: ([], []) for pattern in patterns} for name in self.heads}
        tags = {name: {field: [] for field in self.inputs} for name in self.heads}
        for batch in batches:
            x, y, weight = self.example(batch)
            present = {name: x[name]["mask"].numpy().any(axis=1) for name in self.inputs}
            for pattern in patterns:
                hidden = {name: one if not pattern or name in pattern else {**one, "mask": tf.zeros_like(one["mask"])} for name, one in x.items()}
                outputs = model(hidden, training=False)
                there = np.all([present[name] for name in pattern], axis=0) if pattern else np.any(list(present.values()), axis=0)
                for name in self.heads:
                    real = (weight[name].numpy() > 0) & there
                    rows[name][pattern][0].append(y[name].numpy()[real] > 0)
                    rows[name][pattern][1].append(self._probabilities(name, outputs[name]).numpy()[real])
                    if not pattern:
                        for field in self.inputs:
                            tags[name][field] += np.where(present[field], x[field]["language"].numpy(), -1)[real].tolist()
        return {name: scored for name in self.heads if (scored := self._score_head(name, rows[name], tags[name]))}

    def baseline(self, dataset, split):
        """A linear model on plain features of each input, and of all of them, for each label; trained on the first items."""
        known, asked = ([item for item in dataset.items(part).take(_PLAIN).as_numpy_iterator()] for part in ("train", split))
        sets = [(name,) for name in self.inputs] + ([tuple(self.inputs)] if len(self.inputs) > 1 else [])
        scores = {}
        for name in self.heads:
            (train, targets), (test, references) = (self._labelled(name, items) for items in (known, asked))
            if not len(targets) or not len(references):
                continue
            scores[name] = {}
            for fields in sets:
                kinds = {field: self.features[field].kind for field in fields}
                several = name in self.multi_label
                said = baselines.linear_baseline(kinds, train, targets if several else targets.argmax(axis=1), test, several)
                answers = said if several else np.arange(references.shape[1]) == said[:, None]
                scores[name]["+".join(fields)] = self._score_rows(name, references, answers.astype(float), False)
        return scores

    def _labelled(self, name, items):
        """The raw views, dict of field to list, and the classes, bool `(examples, classes)`, of those items that have the label."""
        names = self.features[name].names
        targets = np.array([[label.encode() in item[name]["value"] for label in names] for item in items]).reshape(len(items), len(names))
        if name not in self.multi_label:
            targets &= np.cumsum(targets, axis=1) == 1
        chosen = [item for item, row in zip(items, targets) if row.any()]
        raws = {field: [item[field]["value"][0] if len(item[field]["value"]) else None for item in chosen] for field in self.inputs}
        return raws, targets[targets.any(axis=1)]

    def _probabilities(self, name, logits):
        logits = tf.cast(logits, tf.float32)
        return tf.sigmoid(logits) if name in self.multi_label else tf.nn.softmax(logits)

    def _score_head(self, name, rows, tags):
        joined = {pattern: tuple(np.concatenate(part) for part in parts) for pattern, parts in rows.items() if sum(map(len, parts[0]))}
        if () not in joined:
            return None
        references, probabilities = joined[()]
        scores = self._score_rows(name, references, probabilities)
        mean, each = metrics.average_precision(references, probabilities)
        classes = {}
        for place, label in enumerate(self.features[name].names):
            if references[:, place].any():
                own = self._answers(name, probabilities)[:, place]
                right, said, real = (own & references[:, place]).sum(), own.sum(), references[:, place].sum()
                counts = {"precision": float(right / max(said, 1)), "recall": float(right / real), "f1": float(2 * right / (said + real))}
                classes[label] = {**counts, "average_precision": float(each[place]), "examples": int(real)}
        languages = {}
        for field, numbers in tags.items():
            numbers = np.array(numbers)
            for number in sorted(set(numbers.tolist()) - {-1, 0}):
                some = numbers == number
                languages[f"{field}:{self.languages.names[number]}"] = self._score_rows(name, references[some], probabilities[some], False)
        shown = {"+".join(pattern): self._score_rows(name, *parts, False) for pattern, parts in joined.items() if pattern}
        return {**scores, "average_precision": mean, "classes": classes, "languages": languages, "patterns": shown}

    def _answers(self, name, probabilities):
        """The classes that are answered, bool `(examples, classes)`."""
        if name in self.multi_label:
            return probabilities > 0.5
        return np.arange(probabilities.shape[1]) == np.argmax(probabilities, axis=1)[:, None]

    def _score_rows(self, name, references, probabilities, whole=True):
        answers, count = self._answers(name, probabilities), len(references)
        if name in self.multi_label:
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

    def merit(self, scores):
        """Macro-F1, mean over the labels."""
        return float(np.mean([scores[name]["macro_f1"] for name in self.heads if name in scores]))

    def summary(self, scores):
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
        for title, key in (("with only", "patterns"), ("in the language", "languages")):
            parts = sorted({part for one in scores.values() for part in one[key]}, key=lambda part: (part.count("+"), part))
            if len(parts) > 1:
                width = max(len(part) for part in (*parts, title)) + 1
                lines += ["", f"accuracy {title:<{width}}" + "".join(f"{name:>12}" for name in scores)]
                for part in parts:
                    cells = [f"{one[key][part]['accuracy']:.3f}" if part in one[key] else "" for one in scores.values()]
                    lines.append(f"         {part:<{width}}" + "".join(f"{cell:>12}" for cell in cells))
        return "\n".join(lines)

    def endpoints(self, model):
        # The classes are a constant of the function, so that no table has to travel.
        def classify(**raw):
            x = {}
            for name in self.inputs:
                language = self.languages.featurize(raw[f"{name}_language"])
                x[name] = {**featurize_batch(self.features[name], raw[name], raw[f"{name}_language"]), "language": language}
            outputs = model(x, training=False)
            answers = {}
            for name in self.heads:
                names, probabilities = tf.constant(self.features[name].names), self._probabilities(name, outputs[name])
                if name in self.multi_label:  # Those that are more likely than not, with a line break between.
                    shown = tf.where(probabilities > 0.5, names[None], "")
                    answers[name] = tf.strings.strip(tf.strings.regex_replace(tf.strings.reduce_join(shown, -1, separator="\n"), "\n+", "\n"))
                else:
                    answers[name] = tf.gather(names, tf.argmax(probabilities, -1))
                answers[f"{name}_probabilities"] = probabilities
            return answers

        signature = {}
        for name in self.inputs:
            signature |= {name: STRING, f"{name}_language": STRING}
        return {"classify": Endpoint(classify, signature)}
