"""The words of the data model: fields, kinds, views, items, and the columns of a table."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import unicodedata
from collections.abc import Callable, Iterator

import langcodes

UNDETERMINED = "und"  # BCP 47's tag for a language that is not known.
KINDS = ("image", "text", "audio", "label")
RESERVED = ("id", "language", "split", "group")
SPLITS = ("train", "validation", "test")
FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}  # Of tables, by extension.
SPLIT_ALIASES = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}
BESIDE = ("item", "weigh", "oversample")  # What batches hold beside the fields of items.
BROKEN = re.compile("[\ud800-\udfff]")  # Halves of surrogate pairs: what stands for bytes that are no text.

_READ = re.compile("[A-Za-z][A-Za-z0-9_]*")  # Names of layers and of arguments of functions.
_ANSWERED = re.compile("[A-Za-z0-9][A-Za-z0-9_.-]*")  # Names of layers alone.
_ENDS = "_language", "_mask", "_value"  # Of the names of what a model takes of a field.
_READING = 1  # Of how rows are read; another number makes all datasets anew.


def read_split(name):
    """Returns which of `SPLITS` a name means, or an empty string for none."""
    name = SPLIT_ALIASES.get(name.casefold(), name.casefold())
    return name if name in SPLITS else ""


class TableError(ValueError):
    """A table, or a place in it, that cannot be used; the message names the file, row and field."""


@dataclasses.dataclass(frozen=True)
class Field:
    """What is known of one field of a dataset.

    Args:
        name: its name in the table, without a language.
        kind: one of `KINDS`.
        languages: tags of its views, sorted; empty where it has none.
        labels: classes of a label, sorted; empty for other kinds.
    """

    name: str
    kind: str
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class View:
    """One value of one field of one item, as the table has it.

    Args:
        field: name of the field.
        value: text, label or path relative to the table, str; the content of a file, bytes; or None for a number that is none (NaN).
        language: BCP 47 tag, or `und`.
        row: number of its row in the table, from 1.
        reason: why it cannot be used, where that is already known.
        tagged: whether its column names the language, and not its row.
    """

    field: str
    value: str | bytes | None
    language: str
    row: int
    reason: str = ""
    tagged: bool = False


@dataclasses.dataclass
class Item:
    """One thing in the world: the views of one row, or of all rows of one id in one split."""

    id: str
    group: str
    split: str
    views: list[View]


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


def parse_column(column):
    """Splits a column's name into field and language.

    Args:
        column: `field` or `field:language`.

    Returns:
        Pair of field and language; the language is None where there is none.

    Raises:
        TableError: if the language is no BCP 47 tag, or the name cannot be that of a field.
    """
    name, colon, language = column.partition(":")
    if re.search("[\0-\x1f\x7f/\ud800-\udfff]", column):
        raise TableError(f"Expected the name of a column without control characters and slashes. Received: {column!r}")
    if not colon and name:
        return name, None
    if not name or name in RESERVED or not langcodes.tag_is_valid(language):
        raise TableError(f"Expected a column named field or field:language with a BCP 47 tag, such as text:en or text:zh-TW. Received: {column!r}")
    return name, langcodes.standardize_tag(language)


def check_names(fields, apart=(), arguments=()):
    """Checks that a model can be made of fields: tables may call them by any name.

    Args:
        fields: dict of name to `Field` or `Feature`.
        apart: those of them that are neither read nor a label of their own, such as a text that is only written.
        arguments: what else an endpoint asks for beside the fields that are read.

    Raises:
        ValueError: if a name cannot be that of a layer, of an argument of an endpoint or of a part of a batch.
    """
    wrong = [name for name, one in fields.items() if name not in apart and not (_ANSWERED if one.kind == "label" else _READ).fullmatch(name)]
    wrong += [name for name, one in fields.items() if name in BESIDE or (one.kind != "label" and any(name.endswith(end) and name.removesuffix(end) in fields for end in _ENDS))]
    wrong += [name for name, one in fields.items() if name in arguments and name not in apart and one.kind != "label"]
    if wrong:
        rest = ",".join(name for name in fields if name not in wrong)
        without = f", or leave it out: --set 'features=[{rest}]'" if rest else ""
        raise ValueError(
            f"Expected names of fields of letters a-z, digits and _, a letter first, other than {', '.join((*BESIDE, *arguments))}, "
            f"and no {', '.join(f'FIELD{end}' for end in _ENDS)} beside FIELD. "
            f"Received: {', '.join(map(repr, wrong))}. Rename the column in the table{without}"
        )


def canonical_text(value):
    """Brings a text to NFC, without white space at its ends."""
    return unicodedata.normalize("NFC", value).strip()


def view_name(field, language=UNDETERMINED):
    """Names a kind of view: `image`, `text:tr`."""
    return field if language == UNDETERMINED else f"{field}:{language}"


def stamp(path):
    """Returns what the system knows a file by, a list of numbers for a link, or the file, and one for what it leads to; none for what is not there.

    Also the time of its last change, of its rights too, and its number: what is made by a program may always have the same date.
    """
    found = []
    for look in (os.lstat, os.stat):
        with contextlib.suppress(OSError, ValueError):
            stat = look(path)
            found.append([stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_dev, stat.st_ino])
    return found


def digest(*parts):
    """Returns a name for values that JSON can hold, and for how rows are read."""
    return hashlib.sha256(json.dumps([_READING, *parts]).encode()).hexdigest()
