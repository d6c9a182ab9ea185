"""Encoded pictures to pixels as they are meant to be seen: upright, and what is transparent over white."""

import tensorflow as tf

_PNG, _JPEG = b"\x89PNG", b"\xff\xd8\xff"
_EARLY = 256  # Bytes of a JPEG in which its EXIF data begin, if it has some.
_SEGMENT = 2**16  # Bytes of EXIF data at most.
_EXIF, _ORIENTATION = b"Exif\0\0", 0x0112


def decode_picture(raw):
    """Decodes a JPEG, PNG, GIF (first frame) or BMP, as TensorFlow graph code.

    Args:
        raw: bytes, string `()`.

    Returns:
        float32 `(height, width, 3)` between 0 and 1. A file that is no picture raises `tf.errors.InvalidArgumentError`.

    Source:
        CIPA DC-008-2012 (Exif 2.3), section 4.6.4, for how cameras say which side is up.
    """
    begins = tf.strings.substr(raw, 0, 4)
    jpeg = tf.strings.substr(begins, 0, 3) == _JPEG

    def others():
        return tf.cast(tf.io.decode_image(raw, channels=3, expand_animations=False), tf.float32) / 255.0  # It decodes BMP and GIF to three channels only.

    pixels = tf.cond(begins == _PNG, lambda: _over_white(raw), others)
    return tf.cond(jpeg, lambda: _upright(pixels, raw), lambda: pixels)


def _over_white(raw):
    pixels = tf.cast(tf.io.decode_png(raw, channels=4), tf.float32) / 255.0
    return pixels[:, :, :3] * pixels[:, :, 3:] + (1.0 - pixels[:, :, 3:])


def _upright(pixels, raw):
    early = tf.strings.substr(raw, 0, tf.minimum(_EARLY, tf.strings.length(raw)))
    place = tf.strings.length(tf.strings.split(early, _EXIF)[0])
    turned = tf.cond(place < tf.strings.length(early), lambda: _orientation(raw, place + len(_EXIF)), lambda: 1)
    pixels = tf.cond(turned >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    pixels = tf.cond(tf.reduce_any(turned == [2, 3, 6, 7]), lambda: pixels[:, ::-1], lambda: pixels)
    return tf.cond(tf.reduce_any(turned == [3, 4, 7, 8]), lambda: pixels[::-1], lambda: pixels)


def _orientation(raw, start):
    """Which of eight ways a picture lies, 1 for upright, by EXIF data that begin with their byte order at `start`."""
    length = tf.minimum(_SEGMENT, tf.strings.length(raw) - start)
    data = tf.pad(tf.cast(tf.io.decode_raw(tf.strings.substr(raw, start, length), tf.uint8), tf.int32), [[0, 16]])
    little = data[0] == ord("I")

    def number(values):
        """Of two bytes `(..., 2)`."""
        return tf.where(little, values[..., 0] + 256 * values[..., 1], values[..., 1] + 256 * values[..., 0])

    # Where the first list of entries, of 12 bytes each, is: no further than two bytes can say.
    first = tf.minimum(number(tf.where(little, data[4:6], data[6:8])), length)
    entries = data[first + 2 : first + 2 + 12 * number(data[first : first + 2])]
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], (-1, 12))
    found = tf.boolean_mask(number(entries[:, 8:10]), number(entries[:, :2]) == _ORIENTATION)
    found = tf.concat([found, [1]], 0)[0]
    return tf.where((found >= 1) & (found <= 8), found, 1)
