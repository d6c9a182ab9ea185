"""What was known of pictures before anything was learned from them."""

import itertools
import math

import keras
import numpy as np
from keras import layers, ops

_DIRECTIONS, _COLOURS, _TEXTURES = 9, 12 * 3 * 3, 2**8
_GRID = 8  # Cells along a side.
_SMALL, _PATCH, _PLACES = 48, 6, 3  # Pixels of the square that patches are of, and of a patch; places along the side. As `features.Descriptors` has them.
_STEP = 2  # Pixels from one patch to the next.
_FAINT = (10 / 255) ** 2  # Added to the variance of a patch, so that the noise of a plain one is not taken for something.


@keras.saving.register_keras_serializable("cross_modal")
class Descriptors(layers.Layer):
    """Describes pictures by histograms of their gradients, colours and textures, and by how much they have of some kinds of patches; no gradient changes anything of it.

    Args:
        patches: number of kinds of patches. `set_patches` says which.

    Call arguments:
        x: float `(batch, height, width, channels)` between 0 and 1, of 1 or 3 channels.

    Returns:
        float32 `(batch, 3772 + 9 * patches)`: 9 directions of gradients in 8 x 8 cells, and in 4 x 4 of the picture at half its size; 108 hues, saturations and brightnesses of
        that in the whole and in 4 x 4 cells; 256 local binary patterns in 2 x 2 cells, all three as square roots of shares; the colours at 8 x 8; and how much of each kind of
        patch there is in 3 x 3 places of the picture at 48 x 48, looked for at every second pixel.

    Source:
        Dalal and Triggs (2005), "Histograms of Oriented Gradients for Human Detection", section 6; Ojala et al. (2002), "Multiresolution Gray-Scale and Rotation Invariant Texture
        Classification with Local Binary Patterns", section 2, without interpolation; Arandjelović and Zisserman (2012), "Three things everyone should know", section 3, for square
        roots; Coates, Ng and Lee (2011), "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", section 3, for patches.
    """

    histograms = _DIRECTIONS * (_GRID**2 + 4**2) + _COLOURS * (1 + 4**2) + _TEXTURES * 2**2 + 3 * _GRID**2

    def __init__(self, patches=0, **options):
        super().__init__(**{**options, "dtype": "float32", "trainable": False})
        self.patches = patches
        self.size = self.histograms + _PLACES**2 * patches

    def build(self, shape):
        if self.patches:
            self.filters = self.add_weight((_PATCH, _PATCH, 3, self.patches), "zeros", trainable=False, name="filters")
            self.offsets = self.add_weight((self.patches,), "zeros", trainable=False, name="offsets")

    def set_patches(self, filters, offsets):
        """Sets the kinds of patches, once the layer is built, as `features.learn_patches` finds them: float `(6, 6, 3, patches)` of a mean of 0, and `(patches,)`."""
        self.filters.assign(filters)
        self.offsets.assign(offsets)

    def call(self, x):
        side = 2 * _GRID * max(2, round(math.sqrt(x.shape[1] * x.shape[2]) / (2 * _GRID)))  # Each part has whole cells.
        patches = [_patches(_coloured(_resized(x, _SMALL)), self.filters, self.offsets)] if self.patches else []
        x = _coloured(_resized(x, side))
        grey = ops.sum(x * ops.array([0.299, 0.587, 0.114]), axis=3)  # (batch, side, side)
        colours, half = _colours(_averaged(x, side // 2)), _averaged(grey[..., None], side // 2)[..., 0]
        parts = [
            *(_gradients(one, cells) for one, cells in ((grey, _GRID), (half, 4))),
            *(_shares(colours, cells, _COLOURS) for cells in (1, 4)),
            _shares(_textures(grey), 2, _TEXTURES),
            ops.reshape(_averaged(x, _GRID), (-1, 3 * _GRID**2)),
            *patches,
        ]
        return ops.concatenate(parts, axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], self.size)

    def get_config(self):
        return {**super().get_config(), "patches": self.patches}


def _patches(x, filters, offsets):
    """How much of each kind of patch there is in each place, `(batch, places * places * patches)`."""
    shares = ops.full((_PATCH, _PATCH, 3, 1), 1.0 / (_PATCH**2 * 3))
    mean, squares, found = (ops.conv(one, kernel, _STEP, "valid", data_format="channels_last") for one, kernel in ((x, shares), (x * x, shares), (x, filters)))
    found = ops.relu(found / ops.sqrt(ops.maximum(squares - mean * mean, 0.0) + _FAINT) + (offsets - 1.0))  # What is hardly like a kind is nothing of it.
    edges = [round(place * found.shape[1] / _PLACES) for place in range(_PLACES + 1)]
    rows = [ops.mean(found[:, start:end], axis=1) for start, end in itertools.pairwise(edges)]
    cells = [ops.mean(row[:, start:end], axis=1) for row in rows for start, end in itertools.pairwise(edges)]
    return ops.sqrt(ops.concatenate(cells, axis=1))


def _gradients(grey, cells):
    """Histograms of directions in cells, each shared out between the two nearest, and weighed by strength; `(batch, cells * cells * 9)`."""
    wide = ops.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
    right, down = wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2], wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]
    strength, place = ops.sqrt(right**2 + down**2), ops.arctan2(down, right) / math.pi * _DIRECTIONS + 2 * _DIRECTIONS - 0.5  # Opposite directions are one.
    low = ops.floor(place)
    found = 0.0
    for direction, share in ((low, 1.0 - (place - low)), (low + 1.0, place - low)):
        direction = ops.cast(ops.mod(direction, _DIRECTIONS), "int32")
        found = found + _histograms(_in_cells(direction, cells), _DIRECTIONS, _in_cells(strength * share, cells))
    energy = ops.sum(found**2, axis=1, keepdims=True)  # (batch * cells * cells, 1)
    return ops.reshape(ops.sqrt(found / ops.sqrt(energy + 1.0)), (-1, _DIRECTIONS * cells**2))


