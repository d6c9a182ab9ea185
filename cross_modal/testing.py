"""Checks of the contracts, for the parts of this package and for the user's own.

Each check takes a part and a little data, and raises `AssertionError` with words when the part breaks its contract. A test of a part begins with its
check and then holds what only that part promises.
"""

import json
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

from cross_modal.exporting import export, load
from cross_modal.features import Feature, Language, featurize_batch, featurize_views
from cross_modal.layers import Decoder
from cross_modal.tasks import Endpoint, Task
from cross_modal.training import prepare


def check_feature(feature, raws):
    """Checks a `Feature`: shapes, eager = graph = saved, one = batch, absence, and that its config rebuilds it.

    Args:
        feature: `Feature`.
        raws: list of at least two raw values, bytes or str, of different content.
    """
    _expect(isinstance(feature, Feature), f"a subclass of Feature, received {type(feature).__name__}")
    _expect(feature.kind in ("image", "text", "audio", "label"), f"kind to be image, text, audio or label, received {feature.kind!r}")
    single = [feature.featurize(tf.constant(raw)) for raw in raws]
    graph = tf.function(feature.featurize, input_signature=[tf.TensorSpec((), tf.string)])
    for raw, tensor in zip(raws, single):
        _expect(tensor.dtype == feature.spec.dtype, f"type {feature.spec.dtype.name}, received {tensor.dtype.name} for {raw[:40]!r}")
        _expect(feature.spec.shape.is_compatible_with(tensor.shape), f"shape {feature.spec.shape}, received {tensor.shape} for {raw[:40]!r}")
        _close(graph(tf.constant(raw)), tensor, f"graph and eager to agree for {raw[:40]!r}")
    rebuilt = type(feature)(**json.loads(json.dumps(feature.config())))
    for raw, tensor in zip(raws, single):
        _close(rebuilt.featurize(tf.constant(raw)), tensor, "a feature built from config() to give the same")
    batch = featurize_batch(feature, tf.constant([*raws, ""]))
    mask = batch["mask"].numpy()
    _expect(not mask[-1].any(), "an empty string to be masked")
    for row, tensor in enumerate(single):
        part = batch["value"][row]
        if feature.has_time:
            _expect(mask[row].sum() == tensor.shape[0], f"{tensor.shape[0]} real steps in row {row}, received {mask[row].sum()}")
            part = part[: tensor.shape[0]]
        _close(part, tensor, f"row {row} of a batch to be as alone")
    none = next(iter(tf.data.Dataset.from_tensors(tf.zeros(0, tf.string)).map(lambda raw: featurize_views(feature, raw))))
    none = none.to_tensor() if feature.has_time else none
    sizes = [0 if size is None else size for size in feature.spec.shape]
    _expect(none.shape.as_list() == [0, *sizes], f"no views to have the shape {[0, *sizes]}, received {none.shape}")
    with tempfile.TemporaryDirectory() as folder:
        module = tf.Module()
        module.feature = feature
        module.run = tf.function(lambda raw: featurize_batch(feature, raw)["value"], input_signature=[tf.TensorSpec((None,), tf.string)])
        tf.saved_model.save(module, folder)
        _close(tf.saved_model.load(folder).run(tf.constant([*raws, ""])), batch["value"], "a saved feature to give the same")


