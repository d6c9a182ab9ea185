import cv2
import numpy as np
import pytest

from cross_modal import features, testing, towers


def _png(seed):
    return cv2.imencode(".png", np.random.default_rng(seed).integers(0, 255, (9, 20), np.uint8))[1].tobytes()


def test_cnn_keeps_its_contract():
    testing.check_tower(towers.cnn, features.Image((8, 20), 1), [_png(0), _png(1)])


def test_cnn_tells_where_something_stands():
    """The same spot at the left and at the right must not give the same set of states."""
    import keras

    keras.utils.set_random_seed(0)
    tower = towers.cnn(features.Image((8, 16), 1), 8, "image", widths=(4,))
    left = np.zeros((1, 8, 16, 1), "float32")
    left[0, 2:4, 2:4] = 1.0
    right = np.roll(left, 8, axis=2)
    x = {"mask": np.ones((1, 1), bool), "language": np.zeros(1, "int32")}
    a, b = (np.asarray(tower({"value": value, **x})["states"])[0] for value in (left, right))
    assert not np.allclose(np.sort(a, axis=0), np.sort(b, axis=0), atol=1e-4)


def test_too_small_a_picture_is_told():
    with pytest.raises(ValueError, match="at least 8 pixels a side for 3 stages. Received: size=\\(4, 4\\)"):
        towers.cnn(features.Image((4, 4)), 8, "image")
