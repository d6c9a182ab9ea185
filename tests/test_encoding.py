import numpy as np
import pytest
import tensorflow as tf

from cross_modal import encoding
from cross_modal.tasks import Endpoint

STRING = tf.TensorSpec((None,), tf.string)


def _letters(**raw):
    """Counts of a, b and c."""
    text = raw["text"]
    return {"embedding": tf.stack([tf.cast(tf.strings.length(tf.strings.regex_replace(text, f"[^{one}]", "")), tf.float32) for one in "abc"], 1)}


ENDPOINTS = {"embed_text": Endpoint(_letters, {"text": STRING, "text_language": STRING})}


def test_encodes_in_batches():
    assert encoding.encode(ENDPOINTS, "text", ["a", "ab", "cc"], batch_size=2).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 2]]


def test_similarity_by_hand():
    found = encoding.similarity(ENDPOINTS, [("text", "en", "a"), ("text", "de", "ab"), ("text", "und", "")])
    np.testing.assert_allclose(found, [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 0]], atol=1e-6)


def test_what_has_no_vectors_is_told():
    with pytest.raises(ValueError, match="a field that the model has vectors for: text. Received: image"):
        encoding.encode(ENDPOINTS, "image", [b"x"])
    with pytest.raises(ValueError, match="it has none; train an alignment or an autoencoding"):
        encoding.encode({}, "text", ["x"])
    with pytest.raises(ValueError, match="at least one value of text"):
        encoding.encode(ENDPOINTS, "text", [])


def test_mining_by_hand():
    """Margins of two and two vectors with two neighbours: each cosine over the mean of its row's and its column's."""
    a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 2.0], [3.0, 4.0]])
    cosines = np.array([[0.0, 0.6], [1.0, 0.8]])
    pairs = encoding.mine(a, b, neighbours=2)
    assert [(place, end) for place, end, _ in pairs] == [(1, 0), (0, 1)]
    for place, end, margin in pairs:
        assert margin == pytest.approx(cosines[place, end] / ((cosines[place].mean() + cosines[:, end].mean()) / 2), rel=1e-5)


def test_mining_where_neighbours_are_near_to_nothing():
    """A ratio to a mean of nothing would be without bounds."""
    a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.2, -1.0], [-1.0, -0.2]])
    assert all(0.0 < margin < 2.0 for _, _, margin in encoding.mine(a, b))


def test_mining_finds_translations_among_strangers():
    chance = np.random.default_rng(0)
    a, b = chance.normal(size=(300, 32)), chance.normal(size=(200, 32))
    b[:100] = a[:100] + 0.3 * chance.normal(size=(100, 32))
    pairs = encoding.mine(a, b)
    assert {(place, end) for place, end, _ in pairs[:100]} == {(place, place) for place in range(100)}
    assert len({place for place, _, _ in pairs}) == len({end for _, end, _ in pairs}) == len(pairs)
