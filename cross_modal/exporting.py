"""Writing a SavedModel that takes raw strings and bytes."""

import pathlib

import tensorflow as tf

from cross_modal import ensembles
from cross_modal.tasks import Endpoint


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
    return _write([(task, model)], task.endpoints(model), pathlib.Path(folder))


def export_joined(parts, folder):
    """Exports several models as one SavedModel, see `ensembles.join` and `export`.

    Args:
        parts: list of pairs of `Task` and the `keras.Model` that it built.
        folder: where to; what is there is overwritten.

    Returns:
        Path of the folder.

    Raises:
        ValueError: if they cannot be joined.
    """
    return _write(parts, ensembles.join(parts), pathlib.Path(folder))


def _write(parts, endpoints, folder):
    archive = tf.Module()
    # Variables and features, not the Keras model: a SavedModel of a Keras object would ask for its classes.
    archive.weights = [weight.value for _, model in parts for weight in model.weights]
    archive.features = [one for task, _ in parts for one in (*task.features.values(), task.languages)]
    signatures = {name: endpoint.compiled for name, endpoint in endpoints.items()}
    signatures["serving_default"] = next(iter(signatures.values()))
    tf.saved_model.save(archive, str(folder), signatures=signatures)
    return folder


def load(folder):
    """Loads an exported SavedModel.

    Args:
        folder: path of the export.

    Returns:
        Dict of name to `Endpoint`, as from `Task.endpoints`: `predict` and `search` take either.

    Raises:
        FileNotFoundError: if the folder holds no SavedModel.
    """
    if not (pathlib.Path(folder) / "saved_model.pb").exists():
        raise FileNotFoundError(f"Expected the folder of a SavedModel, made by `cross-modal export`. Received: {folder}")
    import tensorflow_text  # noqa: F401  Registers the operations that the text features use.

    loaded = tf.saved_model.load(str(folder))
    return {name: Endpoint(_answering(loaded, name), dict(function.structured_input_signature[1])) for name, function in loaded.signatures.items()}


def _answering(loaded, name):
    return lambda **raw: loaded.signatures[name](**raw)  # Holds `loaded`: its variables live as long as somebody does.
