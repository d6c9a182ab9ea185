"""Rows of Parquet files."""

import hashlib

from cross_modal.data import schema
from cross_modal.data.columns import name_columns

_BATCH = 16  # Rows at once: few bytes in a file may be many in memory.


def open_parquet(path):
    """Opens a Parquet file; returns a `Source`, or raises a `TableError` if it is none."""
    import pyarrow
    import pyarrow.parquet

    failures = (pyarrow.ArrowException, OSError, ValueError, OverflowError, NotImplementedError, LookupError, TypeError)
    try:
        file = pyarrow.parquet.ParquetFile(path, buffer_size=2**20, page_checksum_verification=True)
        header, groups = file.schema_arrow.names, [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
    except failures as error:
        raise schema.TableError(f"{path}: expected a Parquet file. Received: {(str(error).splitlines() or [repr(error)])[0]}") from error
    columns, notes = name_columns(path, header)
    empty = [name for place, name in enumerate(columns) if isinstance(name, int) or _holds_nothing(file, header[place], failures)]
    if empty:
        said = (f"column {name + 1}, without a name" if isinstance(name, int) else f"{name}, which holds nothing" for name in empty)
        notes["columns passed over"] = "; ".join(said)

    def rows():
        number = 0
        for place, group in enumerate(groups):
            end = number + group.num_rows
            size = max(1, min(_BATCH, 2**24 // max(1, group.total_byte_size // max(1, group.num_rows))))
            batches = file.iter_batches(batch_size=size, row_groups=[place])
            while number < end:
                try:
                    batch = next(batches, None)
                except failures as error:
                    if not number:
                        raise schema.TableError(f"{path}: expected a Parquet file. Received one that is damaged: {(str(error).splitlines() or [repr(error)])[0]}") from error
                    # Nothing tells where the next page begins; the next group can be read.
                    yield from ((one, schema.TableError("broken row: a damaged place in the Parquet file")) for one in range(number + 1, end + 1))
                    break
                if batch is None:
                    raise schema.TableError(
                        f"{path}: expected a Parquet file. Received one that is damaged: {group.num_rows:,} rows in a group of {number - end + group.num_rows:,}"
                    )
                for row in _batch_rows(batch, columns, failures):
                    number += 1
                    yield number, row
            number = end

    with path.open("rb") as content:
        identity = schema.digest(hashlib.file_digest(content, "sha256").hexdigest(), "parquet")
    return schema.Source(str(path), path.parent, identity, rows, file.metadata.num_rows, {"format": "parquet"} | notes)


def _holds_nothing(file, name, failures):
    """Whether all values of a column are null. Only read where the first are; the statistics say it too, but to ask a damaged file for them ends the process."""
    try:
        return file.metadata.num_rows > 0 and all(batch.column(0).null_count == batch.num_rows for batch in file.iter_batches(_BATCH, columns=[name]))
    except failures:
        return False  # Which is told when the rows are read.


def _batch_rows(batch, columns, failures):
    """Yields the rows of a batch: all at once, or cell by cell where one of them cannot be read."""
    named = [(place, name) for place, name in enumerate(columns) if isinstance(name, str)]
    try:
        values = [batch.column(place).to_pylist() for place, _ in named]
    except failures:
        values = None
    for line in range(batch.num_rows):
        if values is not None:
            yield {name: column[line] for (_, name), column in zip(named, values)}
            continue
        row = {}
        try:
            for place, name in named:
                row[name] = batch.column(place)[line].as_py()
        except failures as error:
            row = schema.TableError(f"broken row: column {name}: {str(error)[:100]}")
        yield row