def check_tower(tower, feature, raws, dim=16, languages=3):
    """Checks a tower: shapes, one compute whatever the padding, finite where the view is absent, trainable, and reloadable.

    Args:
        tower: function `(feature, dim, name, languages) -> keras.Model`.
        feature: `Feature` of its field.
        raws: list of at least two raw values.
        dim: size of a state.
        languages: number of languages.
    """
    model = tower(feature, dim, "checked", languages=languages)
    _expect(isinstance(model, keras.Model) and model.name == "checked", f"a keras.Model named 'checked', received {model!r}")
    x = {**featurize_batch(feature, tf.constant([*raws, ""])), "language": tf.constant([1] * len(raws) + [0])}
    outputs = _call(model, x)
    states, mask = outputs["states"], outputs["mask"]
    _expect(states.ndim == 3 and states.shape[-1] == dim, f"states (batch, time, {dim}), received {states.shape}")
    _expect(mask.shape == states.shape[:2] and mask.dtype == bool, f"a bool mask {states.shape[:2]}, received {mask.dtype} {mask.shape}")
    _expect(np.isfinite(states).all(), "finite states, also where the view is absent")
    _expect(mask[:-1].any(axis=1).all() and not mask[-1].any(), "a mask that is True somewhere for real views and nowhere for an absent one")
    if feature.has_time:
        rest = [[0, 0]] * (len(x["value"].shape) - 2)
        padded = {**x, "value": tf.pad(x["value"], [[0, 0], [0, 7], *rest]), "mask": tf.pad(x["mask"], [[0, 0], [0, 7]])}
        again = _call(model, padded)
        _expect(again["mask"].sum() == mask.sum(), f"{mask.sum()} real steps with more padding too, received {again['mask'].sum()}")
        _near(again["states"][again["mask"]], states[mask], "the same states with more padding")
    alone = _call(model, {name: value[:1] for name, value in x.items()})
    _near(alone["states"][alone["mask"]], states[0][mask[0]], "the same states alone as in a batch")
    with tf.GradientTape() as tape:
        training = model(x, training=True)
        loss = tf.reduce_sum(tf.where(training["mask"][:, :, None], training["states"], 0.0) ** 2)
    missing = [weight.path for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, [w.value for w in model.trainable_weights])) if gradient is None]
    _expect(not missing, f"a gradient for every weight, received none for {missing}")
    _near(_call(_reloaded(model), x)["states"], _call(model, x)["states"], "a reloaded tower to give the same")


def check_fusion(fusion, dim=16):
    """Checks a fusion: shapes, independence of padding and of absent sources, finite where all is absent.

    Args:
        fusion: function from dict of `states` and `mask` to the same.
        dim: size of a state.
    """
    names = ("image", "text", "audio")
    inputs = {name: {"states": keras.Input((None, dim), name=f"{name}_states"), "mask": keras.Input((None,), dtype="bool", name=f"{name}_mask")} for name in names}
    model = keras.Model(inputs, fusion(inputs))
    draw = np.random.default_rng(0)
    x = {}
    for steps, name in zip((4, 5, 6), names):
        real = np.ones((3, steps), bool)
        real[0] = name != "audio"  # The first item lacks its sound, the last everything.
        real[2] = False
        x[name] = {"states": draw.normal(size=(3, steps, dim)).astype("float32"), "mask": real}
    outputs = _call(model, x)
    _expect(set(outputs) == {"states", "mask"}, f"states and mask, received {sorted(outputs)}")
    states, mask = outputs["states"], outputs["mask"]
    _expect(states.ndim == 3 and mask.shape == states.shape[:2] and mask.dtype == bool, f"states (batch, time, dim) and a bool mask, received {states.shape}, {mask.shape}")
    _expect(np.isfinite(states).all(), "finite states, also where all sources are absent")
    _expect(mask[:2].any(axis=1).all() and not mask[2].any(), "a mask that is True for items with a source and False for the one without")
    other = {name: {"states": np.where(one["mask"][:, :, None], one["states"], 7.0).astype("float32"), "mask": one["mask"]} for name, one in x.items()}
    _near(_call(model, other)["states"][mask], states[mask], "what is masked not to matter")
    longer = {name: {"states": np.pad(one["states"], [[0, 0], [0, 3], [0, 0]]), "mask": np.pad(one["mask"], [[0, 0], [0, 3]])} for name, one in x.items()}
    padded = _call(model, longer)
    _near(padded["states"][padded["mask"]], states[mask], "the same states with more padding")
    fusion({"text": inputs["text"]})
    _near(_call(_reloaded(model), x)["states"], states, "a reloaded fusion to give the same")


