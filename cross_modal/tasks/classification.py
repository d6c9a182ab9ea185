"""Some views to one or more labels."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from cross_modal import fusion as fusions
from cross_modal import metrics
from cross_modal.features import Label, featurize_batch
from cross_modal.layers import AttentionPooling
from cross_modal.tasks.task import Endpoint, Task

STRING = tf.TensorSpec((None,), tf.string)


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

    Raises:
        ValueError: if there is no label or no input, or an input has no tower.
    """

    towers: dict[str, Callable] = dataclasses.field(kw_only=True)
    fusion: Callable = fusions.concat
    dim: int = 128
    dropout: float = 0.1
    loss_weights: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.heads or not self.inputs:
            raise ValueError(f"Expected at least one label and one other field. Received: {', '.join(self.features) or 'none'}")
        if set(self.inputs) != set(self.towers):
            raise ValueError(f"Expected a tower for each of {', '.join(self.inputs)}. Received: towers for {', '.join(self.towers)}")
        if not set(self.loss_weights) <= set(self.heads):
            raise ValueError(f"Expected `loss_weights` for labels among {', '.join(self.heads)}. Received: {', '.join(self.loss_weights)}")

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
        return dict.fromkeys(self.features, 1)

    def build(self):
        # --- inputs ---
        towers = {name: self.towers[name](self.features[name], self.dim, name, languages=len(self.languages.names)) for name in self.inputs}
        inputs = {name: {key: keras.Input(value.shape[1:], dtype=value.dtype, name=f"{name}_{key}") for key, value in tower.input.items()} for name, tower in towers.items()}

        # --- body ---
        joined = self.fusion({name: tower(inputs[name]) for name, tower in towers.items()})
        x = AttentionPooling()(joined["states"], joined["mask"])  # (batch, queries * dim)
        x = layers.Dense(self.dim, activation="gelu")(layers.Dropout(self.dropout)(x))

        # --- model ---
        outputs = {name: layers.Dense(len(self.features[name].names), name=name)(x) for name in self.heads}
        return keras.Model(inputs, outputs, name="classification")

    def example(self, batch):
        x = {name: {key: batch[name][key][:, 0] for key in ("value", "mask", "language")} for name in self.inputs}
        y = {name: batch[name]["value"][:, 0] for name in self.heads}
        weight = {name: tf.cast(batch[name]["mask"][:, 0, 0] & (y[name] >= 0), tf.float32) for name in self.heads}
        return x, {name: tf.maximum(value, 0) for name, value in y.items()}, weight

    def objective(self):
        def loss():
            return keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")

        return {
            "loss": {name: loss() for name in self.heads},
            "loss_weights": {name: float(self.loss_weights.get(name, 1.0)) for name in self.heads},
            "weighted_metrics": {name: ["accuracy"] for name in self.heads},
        }

    def score(self, model, batches):
        references, hypotheses = ({name: [] for name in self.heads} for _ in range(2))
        for batch in batches:
            x, y, weight = self.example(batch)
            outputs = model(x, training=False)
            for name in self.heads:
                real = weight[name].numpy() > 0
                references[name] += y[name].numpy()[real].tolist()
                hypotheses[name] += np.argmax(outputs[name], -1)[real].tolist()
        scores = {}
        for name in self.heads:
            if references[name]:
                scores[name] = {
                    "accuracy": metrics.accuracy(references[name], hypotheses[name]),
                    "macro_f1": metrics.macro_f1(references[name], hypotheses[name]),
                    "majority": float(np.bincount(references[name]).max() / len(references[name])),
                    "examples": len(references[name]),
                }
        return scores

    def summary(self, scores):
        lines = [f"{'label':<12} {'accuracy':>8} {'macro-F1':>8} {'majority':>8} {'examples':>8}"]
        for name, one in scores.items():
            lines.append(f"{name:<12} {one['accuracy']:>8.3f} {one['macro_f1']:>8.3f} {one['majority']:>8.3f} {one['examples']:>8}")
        return "\n".join(lines)

    def endpoints(self, model):
        # The classes are a constant of the function, so that no table has to travel.
        def classify(**raw):
            x = {}
            for name in self.inputs:
                language = self.languages.featurize(raw[f"{name}_language"])
                x[name] = {**featurize_batch(self.features[name], raw[name]), "language": language}
            outputs = model(x, training=False)
            answers = {}
            for name in self.heads:
                answers[name] = tf.gather(tf.constant(self.features[name].names), tf.argmax(outputs[name], -1))
                answers[f"{name}_probabilities"] = tf.nn.softmax(outputs[name])
            return answers

        signature = {}
        for name in self.inputs:
            signature |= {name: STRING, f"{name}_language": STRING}
        return {"classify": Endpoint(classify, signature)}
