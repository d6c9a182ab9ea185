import json

import pytest

from cross_modal.data import TableError
from cross_modal.data.table import infer_kinds, read_items, read_rows


def written(folder, content, name="t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(folder, *rows):
    return written(folder, "\n".join(json.dumps(row) for row in rows), "t.jsonl")


def flat(items):
    """What items say, without the numbers of their rows."""
    return [(item.id, item.group, item.split, sorted((view.field, view.value, view.language) for view in item.views)) for item in items]


def test_rows_of_csv(tmp_path):
    path = written(tmp_path, 'text,label\n"a, ""b""\nc",x\n,y\n')
    assert list(read_rows(path)) == [(1, {"text": 'a, "b"\nc', "label": "x"}), (2, {"label": "y"})]


@pytest.mark.parametrize(
    "name, content",
    [
        ("t.csv", "text,label\nçay,x\n"),
        ("t.csv", b"\xef\xbb\xbftext,label\r\n\xc3\xa7ay,x\r\n"),
        ("T.CSV", "text,label\nçay,x\n"),
        ("t.tsv", "text\tlabel\nçay\tx\n"),
        ("t.jsonl", '{"text": "çay", "label": "x"}\n'),
        ("t.jsonl", b'\xef\xbb\xbf{"text": "\\u00e7ay", "label": "x", "audio": null}\n'),
        ("t.ndjson", '\n{"text": "çay", "label": "x", "image": "", "audio": []}\n\n'),
    ],
    ids=["csv", "byte order mark", "capitals", "tsv", "jsonl", "jsonl with mark", "ndjson"],
)
def test_formats_give_the_same_rows(tmp_path, name, content):
    assert list(read_rows(written(tmp_path, content, name))) == [(1, {"text": "çay", "label": "x"})]


def test_false_and_zero_are_values(tmp_path):
    (item,) = read_items(lines(tmp_path, {"label": 0, "text": False, "other": 1.5}))
    assert flat([item]) == [("row-1", "", "", [("label", "0", "und"), ("other", "1.5", "und"), ("text", "false", "und")])]


def test_a_short_row_lacks_its_last_values(tmp_path):
    assert list(read_rows(written(tmp_path, "a,b,c\n1\n"))) == [(1, {"a": "1"})]


def test_missing_table(tmp_path):
    with pytest.raises(TableError, match=r"Expected a table\. Received: .*nothing\.csv, which is not a file"):
        list(read_rows(tmp_path / "nothing.csv"))


def test_other_format_lists_the_known_ones(tmp_path):
    with pytest.raises(TableError, match=r"ends in \.csv, \.jsonl, \.ndjson, \.tsv\. Received: .*t\.xlsx"):
        list(read_rows(written(tmp_path, "x", "t.xlsx")))


def test_too_many_values_name_file_and_row(tmp_path):
    with pytest.raises(TableError, match=r"t\.csv, row 2: expected 2 values, as in the header\. Received 1 more"):
        list(read_rows(written(tmp_path, "a,b\n1,2\n1,2,3\n")))


def test_broken_json_names_file_row_and_column(tmp_path):
    with pytest.raises(TableError, match=r"t\.jsonl, row 2: expected one JSON object\. Received text that breaks at column 9"):
        list(read_rows(written(tmp_path, '{"a": "b"}\n{"a": 1,}\n', "t.jsonl")))


def test_json_that_is_no_object(tmp_path):
    with pytest.raises(TableError, match=r"t\.jsonl, row 1: expected one JSON object\. Received: \[1, 2\]"):
        list(read_rows(written(tmp_path, "[1, 2]\n", "t.jsonl")))


def test_an_error_counts_rows_as_the_rows_are_counted(tmp_path):
    """Empty lines are no rows: what is row 2 in quarantine.csv is row 2 in an error."""
    good, bad = '{"a": "b"}\n\n{"a": "c"}\n', '{"a": "b"}\n\n{"a"\n'
    assert list(read_rows(written(tmp_path, good, "t.jsonl")))[-1][0] == 2
    with pytest.raises(TableError, match="row 2: expected one JSON object"):
        list(read_rows(written(tmp_path, bad, "t.jsonl")))


def test_other_encodings_name_the_byte(tmp_path):
    with pytest.raises(TableError, match=r"t\.csv: expected UTF-8 text\. Received byte 0xe9 at position 8"):
        list(read_rows(written(tmp_path, b"text\ncaf\xe9\n")))


def test_a_very_long_value_is_read(tmp_path):
    """Longer than the 131072 characters that the csv module takes unless told."""
    text = "word " * 40_000
    assert list(read_rows(written(tmp_path, f"text\n{text}\n"))) == [(1, {"text": text})]


def test_a_column_named_twice_is_told(tmp_path):
    """The csv module would keep the last and lose the first without a word."""
    with pytest.raises(TableError, match="text:en"):
        list(read_rows(written(tmp_path, "text:en,text:en\na,b\n")))


def test_wide_and_long_form_are_the_same_items(tmp_path):
    wide = written(tmp_path, "id,group,split,image,text:en,text:de\n1,g,train,1.png,one,eins\n2,,test,2.png,two,\n", "wide.csv")
    long = written(
        tmp_path,
        "id,group,split,language,image,text\n1,g,train,,1.png,\n1,,train,en,,one\n1,,train,de,,eins\n2,,test,,2.png,\n2,,test,en,,two\n",
        "long.csv",
    )
    assert flat(read_items(wide)) == flat(read_items(long))
    assert len(read_items(wide)[0].views) == 3


def test_a_list_is_several_views(tmp_path):
    (item,) = read_items(lines(tmp_path, {"text:en": ["one", "1", 1], "image": "a.png"}))
    assert [view.value for view in item.views if view.field == "text"] == ["one", "1", "1"]


def test_rows_of_one_id_are_one_item_in_each_split(tmp_path):
    items = read_items(lines(tmp_path, {"id": 1, "split": "train", "text": "a"}, {"id": "1", "split": "test", "text": "b"}, {"id": 1, "split": "train", "text": "c"}))
    assert [(item.id, item.split, [(view.value, view.row) for view in item.views]) for item in items] == [("1", "train", [("a", 1), ("c", 3)]), ("1", "test", [("b", 2)])]


def test_rows_without_id_are_items_of_their_own(tmp_path):
    assert [item.id for item in read_items(lines(tmp_path, {"text": "a"}, {"text": "a"}))] == ["row-1", "row-2"]


def test_the_language_of_a_row_is_for_columns_without_one(tmp_path):
    (item,) = read_items(lines(tmp_path, {"language": "zh-tw", "text": "a", "audio:fr": "a.wav"}))
    assert {(view.field, view.language) for view in item.views} == {("text", "zh-TW"), ("audio", "fr")}


@pytest.mark.parametrize("name", ["val", "valid", "dev", "validation"])
def test_validation_has_several_names(tmp_path, name):
    assert read_items(lines(tmp_path, {"split": name, "text": "a"}))[0].split == "validation"


@pytest.mark.parametrize("split", ["holdout", "Train", 3, ["train"], {"a": 1}])
def test_other_splits_are_told(tmp_path, split):
    with pytest.raises(TableError, match=r"t\.jsonl, row 2: field split: expected one of train, validation, test\. Received: "):
        read_items(lines(tmp_path, {"text": "a"}, {"text": "a", "split": split}))


@pytest.mark.parametrize("tag", ["english", "e n", 7, ["en"]])
def test_other_languages_are_told(tmp_path, tag):
    with pytest.raises(TableError, match=r"t\.jsonl, row 1: field language: expected a BCP 47 tag such as en or zh-TW\. Received: "):
        read_items(lines(tmp_path, {"text": "a", "language": tag}))


def test_a_bad_column_names_the_file(tmp_path):
    with pytest.raises(TableError, match=r"t\.csv, row 1: Expected a column named field .*Received: 'text:english'"):
        read_items(written(tmp_path, "text:english\na\n"))


@pytest.mark.parametrize("value", [{"a": 1}, [["a"]], [None]])
def test_values_that_are_no_text_name_the_field(tmp_path, value):
    with pytest.raises(TableError, match=r"t\.jsonl, row 1: field text:en: expected a text or a number, or a list of them\. Received: "):
        read_items(lines(tmp_path, {"text:en": value}))


@pytest.mark.parametrize("content", ["", "text,label\n", "id,split,text\n1,train,\n"], ids=["empty", "header", "no value"])
def test_a_table_without_values(tmp_path, content):
    with pytest.raises(TableError, match=r"t\.csv: expected at least one row with a value\. Received none"):
        read_items(written(tmp_path, content))


def test_kinds_are_inferred(tmp_path):
    rows = [
        {"photo": f"p/{i}.JPG", "speech:en": f"{i}.flac", "name": f"number {i}", "word:en": "same", "topic": "ab"[i % 2], "label": f"class {i}", "file": f"{i}.pdf"}
        for i in range(12)
    ]
    kinds = infer_kinds(read_items(lines(tmp_path, *rows)))
    assert kinds == {"photo": "image", "speech": "audio", "name": "text", "word": "text", "topic": "label", "label": "label", "file": "text"}
    assert list(kinds) == ["photo", "speech", "name", "word", "topic", "label", "file"]


def test_a_given_kind_goes_before_the_values(tmp_path):
    items = read_items(lines(tmp_path, {"topic": "a", "image": "1.png"}, {"topic": "a", "image": "2.png"}))
    assert infer_kinds(items) == {"topic": "label", "image": "image"}
    assert infer_kinds(items, {"topic": "text"}) == {"topic": "text", "image": "image"}


def test_most_files_decide_the_kind(tmp_path):
    few, many = ([{"id": i, "file": "none" if i < bad else f"{i}.png"} for i in range(20)] for bad in (1, 2))
    assert infer_kinds(read_items(lines(tmp_path, *few))) == {"file": "image"}
    assert infer_kinds(read_items(lines(tmp_path, *many))) == {"file": "text"}


def test_kind_errors(tmp_path):
    items = read_items(lines(tmp_path, {"text": "a", "image": "1.png"}))
    with pytest.raises(TableError, match="Expected a field of the table: text, image. Received: caption"):
        infer_kinds(items, {"caption": "text"})
    with pytest.raises(TableError, match="Expected the kind of text to be one of image, text, audio, label. Received: words"):
        infer_kinds(items, {"text": "words"})
