"""Small parts of pictures, and Fisher vectors: what the parts of one picture have other than those of all."""

import itertools
import math
import warnings

import numpy as np
import tensorflow as tf

from cross_modal.features.packing import packed, unpacked

KINDS = ("gradients", "colours")
_CELLS, _CELL, _STRIDE = 4, 4, 4  # Cells along the side of a part, pixels of one, and pixels from one part to the next.
_DIRECTIONS = 8
_KEPT = 64  # Numbers that are kept of a part.
_AWAY = 3.0  # What the place of a part counts: between -1.5 and 1.5, where what is kept has a deviation of about 1.
_PARTS, _OF_ONE = 60_000, 500  # Parts that are learned from, and most of one picture.
_NUMBERS = ("projection", "offsets", "means", "variances", "shares")


def learn_fisher(raws, read, kind, parts, seed=0):
    """Learns what the parts of pictures are like: a mixture of Gaussians of what is kept of each.

    Args:
        raws: list of bytes of encoded pictures.
        read: function from such bytes to float32 `(side, side, 3)` between 0 and 1, as TensorFlow graph code.
        kind: "gradients" or "colours".
        parts: number of Gaussians.
        seed: of what is drawn.

    Returns:
        Dict of base64 of float32: `projection` `(size, 64)` and `offsets` `(64,)`, to what is kept of a part; `means` and `variances` `(parts, 66)` and `shares` `(parts,)` of the
        Gaussians.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    draw = np.random.default_rng(seed)
    each = min(math.ceil(_PARTS / len(raws)), _OF_ONE)
    look = tf.function(lambda raw: picture_parts(read(raw)[None], kind), input_signature=[tf.TensorSpec((), tf.string)])
    some, places = [], []
    for raw in raws:
        found, place = look(tf.constant(raw))
        chosen = draw.integers(0, found.shape[1], each)
        some.append(found.numpy()[0, chosen])
        places.append(place.numpy()[chosen])
    some, places = np.concatenate(some), np.concatenate(places)  # (parts, size), (parts, 2)
    mean = some.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(some - mean, rowvar=False))
    values, vectors = values[::-1][:_KEPT], vectors[:, ::-1][:, :_KEPT]
    projection = vectors / np.sqrt(np.maximum(values, 0.0) + 0.02 * values[0] + 1e-6)
    kept = np.concatenate([(some - mean) @ projection, places], axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # A few steps more would change little of what a picture has other than others.
        mixture = GaussianMixture(min(parts, len(kept)), covariance_type="diag", max_iter=20, reg_covar=1e-3, init_params="k-means++", random_state=seed).fit(kept)
    found = projection, -mean @ projection, mixture.means_, mixture.covariances_, mixture.weights_
    return {name: packed(one, "<f4") for name, one in zip(_NUMBERS, found)}


def unpack_fisher(learned):
    """Reads what `learn_fisher` found: tuple of the five arrays, in the order in which they stand there."""
    projection, offsets, means, variances, shares = (unpacked(learned[name], "<f4") for name in _NUMBERS)
    return projection.reshape(-1, len(offsets)), offsets, means.reshape(len(shares), -1), variances.reshape(len(shares), -1), shares


def fisher_vectors(x, kind, projection, offsets, means, variances, shares):
    """Sums up in which direction the parts of pictures would move the means and the variances of a mixture of Gaussians.

    Args:
        x: float32 `(batch, side, side, 3)` between 0 and 1.
        kind: "gradients" or "colours".
        projection: as `unpack_fisher` returns it, as the others.

    Returns:
        float32 `(batch, 2 * parts * 66)`, roots with the sign of what they are of: the directions of the means of all Gaussians, then those of their variances.

    Source:
        Perronnin, Sánchez and Mensink (2010), "Improving the Fisher Kernel for Large-Scale Image Classification", sections 2 and 3.2.
    """
    found, places = picture_parts(x, kind)
    batch, count = tf.shape(found)[0], found.shape[1]
    kept = tf.reshape(tf.reshape(found, (-1, found.shape[2])) @ projection + offsets, (batch, count, -1))
    kept = tf.concat([kept, tf.tile(places[None], (batch, 1, 1))], 2)  # (batch, count, kept)
    squares = kept * kept
    constants = np.log(shares) - 0.5 * np.sum(means**2 / variances + np.log(variances), axis=1)
    shared = tf.nn.softmax(tf.einsum("bnk,pk->bnp", kept, means / variances) - 0.5 * tf.einsum("bnk,pk->bnp", squares, 1 / variances) + constants)  # (batch, count, parts)
    many, first, second = tf.reduce_sum(shared, 1)[..., None], tf.matmul(shared, kept, transpose_a=True), tf.matmul(shared, squares, transpose_a=True)
    rates = np.sqrt(shares)[:, None]
    moved = (first - means * many) / (np.sqrt(variances) * rates)  # (batch, parts, kept)
    spread = (second - 2 * means * first + (means**2 - variances) * many) / (variances * math.sqrt(2) * rates)
    found = tf.reshape(tf.concat([moved, spread], 1), (batch, -1)) / count
    return tf.sign(found) * tf.sqrt(tf.abs(found))


def picture_parts(x, kind):
    """Describes all parts of 16 pixels of pictures, one each 4 pixels, and of the pictures at half their size.

    Args:
        x: float32 `(batch, side, side, 3)` between 0 and 1.
        kind: "gradients" or "colours".

    Returns:
        Pair of float32 `(batch, count, size)`, of the 4 x 4 cells of each part how much the brightness rises in 8 directions, as roots of shares of the part, or mean and deviation
        of each of three colours; and of float32 `(count, 2)`, where the part is.

    Source:
        Lowe (2004), "Distinctive Image Features from Scale-Invariant Keypoints", section 6.1, for cells, and Tola, Lepetit and Fua (2010), "DAISY: An Efficient Dense Descriptor
        Applied to Wide-Baseline Stereo", for directions; Clinchant et al. (2007), "XRCE's participation to ImagEval", for colours; Sánchez, Perronnin and de Campos (2012),
        "Modeling the spatial layout of images beyond spatial pyramids", for places beside what is there.
    """
    parts, places = [], []
    for one in (x, tf.nn.avg_pool2d(x, 2, 2, "VALID")):
        found = _LOOKS[kind](one)
        side = found.shape[1]
        parts.append(tf.reshape(found, (-1, side * side, found.shape[3])))
        places += itertools.product((np.arange(side) + 0.5) / side - 0.5, repeat=2)
    return tf.concat(parts, 1), tf.constant(_AWAY * np.array(places), tf.float32)


def _gradients(x):
    angles = np.arange(_DIRECTIONS) * 2 * np.pi / _DIRECTIONS
    kernel = np.zeros((3, 3, 1, _DIRECTIONS), np.float32)
    kernel[1, 2, 0], kernel[1, 0, 0], kernel[2, 1, 0], kernel[0, 1, 0] = np.cos(angles), -np.cos(angles), np.sin(angles), -np.sin(angles)
    grey = tf.reduce_sum(x * tf.constant([0.299, 0.587, 0.114]), 3, keepdims=True)
    found = _cells(tf.nn.relu(tf.nn.conv2d(tf.pad(grey, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="SYMMETRIC"), kernel, 1, "VALID")))
    return tf.sqrt(found / (tf.reduce_sum(found, 3, keepdims=True) + 0.3))


def _colours(x):
    found = _cells(tf.concat([x, x * x], 3))
    mean, squares = tf.unstack(tf.reshape(found, (-1, *found.shape[1:3], _CELLS**2, 2, 3)), axis=4)
    return tf.reshape(tf.concat([mean, tf.sqrt(tf.nn.relu(squares - mean * mean) + 1e-4)], 4), (-1, *found.shape[1:3], _CELLS**2 * 6))


_LOOKS = {"gradients": _gradients, "colours": _colours}


def _cells(x):
    """The mean of each cell of all parts, cell by cell, `(batch, parts, parts, 16 * channels)`."""
    means, step, every = tf.nn.avg_pool2d(x, _CELL, 2, "VALID"), _CELL // 2, _STRIDE // 2
    last = max(0, means.shape[1] - (_CELLS - 1) * step)
    starts = [step * cell for cell in range(_CELLS)]
    return tf.concat([means[:, top : top + last : every, left : left + last : every] for top in starts for left in starts], 3)
