"""Items to batches of features, in tf.data alone."""

import os

import numpy as np
import tensorflow as tf

from cross_modal.data import augment as augmenting
from cross_modal.data import schema
from cross_modal.data.rating import rarity
from cross_modal.features import featurize_views

ABSENT = -1
_CORES = os.cpu_count() or 1
_LENGTHS = [8] + [step << power for power in range(2, 28) for step in (3, 4)]


def batches(
    dataset, split, features, languages, size, draws=None, seed=None, bucket_by=None, cache=True, start=0, augment=(), modality_dropout=0.0, sources=None, mixup=0.0,
    oversample=(), weigh=(), drawn_first=(), again=(), choose=None, raw=False, tokens=None,
):  # fmt: skip
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
        seed: None goes through the split once, in order, and draws views in turn, so that each language has its share: of the first item from its first on, of the second from its
            second. A number shuffles, draws at random and repeats without end,
            in batches of exactly `size`, or of `tokens`.
        bucket_by: field whose length sorts items into batches of similar length, or None for batches of items at random.
        cache: whether featurized items stay in memory after the first pass.
        start: with a seed, number of batches to pass over, to go on where a run stopped.
        augment: with a seed, dict of field to a dict of the keyword arguments of `augment.image`, `audio` and `spectrogram`, or `text` and
            `subwords`.
        modality_dropout: with a seed, how often each field of an item is hidden; one that is there always stays.
        sources: names of the fields that may be hidden; None for all that are no label.
        mixup: with a seed, `alpha` of `augment.mix`, which mixes pictures, sounds and labels; 0 for none.
        oversample: with a seed, dict of field (a label, or another one for its languages), or of several such as `label*text` for each pair, to a power: 0 leaves the classes
            as they are, 1 shows the items of a rare one as often as those of the most common.
        weigh: with a seed, as `oversample`, but what is rare comes as often as before and has `weigh`, float32 `(batch,)`, the higher.
        drawn_first: with `draws`, dict of field to languages whose views are drawn before those of others.
        again: dict of another name to a field, whose views are drawn once more under that name, by themselves, and are not augmented there but for `augment.subwords` of
            that name; by the field's feature, unless there is one of that name.
        choose: function from a dict of field to the languages of its views, int32 `(views,)`, and a seed `(2,)` to a dict of field to the places of those views that are
            drawn, in place of views at random; without a seed the same are drawn each time. With a seed the items of a batch have views of the same fields, so that the
            towers of others have next to nothing to do; an item of which nothing is drawn is in none.
        raw: whether raw values come too, as `raw`, string `(batch, views)`.
        tokens: with `bucket_by`, steps of that field in a batch, padding included, in place of `size`: many short items or few long ones.

    Returns:
        `tf.data.Dataset` of dicts: `id`, string `(batch,)`; `item`, int64 `(batch,)`; and each field, a dict of `value` `(batch, views, time, ...)`, `mask`
        bool `(batch, views, time or 1)`, `language` int32 `(batch, views)` and `key` int64 `(batch, views)`, which is equal for equal raw values and -1
        for an absent view.

    Raises:
        KeyError: if the dataset lacks a field.
        ValueError: if an option is for fields of another kind, or a field is called as what a batch holds besides.
    """
    again = dict(again)
    features = {**features, **{name: features[field] for name, field in again.items() if name not in features}}
    draws = None if draws is None else {**dict.fromkeys(again, 1), **draws}
    missing = [name for name in features if again.get(name, name) not in dataset.fields]
    if missing:
        raise KeyError(f"Expected fields of the dataset: {', '.join(dataset.fields)}. Received: {', '.join(missing)}")
    if taken := [name for name in features if name in schema.BESIDE]:
        raise ValueError(
            f"Expected fields that are not called {', '.join(schema.BESIDE)}, as what batches hold besides. Received: {', '.join(taken)}. Rename the column in the table"
        )
    if bucket_by is not None and (bucket_by not in features or not features[bucket_by].has_time):
        timed = [name for name, feature in features.items() if feature.has_time]
        raise ValueError(f"Expected `bucket_by` to be a field with a length: {', '.join(timed) or 'there is none'}. Received: bucket_by={bucket_by}")
    if tokens is not None and (bucket_by is None or tokens < 1):
        raise ValueError(f"Expected `tokens` of at least 1, and a `bucket_by` whose steps they are. Received: tokens={tokens}, bucket_by={bucket_by}")
    augment = dict(augment) if seed is not None else {}
    augmenting.check_options(augment, {name: "again" if name in again else feature.kind for name, feature in features.items()})
    rates = {name: rarity(dataset, split, dict(powers), name) for name, powers in (("oversample", oversample), ("weigh", weigh)) if seed is not None and powers}
    # Nothing but what is asked for: other fields may be called `weigh`.
    fields = {name: again.get(name, name) for name in features}
    items = dataset.items(split).map(
        lambda item: {"id": item["id"], **{name: item[field] for name, field in fields.items()}, **{name: rate(item) for name, rate in rates.items()}},
        num_parallel_calls=_CORES,
    )
    # What is changed before it is featurized is featurized each time; without a cache all is, but only what is drawn.
    heard = {name: chosen for name, options in augment.items() if features[name].kind == "audio" and (chosen := augmenting.chosen(augmenting.audio, options))}
    early = [name for name in features if cache and name not in heard]
    split = {name: chosen for name, options in augment.items() if (chosen := augmenting.chosen(augmenting.subwords, options))}
    if whole := [name for name in split if not np.any(getattr(features[name], "parts", (None, None, 0))[2])]:
        raise ValueError(f"Expected `augment` with `split` of texts in subwords. Received: {', '.join(whole)}, whose units have no parts")
    if whole := [name for name in augment if features[name].kind == "image" and features[name].spec.shape.rank != 3]:
        raise ValueError(f"Expected no `augment` of pictures that are described, and no pixels any more. Received: augment of {', '.join(whole)}")
    if cache:
        items = items.map(lambda item: _featurize(item, features, languages, early, raw), num_parallel_calls=_CORES).cache()
    if seed is not None:
        items = items.enumerate().flat_map(lambda step, item: _repeated(item, [seed, step])) if oversample else items
        items = items.shuffle(10_000 if cache else 1_000, seed=seed, reshuffle_each_iteration=True).repeat()

    first = {name: (tags, languages.featurize(tf.constant(list(tags)))) for name, tags in dict(drawn_first).items() if tags and draws is not None}

    def own_seed(step, name):
        return [seed, step * len(features) + list(features).index(name)]

    def draw(step, item):
        if choose is not None and draws is not None:
            drawn = _chosen(item, step, features, languages, choose, seed or 0)
        else:
            drawn = _draw(item, step, features, draws, seed, first)
        for name, options in heard.items():
            drawn[name] = _heard(drawn[name], features[name], options, own_seed(step, name))
        drawn = _featurize(drawn, features, languages, [name for name in features if name not in early], raw)
        for name, options in split.items():
            drawn[name] = _split(drawn[name], features[name], options, own_seed(step, name))
        return _place(drawn, features, draws)

    items = items.enumerate().map(draw, num_parallel_calls=_CORES)
    items = _batch(items, features, size, bucket_by, tokens, seed is not None, raw, by_presence=seed is not None and choose is not None and draws is not None)
    if augment or (seed is not None and (modality_dropout or mixup)):
        items = _augmented(items, {name: feature for name, feature in features.items() if name not in again}, augment, modality_dropout, sources, mixup, seed)
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


def _featurize(item, features, languages, chosen, kept=False):
    """Featurizes the views of the chosen fields of an item; what it returns can stay in memory."""
    out = {name: item[name] for name in ("id", "oversample", "weigh", *features) if name in item}
    for name in chosen:
        feature, raw = features[name], item[name]
        out[name] = {
            "value": featurize_views(feature, raw["value"], raw["language"]),
            "language": languages.featurize(raw["language"]),
            "key": raw["key"] if "key" in raw else _key(raw["value"]),
            **({"raw": raw["value"]} if kept else {}),
        }
    return out


def _key(raw):
    return tf.strings.to_hash_bucket_fast(raw, 2**31 - 1)


def _draw(item, step, features, draws, seed, first):
    """Draws views of each field, featurized or not; fewer where there are fewer."""
    out = _carried(item)
    for place, name in enumerate(features):
        order = tf.range(tf.size(item[name]["language"]))
        if seed is None and draws is not None:
            order = tf.roll(order, -step, 0)
        elif seed is not None:
            order = tf.random.experimental.stateless_shuffle(order, seed=[seed, step * len(features) + place])
        if name in first:
            language = tf.gather(item[name]["language"], order)
            wanted = first[name][0 if language.dtype == tf.string else 1]  # Tags of what is not featurized yet, numbers of what is.
            order = tf.gather(order, tf.argsort(tf.cast(tf.reduce_all(language[:, None] != wanted, 1), tf.int32), stable=True))
        order = order if draws is None else order[: draws[name]]
        out[name] = {key: tf.gather(values, order) for key, values in item[name].items()}
    return out


def _chosen(item, step, features, languages, choose, seed):
    """Draws the views that somebody chooses."""
    tags = {name: item[name]["language"] for name in features}
    tags = {name: languages.featurize(one) if one.dtype == tf.string else one for name, one in tags.items()}
    places = choose(tags, [seed, step])
    return {**_carried(item), **{name: {key: tf.gather(values, places[name]) for key, values in item[name].items()} for name in features}}


def _place(item, features, draws):
    """Pads the views of each field to their number, and adds what tells one item from another."""
    out = {**_carried(item), "item": tf.strings.to_hash_bucket_fast(item["id"], 2**31 - 1)}
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
        if "raw" in field:
            out[name]["raw"] = tf.pad(field["raw"], absent)
        if draws is not None:
            out[name] = {key: tf.ensure_shape(tensor, [count, *tensor.shape[1:]]) for key, tensor in out[name].items()}
    return out


def _heard(field, feature, options, seed):
    """Changes recordings; the key is still that of what they were."""
    places, seconds = tf.range(tf.size(field["value"]), dtype=tf.int64), getattr(feature, "seconds", 30)

    def change(pair):
        return augmenting.audio(pair[0], [seed[0], seed[1] + 2**40 * pair[1]], seconds, **options)

    changed = tf.map_fn(change, (field["value"], places), fn_output_signature=tf.string)
    return {**field, "value": changed, "key": _key(field["value"])}


def _split(field, feature, options, seed):
    """Writes subwords of texts that are featurized as several others."""
    value = field["value"]
    value = value.with_flat_values(augmenting.subwords(value.flat_values, feature.parts, seed, **options))
    return {**field, "value": value.merge_dims(1, 2)[:, : feature.length]}


def _carried(item):
    """What goes with an item through all, beside its fields."""
    return {name: item[name] for name in ("id", "weigh") if name in item}


def _repeated(item, seed):
    whole = tf.floor(item["oversample"])
    more = tf.random.stateless_uniform((), seed) < item["oversample"] - whole
    return tf.data.Dataset.from_tensors(item).repeat(tf.cast(whole, tf.int64) + tf.cast(more, tf.int64))


def _augmented(items, features, augment, modality_dropout, sources, mixup, seed):
    """Changes whole batches."""
    inputs = [name for name, feature in features.items() if feature.kind != "label"]
    texts = [name for name in inputs if features[name].kind == "text"]
    if mixup and texts:
        raise ValueError(f"Expected `mixup` for pictures and sounds alone. Received: mixup={mixup} with the text {', '.join(texts)}")

    def change(step, batch):
        batch = dict(batch)
        for place, name in enumerate(inputs):
            own = tf.stack([tf.constant(seed, tf.int64), step * 2 * len(features) + place])
            batch[name] = _changed(batch[name], features[name], augment.get(name) or {}, own)
        own = tf.stack([tf.constant(seed, tf.int64), step * 2 * len(features) + len(features)])
        if modality_dropout:
            masks = augmenting.drop_modalities({name: batch[name]["mask"] for name in (inputs if sources is None else sources)}, own, modality_dropout)
            batch.update({name: {**batch[name], "mask": mask} for name, mask in masks.items()})
        if mixup:
            batch = augmenting.mix(batch, inputs, [name for name in features if name not in inputs], own, mixup)
        return batch

    return items.enumerate().map(change, num_parallel_calls=_CORES)


def _changed(field, feature, options, seed):
    """Changes the views of a field, views and items as one axis."""
    kind = feature.kind
    function = {"image": augmenting.image, "audio": augmenting.spectrogram, "text": augmenting.text}[kind]
    options = augmenting.chosen(function, options)
    if not options:
        return field
    value, mask = _folded(field["value"]), _folded(field["mask"])
    if kind == "image":
        value = augmenting.image(value, seed, **options)
    elif kind == "audio":
        bands = getattr(feature, "bands", value.shape[2])  # What else a frame holds is no band.
        value = tf.concat([augmenting.spectrogram(value[:, :, :bands], mask, seed, **options), value[:, :, bands:]], 2)
    else:
        value, mask = augmenting.text(value, mask, seed, **options)
    return {**field, "value": _unfolded(value, field["value"]), "mask": _unfolded(mask, field["mask"])}


def _folded(tensor):
    return tf.ensure_shape(tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], 0)), [None, *tensor.shape[2:]])


def _unfolded(tensor, like):
    return tf.ensure_shape(tf.reshape(tensor, tf.concat([tf.shape(like)[:2], tf.shape(tensor)[1:]], 0)), like.shape)


def _batch(items, features, size, bucket_by, tokens, drop_remainder, raw, by_presence):
    # An absent view of a batch padded in views must keep the key of absence.
    padding = {"id": "", "item": tf.constant(0, tf.int64), **({"weigh": 0.0} if "weigh" in items.element_spec else {})}
    for name, feature in features.items():
        zero = tf.zeros((), feature.spec.dtype)
        padding[name] = {"value": zero, "mask": False, "language": 0, "key": tf.constant(ABSENT, tf.int64), **({"raw": ""} if raw else {})}
    if bucket_by is None and not by_presence:
        return items.padded_batch(size, padding_values=padding, drop_remainder=drop_remainder)
    bounds = [length for length in _LENGTHS if length < 2**16] if bucket_by else []
    sizes = [size if tokens is None else max(1, tokens // bound) for bound in [*bounds, *bounds[-1:]]] or [size]
    patterns = 2 ** len(features) if by_presence else 1

    def there(item):
        """Which fields there are, in a number."""
        return sum(2**place * tf.cast(tf.reduce_any(item[name]["mask"]), tf.int32) for place, name in enumerate(features)) if by_presence else 0

    def bucket(item):
        return there(item) * len(sizes) + (tf.searchsorted(bounds, [tf.shape(item[bucket_by]["mask"])[-1]])[0] if bucket_by else 0)

    items = items.filter(lambda item: there(item) > 0) if by_presence else items
    return items.bucket_by_sequence_length(bucket, list(range(1, patterns * len(sizes))), sizes * patterns, padding_values=padding, drop_remainder=drop_remainder)


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
