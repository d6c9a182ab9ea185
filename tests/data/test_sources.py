import json
import sys

import hypothesis
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow_datasets as tfds
from hypothesis import strategies

from cross_modal.data import TableError, public
from cross_modal.data.sources import find_tables, open_source


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
    with pytest.raises(TableError, match="Expected an encoding that Python knows.*Received: klingon"):
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
    assert found["cat/1.png"]["image"].endswith("cat/1.png") and found["dog/3.WAV"]["audio"].endswith("dog/3.WAV") and found["dog/4.txt"]["text"] == b"text 3"
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
