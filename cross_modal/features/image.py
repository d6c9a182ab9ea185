"""Encoded image bytes to pixels."""

import tensorflow as tf

from cross_modal.features.feature import Feature


class Image(Feature):
    """Decodes a JPEG, PNG, GIF (first frame) or BMP and fits it into a fixed size, keeping its proportions.

    Args:
        size: `(height, width)` in pixels. What the picture does not fill is black.
        channels: 1 for grey, 3 for RGB.

    Returns:
        `featurize` returns float32 `(height, width, channels)` between 0 and 1.

    Raises:
        ValueError: if `size` or `channels` is not as described. A file that is no picture raises `tf.errors.InvalidArgumentError`.
    """

    kind = "image"

    def __init__(self, size=(64, 64), channels=3):
        super().__init__(name="image")
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"Expected `size` to be two positive numbers of pixels, height and width. Received: size={size}")
        if channels not in (1, 3):
            raise ValueError(f"Expected `channels` to be 1 (grey) or 3 (RGB). Received: channels={channels}")
        self.size = (int(size[0]), int(size[1]))
        self.channels = channels
        self.spec = tf.TensorSpec((*self.size, channels), tf.float32)

    def featurize(self, raw):
        pixels = tf.io.decode_image(raw, channels=3, expand_animations=False)  # It decodes BMP and GIF to three channels only.
        pixels = tf.cast(pixels, tf.float32) / 255.0
        if self.channels == 1:
            pixels = tf.image.rgb_to_grayscale(pixels)
        pixels = tf.image.resize_with_pad(pixels, *self.size, method="bilinear", antialias=True)
        return tf.ensure_shape(pixels, self.spec.shape)

    def config(self):
        return {"size": list(self.size), "channels": self.channels}