def check_decoder(decoder, dim=16):
    """Checks a decoder: step by step it gives what it gives at once; what comes later, is masked or pads does not matter, and what is there does.

    Args:
        decoder: function from a name to a `layers.Decoder`.
        dim: size of a state.
    """
    layer, draw = decoder("checked"), np.random.default_rng(0)
    inputs = [keras.Input((None, dim)), keras.Input((None, dim)), keras.Input((None,), dtype="bool")]
    model = keras.Model(inputs, {"written": layer(*inputs)})
    _expect(isinstance(layer, Decoder) and layer.name == "checked", f"a layers.Decoder named 'checked', received {layer!r}")
    mask = np.array([[True] * 4, [True, True, False, False], [False] * 4])  # The last has nothing to read.
    x, states = draw.normal(size=(3, 5, dim)).astype("float32"), draw.normal(size=(3, 4, dim)).astype("float32")
    whole = _call(model, [x, states, mask])["written"]
    _expect(whole.shape == x.shape and np.isfinite(whole).all(), f"finite values {x.shape}, received {whole.shape}")
    memory = layer.begin(states, mask, 5)
    for place in range(5):
        one, memory = layer.step(x[:, place], place, memory)
        _near(one, whole[:, place], f"step {place} to be as all at once")
    later = np.concatenate([x[:, :3], np.full_like(x[:, 3:], 9.0)], 1)
    _near(_call(model, [later, states, mask])["written"][:, :3], whole[:, :3], "what comes later not to matter")
    _near(_call(model, [x, np.where(mask[:, :, None], states, 9.0).astype("float32"), mask])["written"], whole, "what is masked not to matter")
    padded = [x, np.pad(states, [[0, 0], [0, 3], [0, 0]]), np.pad(mask, [[0, 0], [0, 3]])]
    _near(_call(model, padded)["written"], whole, "the same with more padding")
    moved = np.abs(_call(model, [x, states + np.eye(1, 4, 1, dtype="float32").reshape(1, 4, 1), mask])["written"] - whole).max(axis=(1, 2))
    _expect(moved[0] > 1e-4 and moved[1] > 1e-4, f"what is there to matter, received changes of {moved}")
    _near(_call(_reloaded(model), [x, states, mask])["written"], whole, "a reloaded decoder to give the same")


def check_view_decoder(decoder, feature, dim=16):
    """Checks what makes a picture or sound from a state: shapes, that the state matters, trainable, and reloadable.

    Args:
        decoder: function `(feature, dim, name) -> keras.Model`.
        feature: `Feature` of its field.
        dim: size of the state.
    """
    model = decoder(feature, dim, "checked")
    _expect(isinstance(model, keras.Model) and model.name == "checked", f"a keras.Model named 'checked', received {model!r}")
    state = np.random.default_rng(0).normal(size=(3, dim)).astype("float32")
    made = _call(model, state)
    shape = (3, feature.frames, feature.bins) if feature.has_time else (3, *feature.spec.shape)
    _expect(made["value"].shape == shape and np.isfinite(made["value"]).all(), f"finite values {shape}, received {made['value'].shape}")
    if feature.has_time:
        _expect(made["there"].shape == shape[:2], f"logits of which frames are there, {shape[:2]}, received {made['there'].shape}")
    _expect(np.abs(made["value"][0] - made["value"][1]).max() > 1e-6, "another state to make something else")
    _near(_call(model, state[:1])["value"], made["value"][:1], "the same alone as in a batch")
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(value**2) for value in model(state, training=True).values())
    missing = [weight.path for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, [w.value for w in model.trainable_weights])) if gradient is None]
    _expect(not missing, f"a gradient for every weight, received none for {missing}")
    _near(_call(_reloaded(model), state)["value"], _call(model, state)["value"], "a reloaded decoder to make the same")


