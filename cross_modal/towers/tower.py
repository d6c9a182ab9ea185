"""What every tower takes in."""

import keras


def tower_inputs(feature, looks_for_patches=False):
    """Makes the three inputs of a tower.

    Args:
        feature: `Feature` of the field.
        looks_for_patches: whether the tower makes something of the `patches` of an `Image`.

    Returns:
        Dict of `value`, `(batch, time, ...)` or `(batch, ...)` after `feature.spec`; `mask`, bool `(batch, time)`, or `(batch, 1)` for a feature
        without time; and `language`, int32 `(batch,)`.

    Raises:
        ValueError: if the feature has `patches` that the tower does not look for.
    """
    if not looks_for_patches and getattr(feature, "patches", None) is not None:
        raise ValueError("Expected `patches` of pixels for the towers resnet, with `descriptors`, and descriptors alone. Received: patches that this tower does not look for")
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
