"""What every tower takes in."""

import keras


def tower_inputs(feature):
    """Makes the three inputs of a tower.

    Args:
        feature: `Feature` of the field.

    Returns:
        Dict of `value`, `(batch, time, ...)` or `(batch, ...)` after `feature.spec`; `mask`, bool `(batch, time)`, or `(batch, 1)` for a feature
        without time; and `language`, int32 `(batch,)`.
    """
    return {
        "value": keras.Input(tuple(feature.spec.shape), dtype=feature.spec.dtype.name, name="value"),
        "mask": keras.Input((None if feature.has_time else 1,), dtype="bool", name="mask"),
        "language": keras.Input((), dtype="int32", name="language"),
    }
