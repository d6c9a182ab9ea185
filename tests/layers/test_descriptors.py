import colorsys

import keras
import numpy as np
import pytest

from cross_modal.layers import Descriptors

FINE, COARSE, COLOURS, PLACED, TEXTURES, THUMBNAIL = np.cumsum([8 * 8 * 9, 4 * 4 * 9, 108, 4 * 4 * 108, 4 * 256, 8 * 8 * 3])


def described(picture):
    return np.asarray(Descriptors()(np.asarray(picture, np.float32)[None]))[0]


def test_of_one_colour():
    """No gradient; one colour; each pixel as bright as all around it."""
    found = described(np.full((32, 32, 3), (0.2, 0.4, 0.6)))
    assert found.shape == (Descriptors.size,) and not found[:COARSE].any()
    place = (int(12 * 210 / 360) * 3 + int(3 * (0.4 / 0.6))) * 3 + int(3 * 0.6)
    for shares in (found[COARSE:COLOURS], *found[COLOURS:PLACED].reshape(16, 108)):
        assert shares[place] == 1.0 and shares.sum() == 1.0
    assert (found[PLACED:TEXTURES].reshape(4, 256) == np.eye(256)[255]).all()
    np.testing.assert_allclose(found[TEXTURES:].reshape(64, 3), [[0.2, 0.4, 0.6]] * 64, rtol=1e-6)


@pytest.mark.parametrize("turn, near, value", [(0, [0, 8], (1.0 / (1.0 + 1.0 + 1.0) ** 0.5) ** 0.5), (1, [4], (2.0 / (4.0 + 1.0) ** 0.5) ** 0.5)])
def test_directions_of_an_edge(turn, near, value):
    """A gradient to the right is half of the first and half of the last of nine directions, one down the middle one; it stands in the two columns or rows of cells around it,
    in each with half a brightness at four pixels."""
    picture = np.zeros((32, 32, 3))
    picture[:, 16:] = 0.5
    cells = np.rot90(described(np.rot90(picture, turn))[:FINE].reshape(8, 8, 9), -turn)
    assert np.flatnonzero(cells[4, 3]).tolist() == near == np.flatnonzero(cells[4, 4]).tolist()
    assert cells[:, 3:5].any(axis=2).all() and not cells[:, :3].any() and not cells[:, 5:].any()
    np.testing.assert_allclose(cells[4, 3][near], value, rtol=1e-6)


def test_colours_and_textures_by_counting():
    picture = np.asarray(keras.ops.image.resize(np.random.default_rng(0).uniform(size=(5, 5, 3)).astype("float32"), (32, 32)))
    found = described(picture)
    half, shares = picture.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3)), np.zeros((16, 108))
    for (row, column), _ in np.ndenumerate(half[..., 0]):
        parts = (min(int(one * count), count - 1) for one, count in zip(colorsys.rgb_to_hsv(*map(float, half[row, column])), (12, 3, 3)))
        hue, saturation, brightness = parts
        shares[row // 4 * 4 + column // 4, (hue * 3 + saturation) * 3 + brightness] += 1 / 16
    np.testing.assert_allclose(found[COLOURS:PLACED].reshape(16, 108) ** 2, shares, atol=1e-6)
    np.testing.assert_allclose(found[COARSE:COLOURS] ** 2, shares.mean(axis=0), atol=1e-6)
    grey, patterns = np.pad(picture @ np.array([0.299, 0.587, 0.114], np.float32), 1, mode="edge"), np.zeros((4, 256))
    for row in range(32):
        for column in range(32):
            around = np.delete(grey[row : row + 3, column : column + 3].ravel(), 4) >= grey[row + 1, column + 1]
            patterns[row // 16 * 2 + column // 16, (around * 2 ** np.arange(8)).sum()] += 1 / 256
    np.testing.assert_allclose(found[PLACED:TEXTURES].reshape(4, 256) ** 2, patterns, atol=1e-6)


def test_any_size_and_grey():
    draw = np.random.default_rng(0)
    grey = draw.uniform(size=(9, 50, 1))
    np.testing.assert_allclose(described(grey), described(np.repeat(grey, 3, axis=2)), atol=1e-6)  # Processors sum in other orders.
    assert np.isfinite(described(grey)).all() and described(draw.uniform(size=(100, 130, 3))).shape == (Descriptors.size,)


def test_it_is_saved_and_compiled():
    inputs = keras.Input((16, 24, 3))
    model = keras.Model(inputs, Descriptors()(inputs))
    picture = np.random.default_rng(0).integers(0, 2, (2, 16, 24, 3)).astype("float32")
    again = keras.Model.from_config(model.get_config())
    np.testing.assert_array_equal(again(picture), model(picture))
    model.compile(jit_compile=True)
    np.testing.assert_allclose(model.predict(picture, verbose=0), model(picture), atol=1e-4)
