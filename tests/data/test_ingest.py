import collections
import csv
import dataclasses
import hashlib
import json
import os
import unicodedata

import cv2
import hypothesis
import numpy as np
import pytest
import soundfile
import tensorflow_datasets as tfds
from hypothesis import strategies

from cross_modal.data import Dataset, TableError, ingest, read_examples
from cross_modal.data.ingest import assign_splits
from cross_modal.data.schema import Item, View

TEXTS = [{"id": str(i), "text:en": f"text {i}", "text:de": f"Text {i}", "label": "ab"[i % 2]} for i in range(40)]


def lines(folder, rows, name="t.jsonl"):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def picture(path, seed=0, size=(12, 18)):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return pixels


def sound(path, hertz=440, rate=16_000):
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * hertz * np.arange(rate // 4) / rate), rate)


def quarantine(out):
    with (out / "quarantine.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made(table, **settings):
    return ingest(table, table.parent / "out", progress=False, **settings)


def content(dataset):
    """All that a dataset holds, whatever its order."""
    items = []
    for split in dataset.splits:
        for item in tfds.as_numpy(dataset.items(split)):
            views = {name: sorted(zip(item[name]["value"].tolist(), item[name]["language"].tolist())) for name in dataset.fields}
            items.append((split, item["id"], item["group"], views))
    return sorted(items, key=lambda item: item[:2])


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.tfrecord*")}


# --- splits ---


def items_of(splits, groups, ids=None):
    ids = ids or range(len(splits))
    return [Item(str(name), group, split, [View("text", "a", "und", 1)]) for name, split, group in zip(ids, splits, groups)]


names = strategies.sampled_from(["", "a", "b", "c", "d", "e"])


@hypothesis.settings(deadline=None)
@hypothesis.given(groups=strategies.lists(names, min_size=1, max_size=30), seed=strategies.integers(0, 10**6), train=strategies.floats(0, 1))
def test_groups_are_never_parted(groups, seed, train):
    items = items_of([""] * len(groups), groups)
    drawn = assign_splits(items, (train, (1 - train) / 2, (1 - train) / 2), seed)
    assert [dataclasses.replace(item, split="") for item in drawn] == items
    splits = collections.defaultdict(set)
    for item in drawn:
        assert item.split in ("train", "validation", "test")
        splits[item.group or f"id {item.id}"].add(item.split)
    assert all(len(found) == 1 for found in splits.values())
    assert drawn == assign_splits(items, (train, (1 - train) / 2, (1 - train) / 2), seed)
    assert drawn[::-1] == assign_splits(items[::-1], (train, (1 - train) / 2, (1 - train) / 2), seed)


@hypothesis.settings(deadline=None)
@hypothesis.given(
    rows=strategies.lists(strategies.tuples(strategies.sampled_from(["train", "validation", "test", ""]), names), min_size=1, max_size=30), seed=strategies.integers(0, 10**6)
)
def test_given_splits_are_kept(rows, seed):
    splits, groups = zip(*rows)
    hypothesis.assume(any(splits))
    groups = [group if split else "" for split, group in rows]  # Rows without a split are on their own here.
    for item, split in zip(assign_splits(items_of(splits, groups), (0.5, 0.3, 0.2), seed), splits):
        if split in ("validation", "test"):
            assert item.split == split
        elif split == "train" and "validation" in splits:
            assert item.split == "train"
        else:
            assert item.split in ("train", "validation")


@hypothesis.settings(deadline=None)
@hypothesis.given(
    given=strategies.fixed_dictionaries({name: strategies.sampled_from(["train", "validation", "test"]) for name in "abc"}),
    rows=strategies.lists(strategies.tuples(strategies.booleans(), strategies.sampled_from("abc")), min_size=1, max_size=12),
    by_id=strategies.booleans(),
    seed=strategies.integers(0, 1000),
)
def test_rows_without_a_split_follow_their_group_or_id(given, rows, by_id, seed):
    """Half a table says where it belongs: what is of the same group or id belongs there too."""
    rows = [(True, name) for name in "abc"] + rows
    groups = [("" if by_id else name) for _, name in rows]
    ids = [name if by_id else str(place) for place, (_, name) in enumerate(rows)]
    splits = collections.defaultdict(set)
    for item, (_, name) in zip(assign_splits(items_of([given[name] if says else "" for says, name in rows], groups, ids), (0.8, 0.1, 0.1), seed), rows):
        splits[name].add(item.split)
    assert all(len(found) == 1 for found in splits.values()), splits


def test_shares_are_about_as_asked_and_the_seed_matters():
    items = items_of([""] * 3000, [""] * 3000)
    drawn = [[item.split for item in assign_splits(items, (0.7, 0.2, 0.1), seed)] for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    for one in drawn:
        counts = collections.Counter(one)
        assert abs(counts["train"] - 2100) < 120 and abs(counts["validation"] - 600) < 120 and abs(counts["test"] - 300) < 120


def test_validation_comes_out_of_train_where_the_table_has_none():
    drawn = assign_splits(items_of(["train"] * 1000 + ["test"] * 500, [""] * 1500), (0.8, 0.1, 0.1), 0)
    counts = collections.Counter(item.split for item in drawn)
    assert counts["test"] == 500 and 60 < counts["validation"] < 140


def test_no_share_no_split():
    assert {item.split for item in assign_splits(items_of([""] * 200, [""] * 200), (1.0, 0.0, 0.0), 0)} == {"train"}
    assert {item.split for item in assign_splits(items_of(["train"] * 200, [""] * 200), (0.9, 0.0, 0.1), 0)} == {"train"}


# --- what is written ---


def test_fields_views_and_bytes(tmp_path):
    pixels = picture(tmp_path / "a.png")
    sound(tmp_path / "a.flac", rate=44_100)
    table = lines(
        tmp_path,
        [
            {"id": "x", "group": "g", "split": "train", "image": ["a.png", "a.png"], "audio:fr": "a.flac", "text:de": " e\u0301te\u0301 ", "text": "?", "label": "l"},
            {"id": "y", "split": "test", "text:en": "two", "label": "m"},
        ],
    )
    dataset = made(table)
    assert list(dataset.fields) == ["image", "audio", "text", "label"]
    assert [field.kind for field in dataset.fields.values()] == ["image", "audio", "text", "label"]
    assert dataset.fields["text"].languages == ("de", "en") and dataset.fields["audio"].languages == ("fr",) and dataset.fields["image"].languages == ()
    assert dataset.fields["label"].labels == ("l", "m") and dataset.fields["text"].labels == ()
    (item,) = tfds.as_numpy(dataset.items("train"))
    assert (item["id"], item["group"]) == (b"x", b"g")
    assert item["text"]["value"].tolist() == ["été".encode(), b"?"] and item["text"]["language"].tolist() == [b"de", b"und"]
    for raw in item["image"]["value"]:
        np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), pixels)
    assert item["audio"]["value"][0].startswith(b"RIFF") and len(item["audio"]["value"][0]) == 44 + 2 * 4000
    (other,) = tfds.as_numpy(dataset.items("test"))
    assert other["image"]["value"].size == other["audio"]["value"].size == 0


def test_wide_and_long_form_give_equal_datasets(tmp_path):
    picture(tmp_path / "1.png", 1)
    picture(tmp_path / "2.png", 2)
    tables = {
        "wide.csv": "id,split,image,text:en,text:de,label\n1,train,1.png,one,eins,odd\n2,test,2.png,two,,even\n",
        "bom.csv": "\ufeffid,split,image,text:en,text:de,label\r\n1,train,1.png,one,eins,odd\r\n2,test,2.png,two,,even\r\n",
        "wide.tsv": "id\tsplit\timage\ttext:en\ttext:de\tlabel\n1\ttrain\t1.png\tone\teins\todd\n2\ttest\t2.png\ttwo\t\teven\n",
        "long.csv": "id,split,language,image,text,label\n1,train,,1.png,,odd\n1,train,en,,one,\n2,test,en,,two,\n1,train,de,,eins,\n2,test,,2.png,,even\n",
        "wide.jsonl": '{"id": 1, "split": "train", "image": ["1.png"], "text:en": ["one"], "text:de": "eins", "label": "odd"}\n'
        '{"id": 2, "split": "test", "image": "2.png", "text:en": "two", "text:de": [], "label": "even"}\n',
    }
    found = {}
    for name, text in tables.items():
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
        found[name] = content(ingest(tmp_path / name, tmp_path / "out" / name, progress=False))
    assert len(found["wide.csv"]) == 2
    for name, one in found.items():
        assert one == found["wide.csv"], name


def test_an_item_may_have_rows_in_two_splits(tmp_path):
    table = lines(
        tmp_path,
        [
            {"id": 1, "split": "train", "text": "a"},
            {"id": 1, "split": "test", "text": "b"},
            {"id": 1, "split": "validation", "text": "c"},
            {"id": 2, "split": "train", "text": "a"},
        ],
    )
    dataset = made(table, kinds={"text": "text"})
    assert dataset.splits == {"train": 2, "validation": 1, "test": 1}
    assert [(split, name, views["text"][0][0]) for split, name, _, views in content(dataset)] == [
        ("test", b"1", b"b"),
        ("train", b"1", b"a"),
        ("train", b"2", b"a"),
        ("validation", b"1", b"c"),
    ]


def test_rows_of_an_item_may_say_their_split_only_once(tmp_path):
    table = lines(tmp_path, [{"id": 1, "split": "train", "text:en": "a"}, {"id": 1, "text:de": "b"}, {"id": 2, "split": "validation", "text:en": "c"}])
    dataset = made(table)
    assert dataset.splits == {"train": 1, "validation": 1}
    assert content(dataset)[0][3]["text"] == [(b"a", b"en"), (b"b", b"de")]


def test_groups_stay_together_in_the_dataset(tmp_path):
    dataset = made(lines(tmp_path, [{"id": i, "group": f"g{i % 7}", "text": f"t{i}"} for i in range(70)]), fractions=(0.5, 0.3, 0.2))
    places = collections.defaultdict(set)
    for split, _, group, _ in content(dataset):
        places[group].add(split)
    assert len(places) == 7 and all(len(found) == 1 for found in places.values())


def test_labels_of_the_dataset_are_those_of_its_items(tmp_path):
    """What is brought to NFC without spaces in the items is so in the list of classes."""
    rows = [{"text": f"a {i}", "label": ["cat ", unicodedata.normalize("NFD", "é")][i % 2]} for i in range(6)]
    dataset = made(lines(tmp_path, rows), fractions=(1, 0, 0))
    stored = {value.decode() for *_, views in content(dataset) for value, _ in views["label"]}
    assert stored == {"cat", "é"}
    assert set(dataset.fields["label"].labels) == stored


def test_pictures_are_shrunk(tmp_path):
    picture(tmp_path / "a.png", size=(40, 80))
    dataset = made(lines(tmp_path, [{"image": "a.png", "split": "train"}]), image_size=20, kinds={})
    ((raw, _),) = dataset.values("train", "image")
    assert cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (10, 20)


def test_it_is_a_standard_dataset(tmp_path):
    dataset = made(lines(tmp_path, TEXTS))
    (folder,) = (tmp_path / "out" / "items").glob("*/dataset_info.json")
    builder = tfds.builder_from_directory(str(folder.parent))
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == dataset.splits
    assert sum(dataset.splits.values()) == 40
    item = next(iter(tfds.as_numpy(builder.as_dataset(split="train"))))
    assert sorted(item) == ["group", "id", "label", "text"] and sorted(item["text"]) == ["language", "value"]


# --- again ---


def test_an_unchanged_table_is_left_as_it_is(tmp_path):
    picture(tmp_path / "a.png")
    table = lines(tmp_path, [*TEXTS, {"image": "a.png"}, {"image": "none.png"}])
    first = made(table, max_bad=0.5, kinds={"image": "image"})
    before, records, bad = stamps(tmp_path / "out"), content(first), quarantine(tmp_path / "out")
    assert before and len(bad) == 1
    again = made(table, max_bad=0.5, kinds={"image": "image"})
    assert stamps(tmp_path / "out") == before
    assert again.fingerprint == first.fingerprint and content(again) == records and quarantine(tmp_path / "out") == bad


def test_a_changed_row_is_read_anew(tmp_path):
    first = made(lines(tmp_path, TEXTS))
    before = stamps(tmp_path / "out")
    again = made(lines(tmp_path, [{**TEXTS[0], "text:en": "other"}, *TEXTS[1:]]))
    assert again.fingerprint != first.fingerprint
    assert all(stamps(tmp_path / "out")[name] != stamp for name, stamp in before.items())
    assert b"other" in [value for *_, views in content(again) for value, _ in views["text"]]


@pytest.mark.parametrize("settings", [{"seed": 1}, {"fractions": (0.5, 0.25, 0.25)}, {"image_size": 20}, {"kinds": {"label": "text"}}], ids=str)
def test_changed_settings_are_read_anew(tmp_path, settings):
    table = lines(tmp_path, TEXTS)
    before = made(table).fingerprint
    dataset = made(table, **settings)
    assert dataset.fingerprint != before
    assert dataset.fields["label"].kind == settings.get("kinds", {}).get("label", "label")


def test_a_changed_or_new_media_file_is_read_anew(tmp_path):
    picture(tmp_path / "a.png", 1)
    table = lines(tmp_path, [{"image": "a.png", "label": "x"}, {"image": "b.png", "label": "x"}])
    prints = [made(table, max_bad=1, kinds={"image": "image"}).fingerprint]
    assert [row["path"] for row in quarantine(tmp_path / "out")] == ["b.png"]
    picture(tmp_path / "b.png", 2)
    prints.append(made(table, max_bad=1).fingerprint)
    assert quarantine(tmp_path / "out") == []
    stat = (tmp_path / "a.png").stat()
    os.utime(tmp_path / "a.png", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    prints.append(made(table, max_bad=1).fingerprint)
    assert len(set(prints)) == 3


def test_the_same_table_gives_the_same_dataset(tmp_path):
    one, two = (made(lines(tmp_path / name, TEXTS)) for name in ("one", "two"))
    order = [[item["id"] for item in tfds.as_numpy(dataset.items("train"))] for dataset in (one, two)]
    assert order[0] == order[1] and content(one) == content(two)


# --- what cannot be used ---


def bad_table(folder):
    """A table of eleven items, nine of them with one bad view."""
    folder = folder / "table"
    folder.mkdir()
    picture(folder.parent / "secret.png")
    picture(folder / "good.png", 3)
    sound(folder / "good.wav")
    (folder / "empty.png").touch()
    (folder / "garbage.jpg").write_bytes(b"this is no picture")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:200])
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "noise.wav").write_bytes(b"this is no sound")
    soundfile.write(folder / "silent.wav", np.zeros(4000), 16_000)
    bad = [
        ("image", "none.png", "missing"),
        ("image", "empty.png", "empty"),
        ("image", "garbage.jpg", "unreadable picture"),
        ("image", "cut.png", "unreadable picture"),
        ("image", "../secret.png", "outside the table's folder"),
        ("image", "link.png", "outside the table's folder"),
        ("audio", "silent.wav", "silent"),
        ("audio", "noise.wav", "unreadable sound"),
        ("text", " \t\n", "empty text"),
        ("text", "\u200b\u0007\u00a0", "empty text"),
    ]
    rows = [{"id": f"bad{i}", "label": "x", field: value} for i, (field, value, _) in enumerate(bad)]
    rows.append({"id": "good", "label": "y", "image": "good.png", "audio": "good.wav", "text": "one"})
    return lines(folder, rows), bad


