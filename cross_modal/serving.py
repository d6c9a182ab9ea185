"""Raw values in, answers out: prediction over items and search in a gallery."""

import dataclasses

import numpy as np
import tensorflow as tf

from cross_modal.features.label import UNDETERMINED


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


def predict(endpoints, examples, batch_size=64):
    """Answers for items what the endpoints answer.

    Args:
        endpoints: dict of name to `Endpoint`, from `Task.endpoints` or `load`.
        examples: iterable of dicts of `id` and fields, each a dict of `value` and `language`, lists; the first view of a field counts.
        batch_size: items asked at once.

    Yields:
        Dict of `id` and, for each endpoint for which the item has a value, its outputs as plain values.
    """
    endpoints = {name: endpoint for name, endpoint in endpoints.items() if name != "serving_default"}
    chunk = []
    for example in examples:
        chunk.append(example)
        if len(chunk) == batch_size:
            yield from _predict_chunk(endpoints, chunk)
            chunk = []
    yield from _predict_chunk(endpoints, chunk)


def _predict_chunk(endpoints, chunk):
    answers = [{"id": example["id"]} for example in chunk]
    for endpoint in endpoints.values():
        rows = [_arguments(endpoint, example) for example in chunk]
        chosen = [place for place, row in enumerate(rows) if row]
        outputs = ask(endpoint, [rows[place] for place in chosen], len(chunk))
        for name, values in outputs.items():
            for place, value in zip(chosen, values):
                answers[place][name if len(endpoints) == 1 else f"{_field(endpoint)}_{name}"] = _plain(value)
    yield from answers


def _field(endpoint):
    return next(iter(endpoint.signature))


def _arguments(endpoint, example):
    row = {}
    for name in endpoint.signature:
        if name in example and len(example[name]["value"]):
            row[name] = example[name]["value"][0]
            row[f"{name}_language"] = example[name]["language"][0]
    return row


def _plain(value):
    return value.decode() if isinstance(value, bytes) else np.asarray(value).tolist()


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Embedded views to search in.

    Args:
        field: the field they are of.
        ids: list of the items' ids.
        languages: list of the views' languages.
        values: list of the raw values, bytes.
        vectors: float `(candidates, embedding)`, unit length.
    """

    field: str
    ids: list[str]
    languages: list[str]
    values: list[bytes]
    vectors: np.ndarray


def build_gallery(endpoints, dataset, split, field, language=None):
    """Embeds all views of a field in a split.

    Args:
        endpoints: dict of name to `Endpoint`, with `embed_` + field.
        dataset: `Dataset`.
        split: name of the split.
        field: name of the field.
        language: takes the views in this language alone; None for all.

    Returns:
        `Gallery`.

    Raises:
        ValueError: if the task cannot embed the field, or there is no view.
    """
    endpoint = embedder(endpoints, field)
    ids, languages, values = [], [], []
    for item in dataset.items(split).as_numpy_iterator():
        for value, tag in zip(item[field]["value"], item[field]["language"]):
            if language in (None, tag.decode()):
                ids.append(item["id"].decode())
                languages.append(tag.decode())
                values.append(value)
    if not ids:
        raise ValueError(f"Expected views of {field}{f' in {language}' if language else ''} in the split {split}. Received: none in {dataset.path}")
    rows = [{field: value, f"{field}_language": tag} for value, tag in zip(values, languages)]
    return Gallery(field, ids, languages, values, ask(endpoint, rows)["embedding"])


def embedder(endpoints, field):
    """Returns the endpoint that embeds a field, or says which can be."""
    if f"embed_{field}" not in endpoints:
        known = [name.removeprefix("embed_") for name in endpoints if name.startswith("embed_")]
        raise ValueError(f"Expected a field that the model embeds: {', '.join(known) or 'it embeds none; train an alignment'}. Received: {field}")
    return endpoints[f"embed_{field}"]


def search(endpoints, gallery, field, value, language=UNDETERMINED, k=10):
    """Finds the views of a gallery that are nearest to one view of any field.

    Args:
        endpoints: dict of name to `Endpoint`, with `embed_` + field.
        gallery: `Gallery`.
        field: field of the query.
        value: its raw value, bytes or str.
        language: its language.
        k: how many to return.

    Returns:
        List of `(place in the gallery, cosine)`, best first.
    """
    query = ask(embedder(endpoints, field), [{field: value, f"{field}_language": language}])["embedding"][0]
    scores = gallery.vectors @ query
    order = np.argsort(-scores, kind="stable")[:k]
    return [(int(place), float(scores[place])) for place in order]
