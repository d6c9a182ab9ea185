import json

import pytest

from cross_modal.data import Dataset, Field, ingest


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Six items, two of them with a bad view."""
    rows = [
        {"id": "0", "split": "train", "text:en": "zero", "text:de": "null", "label": "even"},
        {"id": "1", "split": "train", "text:en": ["one", "1"], "label": "odd", "group": "g"},
        {"id": "2", "split": "train", "text": "2", "label": "even"},
        {"id": "3", "split": "validation", "text:en": "three", "text:de": " "},
        {"id": "4", "split": "test", "text:de": "vier", "label": "even"},
        {"id": "5", "split": "test", "text:de": " ", "text:en": " ", "label": "odd"},
    ]
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return ingest(folder / "t.jsonl", folder / "out", max_bad=0.5, progress=False)


def test_what_is_known(numbers):
    assert numbers.fields == {"text": Field("text", "text", ("de", "en")), "label": Field("label", "label", (), ("even", "odd"))}
    assert numbers.splits == {"train": 3, "validation": 1, "test": 2}
    assert len(numbers.fingerprint) == 64
    assert repr(numbers) == f"Dataset({str(numbers.path)!r}: {numbers.splits})"


def test_items(numbers):
    items = {item["id"]: item for item in numbers.items("train").as_numpy_iterator()}
    assert sorted(items) == [b"0", b"1", b"2"]
    assert items[b"1"]["text"]["value"].tolist() == [b"one", b"1"] and items[b"1"]["text"]["language"].tolist() == [b"en", b"en"]
    assert items[b"1"]["group"] == b"g" and items[b"0"]["group"] == b""
    assert items[b"2"]["text"]["language"].tolist() == [b"und"]


def test_items_come_in_the_same_order_each_time(numbers):
    orders = [[item["id"] for item in numbers.items("train").as_numpy_iterator()] for _ in range(2)]
    assert orders[0] == orders[1]


def test_values(numbers):
    assert sorted(numbers.values("train", "text")) == [(b"1", "en"), (b"2", "und"), (b"null", "de"), (b"one", "en"), (b"zero", "en")]
    assert list(numbers.values("validation", "label")) == []


def test_describe(numbers):
    said = numbers.describe()
    assert said["splits"] == {"train": 3, "validation": 1, "test": 2}
    assert said["views"] == {"train": {"label": 3, "text": 1, "text:de": 1, "text:en": 3}, "validation": {"text:en": 1}, "test": {"label": 2, "text:de": 1}}
    assert numbers.kinds == ["label", "text", "text:de", "text:en"]
    assert said["labels"] == {"label": {"train": {"even": 2, "odd": 1}, "validation": {}, "test": {"even": 1, "odd": 1}}}
    assert said["quarantined"] == {"text: empty text": 3}
    assert said["sizes"] == {"text": {"characters": [1, 4, 5]}}
    assert said["lacking"] == ["validation lacks label, text, text:de", "test lacks text, text:en"]


def test_what_is_described_travels_with_the_dataset(numbers, tmp_path):
    (tmp_path / "items").symlink_to(numbers.path / "items")
    assert Dataset(tmp_path).describe() == numbers.describe()


def test_no_such_split(numbers):
    with pytest.raises(KeyError, match="Expected one of the splits train, validation, test of .*Received: dev"):
        numbers.items("dev")
