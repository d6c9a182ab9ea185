"""Layers of the shared space: unit vectors and their learned scale."""

import math

import keras
from keras import ops

_MOST = math.log(100.0)


@keras.saving.register_keras_serializable("cross_modal")
def at_most_100(logit_scale):
    """Keeps the weight where it still has a gradient."""
    return ops.minimum(logit_scale, _MOST)


@keras.saving.register_keras_serializable("cross_modal")
class LogitScale(keras.layers.Layer):
    """Multiplies unit vectors by the root of a learned scale, so that their dot products are scaled cosines.

    The weight is the logarithm of the scale, at most log 100; `temperature = 1 / exp(logit_scale)`.

    Args:
        initial: scale before training; 14.3 is a temperature of 0.07.

    Call with any shape; returns the same shape.

    Source:
        Radford et al. (2021), "Learning Transferable Visual Models From Natural Language Supervision", section 2.5.
    """

    def __init__(self, initial=14.3, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        start = keras.initializers.Constant(min(math.log(self.initial), _MOST))
        self.logit_scale = self.add_weight(shape=(), initializer=start, constraint=at_most_100, name="logit_scale")

    def call(self, vectors):
        root = ops.exp(self.logit_scale / 2)
        return vectors * ops.cast(root, vectors.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "initial": self.initial}
