"""Vectors of views: how similar two are, and which of many belong together."""

import numpy as np

from cross_modal.features.label import UNDETERMINED
from cross_modal.galleries import build_index
from cross_modal.retrieval import unit
from cross_modal.serving import ask


def encode(endpoints, field, values, language=UNDETERMINED, batch_size=64):
    """Encodes views of a field as vectors.

    Args:
        endpoints: dict of name to `Endpoint`, from `Task.endpoints` or `load`, with `embed_` + field, of a model that aligns, or `encode`, of one that autoencodes.
        field: name of the field.
        values: list of raw values, bytes or str.
        language: of the views.
        batch_size: views asked at once.

    Returns:
        float32 `(values, size)`; of a model that aligns of length one.

    Raises:
        ValueError: if the model has no vectors for the field.
    """
    endpoint = endpoints.get(f"embed_{field}", endpoints.get("encode"))
    if endpoint is None or field not in endpoint.signature:
        known = sorted({name for key, one in endpoints.items() if key.startswith("embed_") or key == "encode" for name in one.signature if not name.endswith("_language")})
        raise ValueError(f"Expected a field that the model has vectors for: {', '.join(known) or 'it has none; train an alignment or an autoencoding'}. Received: {field}")
    if not values:
        raise ValueError(f"Expected at least one value of {field} to encode. Received: none")
    answers = ask(endpoint, [{field: value, f"{field}_language": language} for value in values], batch_size)
    return next(iter(answers.values()))


def cosines(a, b):
    """Returns the cosines of vectors `(rows, size)` and `(columns, size)`: `(rows, columns)`; 0 where one is 0."""
    return unit(a) @ unit(b).T


def similarity(endpoints, views):
    """Says how similar views are, of whatever fields and languages.

    Args:
        endpoints: as in `encode`.
        views: list of triples of field, language and raw value.

    Returns:
        Cosines, float32 `(views, views)`.
    """
    vectors = np.concatenate([encode(endpoints, field, [value], language) for field, language, value in views])
    return cosines(vectors, vectors)


def mine(a, b, neighbours=4):
    """Finds which vectors of one set belong to which of another, such as sentences that are translations of each other.

    A pair counts by its cosine divided by how near the two are to what is near to them: a sentence that is near to everything is no translation of anything. Each vector is in one
    pair at most; the best come first.

    Args:
        a: float `(rows, size)`.
        b: float `(others, size)`.
        neighbours: how many are looked at around each.

    Returns:
        List of `(row, other, margin)`, best first; a margin above about 1.05 is likely right, one of 1 says nothing.

    Source:
        Artetxe and Schwenk (2019), "Margin-based Parallel Corpus Mining with Multilingual Sentence Embeddings", section 3 (ratio, and the best of both directions).
    """
    a, b = (np.ascontiguousarray(unit(one)) for one in (a, b))
    (near_a, others), (near_b, rows) = build_index(b).search(a, min(neighbours, len(b))), build_index(a).search(b, min(neighbours, len(a)))
    around_a, around_b = (np.where(place >= 0, near, 0.0).sum(axis=1) / np.maximum((place >= 0).sum(axis=1), 1) for near, place in ((near_a, others), (near_b, rows)))
    cosines = {(place, int(end)): near for place, row in enumerate(zip(near_a, others)) for near, end in zip(*row) if end >= 0}
    cosines |= {(int(place), end): near for end, row in enumerate(zip(near_b, rows)) for near, place in zip(*row) if place >= 0}
    found = [(place, end, _margin(near, around_a[place], around_b[end])) for (place, end), near in cosines.items()]
    taken, pairs = (set(), set()), []
    for place, end, margin in sorted(found, key=lambda one: -one[2]):
        if place not in taken[0] and end not in taken[1]:
            taken[0].add(place)
            taken[1].add(end)
            pairs.append((place, end, margin))
    return pairs


def _margin(cosine, around, other):
    """The ratio, and where the neighbours are near to nothing, so that it would be large whatever the cosine, one and the difference."""
    mean = float(around + other) / 2
    return float(cosine) / mean if mean > 0.1 else 1.0 + float(cosine) - mean
