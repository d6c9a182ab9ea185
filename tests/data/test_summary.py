import json

import cv2
import numpy as np
import pytest

from cross_modal.data import check_table
from cross_modal.data.staging import script_of
from cross_modal.data.summary import described


def table(folder, rows):
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), np.random.default_rng(i // 2 if i < 4 else i).integers(0, 256, (10 + i // 4, 20, 3), np.uint8))
    (folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return folder / "t.jsonl"


def checked(folder, rows, **options):
    said, fields, _ = check_table(table(folder, rows), progress=False, **options)
    return said, described(said, fields)


ROWS = [
    {"id": "a", "split": "train", "image": "0.png", "text:ru": "привет", "label": "x"},
    {"id": "b", "split": "train", "image": "1.png", "text:ru": "privet", "label": "y"},
    {"id": "c", "split": "train", "image": "4.png", "text:ja": ["犬が走る", "かな", "犬が走る"], "label": "x"},
    {"id": "d", "split": "validation", "text:ru": "привет", "text:de": "Straße", "label": "y"},
    {"id": "e", "split": "test", "image": "5.png", "text:de": " ", "label": "z"},
    {"id": "f", "split": "test", "text:de": "Hund", "label": "x"},
]


def test_what_is_counted(tmp_path):
    said, words = checked(tmp_path, ROWS, kinds={"text": "text"}, max_bad=1)
    assert said["splits"] == {"train": 3, "validation": 1, "test": 2}
    assert said["views"]["train"] == {"image": 3, "label": 3, "text:ja": 3, "text:ru": 2}
    assert said["sizes"] == {"image": {"height": [10, 10.5, 11], "width": [20, 20, 20]}, "text": {"characters": [2, 5, 6]}}
    assert said["labels"] == {"label": {"train": {"x": 2, "y": 1}, "validation": {"y": 1}, "test": {"x": 1, "z": 1}}}
    assert said["quarantined"] == {"text: empty text": 1}
    assert said["table"] == {"format": "jsonl", "encoding": "utf-8"}
    assert said["lacking"] == [
        "train lacks text:de",
        "train lacks, of 3 classes of label: z",
        "validation lacks image, text:ja",
        "validation lacks, of 3 classes of label: x, z",
        "test lacks text:ja, text:ru",
        "test lacks, of 3 classes of label: y",
    ]
    for line in (
        "text:ru                  2           1           0",
        "  x                      2           0           1",
        "text, characters           2           5           6",
        "  text: empty text: 1",
    ):
        assert line in words, words


def test_a_label_that_several_rows_of_an_item_repeat_counts_once(tmp_path):
    rows = [
        {"id": name, "split": "train", "language": tag, "text": f"{name} {tag}", "label": label} for name, label in (("a", "x"), ("b", "y"), ("c", "y")) for tag in ("en", "de")
    ]
    assert checked(tmp_path, rows, kinds={"text": "text", "label": "label"})[0]["labels"] == {"label": {"train": {"x": 1, "y": 2}}}


def test_what_is_odd(tmp_path):
    said, words = checked(tmp_path, ROWS, kinds={"text": "text"}, max_bad=1)
    assert said["odd"] == [
        "image: pictures that stand with different label: 1 (first: row 1)",
        "text:ru: another script than the language's: 1 in Latn (row 2)",
        "text: texts that stand with different label: 1 (first: row 1)",
        "text: views that are in their item twice: 1",
        "label: classes seen once: z",
    ]
    assert "odd:\n  image: pictures that stand" in words


def test_leaks_are_told(tmp_path):
    said, words = checked(tmp_path, ROWS, kinds={"text": "text"}, max_bad=1)
    assert said["leaks"] == {
        "prevented": ["same pictures: 2 in 1 sets; a drawn split parts none"],
        "found": ["texts of text in several splits: 1; views of validation and test with a text that train has: 1"],
    }
    assert "leaks prevented:\n  same pictures" in words and "leaks found:\n  texts of text" in words


def test_a_group_that_the_table_parts_is_told(tmp_path):
    said, _ = checked(tmp_path, [{"group": "g", "split": "train", "text": "a"}, {"group": "g", "split": "test", "text": "b"}], kinds={"text": "text"}, fractions=(0.8, 0, 0.2))
    assert said["leaks"]["found"] == ["groups in several splits, as the table says: 1"]


def test_many_classes_are_cut_short(tmp_path):
    said, words = checked(tmp_path, [{"label": f"class {i:03}", "text": str(i)} for i in range(100)], kinds={"text": "text"})
    assert "label: 100 classes" in words and "  and 80 more" in words and "class 019" in words and "class 020" not in words.split("lacking")[0]


@pytest.mark.parametrize(
    "text, script",
    [("hello, мир, and more", "Latn"), ("привет", "Cyrl"), ("犬", "Hani"), ("かな", "Hira"), ("한국어", "Hang"), ("سلام", "Arab"), ("नमस्ते", "Deva"), ("123 :-) 🙂", ""), ("", "")],
)
def test_scripts(text, script):
    assert script_of(text) == script
