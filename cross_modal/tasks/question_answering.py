"""A question about other views to an answer."""

import dataclasses
import warnings
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers, ops

from cross_modal import answer_scores, decoders, decoding, spans
from cross_modal import fusion as fusions
from cross_modal.data import schema
from cross_modal.features import Label, featurize_batch
from cross_modal.layers import ABSENT_LOGIT, AttentionPooling, SpanLogits
from cross_modal.losses import SmoothedCrossEntropy
from cross_modal.tasks.task import STRING, Endpoint, Task
from cross_modal.towers import inputs_like
from cross_modal.writer import build_writer, taught, texts_of, writing_steps

_TARGET = "target"
_LIKELY = 5  # Answers of a closed set that are given with their probabilities.
_ANSWERS = 4  # Of a question, from which the first that stands in the context is taken.
_LOOKED_AT = 1000


@dataclasses.dataclass(frozen=True)
class QuestionAnswering(Task):
    """Learns to answer a question about the other views of an item: a picture, a recording, a text.

    | the field `answer` is | `context` | an answer is |
    |---|---|---|
    | a label | | one of a closed set |
    | a text | a field of texts | a span of the context, or none |
    | a text | none | written |

    Besides, two more readers of the same towers learn to answer from the question alone, and from all but the question, without any effect on the towers: what they can is bias.

    Args:
        features: dict of field to `Feature`: the question, the answer, and what is asked about.
        languages: `Language`.
        towers: dict of field to tower, a function `(feature, dim, name, languages) -> keras.Model`. Where question and context have the same subwords (`like` of `learn_features`),
            that of the context reads both.
        question: field of the question.
        answer: field of the answer.
        context: field of texts that the answers stand in; none where they are written, or of a closed set.
        fusion: function from a dict of states and masks to states and a mask; for spans one that keeps all steps in their order. None for `attention`, and for spans `matching`.
        decoder: function from a name to a `layers.Decoder`, of answers that are written.
        blind: whether there are the readers of part of the fields.
        no_answer: whether a question to which the table has no answer in the context has none; else nothing is learned from it. For spans.
        dim: size of a state.
        dropout: share dropped before the answer.
        label_smoothing: share of each target that is spread over all answers; not for spans.
        length: most subwords of an answer that is a span or written.
        beams: of answers that are written, see `decoding.beam`.

    Raises:
        ValueError: if a field is missing or of another kind, or the answers are cleaned otherwise than the context.

    Source:
        Seo et al. (2017), "Bidirectional Attention Flow for Machine Comprehension", section 2, for spans as two pointers; Rajpurkar et al. (2018), "Know What You Don't Know",
        section 5, for no answer as one more place to point to; Goyal et al. (2017), "Making the V in VQA Matter", for what the question alone answers.
    """

    towers: dict[str, Callable] = dataclasses.field(kw_only=True)
    question: str = "question"
    answer: str = "answer"
    context: str = ""
    fusion: Callable | None = None
    decoder: Callable = decoders.text.transformer
    blind: bool = True
    no_answer: bool = False
    dim: int = 128
    dropout: float = 0.1
    label_smoothing: float = 0.0
    length: int = 16
    beams: int = 4

    def __post_init__(self):
        if self.fusion is None:
            object.__setattr__(self, "fusion", getattr(fusions, self.usual_parts({"context": self.context})["fusion"]))
        texts = {name for name, feature in self.features.items() if hasattr(feature, "pieces")}
        for option, name in (("question", self.question), *([("context", self.context)] if self.context else [])):
            if name not in texts:
                raise ValueError(f"Expected `{option}` to be a field of texts: {', '.join(sorted(texts)) or 'there is none'}. Received: {option}={name}")
        if self.answer not in self.features or not (self.is_closed or self.answer in texts):
            raise ValueError(f"Expected `answer` to be a field of labels or texts: {', '.join(self.features)}. Received: answer={self.answer}")
        if self.context and self.is_closed:
            raise ValueError(f"Expected `context` for answers that are texts. Received: context={self.context}, and labels; ingest with --field {self.answer}=text")
        if lacking := [name for name in self.sources if self._tower_of(name) not in self.towers]:
            raise ValueError(f"Expected a tower for each field that is read. Received: none for {', '.join(lacking)}")
        schema.check_names(self.features, [self.answer], (_TARGET, f"{_TARGET}_language") if self.is_written else ())
        if len(self.sources) < 2:
            raise ValueError(f"Expected a field that the question is about. Received: only {', '.join(self.features)}")
        if self.context and self.features[self.context].cleaner.config() != self.features[self.answer].cleaner.config():
            raise ValueError(f"Expected texts of {self.context} and {self.answer} to be cleaned alike, so that answers are found (fold_case, punctuation, stop_words).")

    @property
    def is_closed(self):
        """Whether answers are of a closed set."""
        return isinstance(self.features[self.answer], Label)

    @property
    def sources(self):
        """Names of the fields that are read, the context first."""
        return sorted((name for name in self.features if name != self.answer), key=lambda name: name != self.context)

    @property
    def readers(self):
        """Dict of output to the fields that it is read from; the first is what is asked for."""
        others = [name for name in self.sources if name != self.question]
        blind = {"answer_from_question": [self.question], "answer_without_question": others} if self.blind else {}
        return {"answer": self.sources, **{name: fields for name, fields in blind.items() if not self.context or self.context in fields}}

    @classmethod
    def usual_parts(cls, options):
        return {"fusion": "matching" if options.get("context") else "attention"}

    @property
    def draws(self):
        return {name: _ANSWERS if self.context and name == self.answer else 1 for name in self.features}

    def check(self, dataset):
        if not self.context:
            return
        found, (context, answer) = [], (self.features[name] for name in (self.context, self.answer))
        for item in dataset.items("train").take(_LOOKED_AT).as_numpy_iterator():
            texts, answers = item[self.context]["value"], item[self.answer]["value"]
            if len(texts) and len(answers):
                read = [featurize_batch(feature, tf.constant(raw))["value"] for feature, raw in ((context, list(texts[:1]) * len(answers)), (answer, answers))]
                first, _ = spans.find_spans(context.pieces(read[0]), answer.detokenize(read[1]))
                found.append(bool(tf.reduce_any(first >= 0)))
        if not any(found):
            raise ValueError(f"Expected answers that stand in their {self.context}. Received: {len(found):,} of which none does; are they of other words, or cut off?")
        if not all(found):
            lost = len(found) - sum(found)
            warnings.warn(f"{lost:,} of {len(found):,} answers do not stand in the first {context.length} subwords of their {self.context}: not learned.", stacklevel=3)

    # --- what is learned from ---

    def example(self, batch):
        x = {name: {key: batch[name][key][:, 0] for key in ("value", "mask", "language")} for name in self.sources}
        answer = batch[self.answer]
        if self.is_closed:
            known = answer["mask"][:, 0] & (answer["value"] >= 0)
            y, weight = tf.where(known, answer["value"], 0), tf.cast(known, tf.float32)  # (batch, 1)
        elif self.context:
            y, weight = self._pointed(x[self.context], answer)
        else:
            before, y, weight = taught(self.features[self.answer], answer["value"][:, 0], answer["mask"][:, 0])
            x[_TARGET] = {"value": before, "language": answer["language"][:, 0]}
        there = {name: tf.cast(tf.reduce_any([tf.reduce_any(x[field]["mask"], 1) for field in fields], 0), tf.float32)[:, None] for name, fields in self.readers.items()}
        return x, dict.fromkeys(self.readers, y), {name: weight * one for name, one in there.items()}

    def _pointed(self, context, answers):
        """Where the first of the answers that is in the context begins and ends, one more than the place of its subword and 0 for none, `(batch, 2)`; and its weight."""
        pieces = self.features[self.context].pieces(tf.where(context["mask"], context["value"], 0))
        y, found = tf.zeros((tf.shape(pieces)[0], 2), tf.int32), tf.zeros((tf.shape(pieces)[0],), tf.bool)
        for place in range(_ANSWERS):
            texts = self.features[self.answer].detokenize(tf.where(answers["mask"][:, place], answers["value"][:, place], 0))
            first, last = spans.find_spans(pieces, texts)
            y = tf.where(((first >= 0) & ~found)[:, None], tf.stack([first, last], 1) + 1, y)
            found |= first >= 0
        usable = tf.reduce_any(context["mask"], 1) & (found | ~tf.reduce_any(answers["mask"], [1, 2]) & self.no_answer)
        return y, tf.repeat(tf.cast(usable, tf.float32)[:, None], 2, axis=1)

    # --- the model ---

    def build(self):
        # --- inputs ---
        towers = self._towers()
        inputs = inputs_like({name: towers[name].input for name in self.sources})
        if self.is_written:
            inputs[_TARGET] = {"value": keras.Input((None,), dtype="int32", name="target_value"), "language": keras.Input((), dtype="int32", name="target_language")}

        # --- body ---
        states = {name: towers[name](inputs[name]) for name in self.sources}
        still = {name: {**one, "states": ops.stop_gradient(one["states"])} for name, one in states.items()}
        outputs = {}
        for name, fields in self.readers.items():
            seen = states if name == "answer" else still
            outputs[name] = self._reader(name, {field: seen[field] for field in fields})({field: seen[field] for field in fields})
            if self.is_written:
                writer = build_writer(self.features[self.answer], self.dim, self.decoder, len(self.languages.names), self.dropout, f"{name}_writer")
                outputs[name] = writer({**outputs[name], **inputs[_TARGET]})

        # --- model ---
        return keras.Model(inputs, outputs, name="question_answering")

    @property
    def is_written(self):
        """Whether answers are texts that are written."""
        return not (self.is_closed or self.context)

    def _tower_of(self, field):
        """The field whose tower reads a field."""
        alike = self.context and self.features[self.context].model == self.features[self.question].model
        return self.context if alike and field == self.question else field

    def _towers(self):
        named = {self._tower_of(name): None for name in self.sources}
        built = {name: self.towers[name](self.features[name], self.dim, name, languages=len(self.languages.names)) for name in named}
        return {name: built[self._tower_of(name)] for name in self.sources}

    def _reader(self, name, states):
        """From the states of some fields to logits, `(batch, 1, classes)` or, of where a span begins and ends, `(batch, 2, 1 + time)`; or to what a text is written from."""
        inputs = inputs_like(states)
        joined = self.fusion(inputs)
        if self.is_written:
            return keras.Model(inputs, joined, name=f"{name}_reader")
        x = AttentionPooling()(joined["states"], joined["mask"])  # (batch, queries * dim)
        x = layers.Dense(self.dim, activation="gelu")(layers.Dropout(self.dropout)(x))
        if self.is_closed:
            return keras.Model(inputs, layers.Dense(len(self.features[self.answer].names), dtype="float32")(x)[:, None], name=f"{name}_reader")
        if joined["states"].shape[1] is not None:
            raise ValueError("Expected a fusion that keeps all steps, such as matching or attention, to point to one of them. Received: one that sums them up")
        steps = layers.Dropout(self.dropout)(joined["states"])
        return keras.Model(inputs, SpanLogits()(steps, inputs[self.context]["mask"], x), name=f"{name}_reader")

    def objective(self):
        if self.context:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        else:
            loss = SmoothedCrossEntropy(self.label_smoothing)
        metrics = {name: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")] for name in self.readers}
        return {"loss": dict.fromkeys(self.readers, loss), "weighted_metrics": metrics}

    # --- answers ---

    def respond(self, model, x, language, reader="answer", texts=None):
        """Answers questions, as TensorFlow graph code.

        Args:
            model: that `build` made.
            x: dict of source to `value`, `mask` and `language`, as in `example`.
            language: of answers that are written, int32 `(batch,)`.
            reader: one of `readers`.
            texts: string `(batch,)`, contexts as they are written, which spans are cut from; None for contexts as `x` has them: characters that are written in several ways in the
                one of NFKC, and white space as one space.

        Returns:
            Dict of `answer`, string `(batch,)`, empty for none, and `probability`, `(batch,)`; of a closed set and of answers that are written also `answers` and `probabilities`
            `(batch, likely)`, the likeliest first; of spans `start` and `end`, int32 `(batch,)`: characters of the context before the span and up to its end, -1 for none.
        """
        if self.is_written:
            return self._written(model, x, language, reader)
        logits = tf.cast(self._read(model, x, reader), tf.float32)
        if self.is_closed:
            names = tf.constant(self.features[self.answer].names)
            chances, places = tf.math.top_k(tf.nn.softmax(logits[:, 0]), min(_LIKELY, len(names)))
            answers = tf.gather(names, places)
            return {"answer": answers[:, 0], "probability": chances[:, 0], "answers": answers, "probabilities": chances}
        context = x[self.context]
        first, last, chance = spans.best_spans(logits if self.no_answer else tf.concat([logits[:, :, :1] + ABSENT_LOGIT, logits[:, :, 1:]], 2), context["mask"], self.length)
        if texts is None:
            text, start, end = spans.cut_spans(self.features[self.context].pieces(tf.where(context["mask"], context["value"], 0)), first, last)
        else:
            text, start, end = spans.cut_texts(texts, *self.features[self.context].places(texts), first, last)
        return {"answer": text, "probability": chance, "start": start, "end": end}

    def _written(self, model, x, language, reader):
        read, feature = self._read(model, x, reader), self.features[self.answer]
        steps = writing_steps(model.get_layer(f"{reader}_writer"), feature, read["states"], read["mask"], language, self.length)
        ids, scores = decoding.beam(*steps, self.beams, 0.0)
        texts = texts_of(feature, ids)
        return {"answer": texts[:, 0], "probability": tf.exp(scores[:, 0]), "answers": texts, "probabilities": tf.exp(scores)}

    def _read(self, model, x, reader):
        states = {name: model.get_layer(self._tower_of(name))(x[name], training=False) for name in self.readers[reader]}
        # Copies, without the masks that Keras fastens to what a tower gives: ours stand beside the states.
        return model.get_layer(f"{reader}_reader")(tf.nest.map_structure(tf.identity, states), training=False)

    def endpoints(self, model):
        def answer(**raw):
            x = {}
            for name in self.sources:
                language = raw[f"{name}_language"]
                x[name] = {**featurize_batch(self.features[name], raw[name], language), "language": self.languages.featurize(language)}
            asked = self.languages.featurize(raw["target_language"]) if self.is_written else None
            there = {name: tf.reduce_any(one["mask"], 1) for name, one in x.items()}
            about = [self.context] if self.context else [name for name in self.sources if name != self.question]
            usable = there[self.question] & tf.reduce_any([there[name] for name in about], 0)
            texts = None if self.is_written or self.is_closed else self.features[self.context].clean(raw[self.context], raw[f"{self.context}_language"])
            return {name: _where(usable, value) for name, value in self.respond(model, x, asked, texts=texts).items()}

        signature = {key: STRING for name in self.sources for key in (name, f"{name}_language")} | ({"target_language": STRING} if self.is_written else {})
        return {"answer": Endpoint(answer, signature)}

    # --- scores ---

    def score(self, model, batches):
        return answer_scores.score_answers(self, model, batches)

    def baseline(self, dataset, split):
        return answer_scores.linear_answers(self, dataset, split) if self.is_closed else {}

    def merit(self, scores):
        """F1 of the words, or the share of right answers of a closed set."""
        return scores["answer"]["exact" if self.is_closed else "f1"]

    def summary(self, scores):
        return answer_scores.answer_table(scores)


def _where(usable, value):
    """The values of rows `(batch, ...)` that can be answered, and of others what stands for no answer."""
    absent = "" if value.dtype == tf.string else tf.cast(-1 if value.dtype == tf.int32 else 0, value.dtype)
    return tf.where(tf.reshape(usable, [-1] + [1] * (len(value.shape) - 1)), value, absent)
