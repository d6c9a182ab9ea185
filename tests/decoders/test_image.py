import functools

import numpy as np
import pytest

from cross_modal import decoders, testing
from cross_modal.features import Image


@pytest.mark.parametrize("function", [decoders.image.mlp, decoders.image.deconv, decoders.image.unet])
def test_keeps_its_contract(function):
    """Sides that no power of two divides are cut to size."""
    testing.check_view_decoder(functools.partial(function, widths=(6, 4)), Image(size=(9, 22), channels=3))


def test_grows_by_doublings():
    assert decoders.image.growing((9, 22), 3) == [(2, 3), (3, 6), (5, 11), (9, 22)]


def test_values_are_colours():
    made = decoders.image.deconv(Image(size=(8, 8), channels=1), 4, "made", widths=(4,))(100 * np.ones((1, 4), "float32"))["value"].numpy()
    assert made.min() >= 0.0 and made.max() <= 1.0


def test_too_small_a_picture_is_told():
    with pytest.raises(ValueError, match="sides of at least 8 for 3 doublings. Received: .6, 20."):
        decoders.image.unet(Image(size=(6, 20)), 8, "made")
