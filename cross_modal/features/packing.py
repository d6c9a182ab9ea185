"""Arrays as text, in the configuration of a feature."""

import base64

import numpy as np


def packed(values, kind):
    """Returns the base64 of an array in a NumPy type, such as "<f4"."""
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def unpacked(text, kind):
    """Returns the array, of one dimension, that `packed` made a text of."""
    return np.frombuffer(base64.b64decode(text), kind)
