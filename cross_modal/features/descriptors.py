"""Encoded image bytes to what is known of a picture without labels: histograms, how much it is like patches of other pictures, and how its parts differ from theirs."""

import itertools
import math

import numpy as np
import tensorflow as tf

from cross_modal.features.feature import Feature
from cross_modal.features.fisher import KINDS, fisher_vectors, learn_fisher, unpack_fisher
from cross_modal.features.packing import packed, unpacked
from cross_modal.features.pictures import decode_picture

_SIDE = 128  # Pixels of the square that histograms are of.
_GRID = 8  # Cells along its side.
_DIRECTIONS, _COLOURS, _TEXTURES = 9, 12 * 3 * 3, 2**8
_SMALL, _PATCH, _PLACES = 48, 6, 3  # Pixels of the square that patches are of, and of a patch; places along the side.
_FAINT = (10 / 255) ** 2  # Added to the variance of a patch, so that the noise of a plain one is not taken for something.
_LEARNED, _OF_ONE = 200_000, 500  # Patches that filters are learned from, and most of one picture.
_LOOKED_AT, _TAKEN_APART, _MEASURED = 10_000, 2_000, 1_000  # Pictures that are learned from, and those of them that Gaussians, and that means and deviations are of.
_MOST = 10.0  # Deviations from the mean: what hardly any picture has is not to drown the rest of one that has it.


class Descriptors(Feature):
    """Describes a JPEG, PNG, GIF (first frame) or BMP, stretched to a square, by histograms, by which patches of known kinds are where, and by what else its parts have other
    than those of known pictures: for the tower `descriptors`.

    For some thousand pictures, of which a deep tower learns too little from nothing. A picture and its mirror image are described alike. Learn what is known from a training split
    with `learn_descriptors`.

    Args:
        filters: base64 of float16 `(6 * 6 * 3, patches)`, of a mean of 0, what to multiply a patch by, before it is divided by its deviation.
        offsets: base64 of float32 `(patches,)`, what to add to that.
        means: base64 of float32 `(size,)`, mean of each number over the pictures that were learned from.
        deviations: base64 of float32 `(size,)`, deviations from it.
        fisher: dict of "gradients" and "colours" to what `learn_fisher` returns; None for none.

    Returns:
        `featurize` returns float16 `(size,)`, normalised by means and deviations, and at most 10 of these: 9 directions of gradients in 8 x 8 cells of the picture at 128 pixels,
        and in 4 x 4 at half that size; 108 hues, saturations and brightnesses of that in the whole and in 4 x 4 cells; 256 local binary patterns in 2 x 2 cells, all three as
        square roots of shares; the colours at 8 x 8; how much of each kind of patch there is in 3 x 3 places of the picture at 48 pixels; and the Fisher vectors of its gradients
        and of its colours. A file that is no picture raises `tf.errors.InvalidArgumentError`.

    Source:
        Coates, Ng and Lee (2011), "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", section 3, for patches; Dalal and Triggs (2005), "Histograms of Oriented
        Gradients for Human Detection", section 6; Ojala et al. (2002), "Multiresolution Gray-Scale and Rotation Invariant Texture Classification with Local Binary Patterns",
        section 2, without interpolation; Arandjelović and Zisserman (2012), "Three things everyone should know", section 3, for square roots.
    """

    kind = "image"

    def __init__(self, filters, offsets, means, deviations, fisher=None):
        super().__init__(name="descriptors")
        self._given = {"filters": filters, "offsets": offsets, "means": means, "deviations": deviations}
        self._fisher = fisher
        self._filters, self._offsets = unpack_patches(filters, offsets)
        self._means, self._deviations = (unpacked(one, "<f4") for one in (means, deviations))
        self._mixtures = {kind: unpack_fisher(learned) for kind, learned in (fisher or {}).items()}
        self.spec = tf.TensorSpec((len(self._means),), tf.float16)

    def featurize(self, raw):
        found = _described(decode_picture(raw), self._filters, self._offsets, self._mixtures)
        return tf.ensure_shape(tf.cast(tf.clip_by_value((found - self._means) / self._deviations, -_MOST, _MOST), tf.float16), self.spec.shape)

    def config(self):
        return {**self._given, "fisher": self._fisher and {kind: dict(learned) for kind, learned in self._fisher.items()}}  # Which TensorFlow made another kind of dict of.


