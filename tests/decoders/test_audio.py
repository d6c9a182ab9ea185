import functools

import pytest

from cross_modal import decoders, testing
from cross_modal.features import Audio


def test_keeps_its_contract():
    testing.check_view_decoder(functools.partial(decoders.audio.deconv, widths=(6, 4)), Audio(bins=10, hop_ms=20, seconds=0.5))


def test_too_few_frames_are_told():
    with pytest.raises(ValueError, match="at least 8 for 3 doublings. Received: .6, 40."):
        decoders.audio.deconv(Audio(bins=40, hop_ms=20, seconds=0.1), 8, "made")
