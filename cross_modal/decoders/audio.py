"""Decoders that draw a log-mel spectrogram from one state."""

import keras
from keras import layers

from cross_modal.decoders.image import grown


def deconv(feature, dim, name, widths=(128, 64, 32)):
    """Builds a stack of transposed convolutions over frames and bands, each of which doubles both.

    Args:
        feature: `Audio`; of the longest recording that it keeps there is a frame for each hop.
        dim: size of the state.
        name: of the model.
        widths: channels before each doubling.

    Returns:
        `keras.Model` from a state `(batch, dim)` to `value` `(batch, frames, bins)` and `there` `(batch, frames)`, logits of whether the recording goes on so long.

    Raises:
        ValueError: if there are too few frames or bands to be doubled that often.

    Source:
        As `decoders.image.deconv`.
    """
    # --- inputs ---
    state = keras.Input((dim,), name="state")

    # --- body ---
    x = grown(state, (feature.frames, feature.bins), widths)
    value = layers.Conv2D(1, 3, padding="same", dtype="float32")(x)
    there = layers.Dense(feature.frames, dtype="float32", name="there")(layers.Dense(dim, activation="gelu")(state))

    # --- model ---
    return keras.Model(state, {"value": layers.Reshape((feature.frames, feature.bins), dtype="float32")(value), "there": there}, name=name)
