"""Where rows come from: CSV, JSONL and Parquet files, folders of class-named subfolders, and TFDS by name."""

import pathlib

from cross_modal.data import schema
from cross_modal.data.folders import open_folder
from cross_modal.data.lines import open_lines
from cross_modal.data.parquet import open_parquet

_BINARY = [suffix for suffix, form in schema.FORMATS.items() if form == "parquet"]


def open_source(table, encoding=None, columns=(), data_dir=None, download_limit=60.0):
    """Opens a table.

    Args:
        table: path of a .csv, .tsv, .jsonl, .ndjson or .parquet file; of a folder of class-named subfolders, below folders of the splits if there are such; or `tfds:NAME`.
        encoding: of a text file, or of those of a folder; None to find out.
        columns: with `tfds:`, dict of column to feature, such as `{"text:en": "caption"}`; without, all features of a known kind.
        data_dir: with `tfds:`, folder of the datasets.
        download_limit: with `tfds:`, seconds without progress after which a download is given up.

    Returns:
        `Source`.

    Raises:
        TableError: if there is no such table, or of a form that is not known.
    """
    if not str(table):
        raise schema.TableError("Expected a table. Received: an empty name.")
    if encoding and (str(table).startswith("tfds:") or pathlib.Path(table).suffix.lower() in _BINARY):
        raise schema.TableError(f"Expected no encoding of {table}, which is no file of text. Received: {encoding}")
    if str(table).startswith("tfds:"):
        from cross_modal.data.public import open_public  # Imports all of TFDS.

        return open_public(str(table).removeprefix("tfds:"), dict(columns), data_dir, download_limit)
    if columns:
        raise schema.TableError(f"Expected columns to be mapped for a table tfds:NAME only. Received: {', '.join(columns)} for {table}")
    path = pathlib.Path(table)
    if path.is_dir():
        return open_folder(path, encoding)
    if not path.is_file():
        raise schema.TableError(f"Expected a table. Received: {path}, which is not a file. Give the path of a .csv, .tsv, .jsonl or .parquet file, a folder, or tfds:NAME.")
    form = schema.FORMATS.get(path.suffix.lower())
    if form is None:
        raise schema.TableError(f"Expected a table that ends in {', '.join(sorted(schema.FORMATS))}. Received: {path}")
    return open_parquet(path) if form == "parquet" else open_lines(path, form, encoding)
