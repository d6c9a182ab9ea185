import functools

import cv2
import keras
import numpy as np
import pytest

from cross_modal import features, testing, towers
from cross_modal.towers.tower import check_patches


def _png(seed):
    return cv2.imencode(".png", np.random.default_rng(seed).integers(0, 255, (9, 20), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    "tower",
    [
        towers.image.mlp,
        towers.image.cnn,
        functools.partial(towers.image.cnn, normalization="layer"),
        functools.partial(towers.image.resnet, widths=(4, 8, 8), depth=1),
        functools.partial(towers.image.resnet, widths=(4, 8), depth=1, stem=2),
        functools.partial(towers.image.resnet, widths=(4, 8), depth=1, descriptors=4),
        functools.partial(towers.image.unet, widths=(4, 8), up=2),
        functools.partial(towers.image.descriptors, widths=(4,)),
    ],
    ids=["mlp", "cnn", "cnn, layer", "resnet", "resnet, stem", "resnet, descriptors", "unet", "descriptors"],
)
def test_keeps_its_contract(tower):
    testing.check_tower(tower, features.Image((8, 20), 1), [_png(0), _png(1)])


def test_kinds_of_patches_are_looked_for():
    """By `resnet` with `descriptors`, in the state that these make, and by `descriptors`."""
    kinds = [features.learn_patches([_png(0), _png(1)], 3, seed) for seed in (0, 1)]
    feature = features.Image((8, 20), 1, **kinds[0])
    tower = functools.partial(towers.image.resnet, widths=(4, 8), depth=1, descriptors=4)
    testing.check_tower(tower, feature, [_png(0), _png(1)])
    testing.check_feature(feature, [_png(0)])
    one, two = tower(feature, 8, "image"), tower(features.Image((8, 20), 1, **kinds[1]), 8, "image")
    two.set_weights([b if a.name in ("filters", "offsets") else a.numpy() for a, b in zip(one.weights, two.get_weights())])
    x = {"value": np.random.default_rng(0).uniform(size=(2, 8, 20, 1)).astype("float32"), "mask": np.ones((2, 1), bool), "language": np.zeros(2, "int32")}
    apart = np.abs(np.asarray(one(x)["states"]) - np.asarray(two(x)["states"])).max(axis=(0, 2))
    assert apart[-1] > 1e-3 and not apart[:-1].any()
    testing.check_tower(functools.partial(towers.image.descriptors, widths=(4,)), feature, [_png(0), _png(1)])


def test_patches_that_no_tower_looks_for_are_told():
    one, two = (features.Image((8, 20), 1, **features.learn_patches([_png(0), _png(1)], 3, seed)) for seed in (0, 1))
    looking, other = functools.partial(towers.image.resnet, widths=(4, 8), depth=1, descriptors=4), functools.partial(towers.image.resnet, widths=(4, 8), depth=1)
    check_patches(looking(one, 8, "image"), {"image": one, "small": features.Image((8, 20), 1)})
    check_patches(towers.image.descriptors(one, 8, "image"), {"image": one})
    for model, given in ((other(one, 8, "image"), {"photo": one}), (looking(one, 8, "image"), {"image": one, "photo": two})):
        with pytest.raises(ValueError, match="looks for the `patches` of photo: .* Change towers.photo, or leave out features.photo.patches"):
            check_patches(model, given)


@pytest.fixture(scope="module")
def described():
    return features.Descriptors(**features.learn_descriptors([_png(0), _png(1)], patches=3, fisher=0))


@pytest.mark.parametrize("tower", [towers.image.descriptors, functools.partial(towers.image.descriptors, widths=(8, 4), dropout=0.0), towers.image.mlp])
def test_towers_of_descriptors_keep_their_contract(tower, described):
    testing.check_tower(tower, described, [_png(0), _png(1)])


@pytest.mark.parametrize("tower", [towers.image.cnn, towers.image.resnet, towers.image.unet])
def test_towers_and_features_that_do_not_fit_are_told(tower, described):
    with pytest.raises(ValueError, match="feature of pixels; .* Received: Descriptors"):
        tower(described, 8, "image")


def test_no_convolution_of_one_pixel_has_strides():
    """Its gradient on a processor writes where it should not, which ends the process, once in a while."""
    for tower in (towers.image.cnn, towers.image.resnet, functools.partial(towers.image.resnet, stem=2), towers.image.unet):
        convolutions = [layer for layer in tower(features.Image((32, 32)), 8, "a")._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
        assert convolutions and all(max(one.strides) == 1 or min(one.kernel_size) > 1 for one in convolutions)


def test_number_of_cells():
    feature = features.Image((16, 24), 1)
    cells = {
        "mlp": towers.image.mlp(feature, 8, "a"),
        "cnn": towers.image.cnn(feature, 8, "b", widths=(4, 4)),
        "resnet": towers.image.resnet(feature, 8, "c", widths=(4, 4, 4)),
        "described": towers.image.resnet(feature, 8, "e", widths=(4, 4, 4), descriptors=4),
        "unet": towers.image.unet(feature, 8, "d", widths=(4, 4, 4), up=2),
    }
    assert {name: model.output["states"].shape[1] for name, model in cells.items()} == {"mlp": 1, "cnn": 4 * 6, "resnet": 4 * 6, "described": 4 * 6 + 1, "unet": 8 * 12}


def test_an_absent_picture_does_not_count_in_the_statistics():
    """Batch normalisation over the pictures that are there gives what it gives for them alone."""
    feature = features.Image((8, 8), 1)
    tower = towers.image.cnn(feature, 8, "image", widths=(4,), normalization="batch", dropout=0.0)
    draw = np.random.default_rng(0)
    real = draw.uniform(size=(3, 8, 8, 1)).astype("float32")

    def states(value, mask):
        return np.asarray(tower({"value": value, "mask": mask, "language": np.zeros(len(value), "int32")}, training=True)["states"])

    alone = states(real, np.ones((3, 1), bool))
    among = states(np.concatenate([real, np.zeros_like(real)]), np.array([[True]] * 3 + [[False]] * 3))
    np.testing.assert_allclose(among[:3], alone, atol=1e-4)


def test_unknown_normalization_is_told():
    with pytest.raises(ValueError, match="layer, batch or None. Received: normalization=group"):
        towers.image.cnn(features.Image((8, 8)), 8, "image", widths=(4,), normalization="group")


@pytest.mark.parametrize("size, up, words", [((8, 20), 1, "sides that 8 divides"), ((8, 24), 4, "`up` between 0")])
def test_unet_tells_what_does_not_fit(size, up, words):
    with pytest.raises(ValueError, match=words):
        towers.image.unet(features.Image(size), 8, "image", up=up)


def test_cnn_tells_where_something_stands():
    """The same spot at the left and at the right must not give the same set of states."""
    import keras

    keras.utils.set_random_seed(0)
    tower = towers.image.cnn(features.Image((8, 16), 1), 8, "image", widths=(4,))
    left = np.zeros((1, 8, 16, 1), "float32")
    left[0, 2:4, 2:4] = 1.0
    right = np.roll(left, 8, axis=2)
    x = {"mask": np.ones((1, 1), bool), "language": np.zeros(1, "int32")}
    a, b = (np.asarray(tower({"value": value, **x})["states"])[0] for value in (left, right))
    assert not np.allclose(np.sort(a, axis=0), np.sort(b, axis=0), atol=1e-4)


def test_too_small_a_picture_is_told():
    with pytest.raises(ValueError, match="at least 8 pixels a side for 3 halvings. Received: size=\\(4, 4\\)"):
        towers.image.cnn(features.Image((4, 4)), 8, "image")
