"""Encoded image bytes to pixels."""

import tensorflow as tf

from cross_modal.features.descriptors import unpack_patches
from cross_modal.features.feature import Feature
from cross_modal.features.pictures import decode_picture


class Image(Feature):
    """Decodes a JPEG, PNG, GIF (first frame) or BMP, upright and over white, and fits it into a fixed size.

    Args:
        size: `(height, width)` in pixels.
        channels: 1 for grey, 3 for RGB.
        fit: "pad" keeps the proportions and all of the picture, with black where it does not fill the size; "crop" keeps the proportions and the middle; "stretch" keeps all
            of the picture and fills the size.
        filters: with `offsets`, kinds of patches that a tower may look for, as `learn_patches` finds them; None for none.
        offsets: see `filters`.

    Attributes:
        patches: None, or the pair of arrays of `unpack_patches`.

    Returns:
        `featurize` returns float32 `(height, width, channels)` between 0 and 1.

    Raises:
        ValueError: if `size`, `channels` or `fit` is not as described. A file that is no picture raises `tf.errors.InvalidArgumentError`.
    """

    kind = "image"

    def __init__(self, size=(64, 64), channels=3, fit="pad", filters=None, offsets=None):
        super().__init__(name="image")
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"Expected `size` to be two positive numbers of pixels, height and width. Received: size={size}")
        if channels not in (1, 3):
            raise ValueError(f"Expected `channels` to be 1 (grey) or 3 (RGB). Received: channels={channels}")
        if fit not in ("pad", "crop", "stretch"):
            raise ValueError(f"Expected `fit` to be pad, crop or stretch. Received: fit={fit}")
        self.fit = fit
        self.size = (int(size[0]), int(size[1]))
        self.channels = channels
        self._kinds = {} if filters is None else {"filters": filters, "offsets": offsets}
        self.patches = unpack_patches(**self._kinds) if self._kinds else None
        self.spec = tf.TensorSpec((*self.size, channels), tf.float32)

    def featurize(self, raw):
        pixels = decode_picture(raw)
        if self.channels == 1:
            pixels = tf.image.rgb_to_grayscale(pixels)
        if self.fit == "pad":
            pixels = _padded(pixels, self.size)
        else:
            pixels = _middle(pixels, self.size) if self.fit == "crop" else pixels
            pixels = tf.image.resize(pixels, self.size, method="bilinear", antialias=True)
        return tf.ensure_shape(pixels, self.spec.shape)

    def config(self):
        return {"size": list(self.size), "channels": self.channels, "fit": self.fit, **self._kinds}


def _padded(pixels, size):
    """A picture as large as fits into a size, in its middle; `tf.image.resize_with_pad` cannot have one that is so thin that nothing would be left of it."""
    given = tf.cast(tf.shape(pixels)[:2], tf.float32)
    inner = given / tf.reduce_max(given / size)
    above, before = tf.unstack(tf.cast((size - inner) / 2, tf.int32))
    inner = tf.maximum(tf.cast(inner + 1e-3, tf.int32), 1)  # What is 48 may be 47.999996 after two divisions.
    pixels = tf.image.resize(pixels, inner, method="bilinear", antialias=True)
    return tf.image.pad_to_bounding_box(pixels, above, before, *size)


def _middle(pixels, size):
    """The largest part of a picture, around its middle, that has the proportions of a size."""
    height, width = tf.cast(tf.shape(pixels)[0], tf.float32), tf.cast(tf.shape(pixels)[1], tf.float32)
    share = tf.minimum(height / size[0], width / size[1])
    tall = tf.clip_by_value(tf.cast(tf.round(share * size[0]), tf.int32), 1, tf.shape(pixels)[0])
    wide = tf.clip_by_value(tf.cast(tf.round(share * size[1]), tf.int32), 1, tf.shape(pixels)[1])
    top, left = (tf.shape(pixels)[0] - tall) // 2, (tf.shape(pixels)[1] - wide) // 2
    return pixels[top : top + tall, left : left + wide]
