import collections
import csv
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import unicodedata
import zlib

import cv2
import hypothesis
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
import tensorflow_datasets as tfds
from hypothesis import strategies

from cross_modal.data import Dataset, TableError, check_table, ingest, read_examples
from cross_modal.data.sources import open_source
from cross_modal.data.table import read_items

TEXTS = [{"id": str(i), "text:en": f"text {i}", "text:de": f"Text {i}", "label": "ab"[i % 2]} for i in range(40)]


def lines(folder, rows, name="t.jsonl"):
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def png_header(width, height):
    """A PNG of a few bytes that says it is this large."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


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
    return ingest(table, (table if table.is_dir() else table.parent) / "out", progress=False, **settings)


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
    """A table of items with one bad view each, and a last one that is good."""
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
    soundfile.write(folder / "long.wav", np.zeros(301 * 100), 100)
    (folder / "half.wav").write_bytes((folder / "good.wav").read_bytes()[:3000])
    (folder / "named.jpg").write_bytes((folder / "good.png").read_bytes())
    (folder / "huge.png").write_bytes(png_header(50_000, 50_000))
    assert cv2.imwrite(str(folder / "black.png"), np.zeros((9, 9), np.uint8))
    bad = [
        ("image", "none.png", "missing"),
        ("image", "empty.png", "empty"),
        ("image", "garbage.jpg", "unreadable picture"),
        ("image", "cut.png", "truncated"),
        ("image", "named.jpg", "not what its extension says (PNG)"),
        ("image", "huge.png", "over the pixel limit"),
        ("image", "black.png", "constant picture"),
        ("image", "../secret.png", "outside the table's folder"),
        ("image", "link.png", "outside the table's folder"),
        ("audio", "silent.wav", "silent"),
        ("audio", "noise.wav", "unreadable sound"),
        ("text", " \t\n", "empty text"),
        ("text", "\u200b\u0007\u00a0", "control characters only"),
        ("text", "word " * 30_000, "over the length limit"),
        ("audio", "long.wav", "over the length limit"),
        ("audio", "half.wav", "truncated"),
        ("label", float("nan"), "NaN label"),
        ("label", "NaN", "NaN label"),
    ]
    rows = [{"id": f"bad{i}", "topic": "x", field: value} for i, (field, value, _) in enumerate(bad)]
    rows.append({"id": "good", "topic": "y", "label": "z", "image": "good.png", "audio": "good.wav", "text": "one"})
    return lines(folder, rows), bad


KINDS = {"image": "image", "audio": "audio", "text": "text", "topic": "label"}


def test_a_bad_view_costs_that_view_alone_and_is_listed(tmp_path):
    table, bad = bad_table(tmp_path)
    dataset = made(table, kinds=KINDS, max_bad=0.5, fractions=(1, 0, 0))
    assert dataset.splits == {"train": len(bad) + 1}
    listed = quarantine(table.parent / "out")
    assert [(int(row["row"]), row["field"], row["reason"]) for row in listed] == [(i + 1, field, reason) for i, (field, _, reason) in enumerate(bad)]
    assert [row["path"] for row in listed] == [value[:1000] if isinstance(value, str) else "" for _, value, _ in bad]
    hashes = {row["path"]: row["sha256"] for row in listed}
    assert hashes["garbage.jpg"] == hashlib.sha256(b"this is no picture").hexdigest()
    assert hashes["none.png"] == hashes["../secret.png"] == hashes["link.png"] == ""
    for _, name, _, views in content(dataset):
        there = {field for field, values in views.items() if values}
        assert there == ({"image", "audio", "text", "label", "topic"} if name == b"good" else {"topic"})


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
    assert [(row["row"], row["field"], row["reason"]) for row in quarantine(tmp_path / "out")] == [("41", "text", "broken encoding")]


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
    assert "Expected at most 1.0% of 41 views to be unusable. Received 18 after 41 views: image: outside the table's folder (2)" in words
    assert "label: NaN label (2)" in words and "See quarantine.csv; mend them, or raise --max-bad to go on without them. What is done is kept." in words
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
    assert sum(made(table, kinds=KINDS, max_bad=0.5).splits.values()) == 19


def test_after_an_interruption_it_starts_anew(tmp_path):
    table = lines(tmp_path, TEXTS)
    (tmp_path / "out" / "items").mkdir(parents=True)
    (tmp_path / "out" / ".ingest").mkdir()
    (tmp_path / "out" / ".ingest" / "read.json").write_text("{}")
    assert sum(made(table).splits.values()) == 40


def test_a_table_with_nothing_usable_is_told_in_words(tmp_path):
    table = lines(tmp_path, [{"image": "none.png", "split": "train"}, {"image": "none2.png", "split": "train"}])
    with pytest.raises(TableError, match=r"expected a view that can be used. Received 2 that cannot: image: missing \(2\)\. See quarantine.csv"):
        made(table, max_bad=1, kinds={"image": "image"})


# --- errors ---


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.5, -0.5, 0.0), (0, 0, 0)])
def test_fractions_error_says_what_came(tmp_path, fractions):
    with pytest.raises(ValueError, match=r"Expected `fractions` \(--splits\) to be three shares that add up to 1\. Received: fractions=\("):
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
    found = list(read_examples(open_source(table), {**KINDS, "label": "label", "not there": "text"}))
    dataset = made(table, kinds=KINDS, max_bad=0.5, fractions=(1, 0, 0))
    examples = {example["id"]: {name: sorted(zip(example[name]["value"], example[name]["language"])) for name in dataset.fields} for example, _ in found}
    for _, name, _, views in content(dataset):
        read = {field: [(value if isinstance(value, bytes) else value.encode(), tag.encode()) for value, tag in values] for field, values in examples[name.decode()].items()}
        assert read == views
    listed = [str(row["row"]) for _, bad in found for row in bad]
    assert listed == sorted((row["row"] for row in quarantine(table.parent / "out")), key=int)


def test_rows_of_an_item_are_one_example_wherever_its_split_is_said(tmp_path):
    rows = [("a", "test", "one"), ("a", "", "two"), ("b", "", "three"), ("b", "train", "four"), ("b", "test", "five"), ("c", "", "six")]
    table = tmp_path / "t.jsonl"
    table.write_text("\n".join(json.dumps({"id": name, "split": split, "text": text}) for name, split, text in rows))
    found = [(example["id"], example["text"]["value"]) for example, _ in read_examples(open_source(table), {"text": "text"})]
    assert found == [("a", [b"one", b"two"]), ("b", [b"three", b"four"]), ("b", [b"five"]), ("c", [b"six"])]


def test_a_byte_order_mark_is_no_part_of_a_text_in_a_file_of_its_own(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.txt").write_text(f"\ufeffwords {name} {number}", encoding="utf-8")
    texts = [value for *_, views in content(made(tmp_path, fractions=(1, 0, 0))) for value, _ in views["text"]]
    assert sorted(texts) == sorted(f"words {name} {number}".encode() for name in "ab" for number in range(3))


def test_texts_of_a_folder_are_read_in_their_encoding(tmp_path):
    """Those with a mark without being asked; the first bytes of UTF-16 are also those of MP3."""
    for encoding, given in (("utf-16", None), ("utf-8-sig", None), ("cp1252", "cp1252"), ("utf-16-le", "utf-16-le")):
        folder = tmp_path / encoding
        for name in "ab":
            (folder / name).mkdir(parents=True)
            for number in range(3):
                (folder / name / f"{number}.txt").write_text(f"déjà vu {name} {number}", encoding=encoding)
        dataset = ingest(folder, tmp_path / f"{encoding}-out", fractions=(1, 0, 0), source={"encoding": given}, progress=False)
        assert {value.decode() for *_, views in content(dataset) for value, _ in views["text"]} == {f"déjà vu {name} {number}" for name in "ab" for number in range(3)}
    with pytest.raises(TableError, match="broken encoding"):
        ingest(tmp_path / "cp1252", tmp_path / "guessed", progress=False)
    with pytest.raises(TableError, match="an encoding that Python knows, of text, such as cp1252 or gb18030. Received: klingon"):
        open_source(tmp_path / "cp1252", "klingon")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "t.parquet")
    with pytest.raises(TableError, match="no encoding of .*t.parquet, which is no file of text. Received: cp1252"):
        open_source(tmp_path / "t.parquet", "cp1252")


def test_what_has_been_mended_is_read_again(tmp_path):
    """Rights and links change neither the size nor the date of a file."""
    table, outside = lines(tmp_path / "table", [{"id": str(i), "image": f"{i}.png"} for i in range(10)]), tmp_path / "outside.png"
    for number in range(10):
        picture(table.parent / f"{number}.png", number)
    (table.parent / "3.png").rename(outside)
    (table.parent / "3.png").symlink_to(outside)
    with pytest.raises(TableError, match="outside the table's folder"):
        ingest(table, tmp_path / "out", progress=False)
    (table.parent / "3.png").unlink()
    shutil.copy2(outside, table.parent / "3.png")
    assert sum(ingest(table, tmp_path / "out", progress=False).splits.values()) == 10


def test_other_files_of_the_same_names_and_dates_are_others(tmp_path):
    """As those of archives are that were made so that they are the same each time."""
    found = []
    for name, seed in (("first", 0), ("second", 100)):
        table = lines(tmp_path / name, [{"id": str(i), "image": f"{i}.bmp"} for i in range(10)])
        for number in range(10):
            picture(table.parent / f"{number}.bmp", seed + number)
            os.utime(table.parent / f"{number}.bmp", (0, 0))
        found.append([views["image"][0][0] for *_, views in content(ingest(table, tmp_path / "out", fractions=(1, 0, 0), progress=False))])
    assert len(found[0]) == len(found[1]) == 10 and not set(found[0]) & set(found[1])


def test_reading_needs_no_tensorflow(tmp_path):
    table = lines(tmp_path, TEXTS)
    code = f"import sys; from cross_modal import cli; assert not cli.main(['ingest', {str(table)!r}, '--out', {str(tmp_path / 'out')!r}]); print('tensorflow' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False" and "cuda" not in run.stderr


def test_to_be_answered_a_table_may_hold_whatever_else(tmp_path):
    rows = [{"id": str(i), "split": "holdout", "meta/url": "x", ":": 1, "text:en": f"text {i}"} for i in range(3)]
    found = [example["text"]["value"] for example, bad in read_examples(open_source(lines(tmp_path, rows)), {"text": "text"}) if not bad]
    assert found == [[f"text {i}".encode()] for i in range(3)]
    with pytest.raises(TableError, match="at least one of the fields image, sound. Received: meta/url, :, text:en"):
        next(read_examples(open_source(lines(tmp_path, rows)), {"image": "image", "sound": "audio"}))


def test_what_is_not_a_number_is_no_name(tmp_path):
    """As tables say of text that it is missing."""
    (tmp_path / "t.csv").write_text("id,group,language,text\nNaN,NaN,NaN,one\nNaN,NaN,nan,two\n")
    read = [(item.id, item.group, item.views[0].language) for item in read_items(open_source(tmp_path / "t.csv"))]
    assert [group for _, group, _ in read] == ["", ""] and len({name for name, *_ in read}) == 2 and [tag for *_, tag in read] == ["und", "nan"]


def test_opening_is_the_same_as_making(tmp_path):
    dataset = made(lines(tmp_path, TEXTS))
    opened = Dataset(tmp_path / "out")
    assert (opened.fields, opened.splits, opened.fingerprint) == (dataset.fields, dataset.splits, dataset.fingerprint)


# --- more kinds of tables ---


def test_content_in_parquet(tmp_path):
    """As the datasets library writes it: no file but the table."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(4000) * 0.2), 8000, format="FLAC")
    rows = [{"id": "a", "photo": {"bytes": cv2.imencode(".png", pixels)[1].tobytes(), "path": None}, "voice:en": file.getvalue(), "text": ["x", "y"], "label": 3.0}]
    rows += [{"id": "b", "photo": {"bytes": b"no picture", "path": None}, "voice:en": None, "text": [], "label": float("nan")}] * 1
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    dataset = made(tmp_path / "t.parquet", max_bad=0.5, fractions=(1, 0, 0), kinds={"text": "text", "photo": "image"})
    assert {name: field.kind for name, field in dataset.fields.items()} == {"photo": "image", "voice": "audio", "text": "text", "label": "label"}
    assert [(row["row"], row["field"], row["path"], row["reason"]) for row in quarantine(tmp_path / "out")] == [
        ("2", "photo", "10 bytes", "unreadable picture"),
        ("2", "label", "", "NaN label"),
    ]
    ((raw, _),) = dataset.values("train", "photo")
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR), pixels)
    before = stamps(tmp_path / "out")
    made(tmp_path / "t.parquet", max_bad=0.5, fractions=(1, 0, 0), kinds={"text": "text", "photo": "image"})
    assert stamps(tmp_path / "out") == before


