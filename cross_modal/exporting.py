"""Writing a SavedModel that takes raw strings and bytes."""

import pathlib

import tensorflow as tf


def export(task, model, folder):
    """Exports a model with its features as one SavedModel.

    It needs neither this package nor Keras to run, only TensorFlow and the operations of tensorflow-text (TensorFlow Serving has them). Each endpoint of the
    task is a signature; the first is also `serving_default`. Arguments are string tensors `(batch,)`: text, the bytes of a file, a
    language tag. An empty string is an absent value.

    Args:
        task: `Task`.
        model: `keras.Model` that the task built.
        folder: where to; what is there is overwritten.

    Returns:
        Path of the folder.
    """
    folder = pathlib.Path(folder)
    archive = tf.Module()
    # Variables and features, not the Keras model: a SavedModel of a Keras object would ask for its classes.
    archive.weights = [weight.value for weight in model.weights]
    archive.features = [*task.features.values(), task.languages]
    signatures = {}
    for name, endpoint in task.endpoints(model).items():
        specs = {argument: tf.TensorSpec(spec.shape, spec.dtype, name=argument) for argument, spec in endpoint.signature.items()}
        signatures[name] = tf.function(endpoint.function).get_concrete_function(**specs)
    signatures["serving_default"] = next(iter(signatures.values()))
    tf.saved_model.save(archive, str(folder), signatures=signatures)
    return folder


def load(folder):
    """Loads an exported SavedModel.

    Args:
        folder: path of the export.

    Returns:
        Dict of name to signature, functions of string tensors `(batch,)` by keyword.
    """
    import tensorflow_text  # noqa: F401  Registers the operations that the text features use.

    loaded = tf.saved_model.load(str(folder))
    signatures = dict(loaded.signatures)
    for signature in signatures.values():
        signature.archive = loaded  # The variables live as long as somebody holds this.
    return signatures
