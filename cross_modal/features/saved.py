"""Features from the folder of a run."""

import importlib
import json
import pathlib

from cross_modal.features.feature import Feature
from cross_modal.features.label import Language


def load_features(run):
    """Makes the features of a run.

    Args:
        run: folder of the run.

    Returns:
        Pair of dict of field to `Feature`, and `Language`.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if it names what is no feature.
    """
    path = pathlib.Path(run) / "features.json"
    if not path.exists():
        raise FileNotFoundError(f"Expected the folder of a run, with run.yaml and features.json. Received: {run}. Make one with `cross-modal train`.")
    saved = json.loads(path.read_text(encoding="utf-8"))
    features = {name: imported(one["class"], f"the feature {name}")(**one["config"]) for name, one in saved["features"].items()}
    if not all(isinstance(one, Feature) for one in features.values()):
        raise ValueError(f"Expected features.json to name subclasses of Feature. Received: {[one['class'] for one in saved['features'].values()]}")
    return features, Language(saved["languages"])


def is_of(run, dataset):
    """Returns whether a run was trained on a dataset as it is now, which is taken for granted where the run does not tell."""
    path = pathlib.Path(run) / "features.json"
    told = json.loads(path.read_text(encoding="utf-8")).get("dataset", "") if path.exists() else ""
    return told in ("", dataset.fingerprint)


def imported(name, place):
    """Imports `module:name`; `place` says in an error what it was to be."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"Expected {place} to be module:name of something that can be imported. Received: {name!r} ({error})") from error


def holds_run(folder):
    """Returns whether a folder holds a run, also one that was made without a `run.yaml`, or is not done."""
    return any((pathlib.Path(folder) / name).exists() for name in ("run.yaml", "model.keras", "checkpoints/state.json"))
