"""Several models that were trained apart, asked as one: they are wrong in different places, so that together they are often better than the best of them."""

import dataclasses
import itertools

from cross_modal.features import Language


def join(parts):
    """Joins models that align the same fields, or that learned the same classes.

    Of alignments a vector is what each says, side by side, so that a cosine is the mean of theirs. Of classifications a class has the mean of the probabilities that models give
    it; one which an item has no field for has no say, so that models of a picture and of a recording may be joined.

    Args:
        parts: list of pairs of `Task` and the `keras.Model` that it built, two or more.

    Returns:
        Dict of name to `Endpoint`: `embed_` + field for each field that all of them align, or `classify`.

    Raises:
        ValueError: if there are fewer than two, they are of several tasks or of one that has no such thing, or have no field or label in common, or a label of other classes.
    """
    return _task_of(parts).join(parts)


def score_joined(parts, dataset, split="test", batch_size=64):
    """Scores joined models on a split, by what they answer to raw values.

    Args:
        parts: as for `join`.
        dataset: `data.Dataset`.
        split: name of the split.
        batch_size: items asked at once.

    Returns:
        Dict of plain values, as the tasks' `score` returns.

    Raises:
        ValueError: as `join`.
        KeyError: if the dataset lacks a field.
    """
    _task_of(parts)
    tags = dict.fromkeys(tag for task, _ in parts for tag in task.languages.names)
    task, items = dataclasses.replace(parts[0][0], languages=Language(list(tags))), dataset.items(split).as_numpy_iterator()
    if missing := sorted({name for task, _ in parts for name in task.features} - set(dataset.fields)):
        raise KeyError(f"Expected fields of the dataset: {', '.join(dataset.fields)}. Received: {', '.join(missing)}")
    return task.score_joined(parts, iter(lambda: list(itertools.islice(items, batch_size)), []))


def _task_of(parts):
    kinds = {type(task) for task, _ in parts}
    if len(parts) < 2 or len(kinds) > 1:
        said = f"{len(parts)}, of {', '.join(sorted(kind.__name__ for kind in kinds))}"
        raise ValueError(f"Expected two runs or more of one task to be joined. Received: {said}")
    return kinds.pop()
