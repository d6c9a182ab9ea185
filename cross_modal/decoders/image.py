"""Decoders that draw a picture from one state."""

import math

import keras
from keras import layers


def mlp(feature, dim, name, widths=(256,)):
    """Builds a perceptron to all pixels: a baseline, or for pictures whose parts never move.

    Args:
        feature: `Image`.
        dim: size of the state.
        name: of the model.
        widths: size of each hidden layer.

    Returns:
        `keras.Model` from a state `(batch, dim)` to `value` `(batch, height, width, channels)`, between 0 and 1.
    """
    # --- inputs ---
    state = keras.Input((dim,), name="state")

    # --- body ---
    x = state
    for width in widths:
        x = layers.Dense(width, activation="gelu")(x)
    x = layers.Dense(math.prod(feature.spec.shape), activation="sigmoid", dtype="float32")(x)

    # --- model ---
    return keras.Model(state, {"value": layers.Reshape(tuple(feature.spec.shape), dtype="float32")(x)}, name=name)


def deconv(feature, dim, name, widths=(128, 64, 32)):
    """Builds a stack of transposed convolutions, each of which doubles the picture.

    Args:
        feature: `Image`.
        dim: size of the state.
        name: of the model.
        widths: channels before each doubling.

    Returns:
        `keras.Model` from a state `(batch, dim)` to `value` `(batch, height, width, channels)`, between 0 and 1.

    Raises:
        ValueError: if the picture is too small to be doubled that often.

    Source:
        Zeiler et al. (2010), "Deconvolutional Networks", section 3; Radford et al. (2016), "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
        Networks", section 3.
    """
    height, width, channels = feature.spec.shape
    # --- inputs ---
    state = keras.Input((dim,), name="state")

    # --- body ---
    x = grown(state, (height, width), widths)
    x = layers.Conv2D(channels, 3, padding="same", activation="sigmoid", dtype="float32")(x)

    # --- model ---
    return keras.Model(state, {"value": x}, name=name)


def unet(feature, dim, name, widths=(128, 64, 32)):
    """Builds the way up of a U-Net: each stage doubles the picture and is joined, in place of what the way down saw, with the state, so that all sizes know of the whole.

    Args:
        feature: `Image`.
        dim: size of the state.
        name: of the model.
        widths: channels of each stage, from the smallest picture on.

    Returns:
        `keras.Model` from a state `(batch, dim)` to `value` `(batch, height, width, channels)`, between 0 and 1.

    Raises:
        ValueError: if the picture is too small to be doubled that often.

    Source:
        Ronneberger et al. (2015), "U-Net: Convolutional Networks for Biomedical Image Segmentation", section 2, without the way down: what it saw must pass the state.
    """
    height, width, channels = feature.spec.shape
    sizes = growing((height, width), len(widths))
    # --- inputs ---
    state = keras.Input((dim,), name="state")

    # --- body ---
    x = layers.Dense(math.prod(sizes[0]) * widths[0])(state)
    x = layers.Activation("gelu")(layers.BatchNormalization()(layers.Reshape((*sizes[0], widths[0]))(x)))
    for size, channel in zip(sizes[1:], widths):
        seen = layers.Dense(channel)(state)
        seen = layers.UpSampling2D(size)(layers.Reshape((1, 1, channel))(seen))
        x = layers.Concatenate()([cropped(layers.UpSampling2D(2, interpolation="bilinear", dtype="float32")(x), size), seen])  # (batch, height * 2, width * 2, channels)
        for _ in range(2):
            x = layers.Conv2D(channel, 3, padding="same", use_bias=False)(x)
            x = layers.Activation("gelu")(layers.BatchNormalization()(x))
    x = layers.Conv2D(channels, 3, padding="same", activation="sigmoid", dtype="float32")(x)

    # --- model ---
    return keras.Model(state, {"value": x}, name=name)


def grown(state, size, widths):
    """Grows a state `(batch, dim)` to a map `(batch, height, width, channels)` of a size, by transposed convolutions."""
    sizes = growing(size, len(widths))
    x = layers.Dense(math.prod(sizes[0]) * widths[0])(state)
    x = layers.Reshape((*sizes[0], widths[0]))(x)
    for size, channels in zip(sizes[1:], [*widths[1:], widths[-1]]):
        x = layers.Activation("gelu")(layers.BatchNormalization()(x))
        x = cropped(layers.Conv2DTranspose(channels, 4, strides=2, padding="same", use_bias=False)(x), size)  # (batch, height * 2, width * 2, channels)
    return layers.Activation("gelu")(layers.BatchNormalization()(x))


def growing(size, doublings):
    """Returns the sizes of a map that is doubled, and cut where that is too much, until it has a size."""
    if min(size) < 2**doublings:
        raise ValueError(f"Expected sides of at least {2**doublings} for {doublings} doublings. Received: {tuple(size)}. Give a larger `size` or fewer `widths`.")
    sizes = [tuple(size)]
    for _ in range(doublings):
        sizes.append(tuple(math.ceil(side / 2) for side in sizes[-1]))
    return sizes[::-1]


def cropped(x, size):
    """Cuts what is too much off the lower and right edge."""
    rest = [(0, have - want) for have, want in zip(x.shape[1:3], size)]
    return layers.Cropping2D(rest)(x) if any(more for _, more in rest) else x
