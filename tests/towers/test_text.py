import numpy as np
import pytest

from cross_modal import features, testing, towers

WORDS = ["one hundred and two", "zwei", "три", "مائة"]


@pytest.fixture(scope="module")
def text():
    return features.Text(features.learn_subwords(WORDS * 5, 350))


def test_lstm_keeps_its_contract(text):
    testing.check_tower(towers.lstm, text, WORDS)


def test_lstm_reads_the_language(text):
    tower = towers.lstm(text, 8, "text", languages=3)
    ids = np.asarray(text.featurize("zwei"))[None]
    states = [np.asarray(tower({"value": ids, "mask": ids > 0, "language": np.array([language])})["states"]) for language in (1, 2)]
    assert not np.allclose(*states, atol=1e-5)


def test_odd_dim_is_told(text):
    with pytest.raises(ValueError, match="even `dim`.*Received: dim=7"):
        towers.lstm(text, 7, "text")
