import numpy as np
import pytest
import tensorflow as tf

from cross_modal import reconstruction
from cross_modal.data import batches


class _Fixed:
    """A task whose model makes the same of everything."""

    def __init__(self, task, values):
        self.task, self.values = task, values

    def __getattr__(self, name):
        return getattr(self.task, name)

    def encode(self, model, x):
        return tf.zeros((len(next(iter(x.values()))["mask"]), 1))

    def make(self, model, latent, languages):
        return {name: tf.repeat(tf.constant(value)[None], len(latent), axis=0) for name, value in self.values.items()}


def test_mean_picture_explains_nothing(autoencoding, dataset):
    """One picture an item, so that each is taken."""
    task = autoencoding(("image",))
    seen = list(batches(dataset, "test", task.features, task.languages, 8, draws=task.draws))
    pictures = np.concatenate([batch["image"]["value"].numpy()[:, 0] for batch in seen])
    scores = reconstruction.score_patterns(_Fixed(task, {"image": pictures.mean(axis=0)}), None, seen)
    (row,) = scores["patterns"]
    assert row["explained"] == pytest.approx(0.0, abs=1e-4) and row["mse"] == pytest.approx(pictures.var(axis=0).mean(), rel=1e-4)
    assert row["items"] == len(pictures) and not row["missing"] and scores["reconstruction"] == {"image": row["mse"]}
    assert len(scores["examples"]) == 6 and set(scores["examples"][0]["made"]) == {"image"}


def test_length_ends_before_the_first_that_is_not():
    assert reconstruction.lengths(tf.constant([[1.0, 2.0, -1.0, 5.0], [-1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])).numpy().tolist() == [2, 0, 4]


def test_wrong_length_is_told_in_seconds(autoencoding, dataset):
    task = autoencoding(("audio",))
    seen = list(batches(dataset, "test", task.features, task.languages, 8, draws=task.draws))
    frames, bins = task.features["audio"].frames, task.features["audio"].bins
    silent = np.concatenate([np.zeros((frames, bins)), np.full((frames, 1), -1.0)], axis=1).astype("float32")
    (row,) = reconstruction.score_patterns(_Fixed(task, {"audio": silent}), None, seen)["patterns"]
    lengths = np.concatenate([batch["audio"]["mask"].numpy()[:, 0].sum(axis=1) for batch in seen])
    assert row["seconds"] == pytest.approx(lengths[lengths > 0].mean() * 0.025)
    assert row["mse"] == pytest.approx(1.0, abs=0.1)  # Values have a standard deviation of one.


def test_nothing_to_make_is_said():
    scores = {"patterns": [], "loss": {"reconstruction": {}, "regularization": 1.0, "alpha": 1.0}}
    assert reconstruction.pattern_table(scores, ["image"]) == "No item has a view: nothing to make again."
