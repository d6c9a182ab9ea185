"""A table read item by item, in the form that `ingest` writes, without writing it: for tables of any length."""

import concurrent.futures
import functools
import itertools
import os
import pathlib

from cross_modal.data import schema, staging
from cross_modal.data.media import Limits
from cross_modal.data.table import read_items

_WINDOW = 64  # Items that are decoded at once.


def read_examples(source, kinds, start=0, **limits):
    """Reads a table item by item, a few at a time.

    Rows of one item must stand below each other: others of its rows, further on, are another item.

    Args:
        source: `Source`, see `open_source`.
        kinds: dict of field to kind; what the table has besides is passed over.
        start: number of items to pass over, unread.
        **limits: see `media.Limits`.

    Yields:
        Pairs of example, a dict of `id`, `group` and each field's `value` and `language`, lists; and the item's unusable views, dicts with `row`, `field`, `reason`, `path`.

    Raises:
        TableError: if the table cannot be read, or has none of the fields.
    """
    kinds = dict(kinds)
    if not any(view.field in kinds for item in read_items(source, wanted=kinds) for view in item.views):
        columns = dict.fromkeys(name for _, row in itertools.islice(source.rows(), 1000) if isinstance(row, dict) for name in row if name not in schema.RESERVED)
        raise schema.TableError(f"{source.name}: expected at least one of the fields {', '.join(kinds)}. Received: {', '.join(columns) or 'none'}")
    stage = staging.Stage(pathlib.Path(), source.folder, kinds, Limits(**limits))
    items = itertools.islice(_joined(read_items(source, wanted=kinds)), start, None)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while some := list(itertools.islice(items, _WINDOW)):
            yield from pool.map(functools.partial(_example, stage), some)


def _joined(rows):
    """Joins the rows of an item that stand below each other."""
    item = None
    for row in rows:
        if item and row.id == item.id and (not row.split or not item.split or row.split == item.split):
            item.views.extend(row.views)
            item.group, item.split = item.group or row.group, item.split or row.split
        else:
            yield from [item] if item else []
            item = row
    yield from [item] if item else []


def _example(stage, item):
    example, bad = {"id": item.id, "group": item.group, **{name: {"value": [], "language": []} for name in stage.kinds}}, []
    for view in item.views:
        if view.field and view.field not in stage.kinds and view.field not in schema.RESERVED:
            continue
        value, found = staging.check_view(stage, view)
        if found["reason"]:
            path = schema.BROKEN.sub("\ufffd", found["path"])  # Half of a surrogate pair can be written nowhere.
            bad.append({"row": view.row, "field": found["field"], "reason": found["reason"], "path": path, "sha256": found["sha256"]})
        else:
            example[view.field]["value"].append(value)
            example[view.field]["language"].append(view.language)
    return example, bad
