"""Tables to datasets to batches; never imports keras."""

from cross_modal.data.batches import batches as batches
from cross_modal.data.dataset import Dataset as Dataset
from cross_modal.data.ingest import ingest as ingest
from cross_modal.data.ingest import read_examples as read_examples
from cross_modal.data.learning import learn_features as learn_features
from cross_modal.data.schema import Field as Field
from cross_modal.data.schema import TableError as TableError
from cross_modal.data.schema import view_name as view_name
