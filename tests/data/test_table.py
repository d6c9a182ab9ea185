import datetime
import decimal
import json
import math

import pyarrow
import pyarrow.parquet
import pytest

from cross_modal.data import TableError, schema
from cross_modal.data.sources import open_source
from cross_modal.data.table import KindGuess, read_items


def written(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(folder, *rows):
    return written(folder, "\n".join(json.dumps(row) for row in rows), "t.jsonl")


def read(path):
    return list(read_items(open_source(path)))


def flat(items):
    """What rows say, put together by id and split."""
    merged = {}
    for item in items:
        merged.setdefault((item.id, item.split), []).extend((view.field, view.value, view.language) for view in item.views)
    return {key: sorted(views) for key, views in merged.items()}


def kinds_of(path, given=()):
    guess = KindGuess()
    for item in read(path):
        guess.see(item)
    return guess.kinds(given)


def reasons(path):
    return [(view.field, view.value, view.reason) for item in read(path) for view in item.views if view.reason]


def test_false_and_zero_are_values(tmp_path):
    (item,) = read(lines(tmp_path, {"label": 0, "text": False, "other": 1.5}))
    assert item.id == "row-1" and {view.field: view.value for view in item.views} == {"label": "0", "other": "1.5", "text": "false"}


def test_no_number_is_told_from_no_value(tmp_path):
    (item,) = read(lines(tmp_path, {"label": math.nan, "text": None, "id": math.nan, "group": "g"}))
    assert [(view.field, view.value) for view in item.views] == [("label", None)] and item.id == "row-1 (no id)" and item.group == "g"


def test_wide_and_long_form_are_the_same_items(tmp_path):
    wide = written(tmp_path, "id,group,split,image,text:en,text:de\n1,g,train,1.png,one,eins\n2,,test,2.png,two,\n", "wide.csv")
    long = written(
        tmp_path,
        "id,group,split,language,image,text\n1,g,train,,1.png,\n1,,train,en,,one\n1,,train,de,,eins\n2,,test,,2.png,\n2,,test,en,,two\n",
        "long.csv",
    )
    assert flat(read(wide)) == flat(read(long))
    assert len(flat(read(wide))["1", "train"]) == 3


def test_a_list_is_several_views(tmp_path):
    (item,) = read(lines(tmp_path, {"text:en": ["one", "1", 1, None], "image": "a.png"}))
    assert [view.value for view in item.views if view.field == "text"] == ["one", "1", "1"]


def test_rows_without_id_are_items_of_their_own(tmp_path):
    assert [item.id for item in read(lines(tmp_path, {"text": "a"}, {"text": "a"}))] == ["row-1", "row-2"]


def test_the_language_of_a_row_is_for_columns_without_one(tmp_path):
    (item,) = read(lines(tmp_path, {"language": "zh-tw", "text": "a", "audio:fr": "a.wav"}))
    assert {(view.field, view.language) for view in item.views} == {("text", "zh-TW"), ("audio", "fr")}


def test_the_numbers_before_the_rows_of_pandas_are_passed_over(tmp_path):
    assert [(view.field, view.value) for item in read(written(tmp_path, ",text\n0,a\n1,b\n")) for view in item.views] == [("text", "a"), ("text", "b")]


@pytest.mark.parametrize("name", ["val", "valid", "dev", "validation", "Validation", " VAL "])
def test_validation_has_several_names(tmp_path, name):
    assert read(lines(tmp_path, {"split": name, "text": "a"}))[0].split == "validation"


@pytest.mark.parametrize("split", ["holdout", "tr", 3, ["train"], {"a": 1}])
def test_a_row_of_another_split_cannot_be_used(tmp_path, split):
    """It could be of the test part: it goes into none."""
    assert reasons(lines(tmp_path, {"text": "a"}, {"text": "a", "split": split})) == [("split", str(split), "split is none of train, validation (val, valid, dev), test")]


@pytest.mark.parametrize("tag", ["english", "e n", 7, ["en"]])
def test_an_unknown_language_costs_the_views_that_are_in_it(tmp_path, tag):
    path = lines(tmp_path, {"text": "a", "text:de": "b", "language": tag})
    assert reasons(path) == [("text", "a", f"unknown language tag {str(tag)!r}")]


def test_a_bad_column_names_the_file(tmp_path):
    with pytest.raises(TableError, match=r"t\.csv, row 1: Expected a column named field .*Received: 'text:english'"):
        read(written(tmp_path, "text:english\na\n"))


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]]])
def test_values_that_are_no_text_are_told(tmp_path, value):
    assert reasons(lines(tmp_path, {"text:en": value}))[0][2] == "neither a text, a number, nor a list of them"


@pytest.mark.parametrize("content", ["", "text,label\n", "id,split,text\n1,train,\n"], ids=["empty", "header", "no value"])
def test_a_table_without_values(tmp_path, content):
    with pytest.raises(TableError, match=r"t\.csv: expected at least one row with a value\. Received none"):
        read(written(tmp_path, content))


