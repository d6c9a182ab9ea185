"""Layers between the views of an item and what they have in common."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cross_modal")
class HideSources(keras.layers.Layer):
    """Hides some of an item's sources in training, by chance; one that is there always stays.

    Args:
        rate: how often each is hidden.

    Call with bool `(batch, sources)`, which are there; returns which of them are shown, the same shape.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, present, training=False):
        if not training or not self.rate:
            return present
        drawn = ops.where(present, keras.random.uniform(ops.shape(present), seed=self.seed_generator), -1.0)
        highest = ops.max(drawn, axis=1, keepdims=True)
        return present & ((drawn >= self.rate) | (drawn == highest))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("cross_modal")
class GaussianSample(keras.layers.Layer):
    """Draws from a normal distribution in training, and takes its mean otherwise.

    Call with means and logarithms of variances, `(batch, dim)` each; returns `(batch, dim)`.

    Source:
        Kingma and Welling (2014), "Auto-Encoding Variational Bayes", section 2.4.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, mean, log_variance, training=False):
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise

    def compute_output_shape(self, mean_shape, log_variance_shape):
        return mean_shape
