import numpy as np
import pytest

from cross_modal.layers import LanguageAdapter


def test_by_hand():
    """A state of mean 0 and deviation 1 stays itself when normalised; its first number comes back doubled and passed through gelu."""
    layer = LanguageAdapter(2, 1)
    states = np.array([[[1.0, -1.0]], [[1.0, -1.0]]], "float32")
    assert (np.asarray(layer(states, np.array([0, 1]))) == states).all()
    layer.down.assign(np.array([[[0.0], [0.0]], [[2.0], [0.0]]]))
    layer.up.assign(np.array([[[5.0, 5.0]], [[0.0, 1.0]]]))
    out = np.asarray(layer(states, np.array([0, 1])))
    assert out[0] == pytest.approx(states[0]) and out[1, 0] == pytest.approx([1.0, -1.0 + 1.9545], abs=2e-3)  # gelu(2), less the epsilon of the normalisation.
    with pytest.raises(ValueError, match="Expected `size` to be at least 1. Received: size=0"):
        LanguageAdapter(2, 0)
