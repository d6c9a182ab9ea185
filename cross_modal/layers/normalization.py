"""Normalisation that knows what is there."""

import keras
from keras import layers


@keras.saving.register_keras_serializable("cross_modal")
class PresentBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over what is there alone: absent pictures and padded frames would shift the statistics of the others.

    Call with `(batch, height or time, width or bins, channels)` and present bool `(batch, 1 or time)`; returns the shape of the first.
    """

    def build(self, inputs_shape, present_shape):
        super().build(inputs_shape)

    def call(self, inputs, present, training=None):
        return super().call(inputs, training=training, mask=present[:, :, None])

    def compute_output_shape(self, inputs_shape, present_shape):
        return inputs_shape


def normalized(x, normalization, present):
    """Normalises and applies a rectifier.

    Args:
        x: `(batch, height or time, width or bins, channels)`.
        normalization: "batch" of each channel over what is there, "layer" of each cell's channels, or None.
        present: bool `(batch, 1 or time)`.

    Returns:
        The shape of `x`.

    Raises:
        ValueError: for another normalisation.
    """
    if normalization == "layer":
        x = layers.LayerNormalization()(x)
    elif normalization == "batch":
        x = PresentBatchNormalization(momentum=0.9)(x, present)
    elif normalization is not None:
        raise ValueError(f"Expected `normalization` to be layer, batch or None. Received: normalization={normalization}")
    return layers.Activation("relu")(x)
