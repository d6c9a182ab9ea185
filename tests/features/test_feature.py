import numpy as np
import pytest
import tensorflow as tf

from cross_modal import features, testing


class Letters(features.Feature):
    """A feature with time: the code points of a string."""

    kind = "text"

    def __init__(self):
        super().__init__(name="letters")
        self.spec = tf.TensorSpec((None,), tf.int32)

    def featurize(self, raw):
        return tf.strings.unicode_decode(raw, "UTF-8")

    def config(self):
        return {}


class Size(features.Feature):
    """A feature without time: twice the number of bytes."""

    kind = "label"

    def __init__(self, factor=2):
        super().__init__(name="size")
        self.factor = factor
        self.spec = tf.TensorSpec((1,), tf.float32)

    def featurize(self, raw):
        return tf.cast(tf.strings.length(raw), tf.float32)[None] * self.factor

    def config(self):
        return {"factor": self.factor}


class Forgetful(Size):
    """Its config does not say all that it was built with."""

    def config(self):
        return {}


def test_a_feature_of_the_user_keeps_its_contract():
    testing.check_feature(Letters(), ["abc", "hello", "é"])
    testing.check_feature(Size(3), ["abc", "hello"])


def test_check_feature_sees_a_config_that_forgets():
    with pytest.raises(AssertionError, match="built from config"):
        testing.check_feature(Forgetful(3), ["abc", "hello"])


def test_check_feature_sees_what_is_no_feature():
    with pytest.raises(AssertionError, match="subclass of Feature, received str"):
        testing.check_feature("text", ["abc", "hello"])


def test_feature_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        features.Feature()


def test_has_time():
    assert Letters().has_time
    assert not Size().has_time


@pytest.mark.parametrize("run", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_batch_with_time_is_padded_and_masked(run):
    out = run(lambda raw: features.featurize_batch(Letters(), raw))(tf.constant(["ab", "", "é"]))
    np.testing.assert_array_equal(out["value"], [[97, 98], [0, 0], [233, 0]])
    np.testing.assert_array_equal(out["mask"], [[True, True], [False, False], [True, False]])


@pytest.mark.parametrize("run", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_batch_without_time_is_masked_per_item(run):
    out = run(lambda raw: features.featurize_batch(Size(), raw))(tf.constant(["ab", "", "abc"]))
    np.testing.assert_array_equal(out["value"], [[4], [0], [6]])
    np.testing.assert_array_equal(out["mask"], [[True], [False], [True]])


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_batch_of_absent_values_keeps_one_masked_step(rows):
    out = features.featurize_batch(Letters(), tf.constant([""] * rows, tf.string))
    assert out["value"].shape == out["mask"].shape == (rows, 1)
    assert not out["mask"].numpy().any()


def test_padding_does_not_change_with_the_company():
    alone = features.featurize_batch(Letters(), tf.constant(["ab"]))
    company = features.featurize_batch(Letters(), tf.constant(["ab", "abcdefgh"]))
    np.testing.assert_array_equal(company["value"][0][company["mask"][0]], alone["value"][0])


def test_views_are_ragged_in_time_only():
    views = features.featurize_views(Letters(), tf.constant(["ab", "", "xyz"]))
    assert views.to_list() == [[97, 98], [], [120, 121, 122]]
    np.testing.assert_array_equal(features.featurize_views(Size(), tf.constant(["ab", "xyz"])), [[4], [6]])


def test_no_views_at_all():
    views = features.featurize_views(Letters(), tf.constant([], tf.string))
    assert views.row_lengths().shape == (0,)
    assert features.featurize_views(Size(), tf.constant([], tf.string)).shape == (0, 1)
