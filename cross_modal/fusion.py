"""Functions from the states and masks of several towers to those of all of them together."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("cross_modal")
class SourceEmbedding(keras.layers.Layer):
    """Adds one learned vector to all states of a source, so that later layers know whose they are. Shapes stay as they are."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape):
        self.vector = self.add_weight(shape=(input_shape[-1],), initializer=keras.initializers.RandomNormal(stddev=0.02), name="vector")

    def call(self, states):
        return states + ops.cast(self.vector, states.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


def concat(sources):
    """Joins the sources along time, each marked by a learned vector (early fusion without interaction).

    Args:
        sources: dict of name to dict of `states` `(batch, time, dim)` and `mask` `(batch, time)`; the same `dim` in all.

    Returns:
        Dict of `states` and `mask` of all steps.
    """
    dims = {name: source["states"].shape[-1] for name, source in sources.items()}
    if len(set(dims.values())) != 1:
        raise ValueError(f"Expected states of one size. Received: {dims}")
    states = [SourceEmbedding(name=f"{name}_source")(source["states"]) for name, source in sources.items()]
    masks = [source["mask"] for source in sources.values()]
    if len(states) == 1:
        return {"states": states[0], "mask": masks[0]}
    return {"states": ops.concatenate(states, axis=1), "mask": ops.concatenate(masks, axis=1)}


def attention(sources, depth=1, heads=4, dropout=0.1):
    """Lets every step of every source attend to all steps of all sources.

    Args:
        sources: as in `concat`.
        depth: number of blocks of self-attention and perceptron.
        heads: attention heads; they divide `dim`.
        dropout: share of each block's output dropped.

    Returns:
        Dict of `states` and `mask` of all steps.

    Source:
        Nagrani et al. (2021), "Attention Bottlenecks for Multimodal Fusion", section 3.2 (vanilla cross-attention by joint self-attention).
    """
    joined = concat(sources)
    x, mask = joined["states"], joined["mask"]
    dim = x.shape[-1]
    if dim % heads:
        raise ValueError(f"Expected `heads` to divide the size of the states. Received: heads={heads}, dim={dim}")
    # Where nothing is real a softmax over nothing would be NaN or a mean of padding: then all steps attend, and the mask downstream drops them.
    visible = ops.logical_or(mask[:, None, :], ops.logical_not(ops.any(mask, axis=1))[:, None, None])
    for _ in range(depth):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(heads, dim // heads)(y, y, attention_mask=visible)
        x = x + layers.Dropout(dropout)(y)
        y = layers.Dense(2 * dim, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dropout(dropout)(layers.Dense(dim)(y))
    return {"states": layers.LayerNormalization()(x), "mask": mask}
