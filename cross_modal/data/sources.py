"""Where rows come from: CSV, JSONL and Parquet files, folders of class-named subfolders, and TFDS by name."""

import codecs
import collections
import csv
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import sys
from collections.abc import Callable, Iterator

import charset_normalizer

from cross_modal.data import media, schema

_FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
_DELIMITERS = ",;\t|"
_NONE = "\x1f"  # A delimiter for tables of one column.
_BOMS = [(codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")]


@dataclasses.dataclass(frozen=True)
class Source:
    """A table, wherever it is.

    Args:
        name: what it is called in messages.
        folder: folder that media are relative to.
        identity: changes when the table does.
        rows: function that yields pairs of row number, from 1, and dict of column to value, or `TableError` for a row that is broken.
        total: number of rows, where it is known beforehand.
        notes: what was found out about it, for the summary.
    """

    name: str
    folder: pathlib.Path
    identity: str
    rows: Callable[[], Iterator]
    total: int | None = None
    notes: dict = dataclasses.field(default_factory=dict)


def open_source(table, encoding=None, columns=(), data_dir=None, download_limit=60.0):
    """Opens a table.

    Args:
        table: path of a .csv, .tsv, .jsonl, .ndjson or .parquet file; of a folder of class-named subfolders, below folders of the splits if there are such; or `tfds:NAME`.
        encoding: of a text file; None to find out.
        columns: with `tfds:`, dict of column to feature, such as `{"text:en": "caption"}`; without, all features of a known kind.
        data_dir: with `tfds:`, folder of the datasets.
        download_limit: with `tfds:`, seconds without progress after which a download is given up.

    Returns:
        `Source`.

    Raises:
        TableError: if there is no such table, or of a form that is not known.
    """
    if str(table).startswith("tfds:"):
        from cross_modal.data.public import open_public  # Imports all of TFDS.

        return open_public(str(table).removeprefix("tfds:"), dict(columns), data_dir, download_limit)
    if columns:
        raise schema.TableError(f"Expected columns to be mapped for a table tfds:NAME only. Received: {', '.join(columns)} for {table}")
    path = pathlib.Path(table)
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise schema.TableError(f"Expected a table. Received: {path}, which is not a file. Give the path of a .csv, .tsv, .jsonl or .parquet file, a folder, or tfds:NAME.")
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise schema.TableError(f"Expected a table that ends in {', '.join(sorted(_FORMATS))}. Received: {path}")
    if form == "parquet":
        return _open_parquet(path)
    identity, found = _read_encoding(path, encoding)
    reader = _read_csv if form == "csv" else _read_jsonl
    notes = {"format": form, "encoding": found}
    if form == "csv":
        notes["delimiter"] = _find_delimiter(path, found)
        _check_header(path, found, notes["delimiter"])
    return Source(str(path), path.parent, identity, lambda: reader(path, **{key: notes[key] for key in ("encoding", "delimiter") if key in notes}), None, notes)


def _read_encoding(path, given):
    """Returns a hash of a text file and its encoding: as given, by its byte order mark, UTF-8 if most of it is, or a guess."""
    digest, decoder, wrong, plain, high = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), None, 0, b""
    with path.open("rb") as file:
        head = file.read(2**20)
        block = head
        while block:
            digest.update(block)
            if wrong is None:
                try:
                    text = decoder.decode(block)
                    plain += 0 if text.isascii() else sum(character > "\x7f" for character in text[:4096])
                except UnicodeDecodeError as error:
                    wrong, high = error, block
                    plain += sum(character > "\x7f" for character in block[: error.start].decode("utf-8", "ignore"))
            block = file.read(2**20)
    if given:
        try:
            return digest.hexdigest(), codecs.lookup(given).name
        except LookupError as error:
            raise schema.TableError(f"Expected an encoding that Python knows, such as cp1252 or gb18030. Received: {given}") from error
    for mark, name in _BOMS:
        if head.startswith(mark):
            return digest.hexdigest(), name
    if head.count(b"\0") > len(head) // 4:
        return digest.hexdigest(), "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    if wrong is None or plain >= 20:  # A damaged place in a text that is UTF-8 costs its row, not the others.
        return digest.hexdigest(), "utf-8"
    start = max(0, wrong.start - 2**14)
    best = charset_normalizer.from_bytes(high[start : start + 2**16]).best()
    if best is None:
        place = f"Received byte {wrong.object[wrong.start]:#x} at position {wrong.start}"
        raise schema.TableError(f"{path}: expected UTF-8 text, or an encoding that can be told. {place}. Give its --encoding.")
    return digest.hexdigest(), best.encoding


def _open_text(path, encoding):
    # What is no text in this encoding becomes half of a surrogate pair, and is told when the value is looked at.
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    return path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, errors=errors, newline="")


