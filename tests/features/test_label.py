import numpy as np
import pytest
import tensorflow as tf

from cross_modal import features, testing


def test_label_keeps_its_contract():
    testing.check_feature(features.Label(["cat", "dog", "鳥"]), ["cat", "dog", "鳥", "no class"])


def test_language_keeps_its_contract():
    testing.check_feature(features.Language(["de", "en"]), ["de", "en", "und", "fr"])


@pytest.mark.parametrize("run", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_label_is_the_place_of_its_name(run):
    label = features.Label(["dog", "cat", "10"])
    assert [int(run(label.featurize)(tf.constant(name))) for name in ("dog", "cat", "10", "Dog", "bird")] == [0, 1, 2, -1, -1]


def test_label_takes_numbers_as_their_names():
    label = features.Label([3, 1, 2])
    assert label.names == ["3", "1", "2"]
    assert int(label.featurize(tf.constant("1"))) == 1


def test_absent_label_is_masked_and_not_a_class():
    out = features.featurize_batch(features.Label(["a", "b"]), tf.constant(["b", "", "other"]))
    np.testing.assert_array_equal(out["mask"], [[True], [False], [True]])
    assert out["value"].numpy()[0] == 1 and out["value"].numpy()[2] == -1


@pytest.mark.parametrize("names", [["a", "b", "a"], [], [1, "1"]], ids=["twice", "none", "twice as text"])
def test_names_error_says_what_came(names):
    with pytest.raises(ValueError, match="Expected `names` to be a list of different strings, not empty. Received: names="):
        features.Label(names)


def test_und_is_zero_and_stands_for_all_others():
    language = features.Language(["de", "en"])
    assert language.names == ["und", "de", "en"]
    np.testing.assert_array_equal(language.featurize(tf.constant(["en", "de", "und", "", "xx"])), [2, 1, 0, 0, 0])


def test_und_may_be_named_anywhere():
    assert features.Language(["de", "und", "en"]).names == ["und", "de", "en"]
    assert features.Language().names == ["und"]
