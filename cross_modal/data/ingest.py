"""A table of raw files to a TFDS dataset on disk."""

import collections
import concurrent.futures
import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import pathlib
import shutil
import unicodedata

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from cross_modal.data import media, schema
from cross_modal.data.dataset import Dataset
from cross_modal.data.table import infer_kinds, read_items

_VERSION = "1.0.0"
_QUARANTINE = ("row", "field", "reason", "path", "sha256")


def ingest(table, out, kinds=(), image_size=512, fractions=(0.8, 0.1, 0.1), max_bad=0.01, seed=0, progress=True):
    """Reads a table once, checks it, and writes a standard TFDS dataset.

    Args:
        table: path of a CSV, TSV or JSONL file; media are paths relative to it.
        out: folder of the dataset; `quarantine.csv` there lists what could not be used. Made anew if the table or the settings changed, left as it is if not.
        kinds: dict of field to kind, for fields whose values mislead.
        image_size: most pixels on the long side of a picture.
        fractions: shares of train, validation and test, where the table has no split. Where it has, but no validation, that share of the training groups becomes validation.
        max_bad: most views that may be unusable, as a share, before the run stops.
        seed: seed of the split.
        progress: whether to show a progress bar.

    Returns:
        `Dataset`.

    Raises:
        TableError: if the table cannot be used or has more bad views than `max_bad`.
    """
    table, out = pathlib.Path(table), pathlib.Path(out)
    if len(fractions) != 3 or min(fractions) < 0 or not 0.999 < sum(fractions) < 1.001:
        raise ValueError(f"Expected `fractions` to be three shares that add up to 1. Received: fractions={fractions}")
    settings = {"kinds": dict(kinds), "image_size": image_size, "fractions": list(fractions), "seed": seed, "version": _VERSION}
    items = read_items(table)
    kinds = infer_kinds(items, kinds)
    items = merge_items(assign_splits(items, fractions, seed))
    fingerprint = _fingerprint(table, items, kinds, settings)
    if (out / "items").is_dir():
        with contextlib.suppress(FileNotFoundError):  # A run that was stopped left a folder without a dataset.
            found = Dataset(out)
            if found.fingerprint == fingerprint:
                return found
        shutil.rmtree(out / "items")
    out.mkdir(parents=True, exist_ok=True)
    reader = _Reader(table.parent, kinds, image_size)
    metadata = {"fingerprint": fingerprint, "table": table.name, "settings": settings, "fields": [dataclasses.asdict(field) for field in _fields(items, kinds)]}
    try:
        tfds.disable_progress_bar()  # Ours says more, and its bars fill the screen.
        builder = _TableBuilder(data_dir=str(out), items=items, kinds=kinds, reader=reader, max_bad=max_bad, metadata=metadata, progress=progress)
        with contextlib.redirect_stdout(io.StringIO()):  # "Downloading and preparing", which it does not.
            builder.download_and_prepare(download_dir=str(out / "items"))
        shutil.rmtree(out / "items" / "extracted", ignore_errors=True)
    finally:
        _write_quarantine(out / "quarantine.csv", reader.quarantine)
    return Dataset(out)


def read_examples(table, kinds=(), image_size=512):
    """Reads a table item by item, in the form that `ingest` writes, without writing it.

    Args:
        table: see `ingest`.
        kinds: see `ingest`; fields that the table lacks are passed over.
        image_size: see `ingest`.

    Yields:
        Pairs of example, a dict of `id`, `group` and each field's `value` and `language`, lists; and the item's unusable views, as in `quarantine.csv`.

    Raises:
        TableError: if the table cannot be read.
    """
    table = pathlib.Path(table)
    items = read_items(table)
    there = {view.field for item in items for view in item.views}
    kinds = infer_kinds(items, {field: kind for field, kind in dict(kinds).items() if field in there})
    reader = _Reader(table.parent, kinds, image_size)
    for item in items:
        yield reader.example(item)


def assign_splits(items, fractions, seed):
    """Gives each item without a split that of its group, or draws one for the group, so that a group or an id is never parted.

    Args:
        items: list of `Item`; a split that the table gives stays, also where it parts an id.
        fractions: shares of train, validation and test.
        seed: seed of the draw.

    Returns:
        List of `Item`, each with a split.
    """
    given = {item.split for item in items} - {""}
    told = {item.group or item.id: item.split for item in items if item.split}
    drawn = []
    for item in items:
        key = item.group or item.id
        place = int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:8], "big") / 2**64
        split = item.split or told.get(key, "")
        if not given:
            split = "train" if place < fractions[0] else "validation" if place < fractions[0] + fractions[1] else "test"
        elif split in ("", "train"):
            split = "validation" if "validation" not in given and place < fractions[1] else "train"
        drawn.append(dataclasses.replace(item, split=split))
    return drawn


def merge_items(items):
    """Joins the items of one id that have come into one split; returns a list of `Item`."""
    merged = {}
    for item in items:
        merged.setdefault((item.id, item.split), dataclasses.replace(item, views=[])).views.extend(item.views)
    return list(merged.values())


def _canonical_text(value):
    return unicodedata.normalize("NFC", value).strip()


