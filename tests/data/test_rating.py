"""How rare items are, by hand."""

import json

import pytest

from cross_modal.data import batches, ingest, learn_features
from cross_modal.data.rating import rarity


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Each class and each language as often as the other, but not together; one item has two languages, one no label."""
    folder, cells = tmp_path_factory.mktemp("rare"), [("a", "en")] * 4 + [("a", "de")] + [("b", "en")] + [("b", "de")] * 4
    rows = [{"id": str(i), "split": "train", "label": label, f"text:{tag}": f"word {i}"} for i, (label, tag) in enumerate(cells)]
    rows += [{"id": "both", "split": "train", "label": "b", "text:en": "one of two", "text:de": "eins von zwei"}, {"id": "none", "split": "train", "text:en": "two of three"}]
    rows += [{"id": split, "split": split, "label": "a", "text:de": "word"} for split in ("validation", "test")]
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return ingest(folder / "t.jsonl", folder / "out", kinds={"label": "label"}, progress=False)


def found(dataset, powers):
    rate = rarity(dataset, "train", powers, "weigh")
    return {item["id"].numpy().decode(): float(rate(item)) for item in dataset.items("train")}


@pytest.mark.parametrize(
    "powers, expected",
    [
        ({"label*text": 1.0}, {"0": 5 / 4, "4": 5.0, "5": 5 / 2, "6": 1.0, "both": 5 / 2, "none": 1.0}),  # a and English four times, a and German once, b and English twice.
        ({"label*text": 0.5}, {"0": (5 / 4) ** 0.5, "4": 5**0.5, "none": 1.0}),
        ({"label": 1.0}, {"0": 6 / 5, "6": 1.0, "none": 1.0}),
        ({"text": 1.0}, {"0": 1.0, "4": 7 / 6, "both": 7 / 6}),
        ({"label": 1.0, "text": 1.0}, {"4": 6 / 5 * 7 / 6, "6": 7 / 6}),
    ],
)
def test_rates_by_hand(dataset, powers, expected):
    rates = found(dataset, powers)
    assert {name: rates[name] for name in expected} == pytest.approx(expected)


def test_a_part_of_a_dataset_is_counted_by_itself(dataset):
    part = dataset.only(ids={"train": ["0", "1", "4"]})
    assert found(part, {"label*text": 1.0}) == pytest.approx({"0": 1.0, "1": 1.0, "4": 2.0})


def test_batches_have_the_weights(dataset):
    features, languages = learn_features(dataset, ["text", "label"], {"text": {"vocab_size": 300}})
    batch = next(batches(dataset, "train", features, languages, 12, draws={"text": 1, "label": 1}, seed=0, weigh={"label*text": 1.0}).as_numpy_iterator())
    assert dict(zip(batch["id"], batch["weigh"]))[b"4"] == 5.0
    assert "weigh" not in next(batches(dataset, "train", features, languages, 12, weigh={"label*text": 1.0}).as_numpy_iterator())


def test_unknown_fields_are_told(dataset):
    with pytest.raises(KeyError, match="`weigh` to name fields of the dataset: .*Received: topic"):
        rarity(dataset, "train", {"label*topic": 1.0}, "weigh")


def test_fields_that_no_item_has_together_are_told(dataset):
    with pytest.raises(ValueError, match=r"`weigh` to name fields that items of train have, those of label\*text together. Received: none of 1 items that has them"):
        rarity(dataset.only(ids={"train": ["none"]}), "train", {"label*text": 1.0}, "weigh")


@pytest.mark.parametrize("power", [-1, "much"])
def test_a_power_that_is_none_is_told(dataset, power):
    with pytest.raises(ValueError, match="`weigh` to be powers of at least 0 by field, such as {label: 1.0}. Received"):
        rarity(dataset, "train", {"label": power}, "weigh")
