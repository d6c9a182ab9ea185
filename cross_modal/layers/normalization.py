"""Normalisation that knows what is there."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("cross_modal")
class PresentBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over what is there alone: absent pictures and padded frames would shift the statistics of the others.

    Call with `(batch, height or time, width or bins, channels)` and present bool `(batch, 1 or time)`; returns the shape of the first.
    """

    def build(self, inputs_shape, present_shape):
        super().build(inputs_shape)

    def call(self, inputs, present, training=None):
        # Keras' own masks are drawn out to every channel and passed over the inputs several times; sums of rows are small.
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            x, there = ops.cast(inputs, "float32"), ops.cast(present, "float32")[:, :, None]
            sums, squares = ops.sum(x, axis=2), ops.sum(x * x, axis=2)  # (batch, height, channels)
            count = ops.maximum(ops.sum(there * ops.ones_like(sums[:, :, :1])), 1.0) * ops.cast(ops.shape(x)[2], "float32")
            mean = ops.sum(sums * there, axis=(0, 1)) / count
            variance = ops.maximum(ops.sum(squares * there, axis=(0, 1)) / count - mean * mean, 0.0)
            for kept, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept.assign(ops.where(ops.any(present), kept * self.momentum + new * (1.0 - self.momentum), kept))
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance + self.epsilon)
        shift = ops.cast(self.beta, "float32") - mean * scale
        return inputs * ops.cast(scale, inputs.dtype) + ops.cast(shift, inputs.dtype)

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