def check_task(task, batch, raw):
    """Checks a `Task`: its model takes its examples, learns, scores, reloads, and is served equal to itself in memory.

    Args:
        task: `Task`.
        batch: one batch of `data.batches` with the task's own draws, of at least two items.
        raw: dict of endpoint to a list of dicts of argument to raw value; a missing argument is absent.
    """
    _expect(isinstance(task, Task), f"a subclass of Task, received {type(task).__name__}")
    _expect(isinstance(task.languages, Language) and set(task.draws) == set(task.features), "a Language, and draws for each feature")
    model = task.build()
    x, y, weight = task.example(batch)
    optimizer = keras.optimizers.Adam(3e-3)
    optimizer.build(model.trainable_variables)  # Built inside the first step it would have that step traced twice.
    model.compile(optimizer=optimizer, **task.objective())
    prepare(model, x, y, weight)
    first = model.test_on_batch(x, y, weight, return_dict=True)["loss"]  # Without dropout.
    for _ in range(8):  # Statistics of batch normalisation lag behind.
        for _ in range(9):
            model.train_on_batch(x, y, weight)
        last = model.test_on_batch(x, y, weight, return_dict=True)["loss"]
        if not np.isfinite(last) or last < first:
            break
    _expect(np.isfinite(last) and last < first, f"the loss to fall on a batch seen many times, received {first} then {last}")
    scores = {name: value for name, value in task.score(model, [batch]).items() if name != "examples"}
    _expect(json.loads(json.dumps(scores)) == scores and bool(task.summary(scores)), "scores that JSON can hold, and a summary of them")
    reloaded = _reloaded(model)
    tf.nest.map_structure(lambda a, b: _near(a, b, "a reloaded model to give the same"), reloaded(x), model(x))
    endpoints = task.endpoints(model)
    _expect(set(raw) <= set(endpoints), f"endpoints {sorted(raw)}, received {sorted(endpoints)}")
    with tempfile.TemporaryDirectory() as folder:
        served = load(export(task, model, pathlib.Path(folder) / "export"))
        _expect("serving_default" in served, "an export with a default signature")
        for name, rows in raw.items():
            _check_endpoint(name, endpoints[name], served[name], rows)


def _check_endpoint(name, endpoint, exported, rows):
    _expect(isinstance(endpoint, Endpoint), f"{name} to be an Endpoint, received {type(endpoint).__name__}")
    asked = {argument: tf.constant([row.get(argument, "") for row in [*rows, {}]], tf.string) for argument in endpoint.signature}
    in_memory, served = endpoint.function(**asked), exported(**asked)
    _expect(set(in_memory) == set(served), f"{name} to answer {sorted(in_memory)}, received {sorted(served)} from the export")
    alone = exported(**{argument: values[:1] for argument, values in asked.items()})
    for key, value in in_memory.items():
        _close(served[key], value, f"{name}: {key} from the export to be as in memory", 1e-5)
        _close(alone[key][0], value[0], f"{name}: {key} of one request to be as in a batch with an absent one", 1e-5)


def _expect(true, words):
    if not true:
        raise AssertionError(f"Expected {words}")


def _close(a, b, words, tolerance=1e-5):
    a, b = np.asarray(a), np.asarray(b)
    _expect(a.shape == b.shape, f"{words}. Received shapes {a.shape} and {b.shape}")
    if a.dtype.kind in "fc":
        _expect(np.allclose(a, b, rtol=tolerance, atol=tolerance), f"{words}. Received values {np.abs(a - b).max()} apart")
    else:
        _expect((a == b).all(), f"{words}. Received other values")


def _near(a, b, words):
    _close(a, b, words, 1e-4)


def _call(model, x):
    return {name: np.asarray(value) for name, value in model(x, training=False).items()}


def _reloaded(model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        return keras.models.load_model(path)
