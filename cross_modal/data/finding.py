"""The tables under a folder."""

import itertools
import json
import os
import pathlib

from cross_modal.data import schema
from cross_modal.data.folders import is_dataset, open_folder
from cross_modal.data.sources import open_source
from cross_modal.data.table import KindGuess, read_items


def find_tables(folder, modality=None):
    """Lists the tables, folders of classes and datasets under a folder.

    Args:
        folder: where to look.
        modality: kind that a table must have a field of; None for all.

    Yields:
        Pairs of path and a line about it.

    Raises:
        TableError: if there is no such folder.
    """
    if not str(folder) or not pathlib.Path(folder).is_dir():
        raise schema.TableError(f"Expected a folder. Received: {str(folder) or 'an empty name'}")
    beside = []  # Folders of tables: what lies below are their media.
    for path, folders, files in os.walk(folder):
        here = pathlib.Path(path)
        if is_dataset(here):
            folders.clear()
            yield from _found_datasets(here, modality)
            continue
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        tables = sorted(name for name in files if pathlib.PurePath(name).suffix.lower() in schema.FORMATS and not name.startswith(".") and name != "quarantine.csv")
        for name in tables:
            yield from _found_table(os.path.join(path, name), modality)
        if tables:
            beside.append(here)
        elif not any(here.is_relative_to(one) for one in beside):
            found = _found_classes(here, modality)
            if found:
                folders.clear()
                yield path, found


def _found_datasets(folder, modality):
    for path in sorted([*folder.glob("items/*/dataset_info.json"), *folder.glob("dataset_info.json")]):
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            counts = [f"{split['name']} {sum(int(length) for length in split['shardLengths']):,}" for split in info.get("splits", ())]
            fields = json.loads(path.with_name("metadata.json").read_text(encoding="utf-8"))["fields"] if modality else ()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            counts, fields = [f"cannot be read: {error!r}"], ()
        if not modality or any(field["kind"] == modality for field in fields):
            yield str(path.parent), f"dataset: {', '.join(counts)}"


def _found_table(path, modality):
    try:
        source = open_source(path)
        rows = [row for _, row in itertools.islice(source.rows(), 20) if isinstance(row, dict)]
        if modality:
            guess = KindGuess()
            for item in itertools.islice(read_items(source), 200):
                guess.see(item)
            if modality not in guess.kinds().values():
                return
        columns = list(dict.fromkeys(column for row in rows for column in row if column))
        shown = ", ".join(columns[:12]) + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
        yield path, f"{os.path.getsize(path):,} bytes, columns: {shown}"
    except schema.TableError as error:
        if not modality:
            yield path, f"cannot be read: {error}"


def _found_classes(folder, modality):
    """Says what a folder of classes holds; empty where it is none, or holds tables or several such folders."""
    try:
        source = open_folder(folder)
    except schema.TableError:
        return ""
    rows = [row for _, row in itertools.islice(source.rows(), 1000) if isinstance(row, dict)]
    passed = source.notes.get("passed over", {})
    if "classes" in source.notes or any(suffix in passed for suffix in schema.FORMATS) or (modality and modality not in {name for row in rows for name in row}):
        return ""
    labels = sorted({row["label"] for row in rows})
    return f"folder of {source.total:,} items, classes: {', '.join(labels[:12])}" + (" and more" if len(labels) > 12 else "")
