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
    assert found.shape == (Descriptors.histograms,) and not found[:COARSE].any()
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
    assert np.isfinite(described(grey)).all() and described(draw.uniform(size=(100, 130, 3))).shape == (Descriptors.histograms,)


def with_patches(filters, offsets):
    layer = Descriptors(patches=len(offsets))
    layer.build((None, None, None, 3))
    layer.set_patches(filters, offsets)
    return layer


@pytest.mark.parametrize("size", [48, 96])
def test_a_kind_of_patch_is_found_where_it_is(size):
    """Of two filters the one that is an edge to the right answers where the picture has one, in the middle of three columns, and the other
    nowhere."""
    right = np.tile(np.sign(np.arange(6) - 2.5)[None, :, None], (6, 1, 3))
    filters = np.stack([right, np.rot90(right)], axis=-1) / 6**0.5
    picture = np.zeros((1, size, size, 3), np.float32)
    picture[:, :, size // 2 :] = 1.0
    found = np.asarray(with_patches(filters, np.zeros(2))(picture))[0, Descriptors.histograms :].reshape(3, 3, 2)
    assert (found[:, 1, 0] > 0.1).all() and not found[:, [0, 2]].any() and not found[:, :, 1].any()


def test_patches_by_taking_each_apart():
    draw = np.random.default_rng(0)
    picture, filters, offsets = draw.uniform(size=(48, 48, 3)), draw.normal(size=(6, 6, 3, 4)), draw.normal(size=4)
    filters -= filters.mean(axis=(0, 1, 2))
    found, places = np.asarray(with_patches(filters, offsets)(picture.astype(np.float32)[None]))[0, Descriptors.histograms :].reshape(3, 3, 4), range(0, 43, 2)
    patches = np.stack([[picture[y : y + 6, x : x + 6] for x in places] for y in places])  # (22, 22, 6, 6, 3)
    normal = (patches - patches.mean(axis=(2, 3, 4), keepdims=True)) / np.sqrt(patches.var(axis=(2, 3, 4), keepdims=True) + (10 / 255) ** 2)
    answers = np.maximum(np.einsum("yxhwc,hwck->yxk", normal, filters) + offsets - 1.0, 0.0)
    cells = [slice(0, 7), slice(7, 15), slice(15, 22)]
    np.testing.assert_allclose(found**2, [[answers[y, x].mean(axis=(0, 1)) for x in cells] for y in cells], rtol=1e-3, atol=1e-3)


def test_it_is_saved_and_compiled():
    inputs, draw = keras.Input((16, 24, 3)), np.random.default_rng(0)
    layer = Descriptors(patches=3)
    model = keras.Model(inputs, layer(inputs))
    layer.set_patches(draw.normal(size=(6, 6, 3, 3)), draw.normal(size=3))
    picture = draw.integers(0, 2, (2, 16, 24, 3)).astype("float32")
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert not model.trainable_weights
    np.testing.assert_array_equal(again(picture), model(picture))
    model.compile(jit_compile=True)
    np.testing.assert_allclose(model.predict(picture, verbose=0), model(picture), atol=1e-4)