def test_kinds_are_inferred(tmp_path):
    rows = [
        {"photo": f"p/{i}.JPG", "speech:en": f"{i}.flac", "name": f"number {i}", "word:en": "same", "topic": "ab"[i % 2], "label": f"class {i}", "file": f"{i}.pdf"}
        for i in range(12)
    ]
    kinds = kinds_of(lines(tmp_path, *rows))
    assert kinds == {"photo": "image", "speech": "audio", "name": "text", "word": "text", "topic": "label", "label": "label", "file": "text"}
    assert list(kinds) == ["photo", "speech", "name", "word", "topic", "label", "file"]


def test_a_given_kind_goes_before_the_values(tmp_path):
    path = lines(tmp_path, {"topic": "a", "image": "1.png"}, {"topic": "a", "image": "2.png"})
    assert kinds_of(path) == {"topic": "label", "image": "image"}
    assert kinds_of(path, {"topic": "text"}) == {"topic": "text", "image": "image"}


@pytest.mark.parametrize("bad, kind", [(1, "image"), (9, "image"), (10, "text")])
def test_most_files_decide_the_kind(tmp_path, bad, kind):
    assert kinds_of(lines(tmp_path, *({"id": i, "file": "none" if i < bad else f"{i}.png"} for i in range(20)))) == {"file": kind}


def test_many_values_are_no_label(tmp_path):
    few, many = ([{"topic": str(i % classes)} for i in range(2000)] for classes in (200, 201))
    assert kinds_of(lines(tmp_path, *few)) == {"topic": "label"}
    assert kinds_of(lines(tmp_path, *many)) == {"topic": "text"}


def test_kind_errors(tmp_path):
    path = lines(tmp_path, {"text": "a", "image": "1.png"})
    with pytest.raises(TableError, match="Expected a field of the table: text, image. Received: caption"):
        kinds_of(path, {"caption": "text"})
    with pytest.raises(TableError, match="Expected the kind of text to be one of image, text, audio, label. Received: words"):
        kinds_of(path, {"text": "words"})


def test_content_with_a_few_bad_cells_is_still_content(tmp_path):
    png = bytes.fromhex("89504e470d0a1a0a") + b"rest"
    guess = KindGuess()
    for number, value in enumerate([png, png, b"", b"garbage", png]):
        guess.see(schema.Item(str(number), "", "", [schema.View("img", value, "und", number)]))
    assert guess.kinds() == {"img": "image"}


def test_a_field_called_text_is_text(tmp_path):
    assert kinds_of(lines(tmp_path, *({"text": "ab"[i % 2], "topic": "ab"[i % 2]} for i in range(20)))) == {"text": "text", "topic": "label"}


def test_classes_beside_a_language_of_the_row_are_classes(tmp_path):
    """What is the same in all languages is a label, what is another thing in each is said in it; a column of a language is of texts."""
    tags, classes, words = ("en", "de"), ("good", "bad"), {"en": ("yes", "no"), "de": ("ja", "nein")}
    rows = [{"language": tags[i % 2], "text": f"text {i}", "mood": classes[i // 2 % 2], "word": words[tags[i % 2]][i // 2 % 2], "name:en": classes[i % 2]} for i in range(40)]
    assert kinds_of(lines(tmp_path, *rows)) == {"text": "text", "mood": "label", "word": "text", "name": "text"}
    (tmp_path / "one").mkdir()
    rows = [{"language": "en", "text": f"text {i}", "mood": classes[i % 2]} for i in range(40)]
    assert kinds_of(lines(tmp_path / "one", *rows)) == {"text": "text", "mood": "label"}


def test_ids_and_groups_are_the_same_in_either_normal_form(tmp_path):
    one, two = read(lines(tmp_path, {"id": "caf\u00e9 ", "group": "\u00fc", "text": "a"}, {"id": "cafe\u0301", "group": "u\u0308", "text": "b"}))
    assert one.id == two.id and one.group == two.group


def test_a_row_without_an_id_is_no_other_rows(tmp_path):
    items = read(lines(tmp_path, {"id": "row-2", "text": "a"}, {"id": "", "text": "b"}, {"text": "c"}))
    assert len({item.id for item in items}) == 3


def test_ids_of_broken_encoding_are_not_made_one(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"id,text\ncaf\xe9,a\ncaf\xe8,b\n")
    items = list(read_items(open_source(tmp_path / "t.csv", encoding="utf-8")))
    assert [view.reason for item in items for view in item.views] == ["broken encoding of the id or group"] * 2


def test_ignored_fields_and_columns(tmp_path):
    path = lines(tmp_path, {"text:en": "a", "text:de": "b", "date": "2020", "x:y y": 1, "c": "c"})
    assert [view.field for item in read_items(open_source(path), ["date", "x:y y", "text"]) for view in item.views] == ["c"]
    with pytest.raises(TableError, match="expected ignored fields among text:en, .*Received: dote"):
        list(read_items(open_source(path), ["dote", "x:y y"]))


def test_a_given_split_can_be_ignored(tmp_path):
    (item,) = read_items(open_source(lines(tmp_path, {"split": "odd", "id": "a", "text": "b"})), ["split", "id"])
    assert (item.split, item.id, len(item.views)) == ("", "row-1", 1)


def test_dates_and_decimals_are_texts(tmp_path):
    table = pyarrow.table({"when": [datetime.date(2020, 1, 2)], "price": [decimal.Decimal("1.50")]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    assert [view.value for item in read(tmp_path / "t.parquet") for view in item.views] == ["2020-01-02", "1.50"]
