"""Normalisation that knows what is there."""

import keras


@keras.saving.register_keras_serializable("cross_modal")
class PresentBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over those examples alone that are there: an absent one would shift the statistics of the others.

    Call with pictures `(batch, height, width, channels)` and present bool `(batch, 1)`; returns the shape of the pictures.
    """

    def build(self, inputs_shape, present_shape):
        super().build(inputs_shape)

    def call(self, inputs, present, training=None):
        return super().call(inputs, training=training, mask=present[:, :, None])

    def compute_output_shape(self, inputs_shape, present_shape):
        return inputs_shape
