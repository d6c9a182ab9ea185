import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from cross_modal import ctc


@pytest.mark.parametrize("compiled", [False, True])
def test_ctc_adds_up_all_ways_to_spell_a_text(compiled):
    logits = np.random.default_rng(0).normal(size=(6, 5, 4)).astype("float32")
    for row, first in ((2, 4), (3, 2), (4, 0)):  # From there on steps are not there.
        logits[row, first:] = [0.0, -1e9, -1e9, -1e9]
    texts = np.array([[1, 2, 3], [1, 1, 0], [2, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]])
    chances = np.exp(logits - np.log(np.exp(logits.astype(float)).sum(-1, keepdims=True)))
    known = []
    for text, chance in zip(texts[:3], chances):
        ways = [way for way in itertools.product(range(4), repeat=5) if [one for one, _ in itertools.groupby(way) if one] == [one for one in text if one]]
        known.append(-math.log(sum(math.prod(chance[step, one] for step, one in enumerate(way)) for way in ways)))
    with tf.GradientTape() as tape:
        given = tf.constant(logits)
        tape.watch(given)
        found = ctc.ctc_cost(texts, given, compiled)
    # Two equal ids need three steps; no text is no example.
    assert found.numpy() == pytest.approx([*known, ctc.IMPOSSIBLE, ctc.IMPOSSIBLE, 0], abs=1e-4)
    slope = tape.gradient(found, given).numpy()
    assert np.isfinite(slope).all() and np.abs(slope[:3]).sum() > 1 and not slope[3:].any()
    assert ctc.CTC()(texts, logits, np.array([3.0, 2, 1, 0, 0, 0])).numpy() == pytest.approx(sum(known) / 6, abs=1e-4)
