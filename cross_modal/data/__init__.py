"""Tables to datasets to batches; never imports keras. What needs TensorFlow is loaded when it is first used: reading a table needs none, and takes far less memory without."""

import lazy_loader

from cross_modal.data.dataset import Dataset as Dataset
from cross_modal.data.examples import read_examples as read_examples
from cross_modal.data.ingesting import check_table as check_table
from cross_modal.data.ingesting import ingest as ingest
from cross_modal.data.schema import Field as Field
from cross_modal.data.schema import TableError as TableError
from cross_modal.data.schema import view_name as view_name

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"batching": ["batches"], "learning": ["learn_features", "learn_labels"]})
