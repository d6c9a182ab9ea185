"""Encoded pictures to pixels as they are meant to be seen: upright, and what is transparent over white."""

import tensorflow as tf

_PNG, _JPEG, _GIF, _BMP = b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM"
_LARGEST = 50_000_000  # Pixels: more would take all memory.
_EARLY = 256  # Bytes of a JPEG in which its EXIF data begin, if it has some.
_SEGMENT = 2**16  # Bytes of EXIF data at most.
_EXIF, _ORIENTATION = b"Exif\0\0", 0x0112


@tf.function(input_signature=[tf.TensorSpec((), tf.string)])  # So many formats make a large graph: it is traced once.
def decode_picture(raw):
    """Decodes a JPEG, PNG, GIF (first frame) or BMP, as TensorFlow graph code.

    Args:
        raw: bytes, string `()`.

    Returns:
        float32 `(height, width, 3)` between 0 and 1. A file that is no picture, or one of more than 50 million pixels, raises `tf.errors.InvalidArgumentError`.

    Source:
        CIPA DC-008-2012 (Exif 2.3), section 4.6.4, for how cameras say which side is up.
    """
    begins = tf.strings.substr(raw, 0, 4)
    jpeg, bitmap = tf.strings.substr(begins, 0, 3) == _JPEG, tf.strings.substr(begins, 0, 2) == _BMP
    with tf.control_dependencies([_check_area(raw, begins, jpeg, bitmap)]):
        raw = tf.identity(raw)

    def others():
        return tf.cast(tf.io.decode_image(raw, channels=3, expand_animations=False), tf.float32) / 255.0  # It decodes GIF to three channels only.

    pixels = tf.cond(begins == _PNG, lambda: _over_white(raw), lambda: tf.cond(bitmap, lambda: _bitmap(raw), others))
    return tf.cond(jpeg, lambda: _upright(pixels, raw), lambda: pixels)


def _check_area(raw, begins, jpeg, bitmap):
    """Reads from its first bytes how large a picture is, before memory is taken for it."""

    def sides(place, size, little):
        """Two numbers of some bytes each, one behind the other."""
        data = tf.cast(tf.io.decode_raw(_header(raw, place, 2 * size), tf.uint8), tf.int64)
        powers = tf.constant([256**power for power in (range(size) if little else reversed(range(size)))], tf.int64)
        numbers = tf.reduce_sum(tf.reshape(data, (2, size)) * powers, 1)
        return tf.where(numbers < 2**31, numbers, 2**32 - numbers) if size == 4 else numbers  # The height of a bitmap that begins above is negative.

    found = tf.cond(jpeg, lambda: tf.cast(tf.image.extract_jpeg_shape(raw)[:2], tf.int64), lambda: tf.ones(2, tf.int64))
    for told, read in ((begins == _PNG, lambda: sides(16, 4, False)), (begins == _GIF, lambda: sides(6, 2, True)), (bitmap, lambda: sides(18, 4, True))):
        found = tf.cond(told, read, lambda found=found: found)
    words = f"Expected a picture of at most {_LARGEST:,} pixels. Received sides of"
    return tf.debugging.Assert((tf.reduce_max(found) <= _LARGEST) & (tf.reduce_prod(found) <= _LARGEST), [words, found])


def _header(raw, place, size):
    """Some bytes of a file, zeros where it has ended."""
    data = tf.strings.join([raw, b"\0" * (place + size)])
    return tf.strings.substr(data, place, size)


def _over_white(raw):
    pixels = tf.io.decode_png(raw, channels=4)
    bits = tf.cast(tf.io.decode_raw(_header(raw, 24, 1), tf.uint8)[0], tf.int32)
    # Where there is no transparency TensorFlow fills in the largest number of as many bits as the file has, not of eight.
    filled = (bits < 8) & tf.reduce_all(tf.cast(pixels[:, :, 3], tf.int32) == tf.bitwise.left_shift(1, tf.minimum(bits, 8)) - 1)
    pixels = tf.cast(pixels, tf.float32) / 255.0
    solid = tf.where(filled, 1.0, pixels[:, :, 3:])
    return pixels[:, :, :3] * solid + (1.0 - solid)


def _bitmap(raw):
    """A BMP of 24 or 32 bits, or of 8, whose numbers TensorFlow takes for shades of grey where they stand for colours of a list."""
    bits, packing = (tf.io.decode_raw(_header(raw, place, 2), tf.uint16)[0] for place in (28, 30))

    def listed():
        start = 14 + tf.io.decode_raw(_header(raw, 14, 4), tf.int32)[0]
        colours = tf.reshape(tf.io.decode_raw(tf.strings.substr(tf.strings.join([raw, b"\0" * 1024]), start, 1024), tf.uint8), (256, 4))[:, 2::-1]  # Of blue, green, red.
        with tf.control_dependencies([tf.debugging.Assert(packing == 0, ["Expected a BMP that is not packed. Received packing", packing])]):
            return tf.gather(colours, tf.cast(tf.image.decode_bmp(raw)[:, :, 0], tf.int32))

    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_any(bits == [8, 24, 32]), ["Expected a BMP of 8, 24 or 32 bits. Received one of", bits])]):
        bits = tf.identity(bits)
    pixels = tf.cond(bits == 8, listed, lambda: tf.io.decode_image(raw, channels=3, expand_animations=False))
    return tf.cast(pixels, tf.float32) / 255.0


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
