"""The second pass: staged views to the shards of a standard TFDS dataset."""

import dataclasses
import hashlib
import itertools
import os
import pathlib
import struct

import google_crc32c
import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2, tf_feature_pb2

from cross_modal.data import schema

VERSION = "1.0.0"
_SHARD_BYTES = 2**25
_ITEM_BYTES = 2**30  # Protocol buffers hold no more than two of them.


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a dataset.

    Args:
        work: folder of the staged views.
        folder: folder that it is written to.
        fields: names of all fields.
        split: its split.
        number: its place among the shards of the split, from 0.
        count: their number.
        items: number of its items.
    """

    work: pathlib.Path
    folder: pathlib.Path
    fields: tuple[str, ...]
    split: str
    number: int
    count: int
    items: int

    @property
    def path(self):
        """Path, by the names that TFDS gives."""
        return self.folder / f"items-{self.split}.tfrecord-{self.number:05d}-of-{self.count:05d}"

    @property
    def plan(self):
        """Path of the list of its views."""
        return self.folder / f"plan-{self.split}-{self.number:05d}.parquet"


def plan_shards(index, stage, keys, folder, shard_bytes=_SHARD_BYTES):
    """Says which view of which item is in which shard. The order of items is that of a hash of their ids, so that a table sorted by class gives mixed batches.

    Args:
        index: `Index` with splits.
        stage: `Stage`.
        keys: list of the chunks' keys.
        folder: where the plans are written.
        shard_bytes: size of a shard, about.

    Returns:
        List of `Shard`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids = index.names["ids"]
    place = np.empty(len(ids), np.int64)
    place[sorted(range(len(ids)), key=lambda code: hashlib.sha256(ids[code].encode()).digest())] = np.arange(len(ids))
    groups = np.zeros(len(ids), np.int32)
    named = np.flatnonzero(index.group > 0)[::-1]
    groups[index.id[named]] = index.group[named]  # The first that an id has, as the last of two stays.
    shards = []
    for code, split in enumerate(schema.SPLITS):
        views = np.flatnonzero((index.split == code) & (index.reason == 0))
        if not len(views):
            continue
        views = views[np.argsort(place[index.id[views]], kind="stable")]
        item = np.cumsum(np.diff(index.id[views], prepend=-1) != 0) - 1
        sizes = np.bincount(item, index.size[views])
        if sizes.max() > _ITEM_BYTES:
            large = ids[index.id[views[item == sizes.argmax()][0]]]
            raise schema.TableError(
                f"Expected items of at most {_ITEM_BYTES:,} bytes. Received: {sizes.max():,.0f} under the id {large!r}. Give its views several ids, and one group."
            )
        before = np.concatenate([[0], np.cumsum(sizes)])[item]  # Bytes of the items before.
        shard = np.unique((before // shard_bytes).astype(np.int64), return_inverse=True)[1]
        for number, some in enumerate(np.split(np.arange(len(views)), np.flatnonzero(np.diff(shard)) + 1)):
            made = Shard(stage.work, folder, tuple(index.names["fields"][: len(stage.kinds)]), split, number, int(shard[-1]) + 1, int(item[some[-1]] - item[some[0]] + 1))
            of = views[some]
            columns = {
                "item": item[some],
                "id": [ids[one] for one in index.id[of]],
                "group": [index.names["groups"][groups[one]] for one in index.id[of]],
                "field": [index.names["fields"][one] for one in index.field[of]],
                "language": [index.names["languages"][one] for one in index.language[of]],
                "key": [keys[one] for one in index.chunk[of]],
                "start": index.start[of],
                "size": index.size[of],
            }
            pyarrow.parquet.write_table(pyarrow.table(columns), made.plan)
            shards.append(made)
    return shards


def write_shard(shard):
    """Writes a shard, if it is not there yet; returns its size in bytes."""
    if not shard.path.exists():
        plan = pyarrow.parquet.read_table(shard.plan).to_pydict()
        values = _read_values(shard.work, plan)
        part = shard.path.with_name(f"part-{os.getpid()}-{shard.path.name}")
        with part.open("wb") as file:
            for _, places in itertools.groupby(range(len(values)), key=lambda place: plan["item"][place]):
                _write_record(file, _serialize(shard.fields, plan, values, list(places)))
        os.replace(part, shard.path)
    return shard.path.stat().st_size


def _read_values(work, plan):
    """Reads the values in the order in which they lie on the disk."""
    values = [b""] * len(plan["key"])
    order = sorted(range(len(values)), key=lambda place: (plan["key"][place], plan["start"][place]))
    for key, places in itertools.groupby(order, key=lambda place: plan["key"][place]):
        with (work / f"views-{key}.bin").open("rb") as file:
            for place in places:
                file.seek(plan["start"][place])
                values[place] = file.read(plan["size"][place])
    return values


def _serialize(fields, plan, values, places):
    """Returns the bytes of an item as `features_of` describes it; the same bytes for the same item, which TFDS's own writer does not promise."""
    entries = {"id": [plan["id"][places[0]].encode()], "group": [plan["group"][places[0]].encode()]}
    own = {field: [] for field in fields}
    for place in places:
        own[plan["field"][place]].append(place)
    for field, some in own.items():
        entries[f"{field}/value"] = [values[place] for place in some]
        entries[f"{field}/language"] = [plan["language"][place].encode() for place in some]
    features = {name: tf_feature_pb2.Feature(bytes_list=tf_feature_pb2.BytesList(value=entry)) for name, entry in entries.items()}
    example = tf_example_pb2.Example(features=tf_feature_pb2.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _write_record(file, raw):
    """Appends one record to a TFRecord file: length and content, each with its masked CRC32C."""
    size = struct.pack("<Q", len(raw))
    for part in (size, raw):
        code = google_crc32c.value(part)
        file.write(part + struct.pack("<I", ((code >> 15 | code << 17) + 0xA282EAD8) & 0xFFFFFFFF))


def features_of(fields):
    """Returns the TFDS features of a dataset: `id`, `group`, and each field's `value` and `language`, lists. Values are bytes, as those that are served."""
    views = tfds.features.Sequence({"value": tfds.features.Tensor(shape=(), dtype=np.object_), "language": tfds.features.Text()})
    return tfds.features.FeaturesDict({"id": tfds.features.Text(), "group": tfds.features.Text(), **{name: views for name in fields}})


def write_metadata(folder, shards, sizes, metadata):
    """Makes a folder of shards a dataset that `tfds.builder_from_directory` opens.

    Args:
        folder: the folder.
        shards: list of `Shard`.
        sizes: list of their bytes.
        metadata: dict that JSON can hold.
    """
    template = tfds.core.ShardedFileTemplate(dataset_name="items", filetype_suffix="tfrecord", data_dir=folder)
    splits = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[shard.items for shard in shards if shard.split == split],
            num_bytes=sum(size for shard, size in zip(shards, sizes) if shard.split == split),
            filename_template=template.replace(split=split),
        )
        for split in dict.fromkeys(shard.split for shard in shards)
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features_of(shards[0].fields),
        split_infos=splits,
        version=VERSION,
        filename_template=template,
        check_data=False,
        metadata=tfds.core.MetadataDict(metadata),
        description="Items and their views, made by cross_modal.",
    )
