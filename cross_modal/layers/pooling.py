"""Layers that turn states and a mask into one vector."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cross_modal")
class AttentionPooling(keras.layers.Layer):
    """Sums the states by weights that a few learned queries give them.

    Unlike a mean it can tell where something stands, when the states carry positions. Steps whose mask is False count nothing; where
    no step is real the result is zero.

    Args:
        queries: number of weightings; their results are joined.

    Call with states `(batch, time, dim)` and step_mask bool `(batch, time)` (`mask` is a word that Keras keeps for itself); returns `(batch, queries * dim)`.
    """

    def __init__(self, queries=4, **kwargs):
        super().__init__(**kwargs)
        self.queries = queries
        self.supports_masking = True  # Keras' own mask arrives beside ours and says the same.

    def build(self, states_shape, step_mask_shape):
        self.kernel = self.add_weight(shape=(states_shape[-1], self.queries), initializer="glorot_uniform", name="kernel")

    def call(self, states, step_mask):
        scores = ops.matmul(states, ops.cast(self.kernel, states.dtype))  # (batch, time, queries)
        real = ops.cast(step_mask, scores.dtype)[:, :, None]
        scores = ops.where(real > 0, scores, -1e4)  # Else a large score of a masked step would push the real weights to zero.
        scores = scores - ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))
        weights = ops.exp(scores) * real
        weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-6)
        pooled = ops.einsum("btq,btd->bqd", weights, states)
        return ops.reshape(pooled, (-1, self.queries * states.shape[-1]))

    def compute_mask(self, *args, **kwargs):
        return None  # There is no time left to mask.

    def compute_output_shape(self, states_shape, step_mask_shape):
        return (states_shape[0], self.queries * states_shape[-1])

    def get_config(self):
        return {**super().get_config(), "queries": self.queries}
