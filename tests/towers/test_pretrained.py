import functools

import cv2
import keras
import numpy as np
import pytest

from cross_modal import features, testing, towers
from cross_modal.data.media import encode_wav


def _png(seed):
    return cv2.imencode(".png", np.random.default_rng(seed).integers(0, 255, (40, 40, 3), np.uint8))[1].tobytes()


def _model(shape=(8, 8, 3), flat=False):
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, strides=2)(inputs)
    x = keras.layers.BatchNormalization()(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x) if flat else x)


def make_model():
    """What `module:function` names in a test."""
    return _model()


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("flat, cells", [(False, 9), (True, 1)])
def test_any_model_keeps_the_contract(flat, cells, trainable):
    tower = functools.partial(towers.image.pretrained, model=_model(flat=flat), trainable=trainable)
    assert tower(features.Image((8, 8)), 16, "image").output["states"].shape == (None, cells, 16)
    testing.check_tower(tower, features.Image((8, 8)), [_png(0), _png(1)])


def test_a_model_of_sequences():
    inputs = keras.Input((None, 16))
    model = keras.Model(inputs, keras.layers.Conv1D(4, 1)(inputs))
    wavs = [encode_wav(0.5 * np.random.default_rng(0).normal(size=size).astype("float32")) for size in (3200, 4800)]
    testing.check_tower(functools.partial(towers.audio.pretrained, model=model, trainable=True), features.Audio(bins=16), wavs)


def test_frozen_weights_and_statistics_stay():
    model = _model()
    tower = towers.image.pretrained(features.Image((8, 8)), 8, "image", model=model)
    assert len(tower.trainable_weights) == 4  # Of the projection and its normalisation.
    before = [weight.numpy() for weight in model.weights]
    x = {"value": np.random.default_rng(0).uniform(size=(4, 8, 8, 3)), "mask": np.ones((4, 1), bool), "language": np.zeros(4, "int32")}
    tower(x, training=True)
    for old, weight in zip(before, model.weights):
        np.testing.assert_array_equal(old, weight.numpy())


def test_keras_applications_by_name():
    """Grey pictures become coloured, and of the range that the model was trained on."""
    tower = towers.image.pretrained(features.Image((32, 32), 1), 8, "image", model="keras.applications:MobileNet", weights=None)
    (backbone,) = (layer for layer in tower.layers if layer.name.startswith("mobilenet"))
    seen = keras.Model(tower.input["value"], backbone._inbound_nodes[-1].arguments.args[0])
    found = np.asarray(seen(np.stack([np.zeros((32, 32, 1)), np.ones((32, 32, 1))]).astype("float32")))
    assert found.shape == (2, 32, 32, 3) and (found[0] == -1).all() and (found[1] == 1).all()
    assert tower.output["states"].shape == (None, 1, 8)
    small = towers.image.pretrained(features.Image((24, 40), 1), 8, "image", model="keras.applications:MobileNet", weights=None)
    assert small.output["states"].shape == (None, 1, 8), "pictures that are too small are enlarged"


def test_a_file_and_a_function(tmp_path):
    model = _model()
    model.save(tmp_path / "m.keras")
    x = {"value": np.random.default_rng(0).uniform(size=(2, 8, 8, 3)), "mask": np.ones((2, 1), bool), "language": np.zeros(2, "int32")}
    for name in (str(tmp_path / "m.keras"), f"{__name__}:make_model"):
        assert towers.image.pretrained(features.Image((8, 8)), 8, "image", model=name)(x)["states"].shape == (2, 9, 8)


@pytest.mark.parametrize(
    "model, words",
    [
        ("resnet", "Expected keras.applications:NAME"),
        ("keras.applications:ResNot", "ResNet50.*Received: ResNot"),
        ("no_such_module:f", "No module named 'no_such_module'"),
        ("math:f", "has no attribute 'f'"),
    ],
)
def test_what_is_no_model_is_told(model, words):
    with pytest.raises(ValueError, match=words):
        towers.image.pretrained(features.Image((32, 32)), 8, "image", model=model)


def test_what_cannot_be_trained_is_told(monkeypatch):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 1, strides=2, name="skip")])
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    with pytest.warns(UserWarning, match="of 1 pixel with strides, such as skip. Start Python with TF_ENABLE_ONEDNN_OPTS=0"):
        towers.image.pretrained(features.Image((8, 8)), 8, "image", model=model, trainable=True)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    towers.image.pretrained(features.Image((8, 8)), 8, "image", model=model, trainable=True)
