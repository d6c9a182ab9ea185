"""The words of the data model: fields, kinds, views, items, and the columns of a table."""

import dataclasses
import re
import unicodedata

import langcodes

UNDETERMINED = "und"  # BCP 47's tag for a language that is not known.
KINDS = ("image", "text", "audio", "label")
RESERVED = ("id", "language", "split", "group")
SPLITS = ("train", "validation", "test")
SPLIT_ALIASES = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}
BROKEN = re.compile("[\ud800-\udfff]")  # Halves of surrogate pairs: what stands for bytes that are no text.


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
    """

    field: str
    value: str | bytes | None
    language: str
    row: int
    reason: str = ""


@dataclasses.dataclass
class Item:
    """One thing in the world: the views of one row, or of all rows of one id in one split."""

    id: str
    group: str
    split: str
    views: list[View]


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


def canonical_text(value):
    """Brings a text to NFC, without white space at its ends."""
    return unicodedata.normalize("NFC", value).strip()


def view_name(field, language=UNDETERMINED):
    """Names a kind of view: `image`, `text:tr`."""
    return field if language == UNDETERMINED else f"{field}:{language}"
