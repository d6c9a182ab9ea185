import numpy as np
import pytest

from cross_modal import features, testing, towers
from cross_modal.data.media import encode_wav


def _wav(seconds):
    return encode_wav(0.5 * np.random.default_rng(0).normal(size=int(16_000 * seconds)).astype("float32"))


@pytest.mark.parametrize("seconds", [(0.21, 0.3), (0.2, 0.33)])  # An odd and an even number of frames.
@pytest.mark.parametrize("tower", [towers.audio.cnn, towers.audio.crnn, towers.audio.transformer])
def test_keeps_its_contract(tower, seconds):
    testing.check_tower(tower, features.Audio(bins=16), [_wav(one) for one in seconds])


def test_odd_dim_is_told():
    with pytest.raises(ValueError, match="even `dim`.*Received: dim=7"):
        towers.audio.crnn(features.Audio(), 7, "audio")
