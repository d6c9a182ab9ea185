"""Raw values in, answers out."""

import base64
import collections

import numpy as np
import tensorflow as tf


def ask(endpoint, rows, batch_size=64):
    """Asks an endpoint about many rows.

    Args:
        endpoint: `Endpoint`.
        rows: list of dicts of argument to bytes or str; a missing argument is an absent value.
        batch_size: rows asked at once.

    Returns:
        Dict of output to NumPy array `(rows, ...)`.
    """
    parts = []
    for start in range(0, len(rows), batch_size):
        chunk = rows[start : start + batch_size]
        raw = {name: tf.constant([row.get(name, "") for row in chunk], tf.string) for name in endpoint.signature}
        parts.append({name: value.numpy() for name, value in endpoint(**raw).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def predict(endpoints, examples, batch_size=64, given=()):
    """Answers for items what the endpoints answer.

    Args:
        endpoints: dict of name to `Endpoint`, from `Task.endpoints` or `load`.
        examples: iterable of dicts of `id` and fields, each a dict of `value` and `language`, lists; the first view of a field counts.
        batch_size: items asked at once.
        given: dict of argument to a value for all items, such as `{"target_language": "de"}`.

    Yields:
        Dict of `id` and, for each endpoint that asks for nothing but fields of the items and for which an item has a value, its outputs as plain values.
    """
    endpoints, given = {name: endpoint for name, endpoint in endpoints.items() if name != "serving_default"}, dict(given)
    chunk = []
    for example in examples:
        chunk.append(example)
        if len(chunk) == batch_size:
            yield from _predict_chunk(endpoints, chunk, given)
            chunk = []
    yield from _predict_chunk(endpoints, chunk, given)


def _predict_chunk(endpoints, chunk, given):
    answers = [{"id": example["id"]} for example in chunk]
    fields = {name for example in chunk for name in example}
    endpoints = {name: one for name, one in endpoints.items() if all(argument in fields or argument.endswith("_language") for argument in one.signature)}
    counts = collections.Counter(name for endpoint in endpoints.values() for name in endpoint.compiled.structured_outputs)
    for endpoint in endpoints.values():
        rows = [first_views(example, endpoint.signature) for example in chunk]
        chosen = [place for place, row in enumerate(rows) if row]
        rows = [{**{name: value for name, value in given.items() if name in endpoint.signature}, **row} for row in rows]
        outputs = ask(endpoint, [rows[place] for place in chosen], len(chunk))
        for name, values in outputs.items():
            for place, value in zip(chosen, values):
                answers[place][name if counts[name] == 1 else f"{_field(endpoint)}_{name}"] = plain(name, value)
    yield from answers


def _field(endpoint):
    return next(iter(endpoint.signature))


def first_views(example, names):
    """Returns the first view of each of some fields that an item has, as an endpoint takes it: its value under the name of the field, and its tag under that with `_language`."""
    row = {}
    for name in names:
        if name in example and len(example[name]["value"]):
            row[name] = example[name]["value"][0]
            row[f"{name}_language"] = example[name]["language"][0]
    return row


def plain(name, value):
    """Returns an output of one row as JSON can hold it; what is called `..._bytes` as `{"b64": ...}`, as TensorFlow Serving gives it."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [plain(name, one) for one in value]
    if not isinstance(value, bytes):
        return np.asarray(value).tolist()
    return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode("utf-8", "replace")
