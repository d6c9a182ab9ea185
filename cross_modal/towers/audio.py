"""Towers for sound."""

import keras
from keras import layers, ops

from cross_modal.layers import LanguageEmbedding
from cross_modal.towers.tower import tower_inputs


def crnn(feature, dim, name, languages=1, widths=(32, 64), depth=1, dropout=0.1):
    """Builds Conv2D stages over time and frequency, each halving both, and a stack of bidirectional LSTMs.

    Args:
        feature: `Audio`.
        dim: size of a state; half of it in each direction.
        name: name of the model.
        languages: number of languages, `und` included.
        widths: channels of each stage.
        depth: number of LSTMs on top of each other.
        dropout: share dropped before the LSTMs.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time / 2 ** stages, dim)` and `mask` of those steps.
    """
    if dim % 2:
        raise ValueError(f"Expected an even `dim`, half for each direction. Received: dim={dim}")
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x, mask = layers.Reshape((-1, feature.bins, 1))(inputs["value"]), inputs["mask"]
    for width in widths:
        # Padded by hand: "same" would pad an odd and an even number of frames at different ends, and so see the batch's padding.
        x = layers.ZeroPadding2D(1)(_silence(x, mask))
        x = layers.Conv2D(width, 3, strides=2, activation="relu")(x)  # (batch, time / 2, bins / 2, channels)
        mask = mask[:, ::2]
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    x = layers.LayerNormalization()(layers.Dense(dim)(x))
    x = LanguageEmbedding(languages)(x, inputs["language"])
    x = layers.Dropout(dropout)(x)
    for _ in range(depth):
        x = layers.Bidirectional(layers.LSTM(dim // 2, return_sequences=True))(x, mask=mask)

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": mask}, name=name)


def _silence(x, mask):
    return x * ops.cast(mask, x.dtype)[:, :, None, None]
