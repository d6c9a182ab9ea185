"""The names of the columns of a table with a header."""

import collections

from cross_modal.data import schema


def name_columns(path, header):
    """Returns the names of columns, the place in place of an empty one, and what to note about them.

    White space around names goes; reserved names are known in any case, where none is written as it should be.
    """
    names = [name.strip() for name in header]
    if any(map(schema.BROKEN.search, names)):
        raise schema.TableError(f"{path}: expected names of columns that are text. Received: {', '.join(map(ascii, names))}. Give the right --encoding, or rename them.")
    read = {name: name.lower() for name in names if name.lower() in schema.RESERVED and name.lower() not in names}
    names = [read.get(name, name) for name in names]
    twice = [name for name, count in collections.Counter(names).items() if name and count > 1]
    if twice:
        raise schema.TableError(f"{path}: expected columns of different names. Received twice: {', '.join(twice)}. Rename or remove one.")
    return [name or place for place, name in enumerate(names)], {"columns": ", ".join(f"{name} read as {as_name}" for name, as_name in read.items())} if read else {}