def _find_delimiter(path, encoding):
    """Returns the delimiter that gives the first rows the most columns, and all of them as many."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    csv.field_size_limit(sys.maxsize)
    best, found = 0, _NONE
    for delimiter in _DELIMITERS:
        with _open_text(path, encoding) as file:
            rows = [len(row) for row in itertools.islice(csv.reader(file, delimiter=delimiter), 21) if row]
        if rows and rows[0] > 1:
            score = rows[0] * sum(count == rows[0] for count in rows) / len(rows)
            best, found = max((best, found), (score, delimiter), key=lambda pair: pair[0])
    return found


def _check_header(path, encoding, delimiter):
    with _open_text(path, encoding) as file:
        header = next(csv.reader(file, delimiter=delimiter), [])
    twice = [name for name, count in collections.Counter(header).items() if count > 1]
    if twice:
        raise schema.TableError(f"{path}: expected columns of different names. Received twice: {', '.join(twice)}")


def _read_csv(path, encoding, delimiter):
    with _open_text(path, encoding) as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        for number in itertools.count(1):
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield number, schema.TableError(f"broken row: {error}")
                continue
            if row is None:
                return
            yield number, schema.TableError("broken row: more values than the header has") if None in row else row


def _read_jsonl(path, encoding):
    with _open_text(path, encoding) as file:
        for number, line in enumerate((line for line in file if line.strip()), 1):
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError):
                row = None
            yield number, row if isinstance(row, dict) else schema.TableError("broken row: no JSON object")


def _open_parquet(path):
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise schema.TableError(f"{path}: expected a Parquet file. Received: {str(error).splitlines()[0]}") from error
    stat = path.stat()

    def rows():
        number = 0
        for batch in file.iter_batches(batch_size=256):
            for row in batch.to_pylist():
                number += 1
                yield number, row

    return Source(str(path), path.parent, f"{path.name} {stat.st_size} {stat.st_mtime_ns}", rows, file.metadata.num_rows, {"format": "parquet"})


def _open_folder(path):
    """Opens a folder CLASS/FILE or SPLIT/CLASS/FILE: the kind of a file is that of its extension, the label is its folder."""
    kinds = {extension: kind for kind, formats in media.EXTENSIONS.items() for extensions in formats.values() for extension in extensions} | {".txt": "text"}
    top = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    parted = bool(top) and all(name in (*schema.SPLITS, *schema.SPLIT_ALIASES) for name in top)
    listed, passed = [], collections.Counter()
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        parts = pathlib.PurePath(folder).relative_to(path).parts
        for name in sorted(name for name in files if not name.startswith(".")):
            suffix = pathlib.PurePath(name).suffix.lower()
            if len(parts) > parted and suffix in kinds:
                listed.append((parts, name, kinds[suffix]))
            else:
                passed[suffix or "no extension"] += 1
    if not listed:
        tables = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in _FORMATS)
        hint = f" It holds the tables {', '.join(tables)}: give one of them." if tables else ""
        raise schema.TableError(f"Expected a table, or a folder of class-named subfolders with pictures, recordings or .txt files. Received: {path}.{hint}")

    def rows():
        for number, (parts, name, kind) in enumerate(listed, 1):
            file = "/".join((*parts, name))
            try:
                value = media.read_media(path, file) if kind == "text" else file
            except media.MediaError as error:
                yield number, schema.TableError(str(error))
                continue
            yield number, {"id": file, "split": parts[0] if parted else "", kind: value, "label": parts[int(parted)]}

    texts = [(path / "/".join((*parts, name))).stat() for parts, name, kind in listed if kind == "text"]
    identity = hashlib.sha256(json.dumps([listed, [(stat.st_size, stat.st_mtime_ns) for stat in texts]]).encode()).hexdigest()
    notes = {"format": "folder"} | ({"passed over": dict(sorted(passed.items()))} if passed else {})
    return Source(str(path), path, identity, rows, len(listed), notes)


def find_tables(folder):
    """Lists the tables and datasets under a folder.

    Args:
        folder: where to look.

    Yields:
        Pairs of path and a line about it.

    Raises:
        TableError: if there is no such folder.
    """
    if not pathlib.Path(folder).is_dir():
        raise schema.TableError(f"Expected a folder. Received: {folder}")
    for path, folders, files in os.walk(folder):
        if "dataset_info.json" in files:
            info = json.loads((pathlib.Path(path) / "dataset_info.json").read_text(encoding="utf-8"))
            counts = [f"{split['name']} {sum(int(length) for length in split['shardLengths']):,}" for split in info.get("splits", ())]
            yield path, f"dataset: {', '.join(counts)}"
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "work")
        for name in sorted(name for name in files if pathlib.PurePath(name).suffix.lower() in _FORMATS):
            table = os.path.join(path, name)
            try:
                source = open_source(table)
                rows = [row for _, row in itertools.islice(source.rows(), 20) if isinstance(row, dict)]
                columns = list(dict.fromkeys(column for row in rows for column in row if column))
                shown = ", ".join(columns[:12]) + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
                yield table, f"{os.path.getsize(table):,} bytes, columns: {shown}"
            except schema.TableError as error:
                yield table, f"cannot be read: {error}"
