import numpy as np
import pytest

from cross_modal.layers import CoOccurrence, SkipGram


def test_skip_gram_by_hand():
    """One row "a b | c": a and b foretell each other, c stands in another text; one wrong word, which counts for the two negatives."""
    layer = SkipGram(4, 2, negatives=2)
    words, texts, reach = np.array([[0, 1, 2, -1]], "int32"), np.array([[0, 0, 1, -1]], "int32"), np.full((1, 4), 3, "int32")
    wrong = np.array([[3]], "int32")
    layer(words, texts, reach, wrong)
    layer.vectors.assign([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0], [0.0, 0.0]])
    layer.others.assign([[1.0, 1.0], [2.0, 0.0], [7.0, 7.0], [-1.0, 0.5]])
    cost = float(np.asarray(layer(words, texts, reach, wrong))[0])

    def chance(score):
        return -np.log(1 / (1 + np.exp(-score)))

    # a to b: 2; b to a: 1; a and the wrong one: -1; b and the wrong one: 0.5.
    assert cost == pytest.approx(chance(2.0) + chance(1.0) + 2 * chance(1.0) + 2 * chance(-0.5), rel=1e-5)


def test_reach_is_how_far_a_word_looks():
    layer = SkipGram(3, 2)
    words, texts, wrong = np.array([[0, 1, 2]], "int32"), np.zeros((1, 3), "int32"), np.array([[0]], "int32")
    near, far = (float(np.asarray(layer(words, texts, np.full((1, 3), reach, "int32"), wrong))[0]) for reach in (1, 2))
    assert far == pytest.approx(near * 6 / 4, rel=1e-3)  # Six pairs in place of four; vectors of nearly nothing cost the same each.


def test_co_occurrence_by_hand():
    layer = CoOccurrence(2, 2)
    given = np.array([0]), np.array([1]), np.array([0.5], "float32"), np.array([0.25], "float32")
    layer(*given)
    layer.vectors.assign([[1.0, 2.0], [0.0, 0.0]])
    layer.others.assign([[0.0, 0.0], [3.0, -1.0]])
    layer.bias.assign([0.5, 0.0])
    layer.other_bias.assign([0.0, 1.0])
    assert float(np.asarray(layer(*given))[0]) == pytest.approx(0.25 * (1.0 + 0.5 + 1.0 - 0.5) ** 2)
