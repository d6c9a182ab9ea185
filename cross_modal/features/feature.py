"""The contract that turns one raw value into one tensor, in training and in serving alike."""

import abc
import functools

import tensorflow as tf


class Feature(tf.Module, abc.ABC):
    """Turns one raw value (a string: text, or the bytes of a file) into one tensor.

    The same object serves the input pipeline and the exported model, so that the two cannot differ. It is a `tf.Module`, so
    that lookup tables and tokenizer models inside it travel into the export. Subclasses are final. An empty string is not a value
    but the absence of one: `featurize` is never called with it.

    Attributes:
        kind: what raw values it takes: image, text, audio or label.
        spec: `tf.TensorSpec` of the tensor. A leading `None` dimension is time.
    """

    kind: str
    spec: tf.TensorSpec

    @abc.abstractmethod
    def featurize(self, raw):
        """Returns the tensor of one raw value, as TensorFlow graph code.

        Args:
            raw: string tensor of shape `()`, not empty.

        Returns:
            Tensor of shape and type `self.spec`.
        """

    def clean(self, raw, language):
        """Returns raw values as `featurize` is to see them, as TensorFlow graph code; by default as they are. What is there must not become empty.

        Args:
            raw: string tensor `(values,)`.
            language: string tensor `(values,)` of their tags.

        Returns:
            String tensor `(values,)`.
        """
        return raw

    @abc.abstractmethod
    def config(self):
        """Returns the keyword arguments that build an equal feature, as a dict of plain values."""

    @property
    def has_time(self):
        """Whether the tensor has a leading time axis of any length."""
        return bool(self.spec.shape.rank) and self.spec.shape[0] is None

    @functools.cached_property
    def _traced(self):
        """`_views` of this feature, traced once for all pipelines and signatures that read it."""
        strings = tf.TensorSpec((None,), tf.string)
        graph = tf.function(functools.partial(_views, self), input_signature=[strings, strings])
        return lambda raw, language: graph(raw, language)  # As an attribute the graph itself would be saved with each export once more.


def featurize_batch(feature, raw, language=None):
    """Featurizes a batch of raw values and pads it.

    Args:
        feature: `Feature`.
        raw: string tensor `(batch,)`; an empty string is an absent value.
        language: string tensor `(batch,)` of tags; None where none is known.

    Returns:
        Dict of `value`, `(batch, time, ...)` or, for a feature without time, `(batch, ...)`; and `mask`, bool `(batch, time)` or
        `(batch, 1)`, True where `value` is real. An absent value has no True in its mask.
    """
    present = tf.strings.length(raw) > 0
    value = featurize_views(feature, raw, language)
    if not feature.has_time:
        return {"value": value, "mask": present[:, None]}
    # A batch of absent values has no time at all; towers want at least one (masked) step.
    lengths = value.row_lengths()
    steps = tf.maximum(tf.reduce_max(lengths, keepdims=False), 1)
    shape = tf.concat([[tf.size(raw, tf.int64), steps], tf.constant(feature.spec.shape[1:].as_list(), tf.int64)], 0)
    return {"value": value.to_tensor(shape=shape), "mask": tf.sequence_mask(lengths, steps)}


def featurize_views(feature, raw, language=None):
    """Featurizes the views of one item without padding them.

    Args:
        feature: `Feature`.
        raw: string tensor `(views,)`.
        language: string tensor `(views,)` of tags; None where none is known.

    Returns:
        Tensor `(views, ...)`, ragged in time for a feature with time.
    """
    return feature._traced(raw, tf.zeros_like(raw) if language is None else language)


def _views(feature, raw, language):
    raw, spec = feature.clean(raw, language), feature.spec

    def absent():
        return tf.zeros([0 if size is None else size for size in spec.shape], spec.dtype)

    def one(value):
        return tf.cond(tf.strings.length(value) > 0, lambda: feature.featurize(value), absent)

    if not feature.has_time:
        return tf.map_fn(one, raw, fn_output_signature=spec)
    signature = tf.RaggedTensorSpec(shape=spec.shape, dtype=spec.dtype, ragged_rank=0)
    # One absent value more: of no values at all `map_fn` would lose the size of a step.
    return tf.map_fn(one, tf.concat([raw, [""]], 0), fn_output_signature=signature)[:-1]
