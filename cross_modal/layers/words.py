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

    A word's vector is its row of `vectors`, or of `others`, times its `scales`, or `other_scales`, which are one until somebody sets them: by the square of its scale a step of
    gradient descent moves a word less than others.

    Call with words int `(batch, time)`, -1 where there is none; the text that each is of, from 0, and how far each looks, int `(batch, time)`; and wrong words, int
    `(batch, shared)`. Returns the cost of each row, `(batch,)`.
    """

    def __init__(self, vocab_size, dim, negatives=5, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size, self.dim, self.negatives = vocab_size, dim, negatives

    def build(self, words_shape, texts_shape, reach_shape, wrong_shape):
        start = keras.initializers.RandomUniform(-0.5 / self.dim, 0.5 / self.dim)
        self.vectors = self.add_weight(shape=(self.vocab_size, self.dim), initializer=start, name="vectors")
        self.others = self.add_weight(shape=(self.vocab_size, self.dim), initializer="zeros", name="others")
        self.scales, self.other_scales = (self.add_weight(shape=(self.vocab_size,), initializer="ones", trainable=False, name=name) for name in ("scales", "other_scales"))

    def call(self, words, texts, reach, wrong):
        time, shared = words.shape[1], wrong.shape[1]
        there = words >= 0
        texts, ids = ops.where(there, texts, -1), ops.maximum(words, 0)
        apart = [[abs(one - other) or 2**30 for other in range(time)] for one in range(time)]  # None is near itself.
        near = (ops.convert_to_tensor(apart, "int32") <= ops.where(there, reach, 0)[:, :, None]) & (texts[:, :, None] == texts[:, None, :])
        near = ops.cast(near, "float32")  # (batch, time, time)
        shares = ops.sum(near, axis=2, keepdims=True) * (self.negatives / shared)
        both = ops.concatenate([ids, wrong], axis=1)  # (batch, time + shared)
        scores = ops.matmul(ops.take(self.vectors, ids, axis=0), ops.transpose(ops.take(self.others, both, axis=0), (0, 2, 1)))
        scales = ops.take(self.scales, ids)[:, :, None] * (ops.take(self.other_scales, both) * ([-1.0] * time + [1.0] * shared))[:, None, :]
        return ops.sum(ops.softplus(scores * scales) * ops.concatenate([near, ops.repeat(shares, shared, axis=2)], axis=2), axis=(1, 2))

    def compute_output_shape(self, words_shape, texts_shape, reach_shape, wrong_shape):
        return (words_shape[0],)

    def get_config(self):
        return {**super().get_config(), "vocab_size": self.vocab_size, "dim": self.dim, "negatives": self.negatives}


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
