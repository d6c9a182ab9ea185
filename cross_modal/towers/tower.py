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


def inputs_like(fields):
    """Makes inputs of the shapes and types of tensors.

    Args:
        fields: dict of field to a dict of tensors, such as the inputs or the outputs of its tower.

    Returns:
        Dict as given, of `keras.Input` that are named `FIELD_KEY`.
    """
    return {name: {key: keras.Input(one.shape[1:], dtype=one.dtype, name=f"{name}_{key}") for key, one in tensors.items()} for name, tensors in fields.items()}
