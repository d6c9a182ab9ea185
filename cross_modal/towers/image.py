"""Towers for pictures."""

import math

import keras
from keras import layers, ops

from cross_modal.layers import Descriptors, PositionEmbedding, PresentBatchNormalization, normalized
from cross_modal.towers.pretrained import pretrained as pretrained
from cross_modal.towers.tower import tower_inputs


def mlp(feature, dim, name, languages=1, widths=(256,), dropout=0.1):
    """Builds a perceptron over all pixels: a baseline, or for pictures whose parts never move.

    Args:
        feature: `Image`.
        dim: size of a state.
        name: name of the model.
        languages: not used; a picture has no language.
        widths: size of each hidden layer.
        dropout: share dropped after each hidden layer.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, 1, dim)` and `mask` `(batch, 1)`.
    """
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = layers.Flatten()(inputs["value"])  # (batch, pixels)
    for width in widths:
        x = layers.Dropout(dropout)(layers.Dense(width, activation="relu")(x))
    states = layers.Reshape((1, dim))(layers.Dense(dim, activation="relu")(x))

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": inputs["mask"]}, name=name)


def cnn(feature, dim, name, languages=1, widths=(32, 64, 128), normalization="batch", dropout=0.1):
    """Builds a stack of Conv2D stages, each of two convolutions and a halving of the picture.

    Args:
        feature: `Image`.
        dim: size of a state.
        name: name of the model.
        languages: not used; a picture has no language.
        widths: channels of each stage.
        normalization: "batch" of each channel over the pictures that are there, or "layer" of each cell's channels, for small batches; it learns little from noisy pictures.
        dropout: share dropped before the states.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, cells, dim)`, row by row, and `mask` `(batch, cells)`.

    Raises:
        ValueError: if the picture is too small to be halved that often.
    """
    _check_size(feature, len(widths))
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = inputs["value"]
    for width in widths:
        x = _convolved(_convolved(x, width, normalization, inputs["mask"]), width, normalization, inputs["mask"])
        x = layers.MaxPooling2D(2)(x)  # (batch, height / 2, width / 2, channels)
    states, mask = _cells(x, inputs["mask"], dim, dropout)

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": mask}, name=name)


def resnet(feature, dim, name, languages=1, widths=(32, 64, 128, 256), depth=2, stem=1, normalization="batch", dropout=0.1, descriptors=0):
    """Builds stages of residual blocks; each stage but the first halves the picture. For photos.

    Args:
        feature: `Image`.
        dim: size of a state.
        name: name of the model.
        languages: not used; a picture has no language.
        widths: channels of each stage.
        depth: residual blocks of each stage.
        stem: stride of the first convolution; 2 takes a quarter of the time, for pictures of 64 pixels and more.
        normalization: see `cnn`.
        dropout: share dropped before the states.
        descriptors: size of a hidden layer over histograms of gradients, colours and textures of the whole picture, and over how much of each of the feature's `patches` there is
            where; it makes one more state, the last: for some thousand photos, of 128 pixels and with a stem of 4 for example, of which too little can be learned from nothing.
            0 for none.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, cells, dim)`, row by row, and `mask` `(batch, cells)`.

    Raises:
        ValueError: if the picture is too small to be halved that often.

    Source:
        He et al. (2016), "Identity Mappings in Deep Residual Networks", section 3; He et al. (2019), "Bag of Tricks for Image Classification", section 4, for the pooled shortcut.
    """
    _check_size(feature, len(widths) - 1 + math.ceil(math.log2(stem)))
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = layers.Conv2D(widths[0], 2 * stem + 1, strides=stem, padding="same", use_bias=False)(inputs["value"])
    for stage, width in enumerate(widths):
        for block in range(depth):
            strides = 2 if stage and not block else 1
            y = normalized(x, normalization, inputs["mask"])
            if strides > 1 or x.shape[-1] != width:
                # Not a convolution of 1 pixel with strides: it sees a quarter of the cells, and TensorFlow 2.21 writes past the end of its gradient (oneDNN).
                x = layers.Conv2D(width, 1, use_bias=False)(layers.AveragePooling2D(strides, padding="same")(y) if strides > 1 else y)
            y = layers.Conv2D(width, 3, strides=strides, padding="same", use_bias=False)(y)
            y = normalized(y, normalization, inputs["mask"])
            x = x + layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
    states, mask = _cells(normalized(x, normalization, inputs["mask"]), inputs["mask"], dim, dropout)
    if descriptors:
        states = ops.concatenate([states, _of_described(_described(feature, inputs), dim, (descriptors,), dropout)], axis=1)
        mask = ops.concatenate([mask, inputs["mask"]], axis=1)

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": mask}, name=name)


