"""Towers for text."""

import keras
from keras import layers

from cross_modal.layers import LanguageEmbedding
from cross_modal.towers.tower import tower_inputs


def lstm(feature, dim, name, languages=1, depth=1, dropout=0.1):
    """Builds an Embedding and a stack of bidirectional LSTMs.

    Args:
        feature: `Text`.
        dim: size of a state; half of it in each direction.
        name: name of the model.
        languages: number of languages, `und` included.
        depth: number of LSTMs on top of each other.
        dropout: share of the embedding dropped.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time, dim)` and `mask` `(batch, time)`.
    """
    if dim % 2:
        raise ValueError(f"Expected an even `dim`, half for each direction. Received: dim={dim}")
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = layers.Embedding(feature.vocab_size, dim)(inputs["value"])
    x = LanguageEmbedding(languages)(x, inputs["language"])
    x = layers.Dropout(dropout)(x)
    for _ in range(depth):
        x = layers.Bidirectional(layers.LSTM(dim // 2, return_sequences=True))(x, mask=inputs["mask"])

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": inputs["mask"]}, name=name)