def test_a_folder_of_classes(tmp_path):
    for place, name in enumerate(["cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(tmp_path / name, place)
    (tmp_path / "dog" / "bad.png").write_bytes(b"no")
    dataset = ingest(tmp_path, tmp_path / "cat" / "out", fractions=(1, 0, 0), max_bad=0.2, progress=False)
    assert dataset.fields["label"].labels == ("cat", "dog") and dataset.splits == {"train": 5}
    assert [(row["path"], row["reason"]) for row in quarantine(tmp_path / "cat" / "out")] == [("dog/bad.png", "unreadable picture")]


def test_broken_rows_unknown_languages_and_contradictions_are_listed(tmp_path):
    rows = [json.dumps(row) for row in [*TEXTS, {"id": "0", "label": "b"}, {"text": "Hallo", "language": "germanic", "label": "a"}, {"text:en": "x", "split": "dev-set"}]]
    (tmp_path / "t.jsonl").write_text(
        "\n".join(
            [*rows, '{"text": '],
        ),
        encoding="utf-8",
    )
    made(tmp_path / "t.jsonl", max_bad=0.1)
    assert [(row["row"], row["field"], row["reason"], row["path"]) for row in quarantine(tmp_path / "out")] == [
        ("1", "label", "contradicting labels under one id", "a"),
        ("41", "label", "contradicting labels under one id", "b"),
        ("42", "text", "unknown language tag 'germanic'", "Hallo"),
        ("43", "split", "split is none of train, validation (val, valid, dev), test", "dev-set"),
        ("44", "", "broken row: no JSON object", ""),
    ]
    with pytest.raises(TableError, match="Expected at most 1.0% of 125 views.*row: broken row: no JSON object"):
        ingest(tmp_path / "t.jsonl", tmp_path / "other", progress=False)


# --- nothing on both sides ---


def test_pictures_that_are_nearly_the_same_stay_together(tmp_path):
    pixels = {i: cv2.resize(np.random.default_rng(i).integers(0, 256, (5, 6, 3), np.uint8), (60, 50), interpolation=cv2.INTER_CUBIC) for i in range(40)}
    for i, picture_ in pixels.items():
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture_)
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), picture_, [cv2.IMWRITE_JPEG_QUALITY, 80])
    rows = [{"id": f"{i}{extension}", "image": f"{i}.{extension}"} for i in pixels for extension in ("png", "jpg")]
    dataset = made(lines(tmp_path, rows), fractions=(0.5, 0.25, 0.25))
    places = collections.defaultdict(set)
    for split, name, *_ in content(dataset):
        places[name[:-3]].add(split)
    assert all(len(found) == 1 for found in places.values()) and len(places) == 40
    assert dataset.describe()["leaks"]["prevented"] == ["same pictures: 80 in 40 sets, 80 of them only nearly; a drawn split parts none"]


