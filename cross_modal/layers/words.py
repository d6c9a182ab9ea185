"""Layers that hold the vectors of words while they are learned."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cross_modal")
class SkipGram(keras.layers.Layer):
    """Says what it costs to foretell the words around each word, and to tell them from wrong ones.

    Args:
        vocab_size: number of words.
        dim: size of a vector.
        negatives: wrong words for each right one; those that a row shares count for so many.

    Of the gradient of a word's vectors the share `paces`, or `other_paces`, is kept, all of it where nobody has set them otherwise.

    Call with words int `(batch, time)`, -1 where there is none; the text that each is of, and how far each looks, int `(batch, time)`; and wrong words, int `(batch, shared)`.
    Returns the cost of each row, `(batch,)`.
    """

    def __init__(self, vocab_size, dim, negatives=5, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size, self.dim, self.negatives = vocab_size, dim, negatives

    def build(self, words_shape, texts_shape, reach_shape, wrong_shape):
        start = keras.initializers.RandomUniform(-0.5 / self.dim, 0.5 / self.dim)
        self.vectors = self.add_weight(shape=(self.vocab_size, self.dim), initializer=start, name="vectors")
        self.others = self.add_weight(shape=(self.vocab_size, self.dim), initializer="zeros", name="others")
        self.paces, self.other_paces = (self.add_weight(shape=(self.vocab_size,), initializer="ones", trainable=False, name=name) for name in ("paces", "other_paces"))

    def call(self, words, texts, reach, wrong):
        time = words.shape[1]
        apart = ops.abs(ops.arange(time)[:, None] - ops.arange(time)[None, :])
        near = (apart > 0) & (apart <= reach[:, :, None]) & (texts[:, :, None] == texts[:, None, :]) & (words[:, :, None] >= 0) & (words[:, None, :] >= 0)
        near = ops.cast(near, "float32")  # (batch, time, time)
        ids = ops.maximum(words, 0)
        both = _paced(self.others, self.other_paces, ops.concatenate([ids, wrong], axis=1))  # (batch, time + shared, dim)
        scores = ops.matmul(_paced(self.vectors, self.paces, ids), ops.transpose(both, (0, 2, 1)))
        right, false = scores[:, :, :time], scores[:, :, time:]
        shares = ops.sum(near, axis=2, keepdims=True) * (self.negatives / wrong.shape[1])
        return ops.sum(ops.softplus(-right) * near, axis=(1, 2)) + ops.sum(ops.softplus(false) * shares, axis=(1, 2))

    def compute_output_shape(self, words_shape, texts_shape, reach_shape, wrong_shape):
        return (words_shape[0],)

    def get_config(self):
        return {**super().get_config(), "vocab_size": self.vocab_size, "dim": self.dim, "negatives": self.negatives}


def _paced(vectors, paces, ids):
    """The vectors of ids, with a share of their gradients."""
    found, share = ops.take(vectors, ids, axis=0), ops.take(paces, ids)[:, :, None]
    return found * share + ops.stop_gradient(found * (1.0 - share))


@keras.saving.register_keras_serializable("cross_modal")
class CoOccurrence(keras.layers.Layer):
    """Says how far the product of two words' vectors is from the logarithm of how often they stand near each other.

    Args:
        vocab_size: number of words.
        dim: size of a vector.

    Call with word and other, int `(batch,)`, the logarithm and the weight of the pair, float `(batch,)`; returns `(batch,)`.
    """

    def __init__(self, vocab_size, dim, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size, self.dim = vocab_size, dim

    def build(self, word_shape, other_shape, logarithm_shape, weight_shape):
        start = keras.initializers.RandomUniform(-0.5 / self.dim, 0.5 / self.dim)
        self.vectors, self.others = (self.add_weight(shape=(self.vocab_size, self.dim), initializer=start, name=name) for name in ("vectors", "others"))
        self.bias, self.other_bias = (self.add_weight(shape=(self.vocab_size,), initializer="zeros", name=name) for name in ("bias", "other_bias"))

    def call(self, word, other, logarithm, weight):
        product = ops.sum(ops.take(self.vectors, word, axis=0) * ops.take(self.others, other, axis=0), axis=1)
        return weight * (product + ops.take(self.bias, word) + ops.take(self.other_bias, other) - logarithm) ** 2

    def compute_output_shape(self, word_shape, *shapes):
        return word_shape

    def get_config(self):
        return {**super().get_config(), "vocab_size": self.vocab_size, "dim": self.dim}
