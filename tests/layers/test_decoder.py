import keras
import numpy as np
import pytest

from cross_modal import decoders

ALL = [decoders.transformer, decoders.lstm, decoders.gru, decoders.rnn]


def made(function, dim=8, **options):
    """A model of a decoder, and the decoder."""
    decoder = function("decoder", **options)
    inputs = [keras.Input((None, dim)), keras.Input((None, dim)), keras.Input((None,), dtype="bool")]
    return keras.Model(inputs, decoder(*inputs)), decoder


@pytest.fixture
def drawn():
    draw = np.random.default_rng(0)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    return draw.normal(size=(3, 5, 8)).astype("float32"), draw.normal(size=(3, 4, 8)).astype("float32"), mask


@pytest.mark.parametrize("function", ALL)
def test_step_by_step_is_as_all_at_once(function, drawn):
    model, decoder = made(function)
    x, states, mask = drawn
    whole = np.asarray(model([x, states, mask]))
    memory = decoder.begin(states, mask, 5)
    for place in range(5):
        one, memory = decoder.step(x[:, place], place, memory)
        np.testing.assert_allclose(one, whole[:, place], atol=1e-5)


@pytest.mark.parametrize("function", ALL)
def test_it_sees_what_was_written_and_what_is_there(function, drawn, tmp_path):
    model, _ = made(function)
    x, states, mask = drawn
    whole = np.asarray(model([x, states, mask]))
    later = x.copy()
    later[:, 3:] = 9.0
    np.testing.assert_allclose(np.asarray(model([later, states, mask]))[:, :3], whole[:, :3], atol=1e-5, err_msg="what comes later does not matter")
    other = np.where(mask[:, :, None], states, 9.0)
    np.testing.assert_allclose(model([x, other, mask]), whole, atol=1e-5, err_msg="what is masked does not matter")
    padded = [x, np.pad(states, [[0, 0], [0, 3], [0, 0]]), np.pad(mask, [[0, 0], [0, 3]])]
    np.testing.assert_allclose(model(padded), whole, atol=1e-5, err_msg="padding does not matter")
    changed = states.copy()
    changed[0, 1] += 1.0
    moved = np.abs(np.asarray(model([x, changed, mask])) - whole).max(axis=(1, 2))
    assert moved[0] > 1e-3 and moved[1] < 1e-6, "what is there does"
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "model.keras")([x, states, mask]), whole, atol=1e-6)


def test_options_without_a_meaning_are_told():
    with pytest.raises(ValueError, match="heads=3, dim=8"):
        made(decoders.transformer, heads=3)
    from cross_modal.layers import RecurrentDecoder

    with pytest.raises(ValueError, match="rnn, lstm, gru. Received: kind=cnn"):
        RecurrentDecoder("cnn")