def test_given_splits_are_freed_of_leaks_but_for_held_out_views(tmp_path):
    for i in range(4):
        picture(tmp_path / f"{i}.png", i)
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    rows = [
        {"id": "a", "split": "test", "image": "0.png", "text:de": "eins"},
        {"id": "a", "split": "train", "image": "0.png", "text:en": "one"},
        {"id": "b", "split": "train", "image": "copy.png", "text:en": "once"},
        {"id": "c", "split": "train", "image": "1.png", "text:en": "two"},
        {"id": "d", "split": "test", "image": "2.png", "text:en": "two"},
    ]
    dataset = made(lines(tmp_path, rows), fractions=(0.8, 0, 0.2), kinds={"image": "image"})
    assert [(row["row"], row["path"], row["reason"]) for row in quarantine(tmp_path / "out")] == [("3", "copy.png", "leak: also in test")]
    assert [(split, name, len(views["image"])) for split, name, _, views in content(dataset)] == [
        ("test", b"a", 1), ("test", b"d", 1), ("train", b"a", 1), ("train", b"b", 0), ("train", b"c", 1),
    ]  # fmt: skip
    leaks = dataset.describe()["leaks"]
    assert leaks["found"] == ["texts of text in several splits: 1; views of validation and test with a text that train has: 1", "ids in several splits, as the table says: 1"]
    assert leaks["prevented"][1] == "pictures that the table has in two splits under two ids: 1 taken out of the one that is nearer to training"


