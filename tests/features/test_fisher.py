import cv2
import numpy as np
import pytest
import tensorflow as tf

from cross_modal.features import fisher


def noise(seed, side=32):
    return np.random.default_rng(seed).uniform(size=(side, side, 3)).astype(np.float32)


def raw(pixels):
    return cv2.imencode(".png", np.uint8(np.round(pixels * 255)))[1].tobytes()


def read(raw):
    return tf.ensure_shape(tf.image.convert_image_dtype(tf.io.decode_png(raw, channels=3), tf.float32), (32, 32, 3))


def test_brightness_that_rises_to_the_right_does_so_in_each_cell():
    rising = np.tile(np.linspace(0, 1, 32, dtype=np.float32)[None, :, None], (32, 1, 3))
    found, _ = fisher.picture_parts(rising[None], "gradients")
    cells = found.numpy()[0, 6].reshape(16, 8) ** 2  # A part that does not touch the edge, where it rises half as much.
    right, between = 1.0, 0.5**0.5
    np.testing.assert_allclose(cells[0] / cells[0, 0], [right, between, 0, 0, 0, 0, 0, between], atol=1e-4)
    np.testing.assert_allclose(cells, np.tile(cells[0], (16, 1)), atol=1e-5)


def test_brightness_that_rises_downwards_does_so_in_another_direction():
    rising = np.tile(np.linspace(0, 1, 32, dtype=np.float32)[:, None, None], (1, 32, 3))
    cells = fisher.picture_parts(rising[None], "gradients")[0].numpy()[0, 6].reshape(16, 8)
    assert (cells.argmax(axis=1) == 2).all()


def test_colours_are_means_and_deviations_of_each_cell():
    picture = np.zeros((16, 16, 3), np.float32)
    picture[..., 0] = 0.25
    picture[::2, :, 1] = 1.0  # Every second row, so that half of each cell has it.
    found = fisher.picture_parts(picture[None], "colours")[0].numpy()[0].reshape(-1, 16, 6)
    assert len(found) == 1  # At half the size there is none.
    np.testing.assert_allclose(found[0], np.tile([0.25, 0.5, 0, 0.01, 0.5, 0.01], (16, 1)), atol=1e-3)


def test_parts_know_where_they_are():
    found, places = fisher.picture_parts(noise(0)[None], "colours")
    assert found.shape == (1, 26, 96) and places.shape == (26, 2)  # 5 x 5 and 1.
    np.testing.assert_allclose(places[:5], [(-1.2, 0.6 * column - 1.2) for column in range(5)], atol=1e-5)
    np.testing.assert_allclose(places[-1], (0, 0), atol=1e-5)


def test_of_one_gaussian_a_vector_is_how_means_and_variances_differ():
    draw = np.random.default_rng(0)
    projection, offsets = draw.normal(size=(96, 4)).astype(np.float32), draw.normal(size=4).astype(np.float32)
    means, variances = draw.normal(size=(1, 6)).astype(np.float32), draw.uniform(0.5, 2, size=(1, 6)).astype(np.float32)
    pictures = np.stack([noise(1), noise(2)])
    parts, places = (one.numpy() for one in fisher.picture_parts(pictures, "colours"))
    kept = np.concatenate([parts @ projection + offsets, np.tile(places, (2, 1, 1))], axis=2)
    away = (kept - means) / np.sqrt(variances)
    wanted = np.concatenate([away.mean(axis=1), ((away**2 - 1) / 2**0.5).mean(axis=1)], axis=1)
    found = fisher.fisher_vectors(pictures, "colours", projection, offsets, means, variances, np.ones(1, np.float32)).numpy()
    np.testing.assert_allclose(found, np.sign(wanted) * np.abs(wanted) ** 0.5, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", fisher.KINDS)
def test_what_was_learned_from_has_nothing_other_than_itself(kind):
    """At the best mixture the mean gradient is zero; of pictures of another kind it is not."""
    known = [noise(seed) * (0.3 + 0.7 * (seed % 2)) for seed in range(12)]
    learned = fisher.unpack_fisher(fisher.learn_fisher([raw(one) for one in known], read, kind, 2))
    found, others = (fisher.fisher_vectors(np.stack(some), kind, *learned).numpy() for some in (known, [cv2.blur(noise(seed), (5, 5)) for seed in range(12)]))
    assert found.shape == (12, 2 * 2 * 66)
    own, other = (np.abs((np.sign(one) * one**2).mean(axis=0)).mean() for one in (found, others))
    assert own < 0.1 < 5 * own < other


def test_plain_pictures_teach_and_are_asked():
    plain = [np.full((32, 32, 3), grey, np.float32) for grey in (0.0, 0.5)]
    for kind in fisher.KINDS:
        learned = fisher.unpack_fisher(fisher.learn_fisher([raw(one) for one in plain], read, kind, 3))
        assert np.isfinite(fisher.fisher_vectors(np.stack([*plain, noise(0)]), kind, *learned)).all()
