import numpy as np
import pytest
import tensorflow as tf

from cross_modal import recommending
from cross_modal.galleries import build_index
from cross_modal.tasks import Endpoint

STRING = tf.TensorSpec((None,), tf.string)


def _shelf(degrees):
    radians = np.radians(degrees)
    vectors = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype("float32")
    return recommending.Shelf([str(one) for one in degrees], vectors, [""] * len(degrees), build_index(vectors))


def _named(shelf, found):
    return [shelf.ids[place] for place, _ in found]


def test_the_nearest_and_then_those_that_are_not_alike():
    """Of 10 and 12 degrees, near to 0, the second says little that the first does not; -30 does."""
    shelf = _shelf([10, 12, -30, 90])
    assert _named(shelf, recommending.similar(shelf, np.array([1.0, 0.0]), 3)) == ["10", "12", "-30"]
    assert _named(shelf, recommending.similar(shelf, np.array([1.0, 0.0]), 3, diversity=0.5)) == ["10", "-30", "12"]
    assert _named(shelf, recommending.similar(shelf, np.array([1.0, 0.0]), 2, diversity=1.0)) == ["10", "90"]
    assert _named(shelf, recommending.similar(shelf, np.array([1.0, 0.0]), 9, without=["10"])) == ["12", "-30", "90"]
    assert recommending.similar(shelf, np.array([1.0, 0.0]), 1)[0][1] == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    with pytest.raises(ValueError, match="`diversity` between 0 and 1 and `k` of at least 1. Received: diversity=2, k=1"):
        recommending.similar(shelf, np.array([1.0, 0.0]), 1, diversity=2)


def test_scores_by_hand():
    """Two pairs and one alone: of each of the four the other of its pair is found first, and something else second."""
    shelf = _shelf([0, 2, 90, 93, 180])
    scores = recommending.recommendation_scores(shelf, ["a", "a", "b", "b", None], k=2)
    assert scores["items"] == 4 and scores["recall"] == 1.0 and scores["precision"] == 0.5 and scores["chance"] == 0.25
    found = [(2, 90), (0, 90), (93, 180), (90, 180)]  # 2 is nearer to 90 than 93 is to 2; 180 is as near to 93 as anything but 90.
    assert scores["diversity"] == pytest.approx(np.mean([1 - np.cos(np.radians(a - b)) for a, b in found]), abs=0.05)


def test_views_of_an_item_are_one(monkeypatch):
    """A text is its angle; of an item with two fields each counts the same."""

    def angle(**raw):
        radians = tf.strings.to_number(next(iter(raw.values()))) * np.pi / 180
        return {"embedding": tf.stack([tf.cos(radians), tf.sin(radians)], 1)}

    endpoints = {f"embed_{name}": Endpoint(angle, {name: STRING, f"{name}_language": STRING}) for name in ("text", "note")}

    class Few:
        path = "few"
        fields = {name: type("Field", (), {"kind": "text"}) for name in ("text", "note")}

        def items(self, split):
            rows = [("a", ["0", "20"], ["50"]), ("b", ["80"], []), ("c", [], [])]
            view = {"value": STRING, "language": STRING}
            return tf.data.Dataset.from_generator(
                lambda: ({"id": one, "text": {"value": a, "language": [""] * len(a)}, "note": {"value": b, "language": [""] * len(b)}} for one, a, b in rows),
                output_signature={"id": tf.TensorSpec((), tf.string), "text": view, "note": view},
            )

    shelf = recommending.fill_shelf(endpoints, Few())
    assert shelf.ids == ["a", "b"] and shelf.shown == ["0", "80"]
    assert np.degrees(np.arctan2(shelf.vectors[:, 1], shelf.vectors[:, 0])) == pytest.approx([30, 80], abs=1e-3)
    vector = recommending.query(endpoints, [("text", "und", "10"), ("note", "und", "30")])
    assert np.degrees(np.arctan2(vector[1], vector[0])) == pytest.approx(20, abs=1e-3)
    assert recommending.fill_shelf(endpoints, Few(), fields=["note"]).ids == ["a"]
    with pytest.raises(ValueError, match="a field that the model embeds: text, note. Received: image"):
        recommending.fill_shelf(endpoints, Few(), fields=["image"])