def unet(feature, dim, name, languages=1, widths=(32, 64, 128), up=1, normalization="batch", dropout=0.1):
    """Builds a U-Net: stages down as in `cnn`, then back up, each joined with what the way down saw at that size. For fine cells that know of the whole picture.

    Args:
        feature: `Image`.
        dim: size of a state.
        name: name of the model.
        languages: not used; a picture has no language.
        widths: channels of each stage down.
        up: number of stages up again, at most as many as down; each makes four times the cells.
        normalization: see `cnn`.
        dropout: share dropped before the states.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, cells, dim)`, row by row, and `mask` `(batch, cells)`.

    Raises:
        ValueError: if the sides of the picture cannot be halved that often without a rest, or `up` is not between 0 and the number of stages.

    Source:
        Ronneberger et al. (2015), "U-Net: Convolutional Networks for Biomedical Image Segmentation", section 2.
    """
    _check_pixels(feature)
    if any(side % 2 ** len(widths) for side in feature.size):
        raise ValueError(f"Expected sides that {2 ** len(widths)} divides, for {len(widths)} stages. Received: size={feature.size}. Give another `size` or fewer `widths`.")
    if not 0 <= up <= len(widths):
        raise ValueError(f"Expected `up` between 0 and the number of stages. Received: up={up}, widths={tuple(widths)}")
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x, seen = inputs["value"], []
    for width in widths:
        x = _convolved(_convolved(x, width, normalization, inputs["mask"]), width, normalization, inputs["mask"])
        seen.append(x)
        x = layers.MaxPooling2D(2)(x)  # (batch, height / 2, width / 2, channels)
    for width, skip in list(zip(widths, seen))[::-1][:up]:
        x = layers.Concatenate()([layers.UpSampling2D(2)(x), skip])  # (batch, height * 2, width * 2, channels)
        x = _convolved(x, width, normalization, inputs["mask"])
    states, mask = _cells(x, inputs["mask"], dim, dropout)

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": mask}, name=name)


def descriptors(feature, dim, name, languages=1, widths=(), dropout=0.75):
    """Builds a linear layer, or a perceptron, over what is known of a picture without labels: for some thousand pictures, from which a deep tower learns too little, in minutes.

    Args:
        feature: `Descriptors`; or `Image`, whose pictures are then described in each batch anew, as they are augmented: slower, and for where another tower reads the pixels.
        dim: size of a state.
        name: name of the model.
        languages: not used; a picture has no language.
        widths: size of each hidden layer; few pictures hardly teach one.
        dropout: share dropped of the descriptors, of which there are more than pictures; and after each hidden layer twice as much, at most 0.9.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, 1, dim)` and `mask` `(batch, 1)`.

    Raises:
        ValueError: if the feature is neither of descriptors nor of pixels.
    """
    if feature.spec.shape.rank not in (1, 3):
        raise ValueError(f"Expected a feature of descriptors (units: descriptors) or of pixels for the tower descriptors of {name}. Received: {type(feature).__name__}")
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    x = _described(feature, inputs) if feature.spec.shape.rank == 3 else layers.Activation("linear")(inputs["value"])  # Which brings them to the precision of the model.
    states = _of_described(x, dim, widths, dropout)

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": inputs["mask"]}, name=name)


def _check_size(feature, halvings):
    _check_pixels(feature)
    if min(feature.size) < 2**halvings:
        raise ValueError(
            f"Expected pictures of at least {2**halvings} pixels a side for {halvings} halvings. Received: size={feature.size}. Give a larger `size` or fewer `widths`."
        )


def _check_pixels(feature):
    if feature.spec.shape.rank != 3:
        raise ValueError(f"Expected a feature of pixels; of descriptors (units: descriptors) the towers descriptors and mlp make something. Received: {type(feature).__name__}")


def _convolved(x, width, normalization, present):
    return normalized(layers.Conv2D(width, 3, padding="same", use_bias=False)(x), normalization, present)


def _cells(x, present, dim, dropout):
    """Turns the cells of a picture `(batch, height, width, channels)` into states that know where they stand, and their mask."""
    cells = x.shape[1] * x.shape[2]
    x = layers.Reshape((cells, x.shape[3]))(x)  # (batch, cells, channels)
    x = PositionEmbedding()(layers.Dense(dim)(layers.Dropout(dropout)(x)))
    return layers.Activation("gelu")(layers.LayerNormalization()(x)), ops.repeat(present, cells, axis=1)


def _described(feature, inputs):
    """What is known of pictures without learning from labels or texts, normalised, `(batch, size)`."""
    patches = getattr(feature, "patches", None)
    describe = Descriptors(patches=0 if patches is None else len(patches[1]))
    x = layers.Reshape((1, 1, describe.size))(describe(inputs["value"]))
    if patches is not None:
        describe.set_patches(*patches)
    return layers.Reshape((describe.size,))(PresentBatchNormalization(momentum=0.9, epsilon=1e-4)(x, inputs["mask"]))


def _of_described(x, dim, widths, dropout):
    """A state `(batch, 1, dim)` of descriptors `(batch, size)`."""
    x = layers.Dropout(dropout)(x)
    for width in widths:
        x = layers.Dropout(min(2 * dropout, 0.9))(layers.Dense(width, activation="gelu")(x))
    return layers.Activation("gelu")(layers.LayerNormalization()(layers.Reshape((1, dim))(layers.Dense(dim)(x))))
