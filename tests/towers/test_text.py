import numpy as np
import pytest

from cross_modal import features, testing, towers

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


def test_odd_dim_is_told(text):
    for tower in (towers.text.lstm, towers.text.gru):
        with pytest.raises(ValueError, match="even `dim`.*Received: dim=7"):
            tower(text, 7, "text")


def test_heads_that_do_not_divide_are_told(text):
    with pytest.raises(ValueError, match="Received: heads=3, dim=8"):
        towers.text.transformer(text, 8, "text", heads=3)
