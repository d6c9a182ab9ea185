"""Any views of an item to one latent, and from it to each of them again."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from cross_modal import decoding, reconstruction
from cross_modal import fusion as fusions
from cross_modal.data import schema
from cross_modal.features import featurize_batch
from cross_modal.features.label import UNDETERMINED
from cross_modal.layers import AttentionPooling, GaussianSample, HideSources, LanguageEmbedding
from cross_modal.losses import Cost, SmoothedCrossEntropy, SquaredError, disagreement
from cross_modal.tasks.task import STRING, Endpoint, Task, check_numbers
from cross_modal.towers import inputs_like
from cross_modal.writer import build_writer, taught, writing_steps


@dataclasses.dataclass(frozen=True)
class Autoencoding(Task):
    """Learns one latent of whatever views of an item there are, from which each of them can be made again, also one that is missing.

    The loss is `alpha * reconstruction + (1 - alpha) * regularization`: the sum over the fields of the squared error (of texts, the cross-entropy of their subwords), and the sum
    of the squared weights. In training some fields are hidden from the latent, and are to be made all the same: **cross-reconstruction**.

    Args:
        features: dict of field to `Feature`.
        languages: `Language`.
        towers: dict of field to tower, a function `(feature, dim, name, languages) -> keras.Model`.
        decoders: dict of field to what makes it again: for a text a function from a name to a `layers.Decoder`, for others a function `(feature, dim, name) -> keras.Model`, see
            `decoders`.
        fusion: function from a dict of states and masks, a state of each field that sums it up, to states and a mask.
        dim: size of a state.
        latent: size of the latent.
        queries: weightings by which the states of a field are summed up, see `layers.AttentionPooling`; of a picture, numbers that are kept of each of its cells.
        alpha: share of reconstruction in the loss, above 0 and at most 1. Set `training.weight_decay` to 0 to have no other regularization.
        weights: dict of field to how much its error counts; 1 where it is not named. A squared error of pixels is small beside a cross-entropy.
        hidden: how often each field is hidden from the latent in training; one always stays.
        variational: weight of the divergence of the latent from a normal distribution; 0 for a latent that is no distribution.
        agreement: weight of how far apart (one minus the cosine) the latents of single fields of an item are from their mean; of those that are not hidden, so `hidden` must be
            below 1.
        dropout: share dropped before the latent, and of embedded subwords.
        length: most subwords that are written.
        kinds: kinds of view that the table has, such as `image` and `text:en`, by which it is known what languages a field is made in; where none are named, all languages.

    Raises:
        ValueError: if a field has no tower, no decoder or a name that no model can have, a text or picture cannot be made again, or an option has no meaning.

    Source:
        Ngiam et al. (2011), "Multimodal Deep Learning", section 3.3 (bimodal deep autoencoder with hidden modalities); Kingma and Welling (2014),
        "Auto-Encoding Variational Bayes", section 2.
    """

    towers: dict[str, Callable] = dataclasses.field(kw_only=True)
    decoders: dict[str, Callable] = dataclasses.field(kw_only=True)
    fusion: Callable = fusions.weighted
    dim: int = 128
    latent: int = 64
    queries: int = 16
    alpha: float = 0.99999
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    hidden: float = 0.5
    variational: float = 0.0
    agreement: float = 0.0
    dropout: float = 0.1
    length: int = 64
    kinds: tuple[str, ...] = ()

    def __post_init__(self):
        schema.check_names(self.features)
        for what, parts in (("tower", self.towers), ("decoder", self.decoders)):
            if set(self.features) != set(parts) or not parts:
                raise ValueError(f"Expected a {what} for each of {', '.join(self.features)}. Received: {what}s for {', '.join(parts) or 'none'}")
        if not 0 < self.alpha <= 1 or not 0 <= self.hidden <= 1:
            raise ValueError(f"Expected `alpha` above 0 and at most 1, and `hidden` from 0 to 1. Received: alpha={self.alpha}, hidden={self.hidden}")
        if unwritten := [name for name, feature in self.features.items() if feature.kind == "text" and name not in self.texts]:
            raise ValueError(f"Expected texts that can be written again, of a feature with `detokenize`. Received: {', '.join(unwritten)}")
        if described := [name for name, feature in self.features.items() if feature.kind == "image" and feature.spec.shape.rank != 3]:
            raise ValueError(f"Expected pictures as pixels, which can be made again. Received: descriptors of {', '.join(described)}. Set features.{described[0]}.units=pixels")
        if min(self.variational, self.agreement) < 0:
            raise ValueError(f"Expected `variational` and `agreement` of at least 0. Received: variational={self.variational}, agreement={self.agreement}")
        check_numbers(weights=self.weights)
        if not set(self.weights) <= set(self.features):
            raise ValueError(f"Expected `weights` for fields among {', '.join(self.features)}. Received: {', '.join(self.weights)}")

    @property
    def draws(self):
        return dict.fromkeys(self.features, 1)

    @property
    def texts(self):
        """Names of the fields that are written."""
        return [name for name, feature in self.features.items() if hasattr(feature, "detokenize")]

    def tags(self, name):
        """Languages that a field is made in; none where its views have none."""
        known = {kind.partition(":")[2] for kind in self.kinds if kind.partition(":")[0] == name} if self.kinds else set(self.languages.names)
        return sorted(known - {"", UNDETERMINED})

    @property
    def patterns(self):
        """What can be given: tuples of fields, single ones first."""
        return [some for count in range(1, len(self.features) + 1) for some in itertools.combinations(self.features, count)]

    def check(self, dataset):
        sizes = dataset.describe()["sizes"]
        for name, feature in self.features.items():
            longest = sizes.get(name, {}).get("seconds", [0, 0, 0])[2]
            if feature.kind == "audio" and feature.seconds > 4 * max(longest, 1.0):
                raise ValueError(
                    f"Expected `seconds` of the feature {name} to be about that of the longest recording, {longest:g}: so many frames are made of each. Received:"
                    f" {feature.seconds}, {feature.frames:,} frames. Set features.{name}.seconds={math.ceil(10 * longest) / 10:g}"
                )

    def example(self, batch):
        x = {name: {key: batch[name][key][:, 0] for key in ("value", "mask", "language")} for name in self.features}
        y, weight = {}, {}
        for name, feature in self.features.items():
            value, mask = x[name]["value"], x[name]["mask"]
            there = tf.cast(tf.reduce_any(mask, 1), tf.float32)
            if name in self.texts:
                before, y[name], weight[name] = taught(feature, value, mask)
                x[name] = {**x[name], "before": before}
            elif feature.has_time:
                value = tf.concat([value, tf.cast(mask, value.dtype)[:, :, None]], 2)[:, : feature.frames]
                value = tf.pad(value, [[0, 0], [0, feature.frames - tf.shape(value)[1]], [0, 0]])
                y[name], weight[name] = tf.ensure_shape(value, [None, feature.frames, feature.bins + 1]), there
            else:
                y[name], weight[name] = value, there
        there = tf.reduce_max(tf.stack([tf.cast(tf.reduce_any(one["mask"], 1), tf.float32) for one in x.values()]), 0)
        for name in self._costs:
            y[name], weight[name] = tf.zeros_like(there)[:, None], there
        return x, y, weight

    @property
    def _costs(self):
        """What the latent costs besides, by name, and its weight."""
        return {name: weight for name, weight in (("divergence", self.variational), ("disagreement", self.agreement)) if weight}

    # --- the model ---

    def build(self):
        # --- inputs ---
        encoder = self._encoder()
        inputs = {name: dict(one) for name, one in encoder.input.items()}
        for name in self.texts:
            inputs[name]["before"] = keras.Input((None,), dtype="int32", name=f"{name}_before")

        # --- body ---
        present = ops.stack([ops.any(inputs[name]["mask"], axis=1) for name in self.features], axis=1)  # (batch, fields)
        shown = HideSources(self.hidden, name="hide_sources")(present)
        seen = {name: {**one, "mask": ops.logical_and(one["mask"], shown[:, place : place + 1])} for place, (name, one) in enumerate(inputs.items())}
        encoded = encoder({name: {key: one[key] for key in encoder.input[name]} for name, one in seen.items()})
        latent = encoded["latent"]
        outputs = {}
        if self.variational:
            spread = encoded["log_variance"]
            outputs["divergence"] = 0.5 * ops.sum(latent**2 + ops.exp(spread) - 1.0 - spread, axis=1, keepdims=True)
            latent = GaussianSample(name="drawn")(latent, spread)
        if self.agreement:
            outputs["disagreement"] = encoded["disagreement"]
        for name in self.features:
            given = {"latent": latent, "language": inputs[name]["language"], **({"before": inputs[name]["before"]} if name in self.texts else {})}
            outputs[name] = self._decoder(name)(given)

        # --- model ---
        return keras.Model(inputs, {name: outputs[name] for name in (*self.features, *self._costs)}, name="autoencoding")

    def _encoder(self):
        """The fields that are there to the latent."""
        towers = {name: self.towers[name](self.features[name], self.dim, name, languages=len(self.languages.names)) for name in self.features}
        inputs = inputs_like({name: tower.input for name, tower in towers.items()})
        states = {name: tower(inputs[name]) for name, tower in towers.items()}
        joined = self._joined(states)
        outputs = joined(states)
        if self.agreement:
            alone = []
            for name in states:
                shown = {other: one if other == name else {**one, "mask": ops.zeros_like(one["mask"])} for other, one in states.items()}
                alone.append(joined(shown)["latent"])
            there = ops.stack([ops.any(one["mask"], axis=1) for one in states.values()], axis=1)
            outputs = {**outputs, "disagreement": disagreement(ops.stack(alone, axis=1), there)}
        return keras.Model(inputs, outputs, name="encoder")

    def _joined(self, states):
        """From the states of the towers to the latent, a model that can be called with other masks."""
        inputs = inputs_like(states)
        summaries = {}
        for name, one in inputs.items():
            x = one["states"]
            if x.shape[1]:  # As many states in each, such as the cells of a picture: no weighting tells so well where something is.
                x = layers.Flatten()(layers.Dense(self.queries, name=f"{name}_cells")(x) if x.shape[1] > 1 else x)  # (batch, cells * queries)
            else:
                x = AttentionPooling(self.queries)(x, one["mask"])  # (batch, queries * dim)
            x = layers.Dense(self.dim, activation="gelu", name=f"{name}_summary")(x)
            summaries[name] = {"states": x[:, None], "mask": ops.any(one["mask"], axis=1, keepdims=True)}
        joined = self.fusion(summaries)
        x = AttentionPooling()(joined["states"], joined["mask"])  # (batch, queries * dim)
        x = layers.Dropout(self.dropout)(layers.LayerNormalization()(x))
        outputs = {"latent": layers.Dense(self.latent, dtype="float32", name="latent")(x)}
        if self.variational:
            outputs["log_variance"] = layers.Dense(self.latent, dtype="float32", kernel_initializer="zeros", name="log_variance")(x)
        return keras.Model(inputs, outputs, name="joined")

    def _decoder(self, name):
        """From the latent, and the language of what is made, to a field."""
        feature, text = self.features[name], name in self.texts
        # --- inputs ---
        inputs = {"latent": keras.Input((self.latent,), name="latent"), "language": keras.Input((), dtype="int32", name="language")}

        # --- body ---
        state = layers.Dense(self.dim, activation="gelu", name="state")(inputs["latent"])
        if text:
            inputs["before"] = keras.Input((None,), dtype="int32", name="before")
            writer = build_writer(feature, self.dim, self.decoders[name], len(self.languages.names), self.dropout)
            made = writer({"states": state[:, None], "mask": ops.ones_like(state[:, :1], dtype="bool"), "value": inputs["before"], "language": inputs["language"]})
        else:
            state = LanguageEmbedding(len(self.languages.names), dropout=0.0)(state[:, None], inputs["language"])[:, 0]
            made = self.decoders[name](feature, self.dim, f"{name}_maker")(state)
            made = ops.concatenate([made["value"], made["there"][:, :, None]], axis=2) if feature.has_time else made["value"]

        # --- model ---
        return keras.Model(inputs, made, name=f"{name}_decoder")

    def regularize(self, model):
        if self.alpha < 1:
            for weight in model.trainable_variables:
                if len(weight.shape) > 1:  # Not biases and scales.
                    weight.regularizer = keras.regularizers.L2(1.0 - self.alpha)

    def objective(self):
        losses = {name: SmoothedCrossEntropy() if name in self.texts else SquaredError(feature.has_time) for name, feature in self.features.items()}
        weights = {name: self.alpha * float(self.weights.get(name, 1.0)) for name in self.features}
        return {"loss": {**losses, **{name: Cost() for name in self._costs}}, "loss_weights": {**weights, **{name: float(one) for name, one in self._costs.items()}}}

    # --- what is made again ---

    def encode(self, model, x):
        """Returns the latents `(batch, latent)` of sources, a dict of field to `value`, `mask` and `language`, as TensorFlow graph code."""
        return model.get_layer("encoder")({name: {key: x[name][key] for key in ("value", "mask", "language")} for name in self.features}, training=False)["latent"]

    def make(self, model, latent, languages):
        """Makes each field from latents, as TensorFlow graph code.

        Args:
            model: that `build` made.
            latent: `(batch, latent)`.
            languages: dict of field to its language, int32 `(batch,)`.

        Returns:
            Dict of field to texts, string `(batch,)`; to values; or, for a field with time, to values `(batch, frames, bins)` with one channel more, logits of whether it goes on.
        """
        made = {}
        for name, feature in self.features.items():
            part = model.get_layer(f"{name}_decoder")
            if name in self.texts:
                state = part.get_layer("state")(latent)
                there = tf.ones_like(state[:, :1], dtype=tf.bool)
                ids, _ = decoding.greedy(*writing_steps(part.get_layer("writer"), feature, state[:, None], there, languages[name], self.length))
                made[name] = feature.detokenize(ids)
            else:
                made[name] = part({"latent": latent, "language": languages[name]}, training=False)
        return made

    def endpoints(self, model):
        signature = {key: STRING for name in self.features for key in (name, f"{name}_language")}

        def read(raw):
            x = {}
            for name, feature in self.features.items():
                language = raw[f"{name}_language"]
                x[name] = {**featurize_batch(feature, raw[name], language), "language": self.languages.featurize(language)}
            return x, tf.reduce_any([tf.reduce_any(one["mask"], 1) for one in x.values()], 0)

        def encode(**raw):
            x, there = read(raw)
            return {"latent": tf.where(there[:, None], self.encode(model, x), 0.0)}

        def asked(name, tags, given):
            """The languages to make a field in, the first where none is said or what is given is in another, and whether they are known."""
            known = self.tags(name)
            if not known:
                return self.languages.featurize(tags), tf.ones_like(tags, tf.bool)
            other = given & ~tf.reduce_any(tags[:, None] == tf.constant(known), 1)
            tags = tf.where((tags == "") | (tags == UNDETERMINED) | other, known[0], tags)
            return self.languages.featurize(tags), tf.reduce_any(tags[:, None] == tf.constant(known), 1)

        def reconstruct(**raw):
            x, usable = read(raw)
            answers, languages = {}, {name: asked(name, raw[f"{name}_language"], raw[name] != "") for name in self.features}
            for name, made in self.make(model, self.encode(model, x), {name: one for name, (one, _) in languages.items()}).items():
                there = usable & languages[name][1]
                if name in self.texts:
                    answers[name] = tf.where(there, made, "")
                elif self.features[name].has_time:
                    answers[name] = tf.where(there[:, None, None], made[:, :, :-1], 0.0)
                    answers[f"{name}_frames"] = tf.where(there, reconstruction.lengths(made[:, :, -1]), 0)
                else:
                    pictures = tf.cast(tf.round(tf.clip_by_value(made, 0.0, 1.0) * 255.0), tf.uint8)
                    answers[f"{name}_bytes"] = tf.where(there, tf.map_fn(tf.io.encode_png, pictures, fn_output_signature=tf.string), "")
            return answers

        return {"encode": Endpoint(encode, signature), "reconstruct": Endpoint(reconstruct, signature)}

    # --- scores ---

    def score(self, model, batches):
        scores = reconstruction.score_patterns(self, model, batches)
        squares = sum(float(ops.sum(weight**2)) for weight in model.trainable_variables if len(weight.shape) > 1)
        return {"loss": {"reconstruction": scores.pop("reconstruction"), "regularization": squares, "alpha": self.alpha}, **scores}

    def merit(self, scores):
        """Share explained, mean over the fields and over what is given."""
        if not scores["patterns"]:
            raise ValueError("Expected at least one item with a view to compare by. Received: none")
        return float(np.mean([row["explained"] for row in scores["patterns"]]))

    def summary(self, scores):
        return reconstruction.pattern_table(scores, list(self.features))
