import keras
import numpy as np
import pytest

from cross_modal import fusion, testing

ALL = [fusion.concat, fusion.attention, fusion.bottleneck, fusion.matching, fusion.weighted, fusion.gated, fusion.multiply]


@pytest.mark.parametrize("function", ALL)
def test_keeps_its_contract(function):
    testing.check_fusion(function)


def _model(function, steps=1, dim=4, **options):
    sources = {name: {"states": keras.Input((steps, dim), name=f"{name}s"), "mask": keras.Input((steps,), dtype="bool", name=f"{name}m")} for name in "ab"}
    return keras.Model(sources, function(sources, **options))


def _x(a, b, there=(True, True)):
    return {name: {"states": np.array(value, "float32"), "mask": np.full(np.shape(value)[:2], real)} for name, value, real in zip("ab", (a, b), there)}


def _pooled(model, name, value):
    """What a source counts with: by hand from the two layers' weights."""
    kernel, bias = model.get_layer(f"{name}_source").get_weights()
    return np.tanh(value @ kernel + bias)  # One step: pooling leaves it as it is.


@pytest.fixture
def values():
    draw = np.random.default_rng(0)
    return draw.normal(size=(2, 3, 4))


def test_weighted_by_hand(values):
    model = _model(fusion.weighted)
    (scores,) = (weight for weight in model.weights if weight.path.endswith("scores"))
    scores.assign([np.log(3.0), 0.0])
    a, b = values
    found = np.asarray(model(_x(a[:, None], b[:, None]))["states"])[:, 0]
    np.testing.assert_allclose(found, 0.75 * _pooled(model, "a", a) + 0.25 * _pooled(model, "b", b), atol=1e-5)
    alone = np.asarray(model(_x(a[:, None], b[:, None], (False, True)))["states"])[:, 0]
    np.testing.assert_allclose(alone, _pooled(model, "b", b), atol=1e-5)


def test_gated_by_hand(values):
    model = _model(fusion.gated)
    (gate,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense) and layer.units == 2)
    a, b = values
    pa, pb = _pooled(model, "a", a), _pooled(model, "b", b)
    scores = np.concatenate([pa, pb], axis=1) @ gate.kernel.numpy() + gate.bias.numpy()
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    found = np.asarray(model(_x(a[:, None], b[:, None]))["states"])[:, 0]
    np.testing.assert_allclose(found, weights[:, :1] * pa + weights[:, 1:] * pb, atol=1e-5)


def test_multiply_by_hand(values):
    model = _model(fusion.multiply)
    a, b = values

    def normalized(x):
        return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-3)

    pa, pb = _pooled(model, "a", a), _pooled(model, "b", b)
    both = np.asarray(model(_x(a[:, None], b[:, None]))["states"])[:, 0]
    np.testing.assert_allclose(both, normalized((1 + pa) * (1 + pb)), atol=1e-4)
    alone = np.asarray(model(_x(a[:, None], b[:, None], (True, False)))["states"])[:, 0]
    np.testing.assert_allclose(alone, normalized(1 + pa), atol=1e-4)


def test_what_a_source_knows_passes_the_bottleneck():
    draw = np.random.default_rng(0)
    a, b, other = draw.normal(size=(3, 1, 5, 8))
    for depth, passes in ((1, False), (2, True)):
        model = _model(fusion.bottleneck, steps=5, dim=8, depth=depth, heads=2)
        states = [np.asarray(model(_x(a, one))["states"])[0, :5] for one in (b, other)]
        assert (np.abs(states[0] - states[1]).max() > 1e-4) == passes
        absent = [np.asarray(model(_x(a, one, (True, False)))["states"])[0, :5] for one in (b, other)]
        np.testing.assert_allclose(*absent, atol=1e-6)


def _compared(model, own, alike):
    """What one step of `matching` comes to, by hand up to the recurrent layer."""
    (dense,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    return np.asarray(dense(np.concatenate([own, alike, own - alike, own * alike], axis=-1).astype("float32")))


def test_matching_compares_each_step_with_what_is_like_it(values):
    a, b = values[0, :2], values[1]
    model = _model(fusion.matching, steps=None)
    (tell,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Bidirectional))
    found = model(_x(a[None], b[None]))
    scores = np.exp(a @ b.T)
    alike = scores / scores.sum(axis=1, keepdims=True) @ b
    told = np.asarray(tell(_compared(model, a, alike)[None]))[0]
    vector = next(np.asarray(weight) for weight in model.weights if weight.path == "a_source/vector")
    told = told + vector
    normalized = (told - told.mean(axis=1, keepdims=True)) / np.sqrt(told.var(axis=1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(np.asarray(found["states"])[0, :2], normalized, atol=1e-4)


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


def test_a_dim_that_has_no_half_is_told():
    with pytest.raises(ValueError, match="even `dim`, half for each direction. Received: dim=3"):
        fusion.matching({"a": {"states": keras.Input((2, 3)), "mask": keras.Input((2,), dtype="bool")}})
