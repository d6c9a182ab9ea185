import cv2
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import features, testing


def encode(pixels, extension=".png"):
    """Encodes RGB or grey pixels."""
    pixels = np.asarray(pixels, np.uint8)
    done, raw = cv2.imencode(extension, pixels[:, :, ::-1] if pixels.ndim == 3 else pixels)
    assert done
    return raw.tobytes()


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3))


@pytest.mark.parametrize("channels", [1, 3])
def test_image_keeps_its_contract(channels):
    testing.check_feature(features.Image((8, 12), channels), [encode(noise(8, 12)), encode(noise(20, 5), ".jpg"), encode(np.full((3, 3), 9))])


def test_pixels_of_the_right_size_are_only_divided():
    pixels = noise(6, 9)
    out = features.Image((6, 9)).featurize(tf.constant(encode(pixels)))
    np.testing.assert_allclose(out, pixels / 255, atol=1e-6)


def test_channels_are_red_green_blue():
    red = np.zeros((4, 4, 3))
    red[:, :, 0] = 255
    out = features.Image((4, 4)).featurize(tf.constant(encode(red))).numpy()
    assert (out[:, :, 0] == 1).all() and (out[:, :, 1:] == 0).all()


def test_grey_picture_has_three_equal_channels_and_colour_becomes_grey():
    out = features.Image((4, 4), 3).featurize(tf.constant(encode(np.full((4, 4), 51)))).numpy()
    np.testing.assert_allclose(out, 0.2, atol=1e-6)
    out = features.Image((4, 4), 1).featurize(tf.constant(encode(noise(4, 4)))).numpy()
    assert out.shape == (4, 4, 1) and 0 < out.mean() < 1


@pytest.mark.parametrize("height, width, real", [(10, 20, np.s_[2:8, 0:12]), (20, 10, np.s_[0:10, 3:8])])
def test_proportions_are_kept_on_black(height, width, real):
    out = features.Image((10, 12)).featurize(tf.constant(encode(np.full((height, width, 3), 255)))).numpy()
    inside = np.zeros((10, 12), bool)
    inside[real] = True
    np.testing.assert_allclose(out[inside], 1, atol=1e-5)
    assert (out[~inside] == 0).all()


@pytest.mark.parametrize("height, width, fit, rows, columns", [
    (10, 20, "stretch", (0, 9), (0, 19)), (10, 20, "crop", (0, 9), (5, 14)), (20, 10, "crop", (5, 14), (0, 9)), (7, 7, "crop", (0, 6), (0, 6)), (1, 50, "crop", (0, 0), (24, 24)),
])  # fmt: skip
def test_fit_keeps_all_or_the_middle(height, width, fit, rows, columns):
    """Pixels that say where they are: red their row, green their column."""
    pixels = np.zeros((height, width, 3))
    pixels[..., 0], pixels[..., 1] = np.mgrid[:height, :width]
    out = features.Image((10, 10), fit=fit).featurize(tf.constant(encode(pixels))).numpy() * 255
    low, high = out.min(axis=(0, 1)), out.max(axis=(0, 1))
    for channel, ends in enumerate((rows, columns)):
        assert low[channel] == pytest.approx(ends[0], abs=1.1) and high[channel] == pytest.approx(ends[1], abs=1.1)
    assert (out[..., 2] == 0).all()


@pytest.mark.parametrize("height, width, size", [(10, 20, (10, 12)), (37, 11, (16, 16)), (5, 3, (8, 8)), (100, 99, (7, 31)), (1, 1, (4, 6))])
def test_padding_is_that_of_tensorflow(height, width, size):
    pixels = noise(height, width)
    wanted = tf.image.resize_with_pad(tf.constant(pixels / 255, tf.float32), *size, method="bilinear", antialias=True)
    np.testing.assert_allclose(features.Image(size).featurize(tf.constant(encode(pixels))), wanted, atol=1e-5)


def test_the_longer_side_is_filled():
    """Though twice divided it may be a hair shorter."""
    for side in range(60, 140):
        out = features.Image((48, 48)).featurize(tf.constant(encode(np.full((side, side - 20, 3), 255)))).numpy()
        assert (out[:, 24, 0] > 0.99).all(), side


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("height, width", [(700, 10), (1000, 1), (1, 65), (4, 300)])
def test_a_thin_picture_is_at_least_a_line(height, width, fit):
    out = features.Image((32, 32), fit=fit).featurize(tf.constant(encode(np.full((height, width, 3), 255)))).numpy()
    assert out.max() == pytest.approx(1, abs=1e-5) and (fit != "pad" or np.isclose(out[..., 0], 1).sum() == 32)


def test_an_unknown_fit_is_told():
    with pytest.raises(ValueError, match="pad, crop or stretch. Received: fit=fill"):
        features.Image(fit="fill")


def test_shrinking_averages():
    board = np.indices((32, 32)).sum(0) % 2 * 255  # A fine board: without antialiasing some pixels would be black or white.
    out = features.Image((4, 4), 1).featurize(tf.constant(encode(board))).numpy()
    np.testing.assert_allclose(out, 0.5, atol=0.05)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extension, tolerance", [(".png", 0), (".bmp", 0), (".jpg", 0.05), (".gif", 0.25)])  # A GIF has few colours.
def test_formats(extension, tolerance, channels):
    ramp = np.repeat(np.linspace(0, 255, 16).astype(np.uint8)[None], 8, 0)
    out = features.Image((8, 16), channels).featurize(tf.constant(encode(np.stack([ramp] * 3, -1), extension))).numpy()
    np.testing.assert_allclose(out, np.stack([ramp / 255] * channels, -1), atol=tolerance + 1e-2)


def test_first_frame_of_a_moving_gif():
    film = cv2.Animation()
    film.frames = [np.full((8, 8, 3), shade, np.uint8) for shade in (255, 0, 0)]
    film.durations = np.array([100, 100, 100])
    done, raw = cv2.imencodeanimation(".gif", film)
    assert done
    np.testing.assert_allclose(features.Image((8, 8)).featurize(tf.constant(raw.tobytes())), 1, atol=0.02)


def test_what_is_transparent_is_laid_over_white():
    rgba = np.dstack([noise(4, 4), np.full((4, 4), 51)])
    raw = cv2.imencode(".png", rgba[:, :, [2, 1, 0, 3]].astype(np.uint8))[1].tobytes()
    np.testing.assert_allclose(features.Image((4, 4)).featurize(tf.constant(raw)), 0.8 + 0.2 * rgba[:, :, :3] / 255, atol=1e-6)


def test_bytes_that_are_no_picture():
    with pytest.raises(tf.errors.InvalidArgumentError):
        features.Image().featurize(tf.constant(b"not a picture"))


@pytest.mark.parametrize("size", [(4,), (4, 4, 3), (0, 4), (4, -1)])
def test_size_error_says_what_came(size):
    with pytest.raises(ValueError, match=r"Expected `size` to be two positive numbers .* Received: size=\("):
        features.Image(size)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_channels_error_says_what_came(channels):
    with pytest.raises(ValueError, match=f"Expected `channels` to be 1 .grey. or 3 .RGB.. Received: channels={channels}"):
        features.Image(channels=channels)