KINDS = {"image": "image", "audio": "audio", "text": "text"}


def test_a_bad_view_costs_that_view_alone_and_is_listed(tmp_path):
    table, bad = bad_table(tmp_path)
    dataset = made(table, kinds=KINDS, max_bad=0.5, fractions=(1, 0, 0))
    assert dataset.splits == {"train": 11}
    listed = sorted(quarantine(table.parent / "out"), key=lambda row: int(row["row"]))
    assert [(int(row["row"]), row["field"], row["path"], row["reason"]) for row in listed] == [(i + 1, *view) for i, view in enumerate(bad)]
    hashes = {row["path"]: row["sha256"] for row in listed}
    assert hashes["garbage.jpg"] == hashlib.sha256(b"this is no picture").hexdigest()
    assert hashes["none.png"] == hashes["../secret.png"] == hashes["link.png"] == ""
    for _, name, _, views in content(dataset):
        there = {field for field, values in views.items() if values}
        assert there == ({"image", "audio", "text", "label"} if name == b"good" else {"label"})


def test_a_bad_view_leaves_the_other_views_of_its_field(tmp_path):
    picture(tmp_path / "a.png")
    table = lines(tmp_path, [{"id": 1, "image": ["none.png", "a.png"], "text:en": ["", "one", " "]}])
    dataset = made(table, max_bad=0.9, fractions=(1, 0, 0))
    ((_, _, _, views),) = content(dataset)
    assert len(views["image"]) == 1 and views["text"] == [(b"one", b"en")]
    assert sorted(row["reason"] for row in quarantine(tmp_path / "out")) == ["empty text", "empty text", "missing"]


