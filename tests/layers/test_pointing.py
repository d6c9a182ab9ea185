import keras
import numpy as np

from cross_modal.layers import SpanLogits


def test_points_to_the_first_steps_that_are_real(tmp_path):
    draw = np.random.default_rng(0)
    states, nothing = draw.normal(size=(2, 5, 4)).astype("float32"), draw.normal(size=(2, 4)).astype("float32")
    mask = np.array([[True, True, True], [True, False, False]])
    inputs = [keras.Input((None, 4)), keras.Input((None,), dtype="bool"), keras.Input((4,))]
    model = keras.Model(inputs, SpanLogits(name="points")(*inputs))
    found = model([states, mask, nothing]).numpy()
    assert found.shape == (2, 2, 4) and (found[1, :, 2:] == -1e9).all() and (found[0] > -1e3).all()
    kernel, bias = model.get_layer("points").pointers.get_weights()
    np.testing.assert_allclose(found[0, :, 1:], (states[0, :3] @ kernel + bias).T, atol=1e-5)
    kernel, bias = model.get_layer("points").nothing.get_weights()
    np.testing.assert_allclose(found[:, :, 0], nothing @ kernel + bias, atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")([states, mask, nothing]), found, atol=1e-5)
