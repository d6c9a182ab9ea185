"""Some views to one or more labels."""

import dataclasses
import warnings
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from cross_modal import class_scores
from cross_modal import fusion as fusions
from cross_modal.data import schema
from cross_modal.features import Label, featurize_batch
from cross_modal.layers import AttentionPooling
from cross_modal.losses import ABSENT, Agreement
from cross_modal.tasks.task import STRING, Endpoint, Task, check_numbers
from cross_modal.towers import inputs_like

_BESIDE = "{}_parallel"  # The output of a field whose views are brought together.


def _second(field):
    """A field whose second views stand first; where there is but one, none."""
    return {key: value[:, 1:] for key, value in field.items()}


def _any(x, fields):
    """Whether an item has one of some fields, float32 `(batch,)`."""
    return tf.cast(tf.reduce_any([tf.reduce_any(x[field]["mask"], 1) for field in fields], 0), tf.float32)


def _mean(states):
    """The mean of what is there, float32 `(batch, dim)`; 0 where nothing is, such as of a view that an item lacks."""
    there = ops.cast(states["mask"], "float32")[:, :, None]
    return ops.sum(ops.cast(states["states"], "float32") * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)


def _some(names):
    return f"{len(names):,}, {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


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
        linear: whether the heads read the fusion's states without a hidden layer between: with the tower `ngrams`, a linear model.
        loss_weights: dict of label to its weight in the loss; 1 where it is not named.
        multi_label: labels of which an item may have several, each learned by itself.
        label_smoothing: share of each target that is spread over all classes.
        balance: power of the weight that makes up for rare classes: 0 for none, 1 for all classes to weigh the same.
        every_pattern: whether each item is learned from with each pattern of its fields hidden in turn, as often as it is seen: it is then answered from some of them about as well
            as by a model for those alone. Towers run once all the same.
        parallel: dict of an input field to the weight of a second loss, which brings the states of two views of an item in it near to each other, such as texts in two languages,
            and away from those of other items. Both are learned from. Items without labels serve it too.
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
    linear: bool = False
    loss_weights: dict[str, float] = dataclasses.field(default_factory=dict)
    multi_label: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    balance: float = 0.0
    focal: float = 0.0
    every_pattern: bool = False
    parallel: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        schema.check_names(self.features)
        if not self.heads or not self.inputs:
            said = f"{', '.join(self.features) or 'none'}. What a field is can be told: cross-modal ingest ... --field NAME=label"
            raise ValueError(f"Expected at least one label and one other field. Received: {said}")
        if set(self.inputs) != set(self.towers):
            raise ValueError(f"Expected a tower for each of {', '.join(self.inputs)}. Received: towers for {', '.join(self.towers)}")
        wrong = {name: value for name in ("dropout", "label_smoothing") if not (isinstance(value := getattr(self, name), (int, float)) and 0 <= value < 1)}
        if wrong:
            raise ValueError(f"Expected `dropout` and `label_smoothing` of at least 0 and below 1. Received: {wrong}")
        check_numbers(loss_weights=self.loss_weights, parallel=self.parallel, balance=self.balance, focal=self.focal)
        if not set(self.loss_weights) <= set(self.heads):
            raise ValueError(f"Expected `loss_weights` for labels among {', '.join(self.heads)}. Received: {', '.join(self.loss_weights)}")
        if not set(self.parallel) <= {name for name in self.inputs if self.features[name].has_time}:
            raise ValueError(f"Expected `parallel` for fields of texts or recordings among {', '.join(self.inputs)}. Received: {', '.join(self.parallel)}")
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
        return {name: len(self.features[name].names) if name in self.multi_label else 2 if name in self.parallel else 1 for name in self.features}

    def check(self, dataset):
        classes = {name: set() for name in self.heads}
        for item in dataset.items("train").as_numpy_iterator():
            if any(len(item[name]["value"]) for name in self.inputs):
                for name, seen in classes.items():
                    seen.update(item[name]["value"])
            if all(len(seen) > 1 for seen in classes.values()):
                return  # The rest, with its pictures and recordings, need not be read.
        if not any(classes.values()) and not self.parallel:
            raise ValueError(f"Expected training items with {' or '.join(self.heads)} and {' or '.join(self.inputs)}. Received: none among {dataset.splits['train']:,} items")
        for name, seen in classes.items():
            if len(seen) < 2 and name not in self.multi_label:
                said = f"only {next(iter(seen)).decode()}" if seen else "none"
                warnings.warn(f"Expected two classes of {name} or more among the training items. Received: {said}. Nothing is learned from it.", stacklevel=3)

    def build(self):
        # --- inputs ---
        towers = {name: self.towers[name](self.features[name], self.dim, name, languages=len(self.languages.names)) for name in self.inputs}
        inputs = inputs_like({name: tower.input for name, tower in towers.items()})

        # --- body ---
        states = {name: tower(inputs[name]) for name, tower in towers.items()}
        joined = self._joined(states)
        outputs = joined(states)
        for pattern in self._partly():
            shown = {name: one if name in pattern else {**one, "mask": ops.zeros_like(one["mask"])} for name, one in states.items()}
            outputs |= {_from(name, pattern): logits for name, logits in joined(shown).items()}
        outputs |= {_BESIDE.format(name): _mean(states[name]) for name in self.parallel}

        # --- model ---
        return keras.Model(inputs, outputs, name="classification")

    def _joined(self, states):
        """From the states of the towers to the logits of each label, a model that can be called with other masks."""
        inputs = inputs_like(states)
        joined = self.fusion(inputs)
        x = AttentionPooling(1 if self.linear else 4)(joined["states"], joined["mask"])  # (batch, queries * dim)
        x = layers.Dropout(self.dropout)(x)
        x = x if self.linear else layers.Dense(self.dim, activation="gelu")(x)
        start = "orthogonal" if self.linear else "glorot_uniform"  # So that at first each class is learned as if it had weights of its own.
        heads = {name: layers.Dense(len(self.features[name].names), kernel_initializer=start, dtype="float32", name=name) for name in self.heads}
        return keras.Model(inputs, {name: head(x) for name, head in heads.items()}, name="joined")

    @property
    def patterns(self):
        """Patterns of presence, tuples of fields; the last is all of them."""
        return class_scores.patterns_of(self.inputs)

    def _partly(self):
        """The patterns that are learned from besides items as they are."""
        return self.patterns[:-1] if self.every_pattern else []

    def example(self, batch):
        x, y, weight = self.labelled(batch)
        if self.parallel:  # Second views of the fields that have some stand below, as further examples of the same items.
            other = self.labelled({name: _second(batch[name]) if name in self.parallel else one for name, one in batch.items()})
            x, y, weight = tf.nest.map_structure(lambda *both: tf.concat(both, 0), (x, y, weight), other)
            items = tf.tile(tf.unique(batch["item"]).idx[:, None], [2, 1])
            for name in self.parallel:
                y[_BESIDE.format(name)] = tf.where(tf.reduce_any(x[name]["mask"], 1)[:, None], items, ABSENT)
                weight[_BESIDE.format(name)] = tf.ones_like(items[:, 0], tf.float32)
        return x, y, weight

    def labelled(self, batch):
        """The example of the first view of each field, `(x, y, weight)`."""
        x = {name: {key: batch[name][key][:, 0] for key in ("value", "mask", "language")} for name in self.inputs}
        y, weight = {}, {}
        anything = _any(x, self.inputs)  # Of an item with nothing to tell it from nothing is learned, nor of a second view that it lacks.
        for name in self.heads:
            y[name] = self._targets(name, batch[name]["value"], batch[name]["mask"])
            if "share" in batch[name]:  # Mixed with another item.
                other, share = self._targets(name, batch[name]["other"], batch[name]["other_mask"]), batch[name]["share"][:, None]
                both = tf.reduce_any(y[name] > 0.0, 1, keepdims=True) & tf.reduce_any(other > 0.0, 1, keepdims=True)
                y[name] = tf.where(both, share * y[name] + (1.0 - share) * other, y[name])  # Of one without a label nothing is said.
            weight[name] = anything * tf.cast(tf.reduce_any(y[name] > 0.0, 1), tf.float32) * self._class_weights(name, y[name])
        for pattern in self._partly():
            there = _any(x, pattern)
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
        beside = {_BESIDE.format(name): float(weight) for name, weight in self.parallel.items()}
        return {
            "loss": {output: self._loss(name) for output, name in outputs.items()} | {output: Agreement() for output in beside},
            "loss_weights": {output: float(self.loss_weights.get(name, 1.0)) / (1 + len(partly)) for output, name in outputs.items()} | beside,
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
        return class_scores.score_classes(self, model, batches)

    def baseline(self, dataset, split):
        """A linear model on plain features of each input, and of all of them, for each label; trained on the first items."""
        return class_scores.linear_classes(self, dataset, split)

    def probabilities(self, name, logits):
        logits = tf.cast(logits, tf.float32)
        return tf.sigmoid(logits) if name in self.multi_label else tf.nn.softmax(logits)

    def answers(self, name, probabilities):
        """What is answered for a label: the class, or the classes with a line break between, string `(batch,)`, and the probabilities `(batch, classes)`."""
        names = tf.constant(self.features[name].names)
        if name in self.multi_label:  # Those that are more likely than not.
            shown = tf.where(probabilities > 0.5, names[None], "")
            said = tf.strings.strip(tf.strings.regex_replace(tf.strings.reduce_join(shown, -1, separator="\n"), "\n+", "\n"))
        else:
            said = tf.gather(names, tf.argmax(probabilities, -1))
        return {name: said, f"{name}_probabilities": probabilities}

    def merit(self, scores):
        """Macro-F1, mean over the labels."""
        return float(np.mean([scores[name]["macro_f1"] for name in self.heads if name in scores]))

    def summary(self, scores):
        return class_scores.class_table(scores)

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
                answers |= self.answers(name, self.probabilities(name, outputs[name]))
            return answers

        signature = {}
        for name in self.inputs:
            signature |= {name: STRING, f"{name}_language": STRING}
        return {"classify": Endpoint(classify, signature)}

    @classmethod
    def join(cls, parts):
        """A class has the mean of the probabilities that models give it; one which an item has no field for has no say."""
        lead, models = parts[0][0], [(task, task.endpoints(model)["classify"]) for task, model in parts]
        for name in lead.heads:
            for task, _ in models:
                if name not in task.heads or set(task.features[name].names) != set(lead.features[name].names) or (name in task.multi_label) != (name in lead.multi_label):
                    said = _some(task.features[name].names) if name in task.heads else f"one of {', '.join(task.heads)}"
                    raise ValueError(f"Expected runs that learned the same classes of {name}: {_some(lead.features[name].names)}. Received: {said}")

        def classify(**raw):
            shown = [tf.reduce_any([tf.strings.length(raw[field]) > 0 for field in task.inputs], 0) for task, _ in models]
            rates = tf.cast(tf.stack(shown, 1), tf.float32) + 1e-9  # Of an item with nothing all say what they say of nothing.
            rates /= tf.reduce_sum(rates, 1, keepdims=True)
            said = [endpoint.function(**{argument: raw[argument] for argument in endpoint.signature}) for _, endpoint in models]
            answers = {}
            for name in lead.heads:
                orders = [[task.features[name].names.index(label) for label in lead.features[name].names] for task, _ in models]
                each = tf.stack([tf.gather(one[f"{name}_probabilities"], order, axis=1) for one, order in zip(said, orders)], 1)  # (batch, models, classes)
                answers |= lead.answers(name, tf.reduce_sum(rates[:, :, None] * each, 1))
            return answers

        return {"classify": Endpoint(classify, {argument: spec for _, endpoint in models for argument, spec in endpoint.signature.items()})}

    def score_joined(self, parts, chunks):
        return class_scores.score_answers(self, self.join(parts)["classify"], chunks)
