import numpy as np
import pytest
import tensorflow as tf

from cross_modal import probing
from cross_modal.data import ingest
from cross_modal.tasks import Endpoint

STRING = tf.TensorSpec((None,), tf.string)


@pytest.fixture
def dataset(tmp_path):
    """Texts whose class is their first letter; half are in the test split."""
    rows = ["id,text,label,split"] + [f"{i},{'ab'[i % 2]} {i * 7919 % 1000},{'xy'[i % 2]},{'train' if i < 20 else 'test'}" for i in range(40)]
    (tmp_path / "items.csv").write_text("\n".join(rows) + "\n")
    return ingest(tmp_path / "items.csv", tmp_path / "dataset", {"text": "text", "label": "label"}, progress=False, fractions=(1.0, 0.0, 0.0))


def _first_letter(**raw):
    return {"latent": tf.stack([tf.cast(tf.strings.substr(raw["text"], 0, 1) == "a", tf.float32), tf.ones(tf.shape(raw["text"]))], 1)}


ENDPOINTS = {"encode": Endpoint(_first_letter, {"text": STRING, "text_language": STRING})}


def test_vectors_that_know_are_right(dataset):
    rows = probing.probe(ENDPOINTS, dataset, "label")
    assert [row["classifier"] for row in rows] == list(probing.CLASSIFIERS)
    for row in rows:
        assert row["vectors"] == {"accuracy": 1.0, "macro_f1": 1.0} and 0.0 <= row["plain"]["accuracy"] <= 1.0
        assert (row["given"], row["train"], row["items"]) == ("text", 20, 20)
    assert "1.000 (" in probing.probe_table(rows)


def test_few_of_each_class(dataset):
    rows = probing.probe(ENDPOINTS, dataset, "label", per_class=5)
    assert {row["train"] for row in rows} == {10}
    assert all(row["vectors"]["accuracy"] >= 0.5 for row in probing.probe(ENDPOINTS, dataset, "label", per_class=1))


def test_vectors_that_know_nothing_are_no_better_than_chance(dataset):
    same = {"encode": Endpoint(lambda **raw: {"latent": tf.ones((tf.size(raw["text"]), 2))}, ENDPOINTS["encode"].signature)}
    assert all(row["vectors"]["accuracy"] == pytest.approx(0.5) for row in probing.probe(same, dataset, "label"))
    assert np.isfinite(probing.probe(same, dataset, "label")[0]["plain"]["macro_f1"])


def test_what_cannot_be_probed_is_told(dataset):
    with pytest.raises(ValueError, match="a label of the dataset: label. Received: text"):
        probing.probe(ENDPOINTS, dataset, "text")
    with pytest.raises(ValueError, match="a model with vectors"):
        probing.probe({}, dataset, "label")
    photos = {"encode": Endpoint(_first_letter, {"photo": STRING, "photo_language": STRING})}
    with pytest.raises(ValueError, match="a field that the model has vectors for: photo. Received: Dataset"):
        probing.probe(photos, dataset, "label")
    both = {"encode": Endpoint(_first_letter, {**photos["encode"].signature, **ENDPOINTS["encode"].signature})}
    assert {row["given"] for row in probing.probe(both, dataset, "label")} == {"text"}
    with pytest.raises(ValueError, match="at least two classes of label"):
        probing.probe(ENDPOINTS, dataset, "label", most=1)
