"""Rows to views, and the kinds of fields."""

import collections
import datetime
import decimal
import functools
import math
import os

import langcodes

from cross_modal.data import containers, schema

_LABEL_CLASSES = 200  # A field without a language and with at most so many different values, each seen twice or more on average, is a label.


def read_items(source, ignored=(), wanted=None):
    """Reads a table to one item a row.

    Args:
        source: `Source`.
        ignored: names of columns, or of fields, that are passed over; `split` to draw another.
        wanted: names of the only fields that count: other columns are passed over, whatever they are called, as is a split that is none. None for all.

    Yields:
        `Item`; `split` is empty where the table does not say. What is known to be unusable is a view with its reason; the field is empty where a whole row is.

    Raises:
        TableError: for a column whose name cannot be used, a table without a value, or an ignored name that it does not have.
    """
    columns, values = dict.fromkeys(("", *schema.RESERVED)), 0  # Without a name: the numbers that pandas writes before a row.
    for number, row in source.rows():
        item = _read_item(source, columns, number, row, ignored, wanted)
        values += len(item.views)
        yield item
    unseen = [name for name in ignored if name not in columns and not any(column.startswith(f"{name}:") for column in columns)]
    if unseen:
        raise schema.TableError(
            f"{source.name}: expected ignored fields among {', '.join(one for one in columns if one and one not in schema.RESERVED)}. Received: {', '.join(unseen)}"
        )
    if not values and wanted is None:
        raise schema.TableError(f"{source.name}: expected at least one row with a value. Received none.")


def _read_item(source, columns, number, row, ignored, wanted):
    unnamed = f"row-{number}"
    if isinstance(row, schema.TableError):
        return schema.Item(unnamed, "", "", [schema.View("", "", schema.UNDETERMINED, number, str(row))])
    row = {name: value for name, value in row.items() if not (name in ignored and name in schema.RESERVED)}
    unnamed += " (no id)" if "id" in row else ""  # No id of another row.
    row = {name: value for name, value in row.items() if value is not None and not (isinstance(value, (str, list, tuple)) and len(value) == 0)}
    item = schema.Item(_reserved(row, "id") or unnamed, _reserved(row, "group"), "", [])
    if schema.BROKEN.search(item.id + item.group):  # Two of them could be made one.
        return schema.Item(unnamed, "", "", [schema.View("id", "", schema.UNDETERMINED, number, "broken encoding of the id or group")])
    split = _reserved(row, "split")
    item.split = schema.read_split(split)
    if split and not item.split and wanted is None:
        item.views.append(schema.View("split", split, schema.UNDETERMINED, number, "split is none of train, validation (val, valid, dev), test"))
        return item
    language, reason = _tag(_reserved(row, "language", schema.UNDETERMINED))
    for column, value in row.items():
        if column not in columns:
            columns[column] = None if column in ignored or (wanted is not None and column.partition(":")[0] not in wanted) else _parsed(source, number, column)
            if columns[column] and columns[column][0] in ignored:
                columns[column] = None
        if columns[column] is None:
            continue
        field, tag = columns[column]
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is not None:
                item.views.append(_view(field, one, tag or language, number, "" if tag else reason, tag is not None))
    return item


def _parsed(source, number, column):
    try:
        return schema.parse_column(column)
    except schema.TableError as error:
        raise schema.TableError(f"{source.name}, row {number}: {error}") from error


def _reserved(row, name, default=""):
    value = row.get(name, default)
    return default if value == "NaN" or isinstance(value, float) and math.isnan(value) else schema.canonical_text(str(value)) or default


@functools.lru_cache(maxsize=4096)
def _tag(tag):
    if langcodes.tag_is_valid(tag):
        return langcodes.standardize_tag(tag), ""
    return schema.UNDETERMINED, f"unknown language tag {tag[:40]!r}"


def _view(field, value, language, number, reason, tagged):
    if isinstance(value, dict) and {"bytes", "path"} >= set(value):  # As the datasets library writes media to Parquet.
        value = value.get("bytes") or value.get("path") or ""
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, float) and math.isnan(value):
        value = None
    elif isinstance(value, (int, float, decimal.Decimal, datetime.date, datetime.time)):
        value = str(value)
    elif not isinstance(value, (str, bytes)):
        return schema.View(field, str(value)[:80], language, number, "neither a text, a number, nor a list of them")
    return schema.View(field, value, language, number, reason, tagged)


class KindGuess:
    """Infers the kind of each field from its values, seen one by one."""

    def __init__(self):
        self._totals, self._fitting, self._tagged = collections.Counter(), collections.Counter(), set()
        self._different = collections.defaultdict(lambda: collections.defaultdict(set))  # The languages of the rows in which each value of a field stands.

    def see(self, item):
        """Takes the views of an `Item` into account."""
        for view in item.views:
            if not view.field or view.field in schema.RESERVED:
                continue
            self._totals[view.field] += 1
            if view.tagged:
                self._tagged.add(view.field)
            kind = _media_kind(view.value)
            if kind:
                self._fitting[view.field, kind] += 1
            if len(self._different[view.field]) <= _LABEL_CLASSES:
                self._different[view.field][hash(view.value)].add(view.language)

    def kinds(self, given=()):
        """Returns the kind of each field.

        Args:
            given: dict of field to kind that goes before what the values say.

        Returns:
            Dict of field to kind, in the order of the table.

        Raises:
            TableError: if `given` names a field or a kind that does not exist.
        """
        given = dict(given)
        for field, kind in given.items():
            if field not in self._totals:
                raise schema.TableError(f"Expected a field of the table: {', '.join(self._totals)}. Received: {field}")
            if kind not in schema.KINDS:
                raise schema.TableError(f"Expected the kind of {field} to be one of {', '.join(schema.KINDS)}. Received: {kind}")
        return {field: given.get(field) or self._infer(field, total) for field, total in self._totals.items()}

    def _infer(self, field, total):
        for kind in containers.EXTENSIONS:
            if self._fitting[field, kind] > 0.5 * total:
                return kind
        if field in ("label", "text"):
            return field
        few = len(self._different[field]) <= min(_LABEL_CLASSES, total / 2)
        return "label" if few and field not in self._tagged and not self._is_said(field) else "text"

    def _is_said(self, field):
        """Whether values are others in each language of the rows: words, and not classes."""
        spoken = list(self._different[field].values())
        return len(set().union(*spoken)) > 1 and 2 * sum(len(languages) > 1 for languages in spoken) < len(spoken)


def _media_kind(value):
    """Kind of a file by its name or, where the table has its content, by that."""
    if isinstance(value, bytes):
        form = containers.sniff(value)
        return next((kind for kind, formats in containers.EXTENSIONS.items() if form in formats), None)
    suffix = os.path.splitext(value)[1].lower() if value and len(value) < 1024 else ""
    return containers.KIND_OF.get(suffix)
