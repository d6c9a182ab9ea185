import numpy as np

from cross_modal.layers import GaussianSample, HideSources


def test_hides_some_and_leaves_one():
    present = np.array([[True, True, False]] * 2000 + [[False] * 3] * 5 + [[False, False, True]] * 5)
    shown = np.asarray(HideSources(0.5)(present, training=True))
    assert (shown <= present).all() and (shown.any(axis=1) == present.any(axis=1)).all()
    # Of two: both with 1/4, else one of them alone.
    assert abs((shown[:2000].sum(axis=1) == 2).mean() - 0.25) < 0.04 and abs(shown[:2000, 0].mean() - 0.625) < 0.04


def test_hides_nothing_otherwise():
    present = np.array([[True, False], [True, True]])
    assert (np.asarray(HideSources(0.9)(present, training=False)) == present).all()
    assert (np.asarray(HideSources(0.0)(present, training=True)) == present).all()


def test_always_hidden_is_one_at_a_time():
    assert (np.asarray(HideSources(1.0)(np.ones((50, 3), bool), training=True)).sum(axis=1) == 1).all()


def test_draws_in_training_alone():
    mean, spread = np.full((4000, 2), 3.0, "float32"), np.full((4000, 2), 2 * np.log(0.5), "float32")
    layer = GaussianSample()
    assert (np.asarray(layer(mean, spread, training=False)) == 3.0).all()
    drawn = np.asarray(layer(mean, spread, training=True))
    assert abs(drawn.mean() - 3.0) < 0.03 and abs(drawn.std() - 0.5) < 0.03
