"""Layers that are a language's own."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cross_modal")
class LanguageAdapter(keras.layers.Layer):
    """Adds to each state what a small perceptron of the language makes of it: nothing at first, so that a tower that gets one goes on as it was.

    Train it alone (`training.freeze: {"*": 1, "*adapter*": 0}`) to teach a tower a language without changing the others.

    Args:
        languages: number of languages, `und` (0) included.
        size: of the hidden layer.

    Call with states `(batch, time, dim)` and language int `(batch,)`; returns the shape of the states.

    Source:
        Pfeiffer et al. (2020), "MAD-X: An Adapter-Based Framework for Multi-Task Cross-Lingual Transfer", section 2.2.1.
    """

    def __init__(self, languages, size, **kwargs):
        super().__init__(**kwargs)
        if size < 1:
            raise ValueError(f"Expected `size` to be at least 1. Received: size={size}")
        self.languages, self.size = languages, size
        self.supports_masking = True

    def build(self, states_shape, language_shape):
        dim = states_shape[-1]
        self.norm = keras.layers.LayerNormalization(name="norm")
        self.norm.build(states_shape)
        start = keras.initializers.RandomNormal(stddev=dim**-0.5)
        self.down = self.add_weight(shape=(self.languages, dim, self.size), initializer=start, name="down")
        self.up = self.add_weight(shape=(self.languages, self.size, dim), initializer="zeros", name="up")

    def call(self, states, language):
        down, up = (ops.cast(ops.take(one, language, axis=0), states.dtype) for one in (self.down, self.up))
        return states + ops.matmul(ops.gelu(ops.matmul(self.norm(states), down)), up)

    def compute_output_shape(self, states_shape, language_shape):
        return states_shape

    def get_config(self):
        return {**super().get_config(), "languages": self.languages, "size": self.size}