def test_an_item_with_nothing_left_is_left_out(tmp_path):
    dataset = made(lines(tmp_path, [*TEXTS, {"id": "none", "text:en": " "}]), max_bad=0.5)
    assert sum(dataset.splits.values()) == 40
    assert b"none" not in [name for _, name, *_ in content(dataset)]


@pytest.mark.parametrize("value", ["a\ud800b", "\ud800"])
def test_half_a_surrogate_is_a_bad_view(tmp_path, value):
    """JSON can say it, UTF-8 cannot."""
    dataset = made(lines(tmp_path, [*TEXTS, {"id": "x", "label": "a", "text:en": value}]), max_bad=0.5)
    assert sum(dataset.splits.values()) == 41
    assert [(row["row"], row["field"]) for row in quarantine(tmp_path / "out")] == [("41", "text")]


@pytest.mark.parametrize("value", ["a\0.png", "a" * 300 + ".png"], ids=["null byte", "too long"])
def test_a_name_that_no_file_can_have_is_a_bad_view(tmp_path, value):
    dataset = made(lines(tmp_path, [{"id": 1, "image": value, "label": "a"}]), max_bad=1, kinds={"image": "image"}, fractions=(1, 0, 0))
    assert dataset.splits == {"train": 1}
    assert [(row["row"], row["field"]) for row in quarantine(tmp_path / "out")] == [("1", "image")]


