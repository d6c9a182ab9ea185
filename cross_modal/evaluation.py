"""Measuring a trained model on a split."""

import json
import pathlib

from cross_modal.data import batches


def evaluate(task, model, dataset, split="test", batch_size=64, run=None):
    """Scores a model on all views of a split.

    Args:
        task: `Task`.
        model: `keras.Model` that the task built.
        dataset: `Dataset`.
        split: name of the split.
        batch_size: items in a batch.
        run: folder of the run, to keep the scores in its `metrics.json` under the name of the split; or None.

    Returns:
        Dict of plain values, see the task's `score`.
    """
    scores = task.score(model, batches(dataset, split, task.features, task.languages, batch_size, cache=False))
    if run is not None:
        path = pathlib.Path(run) / "metrics.json"
        kept = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**kept, split: scores}, indent=1))
    return scores
