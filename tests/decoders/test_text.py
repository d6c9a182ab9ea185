import functools

import keras
import numpy as np
import pytest

from cross_modal import decoders, testing
from cross_modal.layers import RecurrentDecoder


@pytest.mark.parametrize("function", [decoders.text.transformer, decoders.text.lstm, decoders.text.gru, decoders.text.rnn])
def test_keeps_its_contract(function):
    testing.check_decoder(function)


def test_one_layer_is_enough():
    testing.check_decoder(functools.partial(decoders.text.gru, depth=1))
    testing.check_decoder(functools.partial(decoders.text.transformer, depth=1, heads=2, mlp_dim=8), dim=8)


def test_what_is_read_is_what_is_alike():
    """With all weights but one at zero, by hand: the attention of a recurrent decoder gives the mean of the states."""
    decoder = decoders.text.rnn("decoder", depth=1, dropout=0.0)
    inputs = [keras.Input((None, 2)), keras.Input((None, 2)), keras.Input((None,), dtype="bool")]
    model = keras.Model(inputs, decoder(*inputs))
    for weight in decoder.weights:
        weight.assign(np.zeros(weight.shape))
    decoder.join.kernel.assign([[0, 0], [0, 0], [1, 0], [0, 1]])  # What was read, and not what was written.
    states = np.array([[[0.2, 0.4], [0.6, 0.0], [9.0, 9.0]]], "float32")
    found = model([np.ones((1, 1, 2), "float32"), states, np.array([[True, True, False]])])
    np.testing.assert_allclose(found, np.tanh([[[0.4, 0.2]]]), rtol=1e-5)


def test_options_without_a_meaning_are_told():
    with pytest.raises(ValueError, match="heads=3, dim=16"):
        testing.check_decoder(functools.partial(decoders.text.transformer, heads=3))
    with pytest.raises(ValueError, match="rnn, lstm, gru. Received: kind=cnn"):
        RecurrentDecoder("cnn")
