"""Blocks of self-attention over states and a mask."""

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable("cross_modal")
class PositionEncoding(keras.layers.Layer):
    """Adds sines and cosines of the position to the states, for any number of steps; it has no weights.

    Call with `(batch, time, dim)` and the position of the first step, int; returns the same shape.

    Source:
        Vaswani et al. (2017), "Attention Is All You Need", section 3.5.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, states, first=0):
        dim = states.shape[-1]
        rates = ops.convert_to_tensor(10_000.0 ** (-np.arange(0, dim, 2, "float32") / dim))
        angles = ops.cast(ops.arange(ops.shape(states)[1]) + first, "float32")[:, None] * rates
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=1)[:, :dim]
        return states + ops.cast(waves, states.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


def visible_steps(mask):
    """Makes the attention mask of a padding mask.

    Where nothing is real a softmax over nothing would be NaN: there all steps attend, and the mask downstream drops them.

    Args:
        mask: bool `(batch, time)`.

    Returns:
        bool `(batch, 1, time)`.
    """
    return ops.logical_or(mask[:, None, :], ops.logical_not(ops.any(mask, axis=1))[:, None, None])


def transformer_block(x, visible, heads, dropout, mlp_dim=None):
    """Adds self-attention and a perceptron, each after a normalisation, to the states.

    Args:
        x: `(batch, time, dim)`.
        visible: bool `(batch, 1 or time, time)`, see `visible_steps`.
        heads: attention heads; they divide `dim`.
        dropout: share of each output dropped.
        mlp_dim: size of the perceptron's hidden layer; None for `4 * dim`.

    Returns:
        `(batch, time, dim)`. Normalise it after the last block.

    Raises:
        ValueError: if `heads` does not divide `dim`.

    Source:
        Xiong et al. (2020), "On Layer Normalization in the Transformer Architecture", section 3 (pre-LN).
    """
    dim = x.shape[-1]
    if dim % heads:
        raise ValueError(f"Expected `heads` to divide the size of the states. Received: heads={heads}, dim={dim}")
    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(heads, dim // heads)(y, y, attention_mask=visible)
    x = x + layers.Dropout(dropout)(y)
    y = layers.Dense(mlp_dim or 4 * dim, activation="gelu")(layers.LayerNormalization()(x))
    return x + layers.Dropout(dropout)(layers.Dense(dim)(y))