def test_equal_texts_can_be_kept_together(tmp_path):
    rows = [{"id": i, "text": f"text {i % 20}"} for i in range(100)]
    apart, together = (ingest(lines(tmp_path, rows), tmp_path / str(fields), kinds={"text": "text"}, together=fields, progress=False) for fields in ((), ("text",)))
    assert apart.describe()["leaks"]["found"] and not together.describe()["leaks"]["found"]
    with pytest.raises(TableError, match="Expected fields of texts to keep together. Received: words"):
        ingest(lines(tmp_path, rows), tmp_path / "x", together=("words",), progress=False)


# --- only looking ---


def test_check_writes_nothing_and_says_the_same(tmp_path):
    table, bad = bad_table(tmp_path)
    before = sorted(table.parent.iterdir())
    said, fields, listed = check_table(table, KINDS, fractions=(1, 0, 0), progress=False)
    assert sorted(table.parent.iterdir()) == before
    dataset = made(table, kinds=KINDS, fractions=(1, 0, 0), max_bad=0.5)
    assert said == dataset.describe() and fields == list(dataset.fields.values())
    assert [{name: str(value) for name, value in one.items()} for one in listed] == quarantine(table.parent / "out")


# --- any table ---


value = strategies.one_of(
    strategies.text(max_size=6),
    strategies.sampled_from(["a.png", "b.png", "s.wav", "cut.png", "none.png", "../a.png", "/etc/passwd", ".", ""]),
    strategies.one_of(strategies.integers(-3, 3), strategies.floats(), strategies.booleans(), strategies.none()),
    strategies.lists(strategies.sampled_from(["a.png", "x", None, 1]), max_size=3),
    strategies.dictionaries(strategies.sampled_from("ab"), strategies.integers(), max_size=1),
)
column = strategies.sampled_from(["id", "split", "group", "language", "image", "audio:fr", "text", "text:en", "text:de", "label", "image:ja"])
some_rows = strategies.lists(strategies.dictionaries(column, value, max_size=5), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    picture(folder / "a.png", 1)
    picture(folder / "b.png", 2)
    sound(folder / "s.wav")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:100])
    return folder


