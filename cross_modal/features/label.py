"""Strings from a closed set to numbers: labels and language tags."""

import tensorflow as tf

from cross_modal.features.feature import Feature

UNDETERMINED = "und"  # BCP 47: the language is not known, or not one of those that were learned.


class _Lookup(Feature):
    """A table of strings; subclasses decide what stands for a string that is not in it."""

    def __init__(self, name, names, unknown):
        super().__init__(name=name)
        names = [str(one) for one in names]
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"Expected `names` to be a list of different strings, not empty. Received: names={list(names)}")
        self.names = names
        self.spec = tf.TensorSpec((), tf.int32)
        pairs = tf.lookup.KeyValueTensorInitializer(self.names, tf.range(len(self.names), dtype=tf.int32))
        self._table = tf.lookup.StaticHashTable(pairs, default_value=unknown)

    def featurize(self, raw):
        return self._table.lookup(raw)

    def config(self):
        return {"names": self.names}


class Label(_Lookup):
    """Numbers the classes of one label.

    Args:
        names: the classes, in the order of the model's outputs.
        counts: how often each occurs in the training split; None where that is not known.

    Returns:
        `featurize` returns int32 `()`, the place of the class in `names`; -1 for one that is not there.
    """

    kind = "label"

    def __init__(self, names, counts=None):
        super().__init__("label", list(names), -1)
        if counts is not None and len(counts) != len(self.names):
            raise ValueError(f"Expected `counts` to be one for each of {len(self.names)} classes. Received: {len(counts)}")
        self.counts = None if counts is None else [int(count) for count in counts]

    def config(self):
        return {"names": self.names, "counts": self.counts}


class Language(_Lookup):
    """Numbers language tags; 0 is `und`, which also stands for a tag that is absent or was never learned.

    Args:
        names: BCP 47 tags; `und` may be left out.

    Returns:
        `featurize` returns int32 of the shape of its argument.
    """

    kind = "label"

    def __init__(self, names=()):
        super().__init__("language", [UNDETERMINED, *(name for name in names if name != UNDETERMINED)], 0)
