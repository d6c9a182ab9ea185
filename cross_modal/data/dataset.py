"""A dataset on disk, as `ingest` leaves it."""

import copy
import os
import pathlib

import tensorflow_datasets as tfds
from google.protobuf import json_format

from cross_modal.data import schema


class Dataset:
    """Opens the folder that `ingest` wrote.

    Args:
        path: that folder.

    Attributes:
        path: that folder.
        fields: dict of name to `Field`.
        splits: dict of split to number of items.
        fingerprint: of the table, its media and the settings.
        source: of the table and the settings, where that says all; empty where media lie beside the table.
        table: name of the table.

    Raises:
        FileNotFoundError: if there is no dataset, or a part of it is missing.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        found = [*sorted(self.path.glob("items/*/dataset_info.json")), *self.path.glob("dataset_info.json")]
        if not found:
            raise FileNotFoundError(f"Expected a dataset, a folder written by `cross-modal ingest`. Received: {self.path}")
        try:
            self._builder = tfds.builder_from_directory(str(found[0].parent))
            metadata = self._builder.info.metadata
            self.fingerprint, self.source, self.table = metadata["fingerprint"], metadata["source"], metadata["table"]
            self.fields = {one["name"]: schema.Field(one["name"], one["kind"], tuple(one["languages"]), tuple(one["labels"])) for one in metadata["fields"]}
            self._ids, self._languages = {}, {}
            self.splits = {name: info.num_examples for name, info in self._builder.info.splits.items()}
            for info in self._builder.info.splits.values():
                size = sum(os.path.getsize(path) for path in info.filepaths)
                if size != info.num_bytes:
                    raise ValueError(f"{size:,} bytes in {info.name} where {info.num_bytes:,} were written")
        except (ValueError, KeyError, TypeError, FileNotFoundError, json_format.ParseError) as error:
            raise FileNotFoundError(f"Expected a whole dataset, as `cross-modal ingest` writes it. Received: {found[0].parent} ({error}). Ingest the table again.") from error

    def __repr__(self):
        return f"Dataset({str(self.path)!r}: {self.splits})"

    @property
    def kinds(self):
        """Kinds of view in it, such as `image` and `text:de`, sorted."""
        return sorted({kind for views in self.describe()["views"].values() for kind in views})

    def items(self, split):
        """Reads the items of a split.

        Args:
            split: name of the split.

        Returns:
            `tf.data.Dataset` of dicts: `id` and `group`, strings; and each field, a dict of `value` and `language`, strings `(views,)`.

        Raises:
            KeyError: if there is no such split.
        """
        if split not in self.splits:
            raise KeyError(f"Expected one of the splits {', '.join(self.splits)} of {self.path}. Received: {split}")
        import tensorflow as tf

        items = self._chosen(split)  # How many are left must be known: Keras warns where an epoch ends before it was told.
        return items.apply(tf.data.experimental.assert_cardinality(self.splits[split])) if split in self._ids or split in self._languages else items

    def _chosen(self, split):
        import tensorflow as tf

        config = tfds.ReadConfig(try_autocache=False, add_tfds_id=False, interleave_cycle_length=1)
        items = self._builder.as_dataset(split=split, shuffle_files=False, read_config=config)
        if split in self._ids:
            ids = sorted(self._ids[split]) or [""]
            table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(ids, [True] * len(ids)), False)
            items = items.filter(lambda item: table.lookup(item["id"]))
        for field, tags in self._languages.get(split, {}).items():
            items = items.map(lambda item, field=field, tags=tags: {**item, field: _in_languages(item[field], tags)})
            items = items.filter(lambda item, field=field: tf.size(item[field]["language"]) > 0)
        return items

    def only(self, ids=(), languages=()):
        """Returns the dataset with a part of its items and views; what `describe` says stays that of the whole.

        Args:
            ids: dict of split to the ids of the items that are left, str.
            languages: dict of split to a dict of field to the tags of its views that are left; items without such a view are left out.

        Returns:
            `Dataset`.

        Raises:
            KeyError: if there is no such split.
        """
        ids, languages = dict(ids), dict(languages)
        if unknown := [name for name in (*ids, *languages) if name not in self.splits]:
            raise KeyError(f"Expected splits among {', '.join(self.splits)}. Received: {', '.join(unknown)}")
        part = copy.copy(self)
        part._ids, part._languages = {**self._ids, **ids}, {**self._languages, **languages}
        part.splits = {name: sum(1 for _ in part._chosen(name)) if name in ids or name in languages else count for name, count in self.splits.items()}
        return part

    def values(self, split, field):
        """Yields `(value, language)` of every view of a field in a split: bytes and str."""
        for item in self.items(split).map(lambda item: item[field]).prefetch(4).as_numpy_iterator():
            for value, language in zip(item["value"], item["language"]):
                yield value, language.decode()

    def check_label(self, name):
        """Raises a ValueError that names the labels, if a field is none of them."""
        known = [other for other, field in self.fields.items() if field.kind == "label"]
        if name not in known:
            raise ValueError(f"Expected a label of the dataset: {', '.join(known) or 'it has none'}. Received: {name}")

    def describe(self):
        """Says what is in the dataset, as it was counted when it was made.

        Returns:
            Dict, see `summary.summarize`, of `splits`, `views`, `sizes`, `labels`, `quarantined`, `lacking`, `odd`, `leaks` and `table`.
        """
        return self._builder.info.metadata["summary"]


def _in_languages(views, tags):
    """The views of a field in some languages."""
    import tensorflow as tf

    chosen = tf.reduce_any(views["language"][:, None] == tf.constant(list(tags), tf.string), 1)
    return {key: tf.boolean_mask(value, chosen) for key, value in views.items()}
