"""All that is known of the views of a table, in arrays: what splits, summary and shards are made from."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable

import numpy as np

from cross_modal.data import prints, schema
from cross_modal.data.staging import read_index, read_values

_CODED = {"id": "ids", "group": "groups", "field": "fields", "language": "languages", "label": "labels", "reason": "reasons", "script": "scripts"}
_PLAIN = {"row": np.int64, "hash": np.uint64, "bits": np.uint64, "length": np.float32, "height": np.int32, "width": np.int32, "start": np.int64, "size": np.int32}
NO_SPLIT = -1


@dataclasses.dataclass
class Index:
    """The views of a table in its order.

    Args:
        names: dict of `ids`, `groups`, `fields`, `languages`, `labels`, `reasons` and `scripts` to the list that codes point into. The first group, label, reason and
            script is the empty string: there is none.
        columns: dict of name to array `(views,)`: codes `id group field language label reason script`; `split`, place in `SPLITS` or `NO_SPLIT`; `chunk`; `thumb`, place in
            `thumbs` or -1; and what `staging.check_view` found.
        thumbs: uint8 `(media, THUMB)`, on disk.
        bad: list of dicts of `row field reason path sha256`, the views that cannot be used.
        values: function of a list of views' places to the list of their values in the table.
    """

    names: dict
    columns: dict
    thumbs: np.ndarray
    bad: list
    values: Callable

    def __getattr__(self, name):
        if name.startswith("__") or name not in self.columns:
            raise AttributeError(name)
        return self.columns[name]

    def __len__(self):
        return len(self.columns["row"])

    def quarantine(self, places, reason):
        """Takes views out for a reason that shows only when all are seen."""
        reasons = self.names["reasons"]
        if reason not in reasons:
            reasons.append(reason)
        places = [int(place) for place in places if not self.columns["reason"][place]]
        self.columns["reason"][places] = reasons.index(reason)
        for place, value in zip(places, self.values(places)):
            self.bad.append({"row": int(self.row[place]), "field": self.names["fields"][self.field[place]], "reason": reason, "path": value, "sha256": ""})


def build_index(stage, keys):
    """Puts the indices of all chunks together.

    Args:
        stage: `Stage`.
        keys: list of the chunks' keys.

    Returns:
        `Index`.
    """
    codes = {name: {} if name in ("id", "field") else {"": 0} for name in _CODED}
    codes["field"].update({field: place for place, field in enumerate(stage.kinds)})
    parts, bad, thumbs = {name: [] for name in (*_CODED, *_PLAIN, "split", "chunk", "thumb")}, [], 0
    path = stage.work / "thumbs.bin"
    with path.open("wb") as file:
        for chunk, key in enumerate(keys):
            found = read_index(stage, key)
            for name, known in codes.items():
                parts[name].append(np.fromiter((known.setdefault(one, len(known)) for one in found[name]), np.int32, len(found[name])))
            for name, kind in _PLAIN.items():
                parts[name].append(found[name].astype(kind))
            parts["split"].append(np.array([schema.SPLITS.index(split) if split else NO_SPLIT for split in found["split"]], np.int8))
            parts["chunk"].append(np.full(len(found["row"]), chunk, np.int32))
            places = []
            for thumb in found["thumb"]:
                places.append(-1 if thumb is None else thumbs)
                if thumb is not None:
                    file.write(thumb)
                    thumbs += 1
            parts["thumb"].append(np.array(places, np.int32))
            for row, field, reason, value, digest in zip(*(found[name] for name in ("row", "field", "reason", "path", "sha256"))):
                if reason:
                    bad.append({"row": int(row), "field": field, "reason": reason, "path": value, "sha256": digest})
    columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    shown = np.memmap(pathlib.Path(path), np.uint8, "r", shape=(thumbs, prints.THUMB)) if thumbs else np.zeros((0, prints.THUMB), np.uint8)
    starts = np.searchsorted(columns["chunk"], np.arange(len(keys)))

    def values(places):
        found = {}
        for chunk, some in itertools.groupby(sorted(places), key=lambda place: int(columns["chunk"][place])):
            some = list(some)
            found.update(zip(some, read_values(stage, chunk, [int(place - starts[chunk]) for place in some])))
        return [found[place] for place in places]

    return Index({plural: list(codes[name]) for name, plural in _CODED.items()}, columns, shown, bad, values)