def learn_descriptors(pictures, patches=800, fisher=64, seed=0):
    """Learns which kinds of patches there are in pictures, what their parts are like, and the mean and deviation of what describes them.

    Args:
        pictures: iterable of bytes of encoded pictures, of which the first 10,000 are looked at.
        patches: number of kinds.
        fisher: number of Gaussians of Fisher vectors; 0 for none.
        seed: of what is drawn.

    Returns:
        Dict of the arguments of `Descriptors`.

    Raises:
        ValueError: if there are fewer than two pictures, no `patches`, or fewer than no Gaussians.
    """
    if not isinstance(fisher, int) or fisher < 0:
        raise ValueError(f"Expected `fisher` to be a number of Gaussians, or 0 for none. Received: fisher={fisher!r}")
    pictures = list(itertools.islice(pictures, _LOOKED_AT))
    known = learn_patches(pictures, patches, seed)
    kinds = unpack_patches(**known)
    if fisher:
        some = pictures[:: math.ceil(len(pictures) / _TAKEN_APART)]
        known["fisher"] = {kind: learn_fisher(some, lambda raw: _stretched(decode_picture(raw), _SIDE), kind, fisher, seed) for kind in KINDS}
    mixtures = {kind: unpack_fisher(learned) for kind, learned in known.get("fisher", {}).items()}
    describe = tf.function(lambda raw: _described(decode_picture(raw), *kinds, mixtures), input_signature=[tf.TensorSpec((), tf.string)])
    described = np.stack([describe(tf.constant(raw)) for raw in pictures[:: math.ceil(len(pictures) / _MEASURED)]])
    return {**known, "means": packed(described.mean(axis=0), "<f4"), "deviations": packed(described.std(axis=0) + 1e-3, "<f4")}


def learn_patches(pictures, patches, seed=0):
    """Learns which kinds of patches there are in pictures.

    Args:
        pictures: iterable of bytes of encoded pictures, of which the first 10,000 are looked at.
        patches: number of kinds.
        seed: of what is drawn.

    Returns:
        Dict of `filters` and `offsets`, arguments of `Descriptors` and of `Image`.

    Raises:
        ValueError: if there are fewer than two pictures.

    Source:
        Coates, Ng and Lee (2011), section 3.1 and 3.2: patches are normalised and whitened, and k-means finds what they are like.
    """
    from sklearn.cluster import MiniBatchKMeans

    pictures = list(itertools.islice(pictures, _LOOKED_AT))
    if len(pictures) < 2 or patches < 1:
        raise ValueError(f"Expected at least two pictures to learn `patches` from, and at least one of these. Received: {len(pictures)} pictures, patches={patches}")
    draw = np.random.default_rng(seed)
    each = min(math.ceil(_LEARNED / len(pictures)), _OF_ONE)
    some = np.concatenate([_drawn(raw, each, draw) for raw in pictures])
    some = (some - some.mean(axis=1, keepdims=True)) / np.sqrt(some.var(axis=1, keepdims=True) + _FAINT)
    mean = some.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(some - mean, rowvar=False))
    whitening = (vectors / np.sqrt(np.maximum(values, 0.0) + 0.1)) @ vectors.T  # (6 * 6 * 3, 6 * 6 * 3)
    white = (some - mean) @ whitening
    lengths = np.linalg.norm(white, axis=1, keepdims=True)
    found = MiniBatchKMeans(min(patches, len(white)), batch_size=4096, max_iter=10, n_init=1, random_state=seed).fit(white / np.maximum(lengths, 1e-6)).cluster_centers_
    found = whitening @ (found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)).T  # (6 * 6 * 3, patches)
    offsets, filters = -(mean @ found).astype(np.float32), (found - found.mean(axis=0)).astype(np.float16)  # The mean of a patch is taken out by filters of which none has one.
    return {"filters": packed(filters, "<f2"), "offsets": packed(offsets, "<f4")}


def unpack_patches(filters, offsets):
    """Reads what `learn_patches` found.

    Args:
        filters: as `learn_patches` returns it.
        offsets: as `learn_patches` returns it.

    Returns:
        Pair of float32 `(6, 6, 3, patches)`, what to multiply a patch by before it is divided by its deviation, and `(patches,)`, what to add to that.
    """
    return unpacked(filters, "<f2").reshape(_PATCH, _PATCH, 3, -1).astype(np.float32), unpacked(offsets, "<f4")


def _stretched(pixels, side):
    return tf.image.resize(pixels, (side, side), method="bilinear", antialias=True)


def _drawn(raw, count, draw):
    """Patches from anywhere in a picture, float32 `(count, 6 * 6 * 3)`."""
    pixels = _stretched(decode_picture(tf.constant(raw)), _SMALL).numpy()
    places = draw.integers(0, _SMALL - _PATCH + 1, (count, 2))
    return np.stack([pixels[y : y + _PATCH, x : x + _PATCH].ravel() for y, x in places])


def _described(pixels, filters, offsets, mixtures):
    """What a picture and its mirror image have in common, float32 `(size,)`."""
    large, small = (tf.stack([one, one[:, ::-1]]) for one in (_stretched(pixels, _SIDE), _stretched(pixels, _SMALL)))
    found = [_histograms(large), _patches(small, filters, offsets), *(fisher_vectors(large, kind, *mixture) for kind, mixture in mixtures.items())]
    return tf.reduce_mean(tf.concat(found, 1), 0)


