import numpy as np
import pytest

from cross_modal import retrieval
from cross_modal.retrieval import Embedded, retrieve


def embedded(angles, items, contents=None):
    angles = np.radians(np.asarray(angles, float))
    items = np.asarray(items)
    return Embedded(np.stack([np.cos(angles), np.sin(angles)], 1), items, 100 + np.arange(len(items)) if contents is None else np.asarray(contents))


def test_ranks_by_hand():
    """Queries at 0, 20 and 100 degrees; the candidates of their items at 10, 60 and 90."""
    found = retrieve(embedded([0, 20, 100], [1, 2, 3]), embedded([10, 60, 90], [1, 2, 3]))
    assert (found["queries"], found["candidates"]) == (3, 3)
    assert found["recall@1"] == pytest.approx(2 / 3) and found["recall@5"] == 1.0
    assert found["median_rank"] == 1.0 and found["mrr"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert found["chance@1"] == pytest.approx(1 / 3) and found["chance@10"] == 1.0


def test_each_view_asks_and_any_view_of_its_item_is_right():
    captions = embedded([1, 50, 90, 91], [1, 1, 2, 2])
    pictures = embedded([0, 90], [1, 2])
    found = retrieve(captions, pictures)
    assert found["queries"] == 4 and found["recall@1"] == 0.75
    back = retrieve(pictures, captions)
    assert back["queries"] == 2 and back["recall@1"] == 1.0 and back["chance@1"] == 0.5


def test_the_same_content_under_another_item_is_right_too():
    targets = embedded([10, 11, 90], [1, 2, 3], [7, 7, 8])
    assert retrieve(embedded([11, 10, 90], [1, 2, 3]), targets)["recall@1"] == 1.0
    assert retrieve(embedded([11, 10, 90], [1, 2, 3]), embedded([10, 11, 90], [1, 2, 3]))["recall@1"] == pytest.approx(1 / 3)


def test_those_without_an_answer_do_not_ask_and_one_item_is_no_score():
    assert retrieve(embedded([0, 90, 45], [1, 2, 9]), embedded([0, 90], [1, 2]))["queries"] == 2
    assert retrieve(embedded([0, 90], [1, 9]), embedded([0, 90], [1, 2])) is None


def test_chunks_change_nothing(monkeypatch):
    draw = np.random.default_rng(0)
    a, b = (Embedded(draw.normal(size=(60, 4)), np.repeat(np.arange(30), 2), draw.integers(0, 50, 60)) for _ in range(2))
    whole = retrieve(a, b)
    monkeypatch.setattr(retrieval, "_CHUNK", 100)
    assert retrieve(a, b) == pytest.approx(whole)


def test_a_candidate_that_answers_everything_is_a_hub():
    draw = np.random.default_rng(0)
    queries = Embedded(draw.normal(size=(400, 40)), np.arange(400), np.arange(400))
    even = Embedded(draw.normal(size=(400, 40)), np.arange(400), np.arange(400))
    even.vectors /= np.linalg.norm(even.vectors, axis=1, keepdims=True)
    hubs = Embedded(even.vectors.copy(), even.items, even.contents)
    hubs.vectors[:10] = queries.vectors.mean(axis=0) * 100
    assert retrieve(queries, hubs)["hubness"] > 3 * max(retrieve(queries, even)["hubness"], 0.1)
