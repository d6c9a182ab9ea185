import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from cross_modal import galleries
from cross_modal.tasks import Endpoint

STRING = tf.TensorSpec((None,), tf.string)


def unit(count, size=16, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, size)).astype("float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def angle(**raw):
    """A text is its angle in degrees."""
    radians = tf.strings.to_number(raw["text"]) * np.pi / 180
    return {"embedding": tf.stack([tf.cos(radians), tf.sin(radians)], 1)}


ENDPOINTS = {"embed_text": Endpoint(angle, {"text": STRING, "text_language": STRING})}


class Few:
    """A dataset of a few items."""

    path, fields = "few", ("text",)

    def items(self, split):
        rows = [("a", ["10", "80"], ["en", "de"]), ("b", ["50"], ["en"]), ("c", [], [])]
        return tf.data.Dataset.from_generator(
            lambda: ({"id": name, "text": {"value": values, "language": tags}} for name, values, tags in rows),
            output_signature={"id": tf.TensorSpec((), tf.string), "text": {"value": STRING, "language": STRING}},
        )


def test_search_by_hand(tmp_path):
    gallery = galleries.build_gallery(ENDPOINTS, Few(), "test", "text")
    assert (gallery.ids, gallery.languages, gallery.values) == (["a", "a", "b"], ["en", "de", "en"], [b"10", b"80", b"50"])
    found = galleries.search(ENDPOINTS, gallery, "text", "40", k=10)
    assert [place for place, _ in found] == [2, 0, 1] and [cosine for _, cosine in found] == pytest.approx([np.cos(np.radians(one)) for one in (10, 30, 40)], abs=1e-6)
    kept = galleries.load_gallery(gallery.save(tmp_path / "kept"))
    assert (kept.field, kept.ids, kept.languages, kept.values) == (gallery.field, gallery.ids, gallery.languages, gallery.values)
    assert galleries.search(ENDPOINTS, kept, "text", "40", k=2) == found[:2]
    folder = dataclasses.replace(gallery, model="a").save(tmp_path / "of a")
    assert galleries.load_gallery(folder, "a").model == "a" and galleries.load_gallery(tmp_path / "kept", "b").model is None
    with pytest.raises(ValueError, match="a gallery that this model embedded. Received: .*of a, of another one"):
        galleries.load_gallery(folder, "b")
    assert galleries.build_gallery(ENDPOINTS, Few(), "test", "text", "de").values == [b"80"]
    with pytest.raises(ValueError, match="`k` of at least 1. Received: k=0"):
        galleries.search(ENDPOINTS, gallery, "text", "40", k=0)


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(ValueError, match="Expected views of text in fr in the split test. Received: none in few"):
        galleries.build_gallery(ENDPOINTS, Few(), "test", "text", "fr")
    with pytest.raises(ValueError, match="a field that the model embeds: text. Received: image"):
        galleries.build_gallery(ENDPOINTS, Few(), "test", "image")
    with pytest.raises(FileNotFoundError, match="Expected the folder of a gallery. Received: .*nothing"):
        galleries.load_gallery(tmp_path / "nothing")
    with pytest.raises(ValueError, match="a field of the dataset few: text. Received: photo"):
        galleries.build_gallery({**ENDPOINTS, "embed_photo": None}, Few(), "test", "photo")


def test_a_small_index_is_exact():
    vectors, queries = unit(500), unit(20, seed=1)
    _, found = galleries.build_index(vectors).search(queries, 5)
    assert (found == np.argsort(-queries @ vectors.T, axis=1)[:, :5]).all()


def test_a_large_index_finds_nearly_all(monkeypatch):
    monkeypatch.setattr(galleries, "_EXACT", 1000)
    centres = unit(50, seed=2)
    draw = np.random.default_rng(3)
    vectors = centres[draw.integers(0, 50, 20_000)] + 0.1 * draw.normal(size=(20_000, 16)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:200] + 0.02
    index = galleries.build_index(vectors)
    assert index.ntotal == 20_000 and index.nlist == 566
    _, found = index.search(queries, 10)
    exact = np.argsort(-queries @ vectors.T, axis=1)[:, :10]
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact)]) > 0.95
