import keras
import numpy as np
import pytest

from cross_modal.layers import AttentionPooling


def states(batch=3, time=5, dim=4):
    return np.random.default_rng(0).normal(size=(batch, time, dim)).astype("float32")


MASK = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)


def expected(states, mask, kernel):
    """The definition, item by item."""
    out = np.zeros((len(states), kernel.shape[1], states.shape[-1]))
    for i, (steps, real) in enumerate(zip(states, mask)):
        for q in range(kernel.shape[1]):
            if real.any():
                scores = steps[real] @ kernel[:, q]
                weights = np.exp(scores) / np.exp(scores).sum()
                out[i, q] = weights @ steps[real]
    return out.reshape(len(states), -1)


def test_states_are_weighed_by_the_softmax_of_real_steps():
    layer = AttentionPooling(queries=2)
    out = np.asarray(layer(states(), MASK))
    np.testing.assert_allclose(out, expected(states(), MASK, np.asarray(layer.kernel)), atol=1e-5)
    assert (out[2] == 0).all()


def test_known_answer():
    layer = AttentionPooling(queries=1)
    x = np.array([[[1, 0], [0, 1], [9, 9]]], "float32")
    mask = np.array([[True, True, False]])
    layer(x, mask)
    layer.kernel.assign([[np.log(3.0)], [0.0]])
    np.testing.assert_allclose(layer(x, mask), [[0.75, 0.25]], atol=1e-5)


@pytest.mark.parametrize("large", [10.0, 1000.0])
def test_masked_steps_count_nothing_however_large(large):
    """The largest score may be that of a masked step; the real ones must not vanish beside it."""
    layer = AttentionPooling(queries=2)
    layer(states(), MASK)
    layer.kernel.assign(np.ones((4, 2)))
    loud = np.where(MASK[:, :, None], states(), large).astype("float32")
    np.testing.assert_allclose(layer(loud, MASK), expected(states(), MASK, np.ones((4, 2))), atol=1e-5)


def test_large_scores_do_not_overflow():
    layer = AttentionPooling(queries=1)
    layer(states(), MASK)
    layer.kernel.assign(np.full((4, 1), 300.0))
    assert np.isfinite(np.asarray(layer(states(), MASK))).all()


def test_padding_does_not_matter():
    layer = AttentionPooling()
    out = np.asarray(layer(states(), MASK))
    longer = layer(np.pad(states(), [[0, 0], [0, 6], [0, 0]]), np.pad(MASK, [[0, 0], [0, 6]]))
    np.testing.assert_allclose(longer, out, atol=1e-6)


def test_gradients_are_finite_where_nothing_is_real():
    import tensorflow as tf

    layer = AttentionPooling(queries=2)
    x = tf.constant(states())
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, MASK) ** 2)
    gradient, of_kernel = tape.gradient(loss, [x, layer.kernel.value])
    assert np.isfinite(gradient).all() and np.isfinite(of_kernel).all()
    np.testing.assert_allclose(np.asarray(gradient)[~MASK], 0, atol=1e-7)
    assert np.abs(of_kernel).max() > 0


def test_shape_and_reload(tmp_path):
    inputs, mask = keras.Input((None, 4)), keras.Input((None,), dtype="bool")
    model = keras.Model([inputs, mask], AttentionPooling(queries=3)(inputs, mask))
    assert model.output_shape == (None, 12)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again([states(), MASK]), model([states(), MASK]), atol=1e-6)


def test_half_precision():
    layer = AttentionPooling(queries=2, dtype="mixed_float16")
    out = layer(states().astype("float16"), MASK)
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    np.testing.assert_allclose(np.asarray(out, "float32"), expected(states(), MASK, np.asarray(layer.kernel)), atol=5e-3)
