"""Towers for text."""

import itertools

import keras
from keras import layers, ops

from cross_modal.layers import LanguageAdapter, LanguageEmbedding, PositionEncoding, half_of, transformer_block, visible_steps
from cross_modal.towers.pretrained import pretrained as pretrained
from cross_modal.towers.tower import tower_inputs


def lstm(feature, dim, name, languages=1, depth=1, dropout=0.1, adapter=0):
    """Builds an Embedding and a stack of bidirectional LSTMs.

    Args:
        feature: `Text`.
        dim: size of a state; half of it in each direction.
        name: name of the model.
        languages: number of languages, `und` included.
        depth: number of LSTMs on top of each other.
        dropout: share of the embedding dropped.
        adapter: hidden size of a part of its own that each language has after each of them, see `LanguageAdapter`; 0 for none.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time, dim)` and `mask` `(batch, time)`.

    Raises:
        ValueError: if `dim` is odd.
    """
    return _recurrent(layers.LSTM, feature, dim, name, languages, depth, dropout, adapter)


def gru(feature, dim, name, languages=1, depth=1, dropout=0.1, adapter=0):
    """Builds an Embedding and a stack of bidirectional GRUs, a quarter smaller than `lstm`; arguments, result and error as there."""
    return _recurrent(layers.GRU, feature, dim, name, languages, depth, dropout, adapter)


def transformer(feature, dim, name, languages=1, depth=2, heads=4, mlp_dim=None, dropout=0.1, adapter=0):
    """Builds an Embedding with positions and a stack of self-attention blocks.

    Args:
        feature: `Text`.
        dim: size of a state.
        name: name of the model.
        languages: number of languages, `und` included.
        depth: number of blocks.
        heads: attention heads; they divide `dim`.
        mlp_dim: size of each block's hidden layer; None for `4 * dim`.
        dropout: share dropped of the embedding and of each block's outputs.
        adapter: hidden size of a part of its own that each language has after each block, see `LanguageAdapter`; 0 for none.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time, dim)` and `mask` `(batch, time)`.

    Raises:
        ValueError: if `heads` does not divide `dim`.

    Source:
        Vaswani et al. (2017), "Attention Is All You Need", section 3.
    """
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    start = keras.initializers.RandomNormal(stddev=dim**-0.5)
    x = PositionEncoding()(_embedded(inputs, feature, dim, languages, start, dim**0.5))  # Waves and subwords weigh the same.
    x, visible = layers.Dropout(dropout)(x), visible_steps(inputs["mask"])
    for _ in range(depth):
        x = _adapted(transformer_block(x, visible, heads, dropout, mlp_dim), inputs, languages, adapter)
    x = layers.LayerNormalization()(x)

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": inputs["mask"]}, name=name)


def bag(feature, dim, name, languages=1, dropout=0.1, adapter=0):
    """Builds an Embedding alone: a bag of subwords, the fastest, for where their order does not matter.

    Args:
        feature: `Text`.
        dim: size of a state.
        name: name of the model.
        languages: number of languages, `und` included.
        dropout: share of the embedding dropped.
        adapter: hidden size of a part of its own that each language has, see `LanguageAdapter`; 0 for none.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, time, dim)` and `mask` `(batch, time)`.

    Source:
        Joulin et al. (2017), "Bag of Tricks for Efficient Text Classification", section 2.
    """
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = _adapted(layers.Dropout(dropout)(_embedded(inputs, feature, dim, languages)), inputs, languages, adapter)

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": inputs["mask"]}, name=name)


def ngrams(feature, dim, name, languages=1, l2=1e-4, dropout=0.0):
    """Builds a sum of what words and groups of letters say, without their order: with `linear: true` of `Classification`, a linear model. For texts of which there are few.

    Args:
        feature: `NGrams`.
        dim: size of a state; the number of classes, or a little more, will do.
        name: name of the model.
        languages: number of languages, `und` included.
        l2: what is added to the loss for the squares of the vectors; with few texts it is what keeps them from being learned by heart.
        dropout: share of the words and groups dropped.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, 1, dim)` and `mask` `(batch, 1)`.

    Raises:
        ValueError: if the feature is not of n-grams.

    Source:
        Wang and Manning (2012), "Baselines and Bigrams", section 2, whose classifier is held to small weights in this way too.
    """
    if not hasattr(feature, "firsts"):
        raise ValueError(f"Expected a feature of n-grams (units: ngrams) for the tower ngrams of {name}. Received: {type(feature).__name__}")
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = layers.Embedding(feature.vocab_size, dim, "zeros", keras.regularizers.L2(l2) if l2 else None)(inputs["value"])  # (batch, time, dim)
    there = layers.Dropout(dropout)(ops.cast(inputs["mask"], x.dtype))
    if feature.weights is not None:
        there = there * layers.Embedding(feature.vocab_size, 1, weights=[feature.weights[:, None]], trainable=False, name="weights")(inputs["value"])[:, :, 0]
    said = []
    for first, end in itertools.pairwise([1, *feature.firsts[1:], feature.vocab_size]):
        if end > first:
            weights = there * ops.cast((inputs["value"] >= first) & (inputs["value"] < end), x.dtype)
            said.append(ops.einsum("bt,btd->bd", weights, x) / ops.sqrt(ops.maximum(ops.sum(weights**2, axis=1, keepdims=True), 1e-6)))
    x = LanguageEmbedding(languages)(sum(said)[:, None], inputs["language"])

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": ops.any(inputs["mask"], axis=1, keepdims=True)}, name=name)


def _embedded(inputs, feature, dim, languages, start="uniform", scale=1.0):
    if hasattr(feature, "firsts"):
        raise ValueError("Expected the tower ngrams for n-grams, which have no order (units: ngrams). Received: another tower for texts")
    x = layers.Embedding(feature.vocab_size, dim, start)(inputs["value"])
    return LanguageEmbedding(languages)(x if scale == 1.0 else layers.Rescaling(scale)(x), inputs["language"])


def _adapted(x, inputs, languages, size):
    return LanguageAdapter(languages, size)(x, inputs["language"]) if size else x


def _recurrent(layer, feature, dim, name, languages, depth, dropout, adapter):
    half = half_of(dim)
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = layers.Dropout(dropout)(_embedded(inputs, feature, dim, languages))
    for _ in range(depth):
        x = layers.Bidirectional(layer(half, return_sequences=True))(x, mask=inputs["mask"])
        x = _adapted(x, inputs, languages, adapter)

    # --- model ---
    return keras.Model(inputs, {"states": x, "mask": inputs["mask"]}, name=name)