def _colours(x):
    """Which of 12 hues, 3 saturations and 3 brightnesses each pixel has, int32 `(batch, height, width)`."""
    high, low = ops.max(x, axis=3), ops.min(x, axis=3)
    span = high - low
    red, green, blue = (x[..., channel] for channel in range(3))
    safe = ops.where(span > 0, span, 1.0)
    hue = ops.where(high == red, (green - blue) / safe, ops.where(high == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe))
    parts = (ops.mod(hue, 6.0) / 6.0, 12), (span / ops.where(high > 0, high, 1.0), 3), (high, 3)
    hue, saturation, brightness = (ops.cast(ops.clip(ops.floor(one * count), 0, count - 1), "int32") for one, count in parts)
    return (hue * 3 + saturation) * 3 + brightness


def _textures(grey):
    """Which of the eight pixels around each are as bright as it, or brighter, as the bits of an int32 `(batch, height, width)`."""
    wide = ops.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
    height, width = grey.shape[1:]
    around = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    return sum(2**bit * ops.cast(wide[:, y : y + height, x : x + width] >= grey, "int32") for bit, (y, x) in enumerate(around))


def _shares(codes, cells, count):
    """Square roots of how often each code is in each cell, `(batch, cells * cells * count)`."""
    codes = _in_cells(codes, cells)
    return ops.reshape(ops.sqrt(_histograms(codes, count) / codes.shape[1]), (-1, count * cells**2))


def _in_cells(x, cells):
    """The pixels of each cell, `(batch * cells * cells, pixels)`."""
    height, width = (side // cells for side in x.shape[1:])
    return ops.reshape(ops.transpose(ops.reshape(x, (-1, cells, height, cells, width)), (0, 1, 3, 2, 4)), (-1, height * width))


def _histograms(codes, count, weights=None):
    """How often each of `count` codes is in a row, or the sum of its weights, float32 `(rows, count)`."""
    rows = ops.shape(codes)[0]
    places = ops.reshape(codes + count * ops.arange(rows, dtype="int32")[:, None], (-1,))
    weights = ops.ones_like(codes, dtype="float32") if weights is None else weights
    return ops.reshape(ops.segment_sum(ops.reshape(weights, (-1,)), places, num_segments=rows * count), (-1, count))


def _coloured(x):
    return x if x.shape[3] == 3 else ops.repeat(x, 3, axis=3)


def _resized(x, side):
    return x if x.shape[1:3] == (side, side) else ops.einsum("yh,bhwc,xw->byxc", _resizing(x.shape[1], side), x, _resizing(x.shape[2], side))


def _resizing(count, side):
    """How much each of `count` pixels in a row counts for each of `side`, float32 `(side, count)`: what is between is interpolated, what becomes smaller averaged."""
    away = np.abs(np.arange(count) - ((np.arange(side) + 0.5) * count / side - 0.5)[:, None])
    shares = np.maximum(0.0, 1.0 - away / max(count / side, 1.0))
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def _averaged(x, side):
    """The picture at `side` x `side`, each pixel the mean of what it covers."""
    steps = x.shape[1] // side
    return ops.average_pool(x, steps, steps, data_format="channels_last")
