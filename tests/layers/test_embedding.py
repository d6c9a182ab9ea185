import keras
import numpy as np
import pytest

from cross_modal.layers import LanguageEmbedding, PositionEmbedding


def states(batch=3, time=4, dim=5):
    return np.random.default_rng(0).normal(size=(batch, time, dim)).astype("float32")


def reloaded(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def test_position_adds_its_vector_to_each_step():
    layer = PositionEmbedding()
    out = np.asarray(layer(states()))
    np.testing.assert_allclose(out - states(), np.broadcast_to(np.asarray(layer.vectors)[None], (3, 4, 5)), atol=1e-6)
    layer.vectors.assign(np.arange(20).reshape(4, 5))
    np.testing.assert_allclose(np.asarray(layer(np.zeros((2, 4, 5), "float32")))[1], np.arange(20).reshape(4, 5))


def test_positions_differ_from_the_start_and_are_learned():
    layer = PositionEmbedding()
    layer(states())
    vectors = np.asarray(layer.vectors)
    assert len({tuple(row) for row in vectors.tolist()}) == 4 and np.abs(vectors).max() < 0.2
    assert [weight.path for weight in layer.trainable_weights] == [layer.vectors.path]


def test_position_wants_a_known_number_of_steps():
    with pytest.raises(ValueError, match=r"Expected a known number of steps\. Received: input_shape=\(None, None, 5\)"):
        PositionEmbedding()(keras.Input((None, 5)))


def test_position_reloads(tmp_path):
    inputs = keras.Input((4, 5))
    model = keras.Model(inputs, PositionEmbedding()(inputs))
    assert model.output_shape == (None, 4, 5)
    np.testing.assert_array_equal(reloaded(model, tmp_path)(states()), model(states()))


def test_language_adds_its_vector_to_every_step():
    layer = LanguageEmbedding(3)
    layer(states(), np.array([0, 1, 2]))
    layer.vectors.assign([[0] * 5, [1] * 5, [-2] * 5])
    out = np.asarray(layer(states(), np.array([2, 0, 1])))
    np.testing.assert_allclose(out - states(), np.broadcast_to(np.array([-2, 0, 1])[:, None, None], (3, 4, 5)), atol=1e-6)


def test_language_is_dropped_in_training_alone():
    layer = LanguageEmbedding(2, dropout=0.3)
    zeros, ones = np.zeros((2000, 1, 5), "float32"), np.ones(2000, int)
    layer(zeros, ones)
    layer.vectors.assign([[0] * 5, [1] * 5])
    kept = np.asarray(layer(zeros, ones, training=True))[:, 0]
    assert set(np.unique(kept)) == {0, 1}
    assert (kept == kept[:, :1]).all()  # The whole example, not single numbers.
    assert 0.64 < kept.mean() < 0.76
    assert (np.asarray(layer(zeros, ones)) == 1).all()
    assert not np.array_equal(kept, np.asarray(layer(zeros, ones, training=True))[:, 0])


@pytest.mark.parametrize("dropout, expected", [(0.0, 1), (1.0, 0)])
def test_language_dropout_never_and_always(dropout, expected):
    layer = LanguageEmbedding(2, dropout=dropout)
    layer(np.zeros((50, 1, 5), "float32"), np.ones(50, int))
    layer.vectors.assign([[0] * 5, [1] * 5])
    assert (np.asarray(layer(np.zeros((50, 1, 5), "float32"), np.ones(50, int), training=True)) == expected).all()


def test_language_reloads_with_its_settings(tmp_path):
    inputs, language = keras.Input((None, 5)), keras.Input((), dtype="int32")
    model = keras.Model([inputs, language], LanguageEmbedding(3, dropout=0.25)(inputs, language))
    assert model.output_shape == (None, None, 5)
    again = reloaded(model, tmp_path)
    layer = next(layer for layer in again.layers if isinstance(layer, LanguageEmbedding))
    assert (layer.languages, layer.dropout) == (3, 0.25)
    x = [states(), np.array([2, 1, 0])]
    np.testing.assert_array_equal(again(x), model(x))


@pytest.mark.parametrize(
    "layer, more", [(PositionEmbedding(dtype="mixed_float16"), ()), (LanguageEmbedding(3, dtype="mixed_float16"), (np.array([0, 1, 2]),))], ids=["position", "language"]
)
def test_half_precision_stays_half(layer, more):
    assert keras.backend.standardize_dtype(layer(states().astype("float16"), *more).dtype) == "float16"
    assert keras.backend.standardize_dtype(layer.vectors.dtype) == "float32"
