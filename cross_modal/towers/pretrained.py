"""Any Keras model as a tower."""

import importlib
import os
import sys
import warnings

import keras
from keras import layers, ops

from cross_modal.towers.tower import tower_inputs

_SMALLEST = 32  # Pixels of a side that models of `keras.applications` take.
_APPLICATIONS, _HUB = "keras.applications", "keras_hub"


def pretrained(feature, dim, name, languages=1, model="keras.applications:MobileNetV3Small", weights="imagenet", trainable=False, dropout=0.1):
    """Builds a projection on top of a model that somebody else has trained, frozen or not.

    Args:
        feature: `Feature`; what it gives is what the model takes. Pictures are brought to the range and channels that a model of `keras.applications` expects.
        dim: size of a state.
        name: name of the model.
        languages: not used.
        model: `keras.Model` from one tensor to `(batch, height, width, channels)`, `(batch, time, channels)` or `(batch, channels)`; or
            `keras.applications:NAME`, `keras_hub:PRESET` (the backbone of pictures, or of texts that are `features.PretrainedText` of the same preset), the path of a
            `.keras` file, or `module:function` that returns a model.
        weights: with `keras.applications`, "imagenet" or the path of a file; None, also for `keras_hub`, for random ones.
        trainable: whether its weights are trained too. Its batch normalisation then sees the zeros that stand for absent values too: rather freeze it where a field is often
            missing. It is shown no mask: what it makes of padding, of texts and sound, is its own affair.
        dropout: share dropped before the projection.

    Returns:
        `keras.Model` from `value, mask, language` to `states` `(batch, cells or time or 1, dim)` and `mask` of those steps.

    Raises:
        ValueError: if there is no such model, or it takes or gives something else.
    """
    # --- inputs ---
    inputs = tower_inputs(feature)

    # --- body ---
    backbone, prepared = _backbone(model, weights, feature, inputs)
    backbone.trainable = trainable
    if trainable:
        _warn_of_strides(backbone)
    x = backbone(prepared) if trainable else backbone(prepared, training=False)  # Frozen, its batch normalisation keeps its statistics.
    if not hasattr(x, "shape") or len(x.shape) not in (2, 3, 4):
        raise ValueError(f"Expected a model that gives one tensor of 2, 3 or 4 axes. Received: {backbone.name}, which gives {x}")
    mask = inputs["mask"]
    if len(x.shape) == 4:
        x = layers.Reshape((x.shape[1] * x.shape[2], x.shape[3]))(x)
    elif len(x.shape) == 2:
        x = layers.Reshape((1, x.shape[1]))(x)
    if not feature.has_time:
        mask = ops.repeat(mask, x.shape[1], axis=1)
    elif x.shape[1] == 1:
        mask = ops.any(mask, axis=1, keepdims=True)
    states = layers.LayerNormalization()(layers.Dense(dim)(layers.Dropout(dropout)(x)))

    # --- model ---
    return keras.Model(inputs, {"states": states, "mask": mask}, name=name)


def _backbone(model, weights, feature, inputs):
    """Returns the model, and the value as it wants it."""
    value = inputs["value"]
    if isinstance(model, keras.Model):
        return model, value
    if str(model).endswith(".keras"):
        return keras.models.load_model(model), value
    source, colon, name = str(model).partition(":")
    if not colon:
        raise ValueError(f"Expected keras.applications:NAME, keras_hub:PRESET, module:function, or the path of a .keras file. Received: model={model!r}")
    if source == _APPLICATIONS:
        return _application(name, weights, feature, value)
    if source == _HUB:
        try:
            hub = importlib.import_module("keras_hub")
        except ModuleNotFoundError as error:
            raise ValueError(f"Expected keras-hub, for model={model!r}. Received: {error}. Install it: pip install 'cross_modal[hub]'") from error
        backbone = hub.models.Backbone.from_preset(name, load_weights=weights is not None)
        if feature.kind == "image":
            return backbone, _coloured(value) * 255.0
        if getattr(feature, "preset", None) != name:
            raise ValueError(f"Expected texts that are features.PretrainedText of the preset {name}. Received: {type(feature).__name__} of {getattr(feature, 'preset', None)}")
        most = getattr(backbone, "max_sequence_length", None)
        if most and feature.length > most:
            raise ValueError(f"Expected texts of at most {most} subwords for {name}. Received: length={feature.length}")
        packed = _packed(backbone, inputs)
        if isinstance(backbone.output, dict) and "sequence_output" in backbone.output:  # And not what is made of the first step alone.
            backbone = keras.Model(backbone.input, backbone.output["sequence_output"], name=backbone.name)
        return backbone, packed
    try:
        return getattr(importlib.import_module(source), name)(), value
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"Expected a module and a function in it that returns a keras.Model. Received: model={model!r} ({error})") from error


def _application(name, weights, feature, value):
    function = getattr(keras.applications, name, None)
    if feature.kind != "image" or not callable(function):
        known = ", ".join(sorted(one for one in vars(keras.applications) if one[0].isupper()))
        raise ValueError(f"Expected a picture and one of {known}. Received: {name} for a field of kind {feature.kind}")
    value = _coloured(value)
    if min(value.shape[1:3]) < _SMALLEST:
        value = ops.image.resize(value, [max(_SMALLEST, side) for side in value.shape[1:3]])
    home = sys.modules[function.__module__]
    return function(include_top=False, weights=weights, input_shape=tuple(value.shape[1:])), home.preprocess_input(value * 255.0)


def _warn_of_strides(backbone):
    """Warns of the one layer whose training TensorFlow 2.21 cannot do on a processor: oneDNN writes past the end of its gradient and the process ends, now or later."""
    wrong = [one.name for one in backbone._flatten_layers() if isinstance(one, layers.Conv2D) and set(one.kernel_size) == {1} and max(one.strides) > 1]
    here = keras.config.backend() == "tensorflow" and not keras.distribution.list_devices("gpu")
    if wrong and here and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        warnings.warn(
            f"Training {backbone.name} on a processor may crash: TensorFlow's oneDNN cannot take the gradient of convolutions of 1 pixel with strides, such as {wrong[0]}. "
            "Start Python with TF_ENABLE_ONEDNN_OPTS=0 in its environment, or give trainable=False.",
            stacklevel=3,
        )


def _packed(backbone, inputs):
    """What a backbone of texts takes."""
    visible = ops.any(inputs["mask"], axis=1, keepdims=True)
    mask = ops.logical_or(inputs["mask"], ops.logical_not(visible))  # Attention to nothing at all would be no number.
    known = {"token_ids": inputs["value"], "padding_mask": ops.cast(mask, "int32"), "segment_ids": ops.zeros_like(inputs["value"])}
    wanted = list(backbone.input) if isinstance(backbone.input, dict) else []
    if "token_ids" not in wanted or not set(wanted) <= set(known):
        raise ValueError(f"Expected a backbone of texts, from {', '.join(known)}. Received: {backbone.name}, which takes {', '.join(wanted) or 'something else'}")
    return {name: known[name] for name in wanted}


def _coloured(value):
    return ops.repeat(value, 3, axis=-1) if value.shape[-1] == 1 else value
