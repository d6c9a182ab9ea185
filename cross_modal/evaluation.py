"""Measuring a trained model on a split."""

import json
import pathlib

from cross_modal import pages
from cross_modal.data import batches


def evaluate(task, model, dataset, split="test", batch_size=64, run=None, baseline=True):
    """Scores a model on all views of a split.

    Args:
        task: `Task`.
        model: `keras.Model` that the task built.
        dataset: `Dataset`.
        split: name of the split.
        batch_size: items in a batch.
        run: folder of the run, to keep the scores in its `metrics.json` under the name of the split, and answers, where there are, in `predictions-SPLIT.jsonl` and, some of
            them to look at, `predictions-SPLIT.html`, and what was made again in `examples-SPLIT.html`; or None.
        baseline: whether the task's baseline is scored too, once for a run and split.

    Returns:
        Dict of plain values, see the task's `score`; with the result of its `baseline` under that key, where it has one.
    """
    path = None if run is None else pathlib.Path(run) / "metrics.json"
    kept = json.loads(path.read_text()) if path and path.exists() else {}
    scores = task.score(model, batches(dataset, split, task.features, task.languages, batch_size, cache=False, again=task.again, raw=bool(task.again)))
    predictions, examples = scores.pop("predictions", None), scores.pop("examples", None)
    if path and predictions is not None:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
        path.with_name(f"predictions-{split}.jsonl").write_text(lines, encoding="utf-8")
        pages.predictions_page(predictions, dataset, split, path.with_name(f"predictions-{split}.html"))
    if path and examples is not None:
        pages.examples_page(examples, task.features, path.with_name(f"examples-{split}.html"), f"What is made again of {split}")
    plain = kept.get(split, {}).get("baseline") or (task.baseline(dataset, split) if baseline else {})
    scores |= {"baseline": plain} if plain else {}
    if path:
        path.write_text(json.dumps({**kept, split: scores}, indent=1))
    return scores
