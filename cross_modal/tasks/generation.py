"""Any views of an item to text in the language asked for."""

import collections
import dataclasses
import functools
import warnings
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers, ops

from cross_modal import decoders, decoding, route_scores, text_endpoints
from cross_modal import fusion as fusions
from cross_modal.compiling import compiled
from cross_modal.ctc import ABSENT_LOGIT, CTC, ctc_cost, warn_of_fast_speech
from cross_modal.data import schema
from cross_modal.features.label import UNDETERMINED
from cross_modal.losses import SmoothedCrossEntropy
from cross_modal.routes import Routes, expand_routes, route_name
from cross_modal.tasks.task import Task, check_numbers
from cross_modal.towers import inputs_like
from cross_modal.writer import build_writer, taught, texts_of, writing_steps

_TARGET = "target"


@dataclasses.dataclass(frozen=True)
class Generation(Task):
    """Learns to write a text in a language from some of the views of an item: to caption, transcribe, translate, or all at once.

    A **route** is some kinds of view and the kind of text that is written from them, such as `image->text:en`, `audio:fr->text:fr`, `image+text:en->text:de`, or
    `->text:en` from nothing at all, a language model. `text:de->text:de` writes a text from itself, which is worth something with `augment`. Of each item's routes one is drawn.

    Args:
        features: dict of field to `Feature`.
        languages: `Language`.
        towers: dict of field to tower, a function `(feature, dim, name, languages) -> keras.Model`; of fields that no route starts from none is built.
        target: field that is written.
        kinds: kinds of view that the table has, such as `image` and `text:en`; where none are named, each field in each language.
        decoder: function from a name to a `layers.Decoder`.
        fusion: function from a dict of states and masks to states and a mask.
        routes: patterns in order; of those that fit a route the last one decides whether it is trained, and `!` takes it out.
        weights: dict of pattern to how often the routes that fit it are drawn, beside 1; of those that fit a route the last counts.
        balance: 1 draws each combination of source fields as often as each other, however many routes start from it; 0 draws all routes alike.
        dim: size of a state.
        ctc: share of the loss by which the states of a recording spell the text themselves, where it is in the recording's language; it helps to learn to listen. With 1 there is
            no decoder: texts are read off the recordings, which is faster and leaves nothing out.
        label_smoothing: share of each target that is spread over all subwords.
        dropout: share of the embedded subwords dropped.
        beams: beginnings that the search keeps, see `decoding.beam`; 1 for the likeliest subword at each step.
        length_penalty: see `decoding.beam`.
        length: most subwords that are written.
        jit_compile: whether XLA compiles what writes, see `compiling.compiled`: some seconds for each of a few shapes, then faster.

    Raises:
        ValueError: if there is no text to write, a source has no tower or a name that no model can have, a pattern fits no route, or a route is nothing for `ctc`.
    """

    towers: dict[str, Callable] = dataclasses.field(kw_only=True)
    target: str = "text"
    kinds: tuple[str, ...] = ()
    decoder: Callable = decoders.text.transformer
    fusion: Callable = fusions.concat
    routes: tuple[str, ...] = ("*->*",)
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    balance: float = 1.0
    dim: int = 256
    ctc: float = 0.0
    label_smoothing: float = 0.1
    dropout: float = 0.1
    beams: int = 5
    length_penalty: float = 1.0
    length: int = 64
    jit_compile: bool = False

    def __post_init__(self):
        if self.target not in self.features or not hasattr(self.features[self.target], "detokenize"):
            texts = [name for name, feature in self.features.items() if hasattr(feature, "detokenize")]
            raise ValueError(f"Expected `target` to be a field of texts: {', '.join(texts) or 'there is none'}. Received: target={self.target}")
        check_numbers(weights=self.weights, balance=self.balance)
        schema.check_names(self.features, set(self.features) - set(self.sources), (text_endpoints.LANGUAGE, *text_endpoints.DRAWING))
        if _TARGET in self.features and (self.target != _TARGET or _TARGET in self.sources):  # It is what the written text is called.
            others = ", ".join(f"{name}*->{self.target}*" for name in self.features if name not in (_TARGET, self.target))
            advice = f"Set options.routes=[{others}]" if self.target == _TARGET and others else f"Leave {_TARGET} out of the features"
            raise ValueError(
                f"Expected no field {_TARGET} but one that is written, and not read. Received: target={self.target}, and routes from {', '.join(self.sources)}. "
                f"{advice}, or rename the column in the table"
            )
        if lacking := [name for name in self.sources if name not in self.towers]:
            raise ValueError(f"Expected a tower for each field that a route starts from. Received: none for {', '.join(lacking)}")
        if self.beams < 1 or self.length < 1:
            raise ValueError(f"Expected `beams` and `length` of at least 1. Received: beams={self.beams}, length={self.length}")
        if not self.trained:
            raise ValueError(f"Expected a route of `routes` that is drawn. Received: routes={self.routes}, weights={self.weights}")
        heard = [route for route in self.trained if self._is_spelled(route)]
        if not 0 <= self.ctc <= 1 or (self.ctc and not heard) or (self.ctc == 1 and [route for route in self.trained if len(route[0]) > 1 or route not in heard]):
            raise ValueError(
                f"Expected `ctc` from 0 to 1, with a route from speech to text of the same language, and with 1 no other routes. Received: ctc={self.ctc}"
                f" with {len(heard)} such routes of {len(self.trained)}"
            )
        if self.jit_compile and self.ctc == 1:
            raise ValueError("Expected a decoder for XLA to compile. Received: jit_compile=True with ctc=1, whose texts are spelled by recordings")

    def kinds_of(self, names):
        """Returns the kinds of view of some fields."""
        every = [name if tag == UNDETERMINED else f"{name}:{tag}" for name in names for tag in self.languages.names]
        return [kind for kind in every if kind in self.kinds or not self.kinds]

    @functools.cached_property
    def trained(self):
        """The routes that are trained, pairs of a tuple of sources and a target."""
        return list(self._weighed)

    @functools.cached_property
    def _weighed(self):
        """Dict of each route to how often it is drawn, by `weights`, but for those that never are."""
        kinds, ends = self.kinds_of(self.features), self.kinds_of([self.target])
        weights = dict.fromkeys(expand_routes(self.routes, kinds, ends), 1.0)
        for pattern, weight in self.weights.items():
            weights |= dict.fromkeys(set(expand_routes([pattern], kinds, ends)) & set(weights), weight)
        return {route: weight for route, weight in weights.items() if weight > 0}

    @property
    def sources(self):
        """Names of the fields that a route starts from."""
        used = {kind.partition(":")[0] for route in self.trained for kind in route[0]}
        return [name for name in self.features if name in used]

    @property
    def spoken(self):
        """The field of recordings that routes start from, the first of several, or None."""
        return next((name for name in self.sources if self.features[name].kind == "audio"), None)

    def _is_spelled(self, route):
        tags = {kind.partition(":")[2] for kind in (*route[0], route[1]) if kind.partition(":")[0] == self.spoken or kind == route[1]} - {""}
        return any(kind.partition(":")[0] == self.spoken for kind in route[0]) and len(tags) < 2

    @property
    def draws(self):
        return dict.fromkeys(self.features, 1)

    @property
    def again(self):
        return {_TARGET: self.target}

    def check(self, dataset):
        if self.ctc:
            warn_of_fast_speech(self, dataset)
        counts = dict.fromkeys(self.trained, 0)
        for item in dataset.items("train").as_numpy_iterator():
            kinds = {name if tag == UNDETERMINED else f"{name}:{tag}" for name in self.features for tag in {one.decode() for one in item[name]["language"]}}
            for sources, end in counts:
                counts[sources, end] += kinds.issuperset({*sources, end})
        if len(without := [route_name(route) for route, count in counts.items() if not count]) == len(counts):
            raise ValueError(f"Expected training items with the views of a route, such as {without[0]}. Received: none among {dataset.splits['train']:,} items. See `describe`.")
        if without:
            warnings.warn(f"No training item has the views of {', '.join(without[:5])}{f' and {len(without) - 5} more' if len(without) > 5 else ''}: not learned.", stacklevel=3)

    # --- what is drawn ---

    def choose(self, tags, seed):
        return self.numbers.choose(tags, seed)

    @functools.cached_property
    def numbers(self):
        """The trained routes as `Routes`."""
        fields = {route: frozenset(kind.partition(":")[0] for kind in route[0]) for route in self.trained}
        counts = collections.Counter(fields.values())
        weights = [weight * counts[fields[route]] ** -self.balance for route, weight in self._weighed.items()]
        return Routes(self.trained, self.sources, _TARGET, self.languages.names, weights)

    def example(self, batch):
        x = {name: {key: batch[name][key][:, 0] for key in ("value", "mask", "language")} for name in self.sources}
        return self._taught(x, *(batch[_TARGET][key][:, 0] for key in ("value", "mask", "language")))

    def _taught(self, x, ids, mask, language):
        """The example of sources and of texts `(batch, time)` to write."""
        before, after, weight = taught(self.features[self.target], ids, mask)
        y, weights = {"text": after}, {"text": weight}
        if self.ctc:
            said = x[self.spoken]["language"]
            usable = tf.reduce_any(x[self.spoken]["mask"], 1) & ((said == language) | (said == 0) | (language == 0))
            lengths = tf.where(usable[:, None], tf.cast(mask, tf.float32), 0.0)
            y, weights = {**y, "ctc": tf.where(mask, ids, 0)}, {**weights, "ctc": tf.reduce_sum(lengths, 1)}
        return {**x, _TARGET: {"value": before, "language": language}}, *({name: one[name] for name in self._outputs} for one in (y, weights))

    @property
    def _outputs(self):
        return [name for name, there in (("text", self.ctc < 1), ("ctc", self.ctc > 0)) if there]

    # --- the model ---

    def build(self):
        # --- inputs ---
        encoder = self._encoder()
        inputs = {name: encoder.input[name] for name in self.sources}
        inputs[_TARGET] = {"value": keras.Input((None,), dtype="int32", name="target_value"), "language": keras.Input((), dtype="int32", name="target_language")}

        # --- body ---
        encoded = self._encoded(encoder, inputs, inputs[_TARGET]["language"])
        outputs = {"ctc": encoded["ctc"]} if self.ctc else {}
        if self.ctc < 1:
            writer = build_writer(self.features[self.target], self.dim, self.decoder, len(self.languages.names), self.dropout)
            outputs["text"] = writer({"states": encoded["states"], "mask": encoded["mask"], **inputs[_TARGET]})

        # --- model ---
        return keras.Model(inputs, {name: outputs[name] for name in self._outputs}, name="generation")

    def _encoder(self):
        """All sources to the states that the decoder reads; without sources, to one that is not there."""
        if not self.sources:
            language = keras.Input((), dtype="int32", name="language")
            nothing = ops.zeros_like(ops.cast(language, keras.config.floatx()))[:, None]
            return keras.Model({"language": language}, {"states": ops.repeat(nothing[:, :, None], self.dim, 2), "mask": nothing > 0}, name="encoder")
        towers = {name: self.towers[name](self.features[name], self.dim, name, languages=len(self.languages.names)) for name in self.sources}
        inputs = inputs_like({name: tower.input for name, tower in towers.items()})
        states = {name: tower(inputs[name]) for name, tower in towers.items()}
        outputs = self.fusion(states) if self.ctc < 1 else {}
        if self.ctc:
            logits = layers.Dense(self.features[self.target].vocab_size, dtype="float32", name="ctc")(states[self.spoken]["states"])
            there = states[self.spoken]["mask"][:, :, None]
            outputs = {**outputs, "ctc": ops.concatenate([ops.where(there, logits[:, :, :1], 0.0), ops.where(there, logits[:, :, 1:], ABSENT_LOGIT)], axis=-1)}
        return keras.Model(inputs, outputs, name="encoder")

    def _encoded(self, encoder, x, language, **options):
        return encoder({name: x[name] for name in self.sources} if self.sources else {"language": language}, **options)

    def objective(self):
        losses, weights = {"text": SmoothedCrossEntropy(self.label_smoothing), "ctc": CTC()}, {"text": 1.0 - self.ctc, "ctc": self.ctc}
        counted = {"text": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")], "ctc": []}
        parts = {"loss": losses, "loss_weights": weights, "weighted_metrics": counted}
        return {key: {name: part[name] for name in self._outputs} for key, part in parts.items()}

    # --- decoding ---

    def write(self, model, x, language):
        """Writes the likeliest texts, as TensorFlow graph code.

        Args:
            model: that `build` made.
            x: dict of source to `value`, `mask` and `language`, as in `example`.
            language: of the texts, int32 `(batch,)`.

        Returns:
            Pair of texts, string `(batch, beams)`, best first, and scores `(batch, beams)`, see `decoding.beam`.
        """
        if self.ctc == 1:
            encoded = self._encoded(model.get_layer("encoder"), x, language, training=False)
            ids, scores = decoding.ctc(encoded["ctc"], self.length, self.beams)
        elif self.beams == 1:
            ids, scores = (one[:, None] for one in self._run(lambda x, language: decoding.greedy(*self._steps(model, x, language), shrink=not self.jit_compile), x, language))
        else:
            ids, scores = self._run(lambda x, language: decoding.beam(*self._steps(model, x, language), self.beams, self.length_penalty, not self.jit_compile), x, language)
        return texts_of(self.features[self.target], ids), scores

    def draw(self, model, x, language, drawn, temperature=1.0, top_k=0, top_p=1.0):
        """Draws texts, as TensorFlow graph code.

        Args:
            model: that `build` made.
            x: as in `write`, as `language`.
            drawn: numbers from 0 to 1 at random, `(batch, length)`.
            temperature: see `decoding.sample`, as `top_k` and `top_p`.

        Returns:
            Pair of texts, string `(batch,)`, and log-probabilities `(batch,)`.
        """
        ids, scores = self._run(lambda x, language, *drawn: decoding.sample(*self._steps(model, x, language), *drawn), x, language, drawn, temperature, top_k, top_p)
        return texts_of(self.features[self.target], ids[:, None])[:, 0], scores

    def _run(self, function, *given):
        return (compiled(function, [name for name in self.sources if self.features[name].has_time]) if self.jit_compile else function)(*given)

    def _steps(self, model, x, language):
        """What all ways to decode begin with: the step, the memory before it, rows, start, end and length."""
        encoded = self._encoded(model.get_layer("encoder"), x, language, training=False)
        return writing_steps(model.get_layer("writer"), self.features[self.target], encoded["states"], encoded["mask"], language, self.length)

    def endpoints(self, model):
        return text_endpoints.make_endpoints(self, model)

    @functools.cached_property
    def answered(self):
        """Languages in which a text is written in training."""
        return sorted({end.partition(":")[2] or UNDETERMINED for _, end in self.trained})

    # --- scores ---

    def write_and_weigh(self, model, x, target):
        """Writes texts as `write` does, and weighs those that should be.

        Args:
            model: that `build` made.
            x: as in `write`.
            target: dict of `value`, `mask` and `language` of the texts that should be.

        Returns:
            Texts and their scores, `(batch,)`; and what those that should be cost, in nats, and their subwords, `(batch,)`; see `ctc.ctc_cost` for those that cannot be.
        """
        texts, scores = self.write(model, x, target["language"])
        return texts[:, 0], scores[:, 0], *self.weigh(model, x, target)

    def weigh(self, model, x, target):
        """Returns what the texts that should be cost, in nats, and their subwords, `(batch,)`; arguments as in `write_and_weigh`."""
        x, after, weight = self._taught(x, *(target[key] for key in ("value", "mask", "language")))
        outputs = model(x, training=False)
        if self.ctc == 1:
            return ctc_cost(after["ctc"], outputs["ctc"]), weight["ctc"]
        chances = tf.nn.sparse_softmax_cross_entropy_with_logits(after["text"], tf.cast(outputs["text"], tf.float32))
        return tf.reduce_sum(chances * weight["text"], 1), tf.reduce_sum(weight["text"], 1)

    def score(self, model, batches):
        return route_scores.score_routes(self, model, batches)

    def merit(self, scores):
        """chrF, mean over the trained routes."""
        found = [row["chrf"] for row in scores["routes"] if row["trained"]]
        if not found:
            raise ValueError("Expected at least one item with the views of a trained route to compare by. Received: none")
        return sum(found) / len(found)

    def summary(self, scores):
        return route_scores.route_table(scores)
