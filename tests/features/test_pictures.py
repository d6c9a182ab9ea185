import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

from cross_modal.data import media
from cross_modal.features import Image, pictures
from cross_modal.features.pictures import decode_picture


def corners():
    """A picture of which no turn or mirror image is like another."""
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:20, :32], pixels[20:, 32:], pixels[:10, 50:] = (255, 0, 0), (0, 0, 255), 255
    return pixels


def encoded(pixels, form, **options):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def decoded(raw):
    return decode_picture(tf.constant(raw)).numpy()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("way", range(10))
def test_photos_are_turned_upright(way, order):
    exif = PIL.Image.Exif()
    exif.endian, exif[0x010F], exif[0x0112] = order, "a maker of cameras", way
    raw = encoded(corners(), "JPEG", exif=exif, quality=95)
    upright = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(raw)))) / 255
    assert decoded(raw).shape == upright.shape
    np.testing.assert_allclose(decoded(raw), upright, atol=0.06)  # Decoders of JPEG differ by a little.


def test_they_lie_as_in_training():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    raw, feature = encoded(corners(), "JPEG", exif=exif, quality=95), Image((20, 32), fit="stretch")
    np.testing.assert_allclose(feature.featurize(tf.constant(raw)), feature.featurize(tf.constant(media.canonical_image(raw, media.Limits()))), atol=0.1)


@pytest.mark.parametrize("cut", [b"Exif\0\0", b"Exif\0\0MM", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0" + bytes(30)])
def test_broken_exif_data_say_nothing(cut):
    raw = encoded(corners(), "JPEG")
    segment = b"\xff\xe1" + (2 + len(cut)).to_bytes(2, "big") + cut
    np.testing.assert_array_equal(decoded(raw[:2] + segment + raw[2:]), decoded(raw))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0, :, 3], pixels[1, 0, 3] = 255, 51
    raw = encoded(np.asarray(PIL.Image.fromarray(pixels).convert(mode)), "PNG")
    np.testing.assert_allclose(decoded(raw)[:, :, 0], [[0, 0, 0], [0.8, 1, 1]], atol=1e-6)
    np.testing.assert_allclose(decoded(raw), decoded(media.canonical_image(raw, media.Limits())), atol=0.003)


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF"])
def test_others_are_as_they_are(form):
    np.testing.assert_allclose(decoded(encoded(corners(), form)) * 255, corners(), atol=0.01)


@pytest.mark.parametrize("raw", [b"no picture", b"\x89PNG", b"\xff\xd8\xff", b"x"])
def test_what_is_no_picture_is_told(raw):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(raw)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_pictures_of_few_bits_are_as_in_training(bits, transparent):
    """Their transparency is told in as many bits as they have, where they have one."""
    colours = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)).quantize(2**bits if bits < 8 else 200)
    file = io.BytesIO()
    colours.save(file, "PNG", bits=bits, **({"transparency": 0} if transparent else {}))
    np.testing.assert_allclose(decoded(file.getvalue()), decoded(media.canonical_image(file.getvalue(), media.Limits())), atol=0.003)
    grey = encoded(np.array([[0, 255, 255]], bool), "PNG")
    assert decoded(grey)[0, :, 0].tolist() == [0, 1, 1]


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "RGBA"])
def test_bitmaps_are_as_in_training(mode):
    picture, file = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)), io.BytesIO()
    (picture.quantize(200) if mode == "P" else picture.convert(mode)).save(file, "BMP")
    np.testing.assert_allclose(decoded(file.getvalue()), decoded(media.canonical_image(file.getvalue(), media.Limits())), atol=0.003)


def test_a_bitmap_of_one_bit_is_told():
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected a BMP of 8, 24 or 32 bits. Received one of"):
        decoded(encoded(np.eye(3, dtype=bool), "BMP"))


@pytest.mark.parametrize("form", ["PNG", "BMP", "GIF", "JPEG"])
def test_a_huge_picture_is_told_before_it_takes_memory(form, monkeypatch):
    monkeypatch.setattr(pictures, "_LARGEST", 200)
    raw, small = (tf.constant(encoded(np.zeros((10, width), np.uint8), form)) for width in (21, 20))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected a picture of at most 200 pixels. Received sides of"):
        decode_picture.python_function(raw)  # The graph has the other bound.
    assert decode_picture.python_function(small).shape == (10, 20, 3)
