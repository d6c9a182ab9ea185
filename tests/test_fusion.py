import keras
import numpy as np
import pytest

from cross_modal import fusion, testing


@pytest.mark.parametrize("function", [fusion.concat, fusion.attention])
def test_keeps_its_contract(function):
    testing.check_fusion(function)


def test_concat_joins_in_time():
    sources = {name: {"states": keras.Input((steps, 4)), "mask": keras.Input((steps,), dtype="bool")} for name, steps in (("a", 2), ("b", 3))}
    joined = fusion.concat(sources)
    assert joined["states"].shape == (None, 5, 4)
    assert joined["mask"].shape == (None, 5)


def test_attention_carries_from_one_source_to_another():
    sources = {name: {"states": keras.Input((2, 8), name=f"{name}s"), "mask": keras.Input((2,), dtype="bool", name=f"{name}m")} for name in "ab"}
    model = keras.Model(sources, fusion.attention(sources, heads=2)["states"])
    draw = np.random.default_rng(0)
    x = {name: {"states": draw.normal(size=(1, 2, 8)).astype("float32"), "mask": np.ones((1, 2), bool)} for name in "ab"}
    before = np.asarray(model(x))[0, :2]
    x["b"]["states"] = draw.normal(size=(1, 2, 8)).astype("float32")
    assert not np.allclose(before, np.asarray(model(x))[0, :2], atol=1e-4)
    x["b"]["mask"][:] = False
    absent = np.asarray(model(x))[0, :2]
    x["b"]["states"] = draw.normal(size=(1, 2, 8)).astype("float32")
    np.testing.assert_allclose(absent, np.asarray(model(x))[0, :2], atol=1e-6)


def test_states_of_different_size_are_told():
    sources = {name: {"states": keras.Input((2, dim)), "mask": keras.Input((2,), dtype="bool")} for name, dim in (("a", 4), ("b", 6))}
    with pytest.raises(ValueError, match="one size. Received: {'a': 4, 'b': 6}"):
        fusion.concat(sources)


def test_heads_that_do_not_divide_are_told():
    with pytest.raises(ValueError, match="Received: heads=3, dim=4"):
        fusion.attention({"a": {"states": keras.Input((2, 4)), "mask": keras.Input((2,), dtype="bool")}}, heads=3)