def _patches(x, filters, offsets):
    """How much of each kind of patch there is in each place, float32 `(batch, places * places * patches)`."""
    shares = tf.fill([_PATCH, _PATCH, 3, 1], 1.0 / (_PATCH**2 * 3))
    mean, squares = (tf.nn.conv2d(one, shares, 1, "VALID") for one in (x, x * x))
    deviation = tf.sqrt(tf.maximum(squares - mean * mean, 0.0) + _FAINT)
    found = tf.nn.conv2d(x, filters, 1, "VALID") / deviation + offsets
    found = tf.nn.relu(found - 1.0)  # (batch, height, width, patches); what is hardly like a kind is nothing of it.
    edges = [round(place * found.shape[1] / _PLACES) for place in range(_PLACES + 1)]
    rows = [tf.reduce_mean(found[:, start:end], 1) for start, end in itertools.pairwise(edges)]
    cells = [tf.reduce_mean(row[:, start:end], 1) for row in rows for start, end in itertools.pairwise(edges)]
    return tf.sqrt(tf.concat(cells, 1))


def _histograms(x):
    """Histograms of pictures `(batch, side, side, 3)`, float32 `(batch, histograms)`."""
    grey = tf.reduce_sum(x * tf.constant([0.299, 0.587, 0.114]), 3)  # (batch, side, side)
    smaller = _averaged(x, _SIDE // 2)
    colours, half = _colours(smaller), tf.reduce_sum(smaller * tf.constant([0.299, 0.587, 0.114]), 3)
    parts = [
        *(_gradients(one, cells) for one, cells in ((grey, _GRID), (half, 4))),
        *(_shares(colours, cells, _COLOURS) for cells in (1, 4)),
        _shares(_textures(grey), 2, _TEXTURES),
        tf.reshape(_averaged(x, _GRID), (-1, 3 * _GRID**2)),
    ]
    return tf.concat(parts, 1)


def _gradients(grey, cells):
    """Histograms of directions in cells, each shared out between the two nearest, and weighed by strength; `(batch, cells * cells * 9)`."""
    wide = tf.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="SYMMETRIC")
    right, down = wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2], wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]
    strength, place = tf.sqrt(right**2 + down**2), tf.atan2(down, right) / math.pi * _DIRECTIONS + 2 * _DIRECTIONS - 0.5  # Opposite directions are one.
    low = tf.floor(place)
    found = 0.0
    for direction, share in ((low, 1.0 - (place - low)), (low + 1.0, place - low)):
        direction = tf.cast(tf.math.floormod(direction, _DIRECTIONS), tf.int32)
        found += _counts(_in_cells(direction, cells), _DIRECTIONS, _in_cells(strength * share, cells))
    energy = tf.reduce_sum(found**2, 1, keepdims=True)  # (batch * cells * cells, 1)
    return tf.reshape(tf.sqrt(found / tf.sqrt(energy + 1.0)), (-1, _DIRECTIONS * cells**2))


def _colours(x):
    """Which of 12 hues, 3 saturations and 3 brightnesses each pixel has, int32 `(batch, height, width)`."""
    hue, saturation, brightness = (
        tf.cast(tf.clip_by_value(tf.floor(one * count), 0, count - 1), tf.int32) for one, count in zip(tf.unstack(tf.image.rgb_to_hsv(x), axis=3), (12, 3, 3))
    )
    return (hue * 3 + saturation) * 3 + brightness


def _textures(grey):
    """Which of the eight pixels around each are as bright as it, or brighter, as the bits of an int32 `(batch, height, width)`."""
    wide = tf.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="SYMMETRIC")
    height, width = grey.shape[1:]
    around = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    return sum(2**bit * tf.cast(wide[:, y : y + height, x : x + width] >= grey, tf.int32) for bit, (y, x) in enumerate(around))


def _shares(codes, cells, count):
    """Square roots of how often each code is in each cell, `(batch, cells * cells * count)`."""
    codes = _in_cells(codes, cells)
    return tf.reshape(tf.sqrt(_counts(codes, count) / codes.shape[1]), (-1, count * cells**2))


def _in_cells(x, cells):
    """The pixels of each cell, `(batch * cells * cells, pixels)`."""
    height, width = (side // cells for side in x.shape[1:])
    return tf.reshape(tf.transpose(tf.reshape(x, (-1, cells, height, cells, width)), (0, 1, 3, 2, 4)), (-1, height * width))


def _counts(codes, count, weights=None):
    """How often each of `count` codes is in a row, or the sum of its weights, float32 `(rows, count)`."""
    rows = tf.shape(codes)[0]
    places = tf.reshape(codes + count * tf.range(rows)[:, None], (-1,))
    weights = tf.ones_like(codes, tf.float32) if weights is None else weights
    return tf.reshape(tf.math.unsorted_segment_sum(tf.reshape(weights, (-1,)), places, rows * count), (-1, count))


def _averaged(x, side):
    """The picture at `side` x `side`, each pixel the mean of what it covers."""
    steps = x.shape[1] // side
    return tf.nn.avg_pool2d(x, steps, steps, "VALID")
