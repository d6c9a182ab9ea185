import keras
import numpy as np
import tensorflow as tf

from cross_modal.layers import LogitScale


def test_products_are_cosines_times_the_scale():
    units = np.eye(3, dtype="float32")[None]
    layer = LogitScale(initial=20.0)
    out = np.asarray(layer(units))
    np.testing.assert_allclose(out[0] @ out[0].T, 20 * np.eye(3), rtol=1e-5)
    np.testing.assert_allclose(layer.logit_scale, np.log(20), rtol=1e-6)


def test_usual_temperature():
    layer = LogitScale()
    layer(np.ones((1, 2), "float32"))
    assert abs(1 / np.exp(float(layer.logit_scale)) - 0.07) < 1e-3


def test_scale_is_at_most_a_hundred():
    layer = LogitScale(initial=5000.0)
    np.testing.assert_allclose(layer(np.ones((2, 1), "float32")), 10, rtol=1e-5)


def test_scale_is_learned():
    layer = LogitScale(initial=4.0)
    x = tf.ones((1, 1))
    layer(x)
    with tf.GradientTape() as tape:
        out = tf.reduce_sum(layer(x))
    np.testing.assert_allclose(tape.gradient(out, layer.logit_scale.value), 1.0, rtol=1e-5)  # d exp(s / 2) / ds = exp(s / 2) / 2 = 1


def test_scale_comes_back_from_its_limit():
    """One step past the limit must not be for ever: a loss that asks for less gets less."""
    layer = LogitScale(initial=95.0)
    optimizer = keras.optimizers.SGD(0.05)
    x = tf.ones((1, 1))
    layer(x)
    for sign, steps in ((-1.0, 5), (1.0, 20)):  # More, then less.
        for _ in range(steps):
            with tf.GradientTape() as tape:
                loss = sign * tf.reduce_sum(layer(x))
            gradient = tape.gradient(loss, layer.logit_scale.value)
            optimizer.apply_gradients([(gradient, layer.logit_scale)])
        reached = float(tf.reduce_sum(layer(x)) ** 2)
        assert reached <= 100.01
    assert reached < 90


def test_shape_and_reload(tmp_path):
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, LogitScale(initial=9.0)(inputs))
    assert model.output_shape == (None, None, 3)
    model.layers[-1].logit_scale.assign(np.log(16.0))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[-1].initial == 9.0
    np.testing.assert_allclose(again(np.ones((1, 2, 3), "float32")), 4, rtol=1e-5)
