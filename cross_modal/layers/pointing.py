"""Layers that point to steps."""

import keras
from keras import layers, ops

ABSENT_LOGIT = -1e9  # Of what cannot be pointed to.


@keras.saving.register_keras_serializable("cross_modal")
class SpanLogits(keras.layers.Layer):
    """Points to where a span begins and to where it ends, among the first of some steps, or to nothing.

    Call with states `(batch, steps, dim)`, the mask of the first of them, which may be pointed to, bool `(batch, time)`, and one state for pointing to nothing, `(batch, dim)`.
    Returns float32 logits `(batch, 2, 1 + time)`, those of nothing first, and -1e9 where a step is not real.

    Source:
        Devlin et al. (2019), "BERT", sections 4.2 and 4.3.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, states_shape, step_mask_shape, nothing_shape):
        self.pointers, self.nothing = layers.Dense(2, dtype="float32", name="pointers"), layers.Dense(2, dtype="float32", name="nothing")
        self.pointers.build(states_shape)
        self.nothing.build(nothing_shape)

    def call(self, states, step_mask, nothing):
        found = self.pointers(states[:, : ops.shape(step_mask)[1]])  # (batch, time, 2)
        found = ops.where(step_mask[:, :, None], found, ABSENT_LOGIT)
        return ops.transpose(ops.concatenate([self.nothing(nothing)[:, None], found], axis=1), (0, 2, 1))

    def compute_mask(self, *args, **kwargs):
        return None

    def compute_output_shape(self, states_shape, step_mask_shape, nothing_shape):
        return (states_shape[0], 2, None if step_mask_shape[1] is None else 1 + step_mask_shape[1])
