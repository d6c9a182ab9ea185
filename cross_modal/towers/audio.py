"""Towers for sound."""

import keras
from keras import layers, ops

from cross_modal.layers import LanguageEmbedding, PositionEncoding, half_of, normalized, transformer_block, visible_steps
from cross_modal.towers.pretrained import pretrained as pretrained
from cross_modal.towers.tower import tower_inputs


def cnn(feature, dim, name, languages=1, widths=(32, 64, 128), normalization="batch", standardized=False, dropout=0.1):
    """Builds Conv2D stages over time and frequency, each halving both: for short sounds, whose parts need not be followed for long.

    Args:
        feature: `Audio`.
        dim: size of a state.
        name: name of the model.
        languages: number of languages, `und` included.
        widths: channels of each stage.
        normalization: "batch" of each channel over the frames that are there, "layer" of each cell's channels, or None.
        standardized: whether the mean of each band over the recording is taken out, and the deviation of all; after the `range_db` of `Audio` it hides the room and the microphone.
        dropout: share dropped before the states.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time / 2 ** stages, dim)` and `mask` of those steps.
    """
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x, mask = _halved(inputs, feature, widths, normalization, standardized)
    x = layers.LayerNormalization()(layers.Dense(dim)(layers.Dropout(dropout)(x)))
    states = layers.Activation("gelu")(LanguageEmbedding(languages)(x, inputs["language"]))

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": mask}, name=name)


def crnn(feature, dim, name, languages=1, widths=(32, 64), depth=1, normalization="batch", standardized=False, dropout=0.1):
    """Builds Conv2D stages over time and frequency, each halving both, and a stack of bidirectional LSTMs.

    Args:
        feature: `Audio`.
        dim: size of a state; half of it in each direction.
        name: name of the model.
        languages: number of languages, `und` included.
        widths: channels of each stage.
        depth: number of LSTMs on top of each other.
        normalization: see `cnn`.
        standardized: see `cnn`.
        dropout: share dropped before the LSTMs.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time / 2 ** stages, dim)` and `mask` of those steps.

    Raises:
        ValueError: if `dim` is odd.
    """
    half = half_of(dim)
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x, mask = _halved(inputs, feature, widths, normalization, standardized)
    x = layers.LayerNormalization()(layers.Dense(dim)(x))
    x = LanguageEmbedding(languages)(x, inputs["language"])
    x = layers.Dropout(dropout)(x)
    for _ in range(depth):
        x = layers.Bidirectional(layers.LSTM(half, return_sequences=True))(x, mask=mask)

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": mask}, name=name)


def transformer(feature, dim, name, languages=1, widths=(32, 64), depth=2, heads=4, mlp_dim=None, normalization="batch", standardized=False, dropout=0.1):
    """Builds Conv2D stages over time and frequency, each halving both, and a stack of self-attention blocks.

    Args:
        feature: `Audio`.
        dim: size of a state.
        name: name of the model.
        languages: number of languages, `und` included.
        widths: channels of each stage.
        depth: number of blocks.
        heads: attention heads; they divide `dim`.
        mlp_dim: size of each block's hidden layer; None for `4 * dim`.
        normalization: see `cnn`.
        standardized: see `cnn`.
        dropout: share dropped before the blocks and of each of their outputs.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time / 2 ** stages, dim)` and `mask` of those steps.

    Raises:
        ValueError: if `heads` does not divide `dim`.

    Source:
        Gulati et al. (2020), "Conformer", section 2 (convolutional subsampling before self-attention).
    """
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x, mask = _halved(inputs, feature, widths, normalization, standardized)
    x = LanguageEmbedding(languages)(layers.LayerNormalization()(layers.Dense(dim)(x)), inputs["language"])
    x, visible = layers.Dropout(dropout)(PositionEncoding()(x)), visible_steps(mask)
    for _ in range(depth):
        x = transformer_block(x, visible, heads, dropout, mlp_dim)
    x = layers.LayerNormalization()(x)

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": mask}, name=name)


def _halved(inputs, feature, widths, normalization, standardized):
    """Convolves time and frequency in stages that halve both; returns `(batch, time / 2 ** stages, bins / 2 ** stages * channels)` and its mask."""
    x, mask = layers.Reshape((-1, feature.bins, 1))(inputs["value"]), inputs["mask"]
    x = _standardized(x, mask) if standardized else x
    for width in widths:
        # Padded by hand: "same" would pad an odd and an even number of frames at different ends, and so see the batch's padding.
        x = layers.ZeroPadding2D(1)(_silence(x, mask))
        x = layers.Conv2D(width, 3, strides=2, use_bias=normalization is None)(x)  # (batch, time / 2, bins / 2, channels)
        mask = mask[:, ::2]
        x = normalized(x, normalization, mask)
    return layers.Reshape((-1, x.shape[2] * x.shape[3]))(x), mask


def _standardized(x, mask):
    there = ops.cast(mask, x.dtype)[:, :, None, None]
    count = ops.maximum(ops.sum(there, axis=1, keepdims=True), 1.0)
    centred = (x - ops.sum(x * there, axis=1, keepdims=True) / count) * there
    return centred / (ops.sqrt(ops.mean(ops.sum(centred * centred, axis=1, keepdims=True) / count, axis=2, keepdims=True)) + 1e-3)


def _silence(x, mask):
    return x * ops.cast(mask, x.dtype)[:, :, None, None]
