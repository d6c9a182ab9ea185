import functools

import keras
import numpy as np
import pytest

from cross_modal import features, testing, towers
from cross_modal.data.media import encode_wav


def _wav(seconds):
    return encode_wav(0.5 * np.random.default_rng(0).normal(size=int(16_000 * seconds)).astype("float32"))


@pytest.mark.parametrize("seconds", [(0.21, 0.3), (0.2, 0.33)])  # An odd and an even number of frames.
@pytest.mark.parametrize(
    "tower",
    [
        *(towers.audio.cnn, towers.audio.crnn, towers.audio.transformer),
        *(functools.partial(towers.audio.cnn, normalization=one) for one in ("layer", None)),
        functools.partial(towers.audio.cnn, standardized=True),
    ],
    ids=["cnn", "crnn", "transformer", "layer", "no normalization", "standardized"],
)
def test_keeps_its_contract(tower, seconds):
    testing.check_tower(tower, features.Audio(bins=16), [_wav(one) for one in seconds])


def test_odd_dim_is_told():
    with pytest.raises(ValueError, match="even `dim`.*Received: dim=7"):
        towers.audio.crnn(features.Audio(), 7, "audio")


def test_padding_does_not_count_in_the_statistics():
    """In training, too, a recording among longer ones gives what it gives alone."""
    tower = towers.audio.cnn(features.Audio(bins=16), 8, "audio", widths=(4, 4), dropout=0.0, languages=1)
    draw = np.random.default_rng(0)
    value = draw.normal(size=(3, 21, 16)).astype("float32")

    def states(value, mask):
        return np.asarray(tower({"value": value, "mask": mask, "language": np.zeros(len(value), "int32")}, training=True)["states"])

    alone = states(value, np.ones((3, 21), bool))
    padded = np.concatenate([value, draw.normal(size=(3, 11, 16)).astype("float32")], axis=1)
    among = states(padded, np.arange(32)[None].repeat(3, 0) < 21)
    np.testing.assert_allclose(among[:, : alone.shape[1]], alone, atol=1e-4)


def test_standardized_values_know_neither_loudness_nor_microphone():
    """A louder recording, in which each band is also weighed, is the same there; the padding does not count."""
    value, mask = np.random.default_rng(0).normal(size=(2, 9, 8)).astype("float32"), np.arange(9)[None] < np.array([[9], [5]])
    inputs = [keras.Input((None, 8)), keras.Input((None,), dtype="bool")]
    seen = keras.Model(inputs, towers.audio._standardized(inputs[0][..., None], inputs[1]))
    a, b = np.asarray(seen([value, mask])), np.asarray(seen([3 * value + np.arange(8, dtype="float32"), mask]))
    np.testing.assert_allclose(a, b, atol=2e-3)
    np.testing.assert_allclose(a[1, :5].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(a[1, :5].std(), 1, atol=2e-3)
    assert not a[1, 5:].any()