def test_too_many_bad_views_stop_the_run(tmp_path):
    table, _ = bad_table(tmp_path)
    with pytest.raises(TableError) as error:
        made(table, kinds=KINDS, fractions=(1, 0, 0))
    words = str(error.value)
    assert "Expected at most 1.0% of 24 views to be unusable. Received" in words
    assert "image: unreadable picture (2)" in words and "audio: silent (1)" in words
    assert "First: row 1, field image, 'none.png'" in words and "See quarantine.csv; raise --max-bad" in words
    assert quarantine(table.parent / "out")[0]["path"] == "none.png"


def test_max_bad_is_a_share_of_all_views(tmp_path):
    rows = [*TEXTS[:19], {"id": "x", "text:en": " "}]  # One bad view of 58.
    with pytest.raises(TableError, match="at most 1.5% of 58 views"):
        ingest(lines(tmp_path, rows), tmp_path / "a", max_bad=0.015, progress=False)
    assert ingest(lines(tmp_path, rows), tmp_path / "b", max_bad=0.02, progress=False).splits
    with pytest.raises(TableError, match="at most 0.0% of 58 views"):
        ingest(lines(tmp_path, rows), tmp_path / "c", max_bad=0, progress=False)


def test_after_a_stop_a_higher_max_bad_goes_on(tmp_path):
    table, _ = bad_table(tmp_path)
    with pytest.raises(TableError, match="raise --max-bad"):
        made(table, kinds=KINDS)
    assert sum(made(table, kinds=KINDS, max_bad=0.5).splits.values()) == 11


