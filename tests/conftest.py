"""What all tests share: a small sample, ingested once."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from cross_modal import samples
from cross_modal.data import ingest, learn_features

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
