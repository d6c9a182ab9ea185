import cv2
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import features, testing
from cross_modal.features import descriptors
from cross_modal.layers import Descriptors

HISTOGRAMS = Descriptors.histograms


def encode(pixels, extension=".png"):
    return cv2.imencode(extension, np.asarray(pixels, np.uint8)[:, :, ::-1])[1].tobytes()


def noise(seed, height=40, width=56):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3))


@pytest.fixture(scope="module")
def learned():
    return features.Descriptors(**features.learn_descriptors([encode(noise(seed)) for seed in range(8)], patches=5, fisher=3))


def test_keeps_its_contract(learned):
    assert learned.spec.shape == (HISTOGRAMS + 9 * 5 + 2 * 2 * 3 * 66,)
    testing.check_feature(learned, [encode(noise(20)), encode(noise(21, 7, 90), ".jpg")])


def test_a_picture_and_its_mirror_image_are_described_alike(learned):
    left, right = (learned.featurize(tf.constant(encode(one))) for one in (noise(3), noise(3)[:, ::-1]))
    assert np.isclose(left, right, atol=0.02).mean() > 0.99  # A pixel or two may be on the edge between two hues.
    assert np.abs(left - learned.featurize(tf.constant(encode(noise(4))))).max() > 0.5


def test_means_and_deviations_are_those_of_the_pictures_that_were_learned_from():
    pictures = [encode(noise(seed) // (1 + seed % 3)) for seed in range(12)]
    learned = features.Descriptors(**features.learn_descriptors(pictures, patches=3, fisher=0))
    found = np.stack([learned.featurize(tf.constant(one)).numpy().astype(np.float32) for one in pictures])
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=0.01)
    assert np.median(found.std(axis=0)) == pytest.approx(1.0, abs=0.15)


def test_a_kind_of_patch_is_found_where_it_is():
    """Of two filters the one that is an edge to the right answers where the picture has one, in the middle of three columns, and the other nowhere."""
    right = np.tile(np.sign(np.arange(6) - 2.5)[None, :, None], (6, 1, 3))
    filters = np.stack([right, np.rot90(right)], axis=-1) / 6**0.5
    picture = np.zeros((48, 48, 3), np.float32)
    picture[:, 24:] = 1.0
    found = descriptors._patches(tf.constant(picture)[None], tf.constant(filters, tf.float32), tf.zeros(2)).numpy().reshape(3, 3, 2)
    assert (found[:, 1, 0] > 0.1).all() and not found[:, [0, 2]].any() and not found[:, :, 1].any()


def test_kinds_that_are_learned_tell_patterns_apart():
    """Of pictures of upright and of lying stripes the kinds of patches of the one are not those of the other."""
    upright = [encode(np.tile((np.arange(48) // width % 2 * 200 + 20)[None, :, None], (48, 1, 3))) for width in (2, 3, 4)]
    lying = [encode(np.tile((np.arange(48) // width % 2 * 200 + 20)[:, None, None], (1, 48, 3))) for width in (2, 3, 4)]
    learned = features.Descriptors(**features.learn_descriptors(upright + lying, patches=16, fisher=0))
    one, two = (np.stack([learned.featurize(tf.constant(raw)).numpy()[HISTOGRAMS:].astype(np.float32) for raw in some]).mean(axis=0) for some in (upright, lying))
    assert np.corrcoef(one, two)[0, 1] < -0.9


def test_what_cannot_be_learned_from_is_told():
    with pytest.raises(ValueError, match="at least two pictures .* Received: 1 pictures"):
        features.learn_descriptors([encode(noise(0))])
    with pytest.raises(ValueError, match="patches=0"):
        features.learn_descriptors([encode(noise(0))] * 2, patches=0)
    for fisher in (-1, 1.5, "many"):
        with pytest.raises(ValueError, match=f"`fisher` to be a number of Gaussians, or 0 for none. Received: fisher={fisher!r}"):
            features.learn_descriptors([encode(noise(0))] * 2, fisher=fisher)


def test_plain_pictures_are_described_too():
    learned = features.Descriptors(**features.learn_descriptors([encode(np.full((9, 9, 3), grey)) for grey in (0, 100, 200)], patches=4, fisher=2))
    for other in (np.full((1, 1, 3), 255), noise(0)):  # Of which the second has all that none of the others had.
        assert np.abs(learned.featurize(tf.constant(encode(other)))).max() == 10.0


def test_histograms_are_those_of_the_layer():
    """Which are worked out by hand in its own tests; a pixel on the edge between two colours may be taken for either."""
    pictures = np.stack([cv2.resize(np.random.default_rng(seed).uniform(size=(9, 9, 3)).astype(np.float32), (128, 128)) for seed in range(3)])
    found, known = descriptors._histograms(tf.constant(pictures)).numpy(), np.asarray(Descriptors()(pictures))
    assert found.shape == known.shape
    np.testing.assert_allclose(found**2, known**2, atol=0.005)
    assert np.isclose(found, known, atol=1e-5).mean() > 0.99
