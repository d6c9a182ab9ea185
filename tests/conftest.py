"""What all tests share: a small sample, ingested once."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from cross_modal import samples
from cross_modal.data import ingest, learn_features

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


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[_STATUS] = int(exitstatus)


def pytest_unconfigure(config):
    """Ends the process at once, after all is said: threads of libraries that are alive when Python takes itself apart abort it once in a while."""
    sys.stdout.flush()
    sys.stderr.flush()
    if _STATUS in config.stash:
        os._exit(config.stash[_STATUS])
