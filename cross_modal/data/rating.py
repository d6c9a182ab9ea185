"""How rare an item is, by its classes and languages."""

import collections

import tensorflow as tf

_BETWEEN = "\x1f"  # Stands between the classes and languages of a cell.


def rarity(dataset, split, powers, option):
    """Counts the items of each class, language or combination of them, and says of an item how rare it is.

    Args:
        dataset: `Dataset`.
        split: name of the split that is counted.
        powers: dict of a field, a label by its classes or another one by its languages, or of several with `*` between, such as `label*text`, to a power: 0 for all items alike, 1
            for as much more as there are fewer of the kind than of the most common one.
        option: what asks for it, for the errors.

    Returns:
        Function from an item of the dataset to float32 `()`, at least 1; of an item of several kinds that of the rarest, and the product over the keys.

    Raises:
        KeyError: if the dataset lacks a field.
        ValueError: if a power is below 0, or no item has the fields.
    """
    if not all(isinstance(power, int | float) and power >= 0 for power in powers.values()):
        raise ValueError(f"Expected `{option}` to be powers of at least 0 by field, such as {{label: 1.0}}. Received: {powers}")
    keys = {key: key.split("*") for key in powers}
    if unknown := [name for names in keys.values() for name in names if name not in dataset.fields]:
        raise KeyError(f"Expected `{option}` to name fields of the dataset: {', '.join(dataset.fields)}. Received: {', '.join(unknown)}")
    parts = {name: "value" if dataset.fields[name].kind == "label" else "language" for names in keys.values() for name in names}

    def cells(item):
        return {key: _cells([tf.unique(item[name][parts[name]]).y for name in names]) for key, names in keys.items()}

    counts = {key: collections.Counter() for key in keys}
    for found in dataset.items(split).map(lambda item: cells(item)).prefetch(4).as_numpy_iterator():
        for key, some in found.items():
            counts[key].update(some.tolist())
    tables = {}
    for key, power in powers.items():
        if not counts[key]:
            raise ValueError(
                f"Expected `{option}` to name fields that items of {split} have, those of {key} together. Received: none of {dataset.splits[split]} items that has them"
            )
        rates = [(max(counts[key].values()) / count) ** power for count in counts[key].values()]
        tables[key] = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(list(counts[key]), tf.string), tf.constant(rates, tf.float32)), 1.0)

    def rate(item):
        found = cells(item)
        return tf.reduce_prod([tf.reduce_max(tf.concat([tables[key].lookup(found[key]), [1.0]], 0)) for key in powers])

    return rate


def _cells(parts):
    """All combinations of the strings of each part."""
    found = parts[0]
    for part in parts[1:]:
        found = tf.strings.join([tf.repeat(found, tf.size(part)), tf.tile(part, [tf.size(found)])], _BETWEEN)
    return found
