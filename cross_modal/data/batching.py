"""Items to batches of features, in tf.data alone."""

import os

import tensorflow as tf

from cross_modal.features import featurize_views

ABSENT = -1
_CORES = os.cpu_count() or 1
_LENGTHS = [8] + [step << power for power in range(2, 28) for step in (3, 4)]


def batches(dataset, split, features, languages, size, draws=None, seed=None, bucket_by=None, cache=True, start=0):
    """Makes batches of the drawn views of each item.

    Views are featurized, drawn, padded to one of a few lengths (8, 12, 16, 24, 32, 48, ...), batched and prefetched. An item that lacks a field has
    masked places there.

    Args:
        dataset: `Dataset`.
        split: name of the split.
        features: dict of field to `Feature`; other fields are not read.
        languages: `Language`, for the tags of the views.
        size: items in a batch.
        draws: dict of field to the number of views drawn from an item. None takes all views, in order.
        seed: None goes through the split once, in order, and draws the first views. A number shuffles, draws at random and repeats without end,
            in batches of exactly `size`.
        bucket_by: field whose length sorts items into batches of similar length, or None for batches of items at random.
        cache: whether featurized items stay in memory after the first pass.
        start: with a seed, number of batches to pass over, to go on where a run stopped.

    Returns:
        `tf.data.Dataset` of dicts: `id`, string `(batch,)`; `item`, int64 `(batch,)`; and each field, a dict of `value` `(batch, views, time, ...)`, `mask`
        bool `(batch, views, time or 1)`, `language` int32 `(batch, views)` and `key` int64 `(batch, views)`, which is equal for equal raw values and -1
        for an absent view.

    Raises:
        KeyError: if the dataset lacks a field.
    """
    missing = [name for name in features if name not in dataset.fields]
    if missing:
        raise KeyError(f"Expected fields of the dataset: {', '.join(dataset.fields)}. Received: {', '.join(missing)}")
    if bucket_by is not None and (bucket_by not in features or not features[bucket_by].has_time):
        timed = [name for name, feature in features.items() if feature.has_time]
        raise ValueError(f"Expected `bucket_by` to be a field with a length: {', '.join(timed) or 'there is none'}. Received: bucket_by={bucket_by}")
    items = dataset.items(split)
    if cache:
        items = items.map(lambda item: _featurize(item, features, languages), num_parallel_calls=_CORES).cache()
    if seed is not None:
        items = items.shuffle(10_000 if cache else 1_000, seed=seed, reshuffle_each_iteration=True).repeat()

    def draw(step, item):
        drawn = _draw(item, step, features, draws, seed)
        # Without a cache only what is drawn is featurized; with one, all is, once.
        return _place(drawn if cache else _featurize(drawn, features, languages), features, draws)

    items = items.enumerate().map(draw, num_parallel_calls=_CORES)
    items = _batch(items, features, size, bucket_by, drop_remainder=seed is not None)
    if start:
        items = items.skip(start)
    items = items.map(lambda batch: _pad(batch, features), num_parallel_calls=_CORES).prefetch(4)
    options = tf.data.Options()
    options.autotune.enabled = False  # Its threads end up to a second late.
    options.threading.private_threadpool_size = _CORES
    return items.with_options(options)


def length_for(length):
    """Returns the next of the lengths 8, 12, 16, 24, 32, 48, ... (int tensor or number): few shapes, at most half again as long."""
    return tf.gather(_LENGTHS, tf.searchsorted(_LENGTHS, [tf.cast(length, tf.int32)])[0])


def _featurize(item, features, languages):
    """Featurizes the views of an item that are there; what it returns can stay in memory."""
    out = {"id": item["id"]}
    for name, feature in features.items():
        raw = item[name]
        out[name] = {
            "value": featurize_views(feature, raw["value"]),
            "language": languages.featurize(raw["language"]),
            "key": tf.strings.to_hash_bucket_fast(raw["value"], 2**31 - 1),
        }
    return out


def _draw(item, step, features, draws, seed):
    """Draws views of each field, featurized or not; fewer where there are fewer."""
    out = {"id": item["id"]}
    for place, name in enumerate(features):
        order = tf.range(tf.size(item[name]["language"]))
        if seed is not None:
            order = tf.random.experimental.stateless_shuffle(order, seed=[seed, step * len(features) + place])
        order = order if draws is None else order[: draws[name]]
        out[name] = {key: tf.gather(values, order) for key, values in item[name].items()}
    return out


def _place(item, features, draws):
    """Pads the views of each field to their number, and adds what tells one item from another."""
    out = {"id": item["id"], "item": tf.strings.to_hash_bucket_fast(item["id"], 2**31 - 1)}
    for name, feature in features.items():
        field = item[name]
        there, value = tf.size(field["key"]), field["value"]
        count = tf.maximum(there, 1) if draws is None else draws[name]
        if feature.has_time:
            mask = tf.sequence_mask(value.row_lengths())
            value = value.to_tensor()
        else:
            mask = tf.ones([there, 1], tf.bool)
        absent = [[0, count - there]]
        rest = [[0, 0]] * (value.shape.rank - 1)
        out[name] = {
            "value": tf.pad(value, absent + rest),
            "mask": tf.pad(mask, [*absent, [0, 0]]),
            "language": tf.pad(field["language"], absent),
            "key": tf.pad(field["key"], absent, constant_values=ABSENT),
        }
        if draws is not None:
            out[name] = {key: tf.ensure_shape(tensor, [count, *tensor.shape[1:]]) for key, tensor in out[name].items()}
    return out


def _batch(items, features, size, bucket_by, drop_remainder):
    # An absent view of a batch padded in views must keep the key of absence.
    padding = {"id": "", "item": tf.constant(0, tf.int64)}
    for name, feature in features.items():
        zero = tf.zeros((), feature.spec.dtype)
        padding[name] = {"value": zero, "mask": False, "language": 0, "key": tf.constant(ABSENT, tf.int64)}
    if bucket_by is None:
        return items.padded_batch(size, padding_values=padding, drop_remainder=drop_remainder)
    bounds = [length for length in _LENGTHS if length < 2**16]
    return items.bucket_by_sequence_length(
        lambda item: tf.shape(item[bucket_by]["mask"])[-1],
        [bound + 1 for bound in bounds], [size] * (len(bounds) + 1),
        padding_values=padding, drop_remainder=drop_remainder,
    )  # fmt: skip


def _pad(batch, features):
    """Pads time to one of a few lengths."""
    for name, feature in features.items():
        if feature.has_time:
            value, mask = batch[name]["value"], batch[name]["mask"]
            time = tf.shape(mask)[-1]
            more = length_for(time) - time
            rest = [[0, 0]] * (value.shape.rank - 3)
            batch[name] = {
                **batch[name],
                "value": tf.pad(value, [[0, 0], [0, 0], [0, more], *rest]),
                "mask": tf.pad(mask, [[0, 0], [0, 0], [0, more]]),
            }
    return batch
