"""Towers for pictures."""

import keras
from keras import layers, ops

from cross_modal.layers import PositionEmbedding
from cross_modal.towers.tower import tower_inputs


def cnn(feature, dim, name, languages=1, widths=(32, 64, 128), dropout=0.1):
    """Builds a stack of Conv2D stages, each of two convolutions and a halving of the picture.

    Args:
        feature: `Image`.
        dim: size of a state.
        name: name of the model.
        languages: not used; a picture has no language.
        widths: channels of each stage.
        dropout: share of channels dropped before the states.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, cells, dim)`, row by row, and `mask` `(batch, cells)`.

    Raises:
        ValueError: if the picture is too small to be halved that often.
    """
    if min(feature.size) < 2 ** len(widths):
        raise ValueError(
            f"Expected pictures of at least {2 ** len(widths)} pixels a side for {len(widths)} stages. Received: size={feature.size}. Give a larger `size` or fewer `widths`."
        )
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    # Layer normalisation, not batch normalisation: an absent picture would shift the statistics of those that are there.
    x = inputs["value"]
    for width in widths:
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.LayerNormalization()(x))
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.LayerNormalization()(x))
        x = layers.MaxPooling2D(2)(x)  # (batch, height / 2, width / 2, channels)
    cells = x.shape[1] * x.shape[2]
    x = layers.Reshape((cells, widths[-1]))(x)  # (batch, cells, channels)
    x = PositionEmbedding()(layers.Dense(dim)(layers.Dropout(dropout)(x)))
    states = layers.Activation("gelu")(layers.LayerNormalization()(x))
    mask = ops.repeat(inputs["mask"], cells, axis=1)

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": mask}, name=name)
