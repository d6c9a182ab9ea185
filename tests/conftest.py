"""What all tests share: a small sample, ingested once."""

import functools
import gc
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tensorflow as tf

from cross_modal import cli, config, decoders, questions, samples, tasks, towers
from cross_modal.cli import runs
from cross_modal.data import ingest, learn_features

gc.freeze()  # Graphs are made of so many objects that looking for garbage among them takes long.
gc.set_threshold(200_000, 50, 100)
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # Rewriting the graphs of models so small takes longer than it saves.

_STATUS = pytest.StashKey()
OPTIONS = {
    "image": {"size": [8, 20], "channels": 1},
    "text": {"vocab_size": 400, "length": 32},
    "audio": {"bins": 16, "hop_ms": 25},
}


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """The table of the first forty numbers, with speech."""
    return samples.write_sample(tmp_path_factory.mktemp("sample"), numbers=40, progress=False)


@pytest.fixture(scope="session")
def dataset(table, tmp_path_factory):
    return ingest(table, tmp_path_factory.mktemp("dataset"), progress=False)


@pytest.fixture(scope="session")
def learned(dataset):
    """Small features of all fields of the sample, and its languages."""
    return learn_features(dataset, None, OPTIONS)


_TOWERS = {"image": functools.partial(towers.image.cnn, widths=(4, 8)), "text": towers.text.bag, "audio": functools.partial(towers.audio.cnn, widths=(4, 4))}
_DECODERS = {
    "image": functools.partial(decoders.image.deconv, widths=(8, 4)),
    "text": functools.partial(decoders.text.gru, depth=1),
    "audio": functools.partial(decoders.audio.deconv, widths=(8, 4)),
}


@pytest.fixture(scope="session")
def autoencoding(learned):
    """A function of fields and options to a small autoencoder of the sample."""
    features, languages = learned

    def made(fields=("image", "text", "audio"), **options):
        parts = {"towers": {name: _TOWERS[name] for name in fields}, "decoders": {name: _DECODERS[name] for name in fields}}
        return tasks.Autoencoding({name: features[name] for name in fields}, languages, dim=16, latent=8, length=6, **parts, **options)

    return made


@pytest.fixture(scope="session")
def question_pictures(tmp_path_factory):
    """Questions about pictures of the first twenty numbers."""
    table = questions.write_questions(tmp_path_factory.mktemp("questions"), 20)
    return ingest(table, tmp_path_factory.mktemp("dataset"), {"answer": "label"}, progress=False)


@pytest.fixture(scope="session")
def picture_of(tmp_path_factory):
    """A function of a dataset to a file with the first picture of its test split."""

    def write(dataset):
        path = tmp_path_factory.mktemp("views") / "number.png"
        path.write_bytes(next(iter(dataset.items("test").as_numpy_iterator()))["image"]["value"][0])
        return path

    return write


@pytest.fixture(scope="session", autouse=True)
def opened_once():
    """The command line opens no run again that it has opened before and that is as it was: a new process would have to, but here most of the time would go there."""
    kept = {}

    def once(load, *names):
        def opened(run):
            files = [pathlib.Path(run) / name for name in names]
            key = (load, *((path.resolve(), path.stat().st_mtime_ns) for path in files if path.exists()))
            if key not in kept:
                kept[key] = load(run)
            return kept[key]

        return opened

    def tracing_once(load):
        def loaded(run):
            full, task = load(run)
            object.__setattr__(task, "endpoints", functools.cache(task.endpoints))
            return full, task

        return loaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "load_task", once(tracing_once(config.load_task), "run.yaml", "features.json"))
        patch.setattr(runs, "load_model", once(runs.load_model, "model.keras"))
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A function of a dataset, a task and settings to the folder of a run that the command line trained."""

    def run(dataset, task, settings):
        folder = tmp_path_factory.mktemp("runs") / task
        sets = [word for key in settings for word in ("--set", key)]
        assert cli.main(["train", str(dataset.path), "--run", str(folder), "--task", task, *sets]) == 0
        return folder

    return run


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[_STATUS] = int(exitstatus)


def pytest_unconfigure(config):
    """Ends the process at once, after all is said: threads of libraries that are alive when Python takes itself apart abort it once in a while."""
    sys.stdout.flush()
    sys.stderr.flush()
    if _STATUS in config.stash:
        os._exit(config.stash[_STATUS])
