import base64

import numpy as np
import pytest
import tensorflow as tf

from cross_modal import features, testing, towers
from cross_modal.layers import LanguageAdapter

WORDS = ["one hundred and two", "zwei", "три", "مائة"]


@pytest.fixture(scope="module")
def text():
    return features.Text(features.learn_subwords(WORDS * 5, 350))


ALL = [towers.text.lstm, towers.text.gru, towers.text.transformer, towers.text.bag]


@pytest.mark.parametrize("tower", ALL)
def test_keeps_its_contract(text, tower):
    testing.check_tower(tower, text, WORDS)


@pytest.mark.parametrize("tower, order", [*((tower, True) for tower in ALL[:3]), (towers.text.bag, False)])
def test_order_matters_but_in_a_bag(text, tower, order):
    model = tower(text, 8, "text")
    ids = np.asarray(text.featurize("one hundred and two"))[None]
    means = [np.asarray(model({"value": one, "mask": one > 0, "language": np.array([0])})["states"]).mean(axis=1) for one in (ids, ids[:, ::-1].copy())]
    assert np.allclose(*means, atol=1e-6) != order


@pytest.mark.parametrize("tower", ALL)
def test_it_reads_the_language(text, tower):
    tower = tower(text, 8, "text", languages=3)
    ids = np.asarray(text.featurize("zwei"))[None]
    states = [np.asarray(tower({"value": ids, "mask": ids > 0, "language": np.array([language])})["states"]) for language in (1, 2)]
    assert not np.allclose(*states, atol=1e-5)


@pytest.mark.parametrize("tower", ALL)
def test_an_adapter_is_nothing_at_first_and_then_of_one_language(text, tower):
    ids = np.repeat(np.asarray(text.featurize("zwei"))[None], 2, 0)
    x = {"value": ids, "mask": ids > 0, "language": np.array([1, 2])}
    plain, adapted = (tower(text, 8, "text", languages=3, **options) for options in ({}, {"adapter": 4}))
    layers = [layer for layer in adapted.layers if isinstance(layer, LanguageAdapter)]
    assert layers and all("adapter" in layer.name for layer in layers)
    own = {id(weight) for layer in layers for weight in layer.weights}
    for weight, value in zip([weight for weight in adapted.weights if id(weight) not in own], plain.get_weights(), strict=True):
        weight.assign(value)
    before = np.asarray(plain(x)["states"])
    np.testing.assert_allclose(adapted(x)["states"], before, atol=1e-6)
    layers[-1].up.assign(np.eye(3)[2][:, None, None] * np.random.default_rng(0).normal(size=(3, 4, 8)))  # Of the last language.
    after = np.asarray(adapted(x)["states"])
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
    assert np.abs(after[1] - before[1]).max() > 1e-3


def test_odd_dim_is_told(text):
    for tower in (towers.text.lstm, towers.text.gru):
        with pytest.raises(ValueError, match="even `dim`.*Received: dim=7"):
            tower(text, 7, "text")


def test_heads_that_do_not_divide_are_told(text):
    with pytest.raises(ValueError, match="Received: heads=3, dim=8"):
        towers.text.transformer(text, 8, "text", heads=3)


@pytest.fixture(scope="module")
def ngrams():
    return features.NGrams(**features.learn_ngrams(WORDS * 2))


def test_n_grams_keep_the_contract(ngrams):
    testing.check_tower(towers.text.ngrams, ngrams, WORDS)


def test_words_and_letters_are_summed_up_each_by_their_number(ngrams):
    """With vectors of ones each part is a number of things over its root; the language's vector is added."""
    model = towers.text.ngrams(ngrams, 2, "text")
    embedding, language = (next(one for one in model.layers if kind in type(one).__name__) for kind in ("Embedding", "LanguageEmbedding"))
    embedding.embeddings.assign(np.ones(embedding.embeddings.shape))
    language.vectors.assign(np.zeros((1, 2)))
    ids = np.array([[1, 2, 3, ngrams.firsts[1], 0]])
    states = np.asarray(model({"value": ids, "mask": ids > 0, "language": np.array([0])})["states"])
    assert states.shape == (1, 1, 2) and states == pytest.approx(3**0.5 + 1, rel=1e-5)


def test_n_grams_count_by_their_weights(ngrams):
    feature = features.NGrams(**{**ngrams.config(), "weights": base64.b64encode(np.arange(1, ngrams.vocab_size - 1, dtype="<f4").tobytes()).decode()})
    model = towers.text.ngrams(feature, 2, "text")
    kinds = [layer for layer in model.layers if "Embedding" in type(layer).__name__]
    embedding, language = (next(one for one in kinds if one.name != "weights" and kind == type(one).__name__) for kind in ("Embedding", "LanguageEmbedding"))
    embedding.embeddings.assign(np.ones(embedding.embeddings.shape))
    language.vectors.assign(np.zeros((1, 2)))
    ids = np.array([[1, 2, 3, ngrams.firsts[1], 0]])
    states = np.asarray(model({"value": ids, "mask": ids > 0, "language": np.array([0])})["states"])
    assert states == pytest.approx((1 + 1 + 2) / 6**0.5 + 1, rel=1e-5)  # Of words 1, 1 and 2, whose squares are 6; of letters one.
    assert len(model.trainable_weights) == len(model.weights) - 1
    testing.check_tower(towers.text.ngrams, feature, WORDS)


def test_n_grams_are_held_small(ngrams):
    """By hand: a tenth of the sum of squares, of which one is 4 and one is 9."""
    model = towers.text.ngrams(ngrams, 2, "text", l2=0.1)
    embedding = next(layer for layer in model.layers if type(layer).__name__ == "Embedding")
    vectors = np.zeros(embedding.embeddings.shape)
    vectors[3] = 2, 3
    embedding.embeddings.assign(vectors)
    assert [float(loss) for loss in model.losses] == pytest.approx([1.3])
    assert not towers.text.ngrams(ngrams, 2, "text", l2=0.0).losses


def test_a_language_s_own_n_grams_are_a_part_by_themselves():
    marked = [text.decode() for text in features.mark_language(tf.constant(WORDS * 2), tf.constant(["en", "de"] * len(WORDS))).numpy()]
    feature = features.NGrams(**features.learn_ngrams(marked))
    model = towers.text.ngrams(feature, 2, "text")
    embedding, language = (next(one for one in model.layers if kind == type(one).__name__) for kind in ("Embedding", "LanguageEmbedding"))
    embedding.embeddings.assign(np.ones(embedding.embeddings.shape))
    language.vectors.assign(np.zeros((1, 2)))
    ids = np.array([[1, 2, *feature.firsts[1:], feature.vocab_size - 1, 0]])
    states = np.asarray(model({"value": ids, "mask": ids > 0, "language": np.array([0])})["states"])
    assert states == pytest.approx(2**0.5 + 1 + 1 + 2**0.5, rel=1e-5)


def test_n_grams_and_other_towers_do_not_go_together(text, ngrams):
    with pytest.raises(ValueError, match="a feature of n-grams .units: ngrams. for the tower ngrams of text. Received: Text"):
        towers.text.ngrams(text, 8, "text")
    for tower in ALL:
        with pytest.raises(ValueError, match="the tower ngrams for n-grams"):
            tower(ngrams, 8, "text")
