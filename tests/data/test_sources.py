import collections
import csv
import json
import os
import sys
import tracemalloc

import hypothesis
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow_datasets as tfds
from hypothesis import strategies

from cross_modal.data import TableError, public
from cross_modal.data.finding import find_tables
from cross_modal.data.sources import open_source


def written(folder, content, name="t.csv"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path, **options):
    return [(number, str(row) if isinstance(row, TableError) else {name: value for name, value in row.items() if value}) for number, row in open_source(path, **options).rows()]


def test_rows_of_csv(tmp_path):
    assert rows(written(tmp_path, 'text,label\n"a, ""b""\nc",x\n,y\n')) == [(1, {"text": 'a, "b"\nc', "label": "x"}), (2, {"label": "y"})]


TABLE = [["text", "label:en"], ["çay, süt", "x"], ["a;b|c", "y"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1254"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_encodings_are_found_out(tmp_path, delimiter, encoding, end):
    text = end.join(delimiter.join(f'"{value}"' if any(mark in value for mark in ",;|") else value for value in row) for row in TABLE * 20)
    lines = text.split(end)
    text = end.join([lines[0]] + [line for line in lines[1:] if "label:en" not in line])
    source = open_source(written(tmp_path, text.encode(encoding)))
    assert source.notes["delimiter"] == delimiter
    found = [row for _, row in source.rows()]
    assert len(found) == 40
    if encoding != "cp1254":  # Which accents these are, nobody can know from a few.
        assert found[:2] == [{"text": "çay, süt", "label:en": "x"}, {"text": "a;b|c", "label:en": "y"}]
    assert [row["label:en"] for row in found] == ["x", "y"] * 20


@pytest.mark.parametrize("encoding, text", [("cp1251", "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему."),
                                            ("cp1253", "Όλες οι ευτυχισμένες οικογένειες μοιάζουν μεταξύ τους."), ("gb18030", "幸福的家庭都是相似的,不幸的家庭各有各的不幸。"),
                                            ("shift_jis", "幸せな家族はどれもみな同じようにみえるが、不幸な家族にはそれぞれの不幸の形がある。"),
                                            ("euc_kr", "행복한 가정은 모두 비슷하지만, 불행한 가정은 저마다 다른 이유로 불행하다.")])  # fmt: skip
def test_other_encodings_are_told_from_the_text(tmp_path, encoding, text):
    content = "\n".join(["text", *[f'"{text} {i}"' for i in range(30)]]).encode(encoding)
    assert rows(written(tmp_path, content))[0] == (1, {"text": f"{text} 0"})
    assert rows(written(tmp_path, content), encoding=encoding)[29] == (30, {"text": f"{text} 29"})


def test_a_damaged_place_in_utf_8_costs_its_row_alone(tmp_path):
    content = "\n".join(["text", *[f"çay süt öğle {i}" for i in range(30)]]).encode().replace(b"\xc3\xa7ay s\xc3\xbct \xc3\xb6\xc4\x9fle 7", b"\xe7ay 7")
    found = rows(written(tmp_path, content))
    assert found[6][1] == {"text": "çay süt öğle 6"} and found[7][1] == {"text": "\udce7ay 7"}


def test_an_encoding_that_does_not_exist(tmp_path):
    with pytest.raises(TableError, match=r"t\.csv: expected an encoding that Python knows.*Received: klingon"):
        open_source(written(tmp_path, "text\na\n"), encoding="klingon")


@pytest.mark.parametrize("text", ["text\nHello, world; a | b\nHello\n", "text\n\nHello, world; a | b\nHello\n"])
def test_a_table_of_one_column_may_hold_every_delimiter(tmp_path, text):
    assert [row for _, row in rows(written(tmp_path, text)) if row] == [{"text": "Hello, world; a | b"}, {"text": "Hello"}]


printable = strategies.text(strategies.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(values=strategies.lists(strategies.tuples(printable, printable), min_size=1, max_size=8))
def test_any_text_comes_back_from_jsonl(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "t.jsonl"
    path.write_text("\n".join(json.dumps({"a": one, "b": two}, ensure_ascii=False) for one, two in values), encoding="utf-8", newline="")
    assert [row for _, row in open_source(path).rows()] == [{"a": one, "b": two} for one, two in values]


@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(content=strategies.binary(max_size=300), name=strategies.sampled_from(["t.csv", "t.jsonl", "t.tsv", "t.parquet"]))
def test_any_bytes_are_rows_or_a_clear_error(tmp_path_factory, content, name):
    path = written(tmp_path_factory.mktemp("any"), content, name)
    try:
        for number, row in open_source(path).rows():
            assert number >= 1 and isinstance(row, (dict, TableError))
    except TableError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("name, content", [("t.jsonl", '{"text": "çay", "label": "x"}\n'), ("t.jsonl", b'\xef\xbb\xbf{"text": "\\u00e7ay", "label": "x"}\n'),
                                           ("t.ndjson", '\n{"text": "çay", "label": "x", "image": "", "audio": []}\n\n'), ("T.CSV", "text,label\nçay,x\n")])  # fmt: skip
def test_formats_give_the_same_rows(tmp_path, name, content):
    assert rows(written(tmp_path, content, name)) == [(1, {"text": "çay", "label": "x"})]


def test_a_short_row_lacks_its_last_values(tmp_path):
    assert rows(written(tmp_path, "a,b,c\n1\n")) == [(1, {"a": "1"})]


def test_missing_table(tmp_path):
    with pytest.raises(TableError, match=r"Expected a table\. Received: .*nothing\.csv, which is not a file"):
        open_source(tmp_path / "nothing.csv")


def test_other_format_lists_the_known_ones(tmp_path):
    with pytest.raises(TableError, match=r"ends in \.csv, \.jsonl, \.ndjson, \.parquet, \.pq, \.tsv\. Received: .*t\.xlsx"):
        open_source(written(tmp_path, "x", "t.xlsx"))


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("t.csv", "a,b\n1,2\n1,2,3\n3,4\n", "broken row: more values than the header has"),
        ("t.jsonl", '{"a": "b"}\n{"a": 1,}\n{"a": 2}\n', "broken row: no JSON object"),
        ("t.jsonl", '{"a": "b"}\n\n[1, 2]\n{"a": 2}\n', "broken row: no JSON object"),
    ],
)
def test_a_broken_row_is_told_and_the_others_go_on(tmp_path, name, content, reason):
    found = rows(written(tmp_path, content, name))
    assert found[1] == (2, reason) and [number for number, _ in found] == [1, 2, 3] and all(isinstance(row, dict) for _, row in found[::2])


def test_a_very_long_value_is_read(tmp_path):
    """Longer than the 131072 characters that the csv module takes unless told."""
    text = "word " * 40_000
    assert rows(written(tmp_path, f"text\n{text}\n")) == [(1, {"text": text})]


def test_a_column_named_twice_is_told(tmp_path):
    """The csv module would keep the last and lose the first without a word."""
    with pytest.raises(TableError, match="text:en"):
        open_source(written(tmp_path, "text:en,text:en\na,b\n"))


def test_parquet(tmp_path):
    table = pyarrow.table({"text": ["a", None], "n": [1, 2], "list": [["x", "y"], []], "file": [{"bytes": b"\x89PNG", "path": None}, None]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    assert source.total == 2
    assert list(source.rows()) == [
        (1, {"text": "a", "n": 1, "list": ["x", "y"], "file": {"bytes": b"\x89PNG", "path": None}}),
        (2, {"text": None, "n": 2, "list": [], "file": None}),
    ]


def test_what_is_no_parquet_is_told(tmp_path):
    with pytest.raises(TableError, match=r"t\.parquet: expected a Parquet file\. Received: "):
        open_source(written(tmp_path, b"PAR1 and no more", "t.parquet"))


@pytest.mark.parametrize("parted", [False, True])
def test_folders_of_classes(tmp_path, parted):
    names = ["cat/1.png", "cat/deep/2.jpg", "dog/3.WAV", "dog/4.txt"]
    for place, name in enumerate(names):
        written(tmp_path, f"text {place}", f"{['train', 'val'][place % 2]}/{name}" if parted else name)
    written(tmp_path, "x", "notes.md")
    written(tmp_path, "x", ".hidden/5.png")
    source = open_source(tmp_path)
    found = {row["id"].split("/", parted)[-1]: row for _, row in source.rows()}
    assert {name: row["label"] for name, row in found.items()} == {"cat/1.png": "cat", "cat/deep/2.jpg": "cat", "dog/3.WAV": "dog", "dog/4.txt": "dog"}
    assert found["cat/1.png"]["image"].endswith("cat/1.png") and found["dog/3.WAV"]["audio"].endswith("dog/3.WAV") and found["dog/4.txt"]["text"] == "text 3"
    assert [found[name]["split"] for name in names] == (["train", "val", "train", "val"] if parted else [""] * 4)
    assert source.notes["passed over"] == {".md": 1} and source.total == 4


def test_a_folder_without_classes_names_the_tables_in_it(tmp_path):
    written(tmp_path, "text\na\n", "items.csv")
    with pytest.raises(TableError, match=r"class-named subfolders.*Received: .* It holds the tables items\.csv: give one of them"):
        open_source(tmp_path)


def test_tables_under_a_folder(tmp_path):
    written(tmp_path, "text:en,label\na,b\n", "one/items.csv")
    written(tmp_path, '{"image": "a.png"}', "two/items.jsonl")
    written(tmp_path, b"no", "two/items.parquet")
    found = {path.removeprefix(str(tmp_path)): said for path, said in find_tables(tmp_path)}
    assert found["/one/items.csv"] == "18 bytes, columns: text:en, label" and found["/two/items.jsonl"] == "18 bytes, columns: image"
    assert found["/two/items.parquet"].startswith("cannot be read: ")
    with pytest.raises(TableError, match="Expected a folder"):
        list(find_tables(tmp_path / "none"))


@pytest.mark.parametrize("end", ["", '30,said here" and on,a\n', '30,"quoted",a\n'])
def test_a_quote_that_does_not_close_costs_its_own_line_alone(tmp_path, end):
    lines = [f"{i},hello there {i},a\n" for i in range(1, 61)]
    lines[19] = '20,"hello there 20,a\n'
    lines[29] = end or lines[29]
    found = rows(written(tmp_path, "id,text,label\n" + "".join(lines)))
    assert [number for number, row in found if isinstance(row, str)] == [20] and len(found) == 60
    assert found[19][1] == "broken row: a quote in line 21 does not open and close a value"
    assert found[20][1] == {"id": "21", "text": "hello there 21", "label": "a"}


def test_text_after_a_quote_that_closes_is_a_broken_row(tmp_path):
    found = rows(written(tmp_path, 'id,text\n1,"one" two\n2,b\n3,a "quoted" word\n'))
    assert found[0][1].startswith("broken row: a quote in line 2") and [row for _, row in found[1:]] == [{"id": "2", "text": "b"}, {"id": "3", "text": 'a "quoted" word'}]


@pytest.mark.parametrize("name, sign", [("t.csv", ","), ("t.tsv", "\t")])
def test_a_text_of_several_lines_is_one_value(tmp_path, name, sign):
    text = 'Roses, red\n\nand "violets", blue, too\r\nor a list, of\nthings, and others'
    quoted = '"' + text.replace('"', '""') + '"'
    assert rows(written(tmp_path, f"id{sign}text\n1{sign}{quoted}\n2{sign}b\n", name)) == [(1, {"id": "1", "text": text}), (2, {"id": "2", "text": "b"})]
    assert rows(written(tmp_path, f"text{sign}label\n{quoted}{sign}x\n{quoted}{sign}y\n", name)) == [(1, {"text": text, "label": "x"}), (2, {"text": text, "label": "y"})]


def test_a_quote_in_a_tsv_is_a_quote_unless_it_opens_and_closes_a_value(tmp_path):
    lines = [f'{i}\t"start quote nr {i}\tx' for i in range(1, 41)] + ['41\t"in ""quotes"", both"\tx', '42\t"in both"\t"oops', '43\t"said" he\tx']
    found = [row for _, row in rows(written(tmp_path, "\n".join(["id\ttext\tlabel", *lines]), "t.tsv"))]
    assert [row["text"] for row in found] == [f'"start quote nr {i}' for i in range(1, 41)] + ['in "quotes", both', "in both", '"said" he'] and found[41]["label"] == '"oops'


def test_a_stray_quote_in_a_large_table_is_given_up_soon(tmp_path):
    source = open_source(written(tmp_path, 'text\n"stray\n' + "a plain line\n" * 200_000))
    tracemalloc.start()
    counts = collections.Counter(type(row) for _, row in source.rows())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts == {TableError: 1, dict: 200_000} and peak < 2**21


def test_identity_is_of_all_that_the_rows_depend_on(tmp_path):
    content = "a;b\n1;é\n"
    paths = [written(tmp_path, content, name) for name in ("t.csv", "t.tsv", "t.jsonl")]
    found = [open_source(path).identity for path in paths] + [open_source(paths[0], encoding=encoding).identity for encoding in ("cp1252", "cp1250")]
    assert len(set(found)) == 5 and open_source(paths[0]).identity == found[0]
    tables = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for place, path in enumerate(tables):
        pyarrow.parquet.write_table(pyarrow.table({"n": [place]}), path)
        os.utime(path, ns=(0, 0))
    tables[1].replace(tmp_path / "one.parquet")
    assert tables[0].stat().st_mtime_ns == 0
    first = open_source(tables[0]).identity
    pyarrow.parquet.write_table(pyarrow.table({"n": [0]}), tables[0])
    os.utime(tables[0], ns=(0, 0))
    assert open_source(tables[0]).identity != first


def test_names_of_columns_are_read_as_they_are_meant(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({" text ": ["a"], "Split": ["train"], "none": pyarrow.nulls(1, pyarrow.string()), "": [1]}), tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    assert source.notes == {"format": "parquet", "columns": "Split read as split", "columns passed over": "none, which holds nothing; column 4, without a name"}
    assert list(source.rows()) == [(1, {"text": "a", "split": "train", "none": None})]
    source = open_source(written(tmp_path, " text ,Split,,\na,train,,\nb,test,x,\n"))
    assert source.notes["columns"] == "Split read as split" and source.notes["columns passed over"] == "column 3, without a name"
    assert [row for _, row in source.rows()] == [{"text": "a", "split": "train"}, {"text": "b", "split": "test"}]
    source = open_source(written(tmp_path, "Split,split\na,train\n"))
    assert [row for _, row in source.rows()] == [{"Split": "a", "split": "train"}] and "columns" not in source.notes
    source = open_source(written(tmp_path, '{"": "x", "text": "a"}\n', "t.jsonl"))
    assert source.notes["columns passed over"] == "the key '', without a name" and list(source.rows()) == [(1, {"text": "a"})]


def test_names_of_columns_that_cannot_be(tmp_path):
    pyarrow.parquet.write_table(pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], ["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"t\.parquet: expected columns of different names\. Received twice: a"):
        open_source(tmp_path / "t.parquet")
    with pytest.raises(TableError, match="Received twice: split"):
        open_source(written(tmp_path, "Split,SPLIT\na,b\n"))
    with pytest.raises(TableError, match=r"t\.csv: expected names of columns that are text"):
        open_source(written(tmp_path, "caf\u00e9,b\na,b\n".encode("cp1252")), encoding="utf-8")
    with pytest.raises(TableError, match=r"t\.csv: expected names of columns in line 1.*quote"):
        open_source(written(tmp_path, '"a,b\n1,2\n'))
    with pytest.raises(TableError, match=r"t\.csv: expected columns with one of , ; \| or a tab between them\. Received one column: 'id:caption:label'"):
        open_source(written(tmp_path, "id:caption:label\n1:a:b\n"))
    assert rows(written(tmp_path, "text:en\nlook: a cat\n")) == [(1, {"text:en": "look: a cat"})]


@pytest.mark.parametrize(
    "line, reason",
    [
        ('{"n": ' + "1" * 5000 + "}", "a number that is too long, or lists too deep in each other"),
        ("[" * 200_000, "a number that is too long, or lists too deep in each other"),
        ('{"text": "a", "text": "b"}', "the key 'text' twice"),
        ('{"\\ud800": 1}', "a key that is no text: '\\ud800'"),
    ],
    ids=["number", "deep", "twice", "surrogate"],
)
def test_json_that_is_no_row(tmp_path, line, reason):
    assert rows(written(tmp_path, f'{{"text": "a"}}\n{line}\n{{"text": "b"}}', "t.jsonl")) == [(1, {"text": "a"}), (2, f"broken row: {reason}"), (3, {"text": "b"})]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("listed", [True, False])
def test_json_that_is_not_one_object_a_line_is_told_at_once(tmp_path, indent, listed):
    items = [{"id": i, "text": f"a {i}"} for i in range(3)]
    text = json.dumps(items, indent=indent) if listed else "\n".join(json.dumps(item, indent=indent) for item in items)
    path = written(tmp_path, text, "t.jsonl")
    if indent is None and not listed:
        assert len(rows(path)) == 3
        return
    with pytest.raises(TableError, match=r"t\.jsonl: expected one JSON object in each line\. Received: .*jq -c"):
        open_source(path)


def test_a_first_line_that_is_cut_off_is_one_broken_row(tmp_path):
    assert [number for number, row in rows(written(tmp_path, '{"text": "a",\n{"text": "b"}\n', "t.jsonl")) if isinstance(row, str)] == [1]


def test_a_long_value_and_a_long_header_of_a_tsv(tmp_path):
    csv.field_size_limit(100)
    long = '"' + "word " * 1000 + '"'
    assert rows(written(tmp_path, f"text\t{long}\n{long}\tx\n", "t.tsv")) == [(1, {"text": long.strip('"'), long.strip('" '): "x"})]


def test_excel_may_name_the_delimiter_in_the_first_line(tmp_path):
    source = open_source(written(tmp_path, "sep=;\r\na,b;c\r\n1,2;3\r\n"))
    assert source.notes["delimiter"] == ";" and list(source.rows()) == [(1, {"a,b": "1,2", "c": "3"})]


def test_a_header_that_looks_like_a_row_is_noted(tmp_path):
    written(tmp_path, "x", "a.png")
    assert open_source(written(tmp_path, "a.png,cat\nb.png,dog\n")).notes["header"] == "looks like a row: a.png is a file"
    assert "header" not in open_source(written(tmp_path, "b.png,cat\nb.png,dog\n")).notes


def test_a_cell_of_parquet_that_cannot_be_read_costs_its_row(tmp_path):
    bad = pyarrow.Array.from_buffers(pyarrow.string(), 3, pyarrow.array([b"a", b"\xff", b"c"]).buffers())
    dates = pyarrow.array([0, 0, 2**62], pyarrow.timestamp("us"))
    pyarrow.parquet.write_table(pyarrow.table({"text": bad, "date": dates}), tmp_path / "t.parquet")
    found = list(open_source(tmp_path / "t.parquet").rows())
    assert found[0][1]["text"] == "a" and [str(row)[:26] for _, row in found[1:]] == ["broken row: column text: '", "broken row: column date: d"]


def test_a_damaged_page_of_parquet_costs_its_group(tmp_path):
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": [f"{i} text" for i in range(300)]}), path, row_group_size=100, compression="zstd", write_page_checksum=True)
    whole, file = path.read_bytes(), pyarrow.parquet.ParquetFile(path)

    def damaged(group):
        place = file.metadata.row_group(group).column(0).data_page_offset + 40
        path.write_bytes(whole[:place] + b"\0" * 20 + whole[place + 20 :])
        return open_source(path)

    found = list(damaged(1).rows())
    assert [number for number, _ in found] == list(range(1, 301))
    assert [isinstance(row, TableError) for _, row in found] == [False] * 100 + [True] * 100 + [False] * 100
    with pytest.raises(TableError, match=r"t\.parquet: expected a Parquet file\. Received one that is damaged"):
        list(damaged(0).rows())


def test_many_equal_large_values_of_parquet_take_little_memory(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": ["x" * 2**20] * 256}), tmp_path / "t.parquet")
    before, most = pyarrow.total_allocated_bytes(), 0
    for _ in open_source(tmp_path / "t.parquet").rows():
        most = max(most, pyarrow.total_allocated_bytes() - before)
    assert most < 2**26


def test_folders_of_splits_in_any_case_beside_what_is_no_data(tmp_path):
    for name in ["Train/cat/1.png", "Valid/cat/2.png", "TEST/dog/3.png", "__MACOSX/cat/._1.png", "docs/read.md", "out/items/1.0.0/dataset_info.json", "out/items/1.0.0/a/b.png"]:
        written(tmp_path, "x", name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "Train" / "linked").symlink_to(tmp_path / "TEST" / "dog")
    source = open_source(tmp_path)
    assert [(row["split"], row["label"]) for _, row in source.rows()] == [("test", "dog"), ("train", "cat"), ("valid", "cat")]
    assert source.notes["passed over"] == {".md": 1, "Train/linked, a link to a folder": 1, "out, a dataset": 1}
    written(tmp_path, "x", "extra/4.png")
    with pytest.raises(TableError, match=r"Received both: TEST, Train, Valid are splits, extra are not"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    "names, labels",
    [
        (["a/b/cat/1.png", "a/b/dog/2.png"], ["cat", "dog"]),
        (["cat/images/1.png", "dog/images/2.png"], ["cat", "dog"]),
        (["train/b/cat/1.png", "train/b/dog/2.png"], ["cat", "dog"]),
        (["a/b/cat/1.png", "a/dog/2.png"], None),
        (["a/train/cat/1.png", "a/test/cat/2.png"], None),
    ],
)
def test_classes_further_below(tmp_path, names, labels):
    for name in names:
        written(tmp_path, "x", name)
    if labels:
        assert [row["label"] for _, row in open_source(tmp_path).rows()] == labels
        return
    with pytest.raises(TableError, match="expected files at CLASS/FILE or SPLIT/CLASS/FILE"):
        open_source(tmp_path)


def test_files_of_one_name_in_a_folder_are_one_item(tmp_path):
    for name in ["cat/1.png", "cat/1.txt", "cat/1.wav", "cat/2.png", "cat/2.jpg", "cat/2.txt"]:
        written(tmp_path, "x", name)
    (tmp_path / "cat" / "3.txt").symlink_to("nowhere.txt")
    found = [row if isinstance(row, dict) else str(row) for _, row in open_source(tmp_path).rows()]
    assert found[0] == {"id": "cat/1", "split": "", "image": "cat/1.png", "text": "x", "audio": "cat/1.wav", "label": "cat"}
    assert [row["id"] for row in found[1:4]] == ["cat/2.jpg", "cat/2.png", "cat/2.txt"] and found[4] == "cat/3.txt: missing"


def test_what_is_found_under_a_folder(tmp_path):
    for name in ["pets/train/cat/1.png", "pets/train/dog/2.png", "more/a/x/1.wav", "more/b/x/1.wav", "table/media/cat/1.png", "out/items/1.0.0/media/1.png"]:
        written(tmp_path, "x", name)
    written(tmp_path, "image,text\nmedia/cat/1.png,a\n", "table/t.csv")
    written(tmp_path, "row,reason\n", "out/quarantine.csv")
    written(tmp_path, '{"splits": [{"name": "train", "shardLengths": ["2"]}]}', "out/items/1.0.0/dataset_info.json")
    written(tmp_path, '{"fields": [{"name": "sound", "kind": "audio"}]}', "out/items/1.0.0/metadata.json")
    found = {path.removeprefix(f"{tmp_path}/"): said for path, said in find_tables(tmp_path)}
    assert found == {
        "more": "folder of 2 items, classes: a, b",
        "out/items/1.0.0": "dataset: train 2",
        "pets": "folder of 2 items, classes: cat, dog",
        "table/t.csv": "29 bytes, columns: image, text",
    }
    assert sorted(path.removeprefix(f"{tmp_path}/") for path, _ in find_tables(tmp_path, "image")) == ["pets", "table/t.csv"]
    assert sorted(path.removeprefix(f"{tmp_path}/") for path, _ in find_tables(tmp_path, "audio")) == ["more", "out/items/1.0.0"]


@pytest.mark.parametrize("function", [open_source, lambda name: list(find_tables(name))])
def test_an_empty_name_is_not_this_folder(function):
    with pytest.raises(TableError, match="Received: an empty name"):
        function("")


# --- public datasets ---


class Sounds(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Pictures, sounds, texts, labels, and lists of them."""

    name = "sounds"
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "picture": tfds.features.Image(shape=(8, 8, 3)),
            "voice": tfds.features.Audio(sample_rate=8000),
            "label": tfds.features.ClassLabel(names=["no", "yes"]),
            "captions": tfds.features.Sequence({"words": tfds.features.Text(), "score": tfds.features.Scalar(np.float32)}),
            "pair": tfds.features.Translation(["de", "en"]),
            "number": tfds.features.Scalar(np.int64),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(4), "dev": self._generate_examples(2), "extra": self._generate_examples(1)}

    def _generate_examples(self, count):
        for i in range(count):
            yield i, {
                "picture": np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8), "voice": (np.sin(np.arange(800) * 0.3) * 20_000).astype(np.int64), "label": i % 2,
                "captions": [{"words": f"a {i}", "score": 0.5}, {"words": f"b {i}", "score": 0.5}], "pair": {"de": f"eins {i}", "en": f"one {i}"}, "number": i,
            }  # fmt: skip


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    tfds.disable_progress_bar()
    Sounds(data_dir=str(folder)).download_and_prepare()
    return folder


def test_a_public_dataset_is_a_table(sounds):
    source = open_source("tfds:sounds", data_dir=sounds)
    assert source.notes["columns"] == "words=captions/words, label=label, text:de=pair/de, text:en=pair/en, picture=picture, voice=voice"
    assert source.notes["splits passed over"] == "extra" and source.total == 6
    found = [row for _, row in source.rows()]
    assert len(found) == 6 and [row["split"] for row in found].count("validation") == 2
    assert found[0]["picture"].startswith(b"\x89PNG") and found[0]["voice"].startswith(b"RIFF")
    assert found[0]["label"] in ("no", "yes") and found[0]["words"][0].startswith("a ") and found[0]["text:de"].startswith("eins ")


def test_its_features_can_be_mapped(sounds):
    source = open_source("tfds:sounds", data_dir=sounds, columns={"text:en": "captions/words", "number": "number"})
    assert sorted({name for _, row in source.rows() for name in row}) == ["id", "number", "split", "text:en"]
    with pytest.raises(TableError, match=r"expected one of its features: .*pair/de.*Received: caption"):
        open_source("tfds:sounds", data_dir=sounds, columns={"text": "caption"})


def test_an_unknown_public_dataset_names_near_ones():
    with pytest.raises(TableError, match=r"Received: tfds:mnst\. Did you mean mnist"):
        open_source("tfds:mnst")


def test_mock_data(tmp_path, monkeypatch):
    """Any dataset that TFDS knows, with what TFDS makes up for it."""
    monkeypatch.setattr(public, "download", lambda *arguments: None)
    with tfds.testing.mock_data(num_examples=3):
        found = [row for _, row in open_source("tfds:mnist", data_dir=tmp_path).rows()]
    assert len(found) == 3
    assert found[0]["label"] in "0123456789" and isinstance(found[0]["image"], bytes)


@pytest.mark.parametrize(
    "code, words",
    [
        ("import time; time.sleep(60)", "expected its download to go on. Received nothing for 0.2 s. Look at the network, raise --download-limit"),
        ("raise SystemExit('Temporary failure in name resolution')", "Received: Temporary failure in name resolution. Look at the network"),
    ],
    ids=["stalls", "fails"],
)
def test_a_download_that_cannot_happen(tmp_path, monkeypatch, code, words):
    monkeypatch.setattr(public, "_DOWNLOAD", code)
    with pytest.raises(TableError) as error:
        open_source("tfds:mnist", data_dir=tmp_path, download_limit=0.2)
    assert words in str(error.value) and "tfds:mnist" in str(error.value)


def test_columns_are_mapped_for_public_datasets_alone(tmp_path):
    with pytest.raises(TableError, match="for a table tfds:NAME only"):
        open_source(written(tmp_path, "a\n1\n"), columns={"text": "a"})


def test_known_public_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # qm9 needs it, and few who read this list do.
    known = public.known()
    assert "qm9" in known["other"]
    assert "mnist" in known["image"] and "librispeech" in known["audio+text"] and "wmt14_translate" in known["text"]
    assert sum(map(len, known.values())) > 300
    assert "tensorflow_datasets" in sys.modules