def _fields(items, kinds):
    languages, labels = collections.defaultdict(set), collections.defaultdict(set)
    for item in items:
        for view in item.views:
            if view.language != schema.UNDETERMINED:
                languages[view.field].add(view.language)
            if kinds[view.field] == "label":
                labels[view.field].add(_canonical_text(view.value))
    return [schema.Field(name, kind, tuple(sorted(languages[name])), tuple(sorted(labels[name]))) for name, kind in kinds.items()]


def _fingerprint(table, items, kinds, settings):
    """Changes when a row, a setting, or the size or date of a media file does."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(table.read_bytes())
    for item in items:
        for view in item.views:
            if kinds[view.field] in ("image", "audio"):
                path = table.parent / view.value
                with contextlib.suppress(OSError, ValueError):
                    stat = path.stat()
                    digest.update(f"{view.value} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()


class _Reader:
    """Brings the views of an item to canonical form and remembers those that it cannot."""

    def __init__(self, folder, kinds, image_size):
        self.folder, self.kinds, self.image_size = folder, kinds, image_size
        self.quarantine, self.views = [], 0

    def example(self, item):
        """Returns the TFDS example of an item and its quarantined views."""
        fields, bad = {name: {"value": [], "language": []} for name in self.kinds}, []
        for view in item.views:
            raw = None
            try:
                if self.kinds[view.field] in ("image", "audio"):
                    raw = media.read_media(self.folder, view.value)
                value = self._canonical(self.kinds[view.field], raw, view.value)
            except media.MediaError as error:
                digest = hashlib.sha256(raw).hexdigest() if raw else ""
                bad.append({"row": view.row, "field": view.field, "reason": str(error), "path": view.value, "sha256": digest})
                continue
            fields[view.field]["value"].append(value)
            fields[view.field]["language"].append(view.language)
        return {"id": item.id, "group": item.group, **fields}, bad

    def _canonical(self, kind, raw, value):
        if kind == "image":
            return media.canonical_image(raw, self.image_size)
        if kind == "audio":
            return media.canonical_audio(raw)
        text = _canonical_text(value)
        categories = {unicodedata.category(character) for character in text}
        if "Cs" in categories:
            raise media.MediaError("half a surrogate pair")
        if all(category[0] in "CZ" for category in categories):
            raise media.MediaError("empty text")
        return text.encode()


class _TableBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Writes items as a TFDS dataset; `tfds.builder_from_directory` opens the result without this code."""

    name = "items"
    VERSION = tfds.core.Version(_VERSION)

    def __init__(self, *, items, kinds, reader, max_bad, metadata, progress, **kwargs):
        self._items, self._kinds, self._reader = items, kinds, reader
        self._max_bad, self._metadata, self._progress = max_bad, metadata, progress
        super().__init__(**kwargs)

    def _info(self):
        # Bytes, not decoded pixels and samples: views of one item differ in size, and what is served is bytes as well.
        views = tfds.features.Sequence({"value": tfds.features.Tensor(shape=(), dtype=np.object_), "language": tfds.features.Text()})
        features = tfds.features.FeaturesDict({"id": tfds.features.Text(), "group": tfds.features.Text(), **{name: views for name in self._kinds}})
        return tfds.core.DatasetInfo(builder=self, features=features, metadata=tfds.core.MetadataDict(self._metadata), description="Items and their views, made by cross_modal.")

    def _split_generators(self, dl_manager):
        splits = [split for split in schema.SPLITS if any(item.split == split for item in self._items)]
        return {split: self._generate_examples(split) for split in splits}

    def _generate_examples(self, split):
        items = [item for item in self._items if item.split == split]
        reader, usable = self._reader, 0
        bar = tqdm(total=len(items), desc=f"ingest {split}", unit="item", disable=not self._progress, mininterval=1.0)
        with bar, concurrent.futures.ThreadPoolExecutor() as pool:
            for start in range(0, len(items), 256):  # A window, so that decoded items do not pile up in memory.
                chunk = items[start : start + 256]
                for item, (example, bad) in zip(chunk, pool.map(reader.example, chunk)):
                    reader.views += len(item.views)
                    reader.quarantine += bad
                    bar.update()
                    if any(example[name]["value"] for name in self._kinds):
                        usable += 1
                        yield item.id, example
                self._check_bad()
            if not usable:
                raise schema.TableError(f"Expected an item that can be used in the split {split}. Received: {len(items)} without a usable view; see quarantine.csv.")

    def _check_bad(self):
        total, bad = sum(len(item.views) for item in self._items), len(self._reader.quarantine)
        if bad > self._max_bad * total:
            reasons = collections.Counter(f"{one['field']}: {one['reason']}" for one in self._reader.quarantine)
            first = self._reader.quarantine[0]
            raise schema.TableError(
                f"Expected at most {self._max_bad:.1%} of {total} views to be unusable. Received {bad} after {self._reader.views} views: "
                + "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common(8))
                + f". First: row {first['row']}, field {first['field']}, {first['path']!r}. See quarantine.csv; raise --max-bad to go on without them."
            )


def _write_quarantine(path, rows):
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, _QUARANTINE)
        writer.writeheader()
        writer.writerows(rows)
