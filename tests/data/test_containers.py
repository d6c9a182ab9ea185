import struct

import cv2
import numpy as np
import pytest

from cross_modal.data import containers

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def encode(pixels, extension):
    return cv2.imencode(extension, pixels)[1].tobytes()


def test_a_png_ends_where_its_chunks_do():
    raw = encode(PICTURE, ".png")
    assert not containers.cut_picture(raw, "PNG", None)
    assert not containers.cut_picture(raw + b"more", "PNG", None)
    for cut in range(8, len(raw)):
        assert containers.cut_picture(raw[:cut], "PNG", None)
    place = raw.find(b"IDAT") - 4
    for length in (2**31 - 1, 2**32 - 1, len(raw)):
        assert containers.cut_picture(raw[:place] + struct.pack(">I", length) + raw[place + 4 :], "PNG", None)


@pytest.mark.parametrize("extension, form", [(".png", "PNG"), (".jpg", "JPEG"), (".tiff", "TIFF"), (".bmp", "BMP"), (".webp", "WebP"), (".ppm", "PNM")])
def test_headers_say_how_large_a_picture_is(extension, form):
    raw = encode(PICTURE, extension)
    assert containers.sniff(raw) == form
    assert containers.read_header(raw, form).size == (30, 20)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.int16])
def test_headers_of_tiff_of_any_depth(kind):
    header = containers.read_header(encode(PICTURE.astype(kind), ".tiff"), "TIFF")
    assert header.size == (30, 20)
    assert not containers.cut_picture(encode(PICTURE.astype(kind), ".tiff"), "TIFF", header)
    assert containers.cut_picture(encode(PICTURE.astype(kind), ".tiff")[:500], "TIFF", header)


@pytest.mark.parametrize("raw, form", [(b"\x89PNG\r\n\x1a\n", "PNG"), (b"II*\0" + bytes(20), "TIFF"), (b"II*\0\xff\xff\xff\xff", "TIFF"), (b"GIF89a", "GIF")])
def test_damaged_headers_are_an_exception(raw, form):
    with pytest.raises(Exception):  # noqa: B017
        containers.read_header(raw, form)


def test_a_place_before_the_beginning_is_no_error():
    """A damaged header of an MP3 or a CAF may ask for one."""
    file = containers.Content(b"abc")
    file.seek(2)
    assert file.seek(-5) == 2 and file.read() == b"c"
