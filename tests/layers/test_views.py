import keras
import numpy as np
import pytest

from cross_modal.layers import FoldViews, UnfoldViews


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5, 1)])
def test_fold_and_unfold(shape):
    value = np.arange(np.prod(shape)).reshape(shape)
    folded = np.asarray(FoldViews()(value))
    assert folded.shape == (6, *shape[2:])
    np.testing.assert_array_equal(folded[4], value[1, 1])  # Item 1, view 1.
    np.testing.assert_array_equal(UnfoldViews(3)(folded), value)


def test_symbolic_shapes():
    folded = FoldViews()(keras.Input((3, None, 4)))
    assert folded.shape == (None, None, 4)
    assert UnfoldViews(3)(folded).shape == (None, 3, None, 4)
    assert FoldViews().compute_output_shape((2, 3, 4)) == (6, 4)
    assert UnfoldViews(3).compute_output_shape((6, 4)) == (2, 3, 4)


def test_a_mask_stays_bool():
    mask = np.array([[[True, False], [False, False]]])
    assert keras.backend.standardize_dtype(FoldViews(dtype="bool")(mask).dtype) == "bool"


def test_inside_a_model_and_reloaded(tmp_path):
    inputs = keras.Input((2, None, 3))
    model = keras.Model(inputs, UnfoldViews(2)(keras.layers.LayerNormalization()(FoldViews()(inputs))))
    x = np.random.default_rng(0).normal(size=(4, 2, 5, 3)).astype("float32")
    out = np.asarray(model(x))
    assert out.shape == x.shape
    np.testing.assert_allclose(out, (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3), atol=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x), out)
    np.testing.assert_allclose(model.predict(x[:1], verbose=0), out[:1], atol=1e-6)