@hypothesis.settings(deadline=None, max_examples=30, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(rows=some_rows, kinds=strategies.fixed_dictionaries({}, optional={"image": strategies.just("image"), "text": strategies.sampled_from(["text", "label"])}))
def test_any_table_is_a_dataset_or_a_clear_error(files, rows, kinds):
    """Every view is in the dataset or in quarantine.csv, none twice, and none of them is a path that leads out."""
    shutil.rmtree(files / "out", ignore_errors=True)
    table = lines(files, rows)
    there = {name.partition(":")[0] for row in rows for name, one in row.items() if name not in ("id", "split", "group", "language") and one not in (None, "", [])}
    try:
        dataset = made(table, kinds={name: kind for name, kind in kinds.items() if name in there}, max_bad=1, image_size=64)
    except TableError as error:
        assert "Expected" in str(error) or "expected" in str(error)
        return
    stored = sum(len(views[name]) for *_, views in content(dataset) for name in views)
    bad = quarantine(files / "out")
    views = sum(len(item.views) for item in read_items(open_source(table)))
    assert stored + len(bad) == views
    for *_, views in content(dataset):
        for name, field in dataset.fields.items():
            for raw, _ in views[name]:
                assert raw and (field.kind != "image" or raw.startswith(b"\x89PNG")) and (field.kind != "audio" or raw.startswith(b"RIFF")) and b"root:" not in raw


def test_validation_that_the_table_lacks_is_told(tmp_path):
    rows = [{"id": str(i), "text": f"text {i}", "split": "train" if i < 30 else "test"} for i in range(40)]
    dataset = made(lines(tmp_path, rows))
    assert dataset.splits == {"train": 27, "validation": 3, "test": 10}
    assert dataset.describe()["table"]["drawn"] == "3 of the table's training items for the validation that it lacks; --splits 1,0,0 leaves them"
    kept = made(lines(tmp_path, rows), fractions=(1.0, 0.0, 0.0))
    assert kept.splits == {"train": 30, "test": 10} and "drawn" not in kept.describe()["table"]


def test_rows_without_views_do_not_shift_the_quarantine(tmp_path):
    """A chunk of rows that hold nothing."""
    rows = [{"id": "a", "label": "x", "text": "one"}] * 256 + [{"id": str(i)} for i in range(256)] + [{"id": "b", "label": label, "text": "two"} for label in "xy"]
    made(lines(tmp_path, rows), max_bad=0.5)
    assert [(one["row"], one["path"]) for one in quarantine(tmp_path / "out")] == [("513", "x"), ("514", "y")]


def test_combining_marks_beyond_measure_take_no_time(tmp_path):
    rows = [{"text": "a" + "\u0301\u0316" * 40_000}, {"text": "e" + "\u0301" * 3}, {"text": "a" * 200_000}]
    made(lines(tmp_path, rows), max_bad=1, kinds={"text": "text"})
    assert [one["reason"] for one in quarantine(tmp_path / "out")] == ["more than 500 combining marks on one character", "over the length limit"]


def test_one_long_label_does_not_lengthen_all(tmp_path):
    import tracemalloc

    rows = [{"id": str(i), "label": f"class {i}" if i else "x" * 90_000} for i in range(500)]
    path = lines(tmp_path, rows)
    tracemalloc.start()
    made(path)
    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("share", [-1, 2, float("nan")])
def test_max_bad_is_a_share(tmp_path, share):
    with pytest.raises(ValueError, match="between 0 and 1. Received: max_bad="):
        made(lines(tmp_path, TEXTS), max_bad=share)


def test_an_item_that_no_record_can_hold_is_told(tmp_path, monkeypatch):
    from cross_modal.data import writing

    monkeypatch.setattr(writing, "_ITEM_BYTES", 500)
    with pytest.raises(TableError, match="at most 500 bytes. Received: .* under the id 'big'. Give its views several ids"):
        made(lines(tmp_path, [*TEXTS, *({"id": "big", "text:en": f"a text of many letters {i}"} for i in range(30))]))
