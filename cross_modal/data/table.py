"""Reading tables: CSV and JSONL, wide and long form, to items."""

import collections
import csv
import json
import pathlib
import sys

import langcodes

from cross_modal.data import schema

_EXTENSIONS = {
    "image": {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"},
    "audio": {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff"},
}
_FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_LABEL_CLASSES = 200  # A field without a language and with at most so many different values, each seen twice or more on average, is a label.


def read_rows(path):
    """Reads a table row by row.

    Args:
        path: CSV, TSV (with a header; UTF-8, byte order mark allowed) or JSONL file.

    Yields:
        Pairs of row number, from 1, and dict of column to value; empty values are left out.

    Raises:
        TableError: if the file is missing, of another format, or a row cannot be read.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise schema.TableError(f"Expected a table. Received: {path}, which is not a file. Give the path of a .csv, .tsv or .jsonl file.")
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise schema.TableError(f"Expected a table that ends in {', '.join(sorted(_FORMATS))}. Received: {path}")
    reader = _read_csv if form == "csv" else _read_jsonl
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(reader(path, file), 1):
                yield number, {name: value for name, value in row.items() if value not in (None, "", [])}
    except UnicodeDecodeError as error:
        raise schema.TableError(f"{path}: expected UTF-8 text. Received byte {error.object[error.start]:#x} at position {error.start}.") from error


def _read_csv(path, file):
    dialect = "excel-tab" if path.suffix.lower() == ".tsv" else "excel"
    csv.field_size_limit(sys.maxsize)
    reader = csv.DictReader(file, dialect=dialect)
    twice = [name for name, count in collections.Counter(reader.fieldnames or ()).items() if count > 1]
    if twice:
        raise schema.TableError(f"{path}: expected columns of different names. Received twice: {', '.join(twice)}")
    for number, row in enumerate(reader, 1):
        if None in row:
            raise schema.TableError(f"{path}, row {number}: expected {len(row) - 1} values, as in the header. Received {len(row[None])} more.")
        yield row


def _read_jsonl(path, file):
    for number, line in enumerate((line for line in file if line.strip()), 1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise schema.TableError(f"{path}, row {number}: expected one JSON object. Received text that breaks at column {error.colno}: {error.msg}.") from error
        if not isinstance(row, dict):
            raise schema.TableError(f"{path}, row {number}: expected one JSON object. Received: {line.strip()[:60]}")
        yield row


def read_items(path):
    """Reads a table to items: the rows of one id and one split are one item.

    Args:
        path: see `read_rows`.

    Returns:
        List of `Item` in the order of the table; `split` is empty where the table does not say.

    Raises:
        TableError: naming file, row and field, for rows that cannot be used.
    """
    items = {}
    columns = {}
    for number, row in read_rows(path):
        try:
            language = _row_language(row)
            key = str(row.get("id", f"row-{number}")), _split(row)
            item = items.setdefault(key, schema.Item(*key[:1], str(row.get("group", "")), key[1], []))
            item.group = item.group or str(row.get("group", ""))
            for column, value in row.items():
                if column in schema.RESERVED:
                    continue
                if column not in columns:
                    columns[column] = schema.parse_column(column)
                field, tag = columns[column]
                for one in value if isinstance(value, list) else [value]:
                    item.views.append(schema.View(field, _plain(column, one), tag or language, number))
        except schema.TableError as error:
            raise schema.TableError(f"{path}, row {number}: {error}") from error
    if not any(item.views for item in items.values()):
        raise schema.TableError(f"{path}: expected at least one row with a value. Received none.")
    return list(items.values())


def _row_language(row):
    tag = str(row.get("language", schema.UNDETERMINED))
    if not langcodes.tag_is_valid(tag):
        raise schema.TableError(f"field language: expected a BCP 47 tag such as en or zh-TW. Received: {tag!r}")
    return langcodes.standardize_tag(tag)


def _split(row):
    split = str(row.get("split", ""))
    split = {"val": "validation", "valid": "validation", "dev": "validation"}.get(split, split)
    if split and split not in schema.SPLITS:
        raise schema.TableError(f"field split: expected one of {', '.join(schema.SPLITS)}. Received: {split!r}")
    return split


def _plain(column, value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise schema.TableError(f"field {column}: expected a text or a number, or a list of them. Received: {value!r}")


def infer_kinds(items, given=()):
    """Infers the kind of each field from its values.

    Args:
        items: list of `Item`.
        given: dict of field to kind that goes before what the values say.

    Returns:
        Dict of field to kind, in the order of the table.

    Raises:
        TableError: if `given` names a field or a kind that does not exist.
    """
    values, tagged = {}, set()
    for item in items:
        for view in item.views:
            values.setdefault(view.field, collections.Counter())[view.value] += 1
            if view.language != schema.UNDETERMINED:
                tagged.add(view.field)
    given = dict(given)
    for field, kind in given.items():
        if field not in values:
            raise schema.TableError(f"Expected a field of the table: {', '.join(values)}. Received: {field}")
        if kind not in schema.KINDS:
            raise schema.TableError(f"Expected the kind of {field} to be one of {', '.join(schema.KINDS)}. Received: {kind}")
    return {field: given.get(field) or _infer_kind(field, counts, field in tagged) for field, counts in values.items()}


def _infer_kind(field, counts, tagged):
    for kind, extensions in _EXTENSIONS.items():
        fitting = sum(count for value, count in counts.items() if pathlib.PurePath(value).suffix.lower() in extensions)
        if fitting > 0.9 * counts.total():
            return kind
    if field == "label":
        return "label"
    few = len(counts) <= min(_LABEL_CLASSES, counts.total() / 2)
    return "label" if few and not tagged else "text"
