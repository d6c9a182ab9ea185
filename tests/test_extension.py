"""A modality, a tower, a fusion and a task, each from one file outside the package."""

import importlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from cross_modal import config, testing
from cross_modal.data import batches, ingest
from cross_modal.evaluation import evaluate

MODALITY = '''
"""Vectors written as numbers with spaces between."""
import tensorflow as tf
from cross_modal.features import Feature

class Vector(Feature):
    kind = "text"
    def __init__(self, size):
        super().__init__(name="vector")
        self.size = size
        self.spec = tf.TensorSpec((size,), tf.float32)
    def featurize(self, raw):
        return tf.ensure_shape(tf.strings.to_number(tf.strings.split(raw)), (self.size,))
    def config(self):
        return {"size": self.size}
'''
TOWER = '''
"""One dense layer for a vector."""
import keras
from cross_modal.towers import tower_inputs

def dense(feature, dim, name, languages=1, activation="relu"):
    inputs = tower_inputs(feature)
    states = keras.layers.Reshape((1, dim))(keras.layers.Dense(dim, activation=activation)(inputs["value"]))
    return keras.Model(inputs, {"states": states, "mask": inputs["mask"]}, name=name)
'''
FUSION = '''
"""The mean of each source, weighted by its mask, summed to one state."""
from keras import ops

def mean(sources):
    states, masks = 0.0, []
    for source in sources.values():
        real = ops.cast(source["mask"], "float32")[:, :, None]
        states = states + ops.sum(source["states"] * real, axis=1, keepdims=True) / ops.maximum(ops.sum(real, axis=1, keepdims=True), 1.0)
        masks.append(ops.any(source["mask"], axis=1, keepdims=True))
    return {"states": states, "mask": ops.any(ops.concatenate(masks, axis=1), axis=1, keepdims=True)}
'''
TASK = '''
"""How many subwords a text has, from the text itself: a task with a number to predict."""
import dataclasses
from collections.abc import Callable
import keras, numpy as np, tensorflow as tf
from cross_modal.features import featurize_batch
from cross_modal.layers import AttentionPooling
from cross_modal.tasks import Endpoint, Task

@dataclasses.dataclass(frozen=True)
class Length(Task):
    towers: dict[str, Callable] = dataclasses.field(kw_only=True)
    dim: int = 16

    @property
    def draws(self):
        return dict.fromkeys(self.features, 1)

    def build(self):
        (name, tower), = self.towers.items()
        encoder = tower(self.features[name], self.dim, name, languages=len(self.languages.names))
        outputs = encoder(encoder.input)
        x = AttentionPooling()(outputs["states"], outputs["mask"])
        return keras.Model(encoder.input, keras.layers.Dense(1)(x))

    def example(self, batch):
        (name, field), = ((name, batch[name]) for name in self.features)
        x = {key: field[key][:, 0] for key in ("value", "mask", "language")}
        y = tf.reduce_sum(tf.cast(x["mask"], tf.float32), 1, keepdims=True)
        return x, y, tf.ones_like(y[:, 0])

    def objective(self):
        return {"loss": keras.losses.MeanSquaredError()}

    def score(self, model, batches):
        errors = [np.abs(np.asarray(model(x)) - y).mean() for x, y, _ in map(self.example, batches)]
        return {"mean absolute error": float(np.mean(errors))}

    def merit(self, scores):
        return -scores["mean absolute error"]

    def summary(self, scores):
        return f"off by {scores['mean absolute error']:.2f} subwords"

    def endpoints(self, model):
        (name, feature), = self.features.items()
        def count(**raw):
            x = {**featurize_batch(feature, raw[name], raw[f"{name}_language"]), "language": self.languages.featurize(raw[f"{name}_language"])}
            return {"length": model(x)}
        string = tf.TensorSpec((None,), tf.string)
        return {"count": Endpoint(count, {name: string, f"{name}_language": string})}
'''


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    for name, source in {"my_modality": MODALITY, "my_tower": TOWER, "my_fusion": FUSION, "my_task": TASK}.items():
        (folder / f"{name}.py").write_text(source)
    sys.path.insert(0, str(folder))
    yield importlib.import_module
    sys.path.remove(str(folder))


def test_a_modality_and_a_tower_and_a_fusion_keep_the_contracts(parts):
    vector = parts("my_modality").Vector(3)
    testing.check_feature(vector, ["1 2 3", "0.5 -1 4"])
    testing.check_tower(parts("my_tower").dense, vector, ["1 2 3", "0.5 -1 4"])
    testing.check_fusion(parts("my_fusion").mean)


def test_they_go_through_the_whole_line(parts, tmp_path):
    draw = np.random.default_rng(0)
    points = draw.normal(size=(60, 3))
    rows = [f"{i},{' '.join(f'{x:.3f}' for x in point)},{'up' if point[0] > 0 else 'down'}" for i, point in enumerate(points)]
    (tmp_path / "items.csv").write_text("id,position,label\n" + "\n".join(rows) + "\n")
    dataset = ingest(tmp_path / "items.csv", tmp_path / "dataset", {"position": "text"}, progress=False)
    full = config.resolve(
        {
            "dataset": str(dataset.path),
            "task": "classification",
            "features": {"position": {"kind": "my_modality:Vector", "size": 3}, "label": {}},
            "towers": {"position": {"kind": "my_tower:dense", "activation": "tanh"}},
            "fusion": {"kind": "my_fusion:mean"},
            "options": {"dim": 8},
            "training": {"epochs": 30, "batch_size": 16, "learning_rate": 0.01},
        }
    )
    features, languages = config.make_features(full)
    task = config.make_task(full, features, languages)
    config.save_run(tmp_path / "run", full, features, languages)
    from cross_modal.training import fit

    model = fit(task, dataset, tmp_path / "run", progress=False, **full["training"])
    assert evaluate(task, model, dataset, "train")["label"]["accuracy"] > 0.9
    _, again = config.load_task(tmp_path / "run")
    answers = again.endpoints(model)["classify"](position=["2.0 0 0", "-2.0 0 0"], position_language=["", ""])
    assert answers["label"].numpy().tolist() == [b"up", b"down"]


def test_a_task_keeps_its_contract(parts, dataset, learned):
    from cross_modal import towers

    features, languages = learned
    task = parts("my_task").Length({"text": features["text"]}, languages, towers={"text": towers.text.lstm})
    batch = next(iter(batches(dataset, "train", task.features, languages, 6, draws=task.draws)))
    testing.check_task(task, batch, {"count": [{"text": "eins", "text_language": "de"}, {"text": "zwei"}]})


def test_checks_find_what_is_broken(parts):
    vector = parts("my_modality").Vector(3)

    class Forgetful(type(vector)):
        """Scales, and forgets by how much."""

        def __init__(self, size, scale=1.0):
            super().__init__(size)
            self.scale = scale

        def featurize(self, raw):
            return self.scale * super().featurize(raw)

    with pytest.raises(AssertionError, match="config"):
        testing.check_feature(Forgetful(3, scale=2.0), ["1 2 3", "4 5 6"])

    class Wrong(type(vector)):
        def featurize(self, raw):
            return tf.zeros((2,))

    with pytest.raises(AssertionError, match="shape"):
        testing.check_feature(Wrong(3), ["1 2 3", "4 5 6"])

    def leaky(sources):
        """Forgets the masks."""
        from keras import ops

        return {"states": sum(ops.mean(one["states"], 1, keepdims=True) for one in sources.values()), "mask": next(iter(sources.values()))["mask"][:, :1]}

    with pytest.raises(AssertionError):
        testing.check_fusion(leaky)
