"""Layers that add what a position or a language says to the states of a tower."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cross_modal")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to each of a fixed number of steps, such as the cells of a picture.

    Call with `(batch, time, dim)`; returns the same shape. `time` must be known when the layer is built.
    """

    def build(self, input_shape):
        _, time, dim = input_shape
        if time is None:
            raise ValueError(f"Expected a known number of steps. Received: input_shape={input_shape}")
        self.vectors = self.add_weight(shape=(time, dim), initializer=keras.initializers.RandomNormal(stddev=0.02), name="vectors")

    def call(self, states):
        return states + ops.cast(self.vectors, states.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("cross_modal")
class LanguageEmbedding(keras.layers.Layer):
    """Adds a learned vector for the language to every step.

    Args:
        languages: number of languages, `und` (0) included.
        dropout: how often, in training, an example is shown as `und`. This teaches the model to serve requests without a language.

    Call with states `(batch, time, dim)` and language int `(batch,)`; returns the shape of the states.
    """

    def __init__(self, languages, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.languages = languages
        self.dropout = dropout
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, states_shape, language_shape):
        self.vectors = self.add_weight(shape=(self.languages, states_shape[-1]), initializer=keras.initializers.RandomNormal(stddev=0.02), name="vectors")

    def call(self, states, language, training=False):
        if training and self.dropout:
            kept = keras.random.uniform(ops.shape(language), seed=self.seed_generator) >= self.dropout
            language = ops.where(kept, language, ops.zeros_like(language))
        vectors = ops.take(self.vectors, language, axis=0)
        return states + ops.cast(vectors, states.dtype)[:, None, :]

    def compute_output_shape(self, states_shape, language_shape):
        return states_shape

    def get_config(self):
        return {**super().get_config(), "languages": self.languages, "dropout": self.dropout}
