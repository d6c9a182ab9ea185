import keras
import numpy as np
import pytest

from cross_modal.layers import PositionEncoding, transformer_block, visible_steps


def test_positions_by_hand():
    added = np.asarray(PositionEncoding()(np.zeros((1, 3, 4), "float32")))[0]
    rates = [1.0, 0.01]
    expected = [[np.sin(place * rate) for rate in rates] + [np.cos(place * rate) for rate in rates] for place in range(3)]
    np.testing.assert_allclose(added, expected, atol=1e-6)


def test_positions_of_an_odd_size():
    assert np.asarray(PositionEncoding()(np.zeros((2, 3, 5), "float32"))).shape == (2, 3, 5)


def test_where_nothing_is_real_all_is_visible():
    found = np.asarray(visible_steps(np.array([[True, False], [False, False]])))
    assert found.tolist() == [[[True, False]], [[True, True]]]


def test_a_block_adds_to_its_input_and_reads_what_is_visible():
    inputs, mask = keras.Input((None, 8)), keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, mask], transformer_block(inputs, visible_steps(mask), 2, 0.0))
    x = np.random.default_rng(0).normal(size=(1, 4, 8)).astype("float32")
    real = np.array([[True, True, True, False]])
    other = x.copy()
    other[0, 3] = 9.0
    np.testing.assert_allclose(np.asarray(model([x, real]))[0, :3], np.asarray(model([other, real]))[0, :3], atol=1e-5)
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            weight.assign(np.zeros(weight.shape))
    np.testing.assert_allclose(np.asarray(model([x, real])), x, atol=1e-6)


def test_heads_that_do_not_divide_are_told():
    with pytest.raises(ValueError, match="Received: heads=3, dim=8"):
        transformer_block(keras.Input((None, 8)), None, 3, 0.0)
