import numpy as np

from cross_modal.layers import PresentBatchNormalization


def test_statistics_by_hand():
    layer = PresentBatchNormalization(momentum=0.0, epsilon=0.0)
    x = np.array([1.0, 3.0, 100.0], "float32").reshape(3, 1, 1, 1)
    found = np.asarray(layer(x, np.array([[True], [True], [False]]), training=True))
    np.testing.assert_allclose(found[:2].ravel(), [-1.0, 1.0], atol=1e-5)
    np.testing.assert_allclose(np.asarray(layer.moving_mean), [2.0], atol=1e-6)
    np.testing.assert_allclose(np.asarray(layer.moving_variance), [1.0], atol=1e-6)


def test_a_batch_of_nothing_leaves_the_statistics_as_they_are():
    layer = PresentBatchNormalization(momentum=0.5)
    x = np.array([1.0, 3.0], "float32").reshape(2, 1, 1, 1)
    layer(x, np.array([[True], [True]]), training=True)
    known = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    assert np.isfinite(np.asarray(layer(x, np.zeros((2, 1), bool), training=True))).all()
    np.testing.assert_array_equal((layer.moving_mean, layer.moving_variance), known)
