"""Functions from the states and masks of several towers to those of all of them together."""

import keras
from keras import layers, ops

from cross_modal.layers import AttentionPooling, half_of, transformer_block, visible_steps


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


@keras.saving.register_keras_serializable("cross_modal")
class SourceWeights(keras.layers.Layer):
    """Sums the vectors of sources by learned weights, which those that are there share out among themselves.

    Call with vectors `(batch, sources, dim)` and present bool `(batch, sources)`; returns `(batch, dim)`, zero where nothing is there.
    """

    def build(self, vectors_shape, present_shape):
        self.scores = self.add_weight(shape=(vectors_shape[1],), initializer="zeros", name="scores")

    def call(self, vectors, present):
        return _weighted_sum(vectors, ops.broadcast_to(self.scores, ops.shape(present)), present)

    def compute_output_shape(self, vectors_shape, present_shape):
        return (vectors_shape[0], vectors_shape[2])


@keras.saving.register_keras_serializable("cross_modal")
class Bottleneck(keras.layers.Layer):
    """Learned states that sources exchange what they know through.

    Args:
        length: number of states.

    Call with any states `(batch, time, dim)`; returns `(batch, length, dim)`.
    """

    def __init__(self, length, **kwargs):
        super().__init__(**kwargs)
        self.length = length

    def build(self, input_shape):
        self.states = self.add_weight(shape=(self.length, input_shape[-1]), initializer=keras.initializers.RandomNormal(stddev=0.02), name="states")

    def call(self, states):
        return ops.broadcast_to(ops.cast(self.states, states.dtype), (ops.shape(states)[0], *self.states.shape))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.length, input_shape[2])

    def get_config(self):
        return {**super().get_config(), "length": self.length}


def concat(sources):
    """Joins the sources along time, each marked by a learned vector (early fusion without interaction).

    Args:
        sources: dict of name to dict of `states` `(batch, time, dim)` and `mask` `(batch, time)`; the same `dim` in all.

    Returns:
        Dict of `states` and `mask` of all steps.

    Raises:
        ValueError: if the states are not of one size.
    """
    states = [SourceEmbedding(name=f"{name}_source")(source["states"]) for name, source in _checked(sources).items()]
    return {"states": _joined(states), "mask": _joined([source["mask"] for source in sources.values()])}


def attention(sources, depth=1, heads=4, dropout=0.1):
    """Lets every step of every source attend to all steps of all sources.

    Args:
        sources: as in `concat`.
        depth: number of blocks of self-attention and perceptron.
        heads: attention heads; they divide `dim`.
        dropout: share of each block's output dropped.

    Returns:
        Dict of `states` and `mask` of all steps.

    Raises:
        ValueError: if the states are not of one size, or `heads` does not divide it.

    Source:
        Nagrani et al. (2021), "Attention Bottlenecks for Multimodal Fusion", section 3.2 (vanilla cross-attention by joint self-attention).
    """
    joined = concat(sources)
    x, visible = joined["states"], visible_steps(joined["mask"])
    for _ in range(depth):
        x = transformer_block(x, visible, heads, dropout, 2 * x.shape[-1])
    return {"states": layers.LayerNormalization()(x), "mask": joined["mask"]}


def bottleneck(sources, depth=2, length=4, heads=4, dropout=0.1):
    """Lets each source attend to itself and to a few states that all share: cheaper than `attention` for long sources, and what passes must be worth it.

    Args:
        sources: as in `concat`.
        depth: number of blocks; it takes two for what one source knows to reach another.
        length: number of shared states.
        heads: attention heads; they divide `dim`.
        dropout: share of each block's output dropped.

    Returns:
        Dict of `states` and `mask` of all steps and of the shared states.

    Raises:
        ValueError: as in `attention`.

    Source:
        Nagrani et al. (2021), "Attention Bottlenecks for Multimodal Fusion", section 3.3.
    """
    states = {name: SourceEmbedding(name=f"{name}_source")(source["states"]) for name, source in _checked(sources).items()}
    masks = {name: source["mask"] for name, source in sources.items()}
    shared = Bottleneck(length)(next(iter(states.values())))
    present = ops.any(_present(masks.values()), axis=1, keepdims=True)  # (batch, 1)
    for _ in range(depth):
        versions = []
        for name, mask in masks.items():
            visible = ops.concatenate([ops.ones_like(mask[:, :1])] * length + [mask], axis=1)[:, None, :]
            x = transformer_block(ops.concatenate([shared, states[name]], axis=1), visible, heads, dropout, 2 * shared.shape[-1])
            versions.append(x[:, :length])
            states[name] = x[:, length:]
        shared = _mean(versions, _present(masks.values()))
    shared_mask = ops.concatenate([present] * length, axis=1)
    return {"states": layers.LayerNormalization()(_joined([*states.values(), shared])), "mask": _joined([*masks.values(), shared_mask])}


