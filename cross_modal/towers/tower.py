"""What every tower takes in."""

import keras
import numpy as np

from cross_modal.layers import Descriptors


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


def check_patches(model, features):
    """Raises ValueError where features have `patches` that no tower of a model looks for.

    Args:
        model: `keras.Model` that a task has built of the features.
        features: dict of field to `Feature`.
    """
    known = [layer.get_weights()[0] for layer in model._flatten_layers() if isinstance(layer, Descriptors) and layer.patches]
    for name, feature in features.items():
        patches = getattr(feature, "patches", None)
        if patches is not None and not any(np.array_equal(one, patches[0]) for one in known):
            raise ValueError(
                f"Expected a tower that looks for the `patches` of {name}: resnet with `descriptors`, or descriptors. Received: none that does. Change towers.{name}, or leave"
                f" out features.{name}.patches"
            )


def inputs_like(fields):
    """Makes inputs of the shapes and types of tensors.

    Args:
        fields: dict of field to a dict of tensors, such as the inputs or the outputs of its tower.

    Returns:
        Dict as given, of `keras.Input` that are named `FIELD_KEY`.
    """
    return {name: {key: keras.Input(one.shape[1:], dtype=one.dtype, name=f"{name}_{key}") for key, one in tensors.items()} for name, tensors in fields.items()}