def test_after_an_interruption_it_starts_anew(tmp_path):
    table = lines(tmp_path, TEXTS)
    (tmp_path / "out" / "items" / "1.0.0.incompleteABC").mkdir(parents=True)
    assert sum(made(table).splits.values()) == 40


def test_a_split_with_nothing_usable_is_told_in_words(tmp_path):
    table = lines(tmp_path, [{"image": "none.png", "split": "train"}, {"image": "none2.png", "split": "train"}])
    with pytest.raises(TableError, match="train"):
        made(table, max_bad=1, kinds={"image": "image"})


# --- errors ---


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.5, -0.5, 0.0), (0, 0, 0)])
def test_fractions_error_says_what_came(tmp_path, fractions):
    with pytest.raises(ValueError, match=r"Expected `fractions` to be three shares that add up to 1\. Received: fractions=\("):
        made(lines(tmp_path, TEXTS), fractions=fractions)


def test_errors_of_the_table_come_through(tmp_path):
    with pytest.raises(TableError, match=r"none\.csv, which is not a file"):
        ingest(tmp_path / "none.csv", tmp_path / "out", progress=False)
    with pytest.raises(TableError, match="Expected a field of the table: text, label. Received: words"):
        made(lines(tmp_path, TEXTS), kinds={"words": "text"})
    assert not (tmp_path / "out").exists()


# --- without writing ---


def test_examples_are_what_ingest_writes(tmp_path):
    table, _ = bad_table(tmp_path)
    found = list(read_examples(table, {**KINDS, "not there": "text"}))
    dataset = made(table, kinds=KINDS, max_bad=0.5, fractions=(1, 0, 0))
    examples = {example["id"]: {name: sorted(zip(example[name]["value"], example[name]["language"])) for name in dataset.fields} for example, _ in found}
    for _, name, _, views in content(dataset):
        read = {field: [(value if isinstance(value, bytes) else value.encode(), tag.encode()) for value, tag in values] for field, values in examples[name.decode()].items()}
        assert read == views
    listed = [str(row["row"]) for _, bad in found for row in bad]
    assert listed == sorted((row["row"] for row in quarantine(table.parent / "out")), key=int)


def test_opening_is_the_same_as_making(tmp_path):
    dataset = made(lines(tmp_path, TEXTS))
    opened = Dataset(tmp_path / "out")
    assert (opened.fields, opened.splits, opened.fingerprint) == (dataset.fields, dataset.splits, dataset.fingerprint)