def matching(sources, dropout=0.1):
    """Lets every step of a source look for those of the others that are like it, and a recurrent layer tell its neighbours: which word of a question stands where in a text.

    Sources that the same tower reads are alike from the start; for those of different towers `attention` is better.

    Args:
        sources: as in `concat`.
        dropout: share of the compared states dropped.

    Returns:
        Dict of `states` and `mask` of all steps.

    Raises:
        ValueError: if the states are not of one size, or it is odd.

    Source:
        Chen et al. (2017), "Enhanced LSTM for Natural Language Inference", sections 3.2 and 3.3, with GRUs.
    """
    dim = next(iter(_checked(sources).values()))["states"].shape[-1]
    compare, tell = layers.Dense(dim, activation="gelu"), layers.Bidirectional(layers.GRU(half_of(dim), return_sequences=True))
    states = []
    for name, source in sources.items():
        own, others = source["states"], [other for key, other in sources.items() if key != name]
        alike = _alike(own, _joined([one["states"] for one in others]), _joined([one["mask"] for one in others])) if others else ops.zeros_like(own)
        x = compare(ops.concatenate([own, alike, own - alike, own * alike], axis=-1))
        x = tell(layers.Dropout(dropout)(x), mask=source["mask"])
        states.append(SourceEmbedding(name=f"{name}_source")(x))
    return {"states": layers.LayerNormalization()(_joined(states)), "mask": _joined([source["mask"] for source in sources.values()])}


def weighted(sources):
    """Pools each source to one state and sums them by one learned weight a source (late fusion).

    Args:
        sources: as in `concat`.

    Returns:
        Dict of `states` `(batch, 1, dim)` and `mask` `(batch, 1)`.

    Raises:
        ValueError: if the states are not of one size.
    """
    vectors, present = _pooled(sources)
    return _one_state(SourceWeights()(vectors, present), present)


def gated(sources):
    """Pools each source to one state and sums them by weights that all of them together decide on, for each item anew.

    Args:
        sources: as in `concat`.

    Returns:
        Dict of `states` `(batch, 1, dim)` and `mask` `(batch, 1)`.

    Raises:
        ValueError: if the states are not of one size.

    Source:
        Arevalo et al. (2017), "Gated Multimodal Units for Information Fusion", section 3.1, with a softmax over the sources that are there in place of a sigmoid each.
    """
    vectors, present = _pooled(sources)
    real = vectors * ops.cast(present, vectors.dtype)[:, :, None]
    scores = layers.Dense(vectors.shape[1])(layers.Flatten()(real))  # (batch, sources)
    return _one_state(_weighted_sum(vectors, scores, present), present)


def multiply(sources):
    """Pools each source to one state and multiplies them, element by element; an absent one counts as ones.

    Args:
        sources: as in `concat`.

    Returns:
        Dict of `states` `(batch, 1, dim)` and `mask` `(batch, 1)`.

    Raises:
        ValueError: if the states are not of one size.

    Source:
        Kim et al. (2017), "Hadamard Product for Low-rank Bilinear Pooling", section 3.
    """
    vectors, present = _pooled(sources)
    # Around one, not zero: a product of many small numbers would have no gradient.
    factors = ops.where(present[:, :, None], 1.0 + vectors, ops.ones_like(vectors))
    return _one_state(layers.LayerNormalization()(ops.prod(factors, axis=1)), present)


def _checked(sources):
    dims = {name: source["states"].shape[-1] for name, source in sources.items()}
    if len(set(dims.values())) != 1:
        raise ValueError(f"Expected states of one size. Received: {dims}")
    return sources


def _joined(parts):
    return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)


def _present(masks):
    """Which sources are there, bool `(batch, sources)`."""
    return ops.stack([ops.any(mask, axis=1) for mask in masks], axis=1)


def _pooled(sources):
    """One state of each source, between -1 and 1, `(batch, sources, dim)`, and which are there, `(batch, sources)`."""
    vectors = []
    for name, source in _checked(sources).items():
        pooled = AttentionPooling(1, name=f"{name}_pool")(source["states"], source["mask"])
        vectors.append(layers.Dense(pooled.shape[-1], activation="tanh", name=f"{name}_source")(pooled))
    return ops.stack(vectors, axis=1), _present(source["mask"] for source in sources.values())


def _alike(states, others, mask):
    """The mean of the others `(batch, other time, dim)`, by how like they are, for each of the states `(batch, time, dim)`; zero where none of them is there."""
    scores = ops.where(mask[:, None], ops.einsum("bid,bjd->bij", states, others), -1e4)
    weights = ops.softmax(scores, axis=-1) * ops.cast(mask[:, None], scores.dtype)
    return ops.einsum("bij,bjd->bid", weights, others)


def _weighted_sum(vectors, scores, present):
    """Sums vectors `(batch, sources, dim)` by the softmax of scores `(batch, sources)` over those that are there."""
    real = ops.cast(present, vectors.dtype)
    scores = ops.where(present, ops.cast(scores, vectors.dtype), -1e4)
    weights = ops.exp(scores - ops.stop_gradient(ops.max(scores, axis=1, keepdims=True))) * real
    weights = weights / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-6)
    return ops.sum(vectors * weights[:, :, None], axis=1)


def _mean(versions, present):
    """The mean of the versions of those that are there, or of all where none is."""
    weights = ops.cast(present | ~ops.any(present, axis=1, keepdims=True), versions[0].dtype)
    weights = weights / ops.sum(weights, axis=1, keepdims=True)
    return ops.sum(ops.stack(versions, axis=1) * weights[:, :, None, None], axis=1)


def _one_state(vector, present):
    return {"states": ops.expand_dims(vector, 1), "mask": ops.any(present, axis=1, keepdims=True)}
