"""Items that are like others: by any mix of their views, not all of a sort, and how good that is."""

import collections
import dataclasses

import numpy as np

from cross_modal.galleries import build_index, embedder
from cross_modal.retrieval import unit
from cross_modal.serving import ask

_LOOKED_AT = 10  # Times as many candidates as are asked for are put in a new order, and 100 at least.


@dataclasses.dataclass(frozen=True)
class Shelf:
    """Items with one vector each, the mean of the vectors of their views.

    Args:
        ids: list of the items' ids.
        vectors: float32 `(items, embedding)`, unit length.
        shown: list of something to show of each: a text, or what else it has.
        index: of the vectors, see `galleries.build_index`.
    """

    ids: list[str]
    vectors: np.ndarray
    shown: list[str]
    index: object


def fill_shelf(endpoints, dataset, split="test", fields=(), languages=("en",)):
    """Embeds the items of a split.

    Args:
        endpoints: dict of name to `Endpoint`, with `embed_` + field.
        dataset: `Dataset`.
        split: name of the split.
        fields: that count; all that the model embeds. First all views of a field are averaged, then the fields.
        languages: of the texts that are shown, the first that an item has; else its first text.

    Returns:
        `Shelf` of the items that have a view of one.

    Raises:
        ValueError: if the task cannot embed a field, or there is no view.
    """
    fields = list(fields) or [name.removeprefix("embed_") for name in endpoints if name.startswith("embed_") and name.removeprefix("embed_") in dataset.fields]
    chosen = {name: embedder(endpoints, name) for name in fields}
    if missing := [name for name in fields if name not in dataset.fields]:
        raise ValueError(f"Expected fields of the dataset {dataset.path}: {', '.join(dataset.fields)}. Received: {', '.join(missing)}")
    items = list(dataset.items(split).as_numpy_iterator())
    sums, counts = None, np.zeros(len(items))
    for name, endpoint in chosen.items():
        rows = [(place, value, tag) for place, item in enumerate(items) for value, tag in zip(item[name]["value"], item[name]["language"])]
        if not rows:
            continue
        vectors = ask(endpoint, [{name: value, f"{name}_language": tag} for _, value, tag in rows])["embedding"]
        sums = np.zeros((len(items), vectors.shape[1])) if sums is None else sums
        own, places = np.zeros_like(sums), np.array([place for place, _, _ in rows])
        np.add.at(own, places, vectors)
        sums, counts = sums + unit(own), counts + np.isin(np.arange(len(items)), places)
    kept = np.flatnonzero(counts)
    if not len(kept):
        raise ValueError(f"Expected views of {', '.join(fields) or 'a field that the model embeds'} in the split {split}. Received: none in {dataset.path}")
    vectors = unit(sums[kept])
    texts = [name for name, field in dataset.fields.items() if field.kind == "text"]
    shown = [_shown(items[place], texts, languages) for place in kept]
    return Shelf([items[place]["id"].decode() for place in kept], vectors, shown, build_index(vectors))


def _shown(item, fields, languages):
    texts = [(tag.decode(), value.decode()) for name in fields for value, tag in zip(item[name]["value"], item[name]["language"])]
    return next((text for language in languages for tag, text in texts if tag == language), texts[0][1] if texts else "")


def query(endpoints, views):
    """Returns the vector `(embedding,)` of a mix of views, triples of field, language and raw value: the mean of theirs, unit length."""
    vectors = [ask(embedder(endpoints, field), [{field: value, f"{field}_language": language}])["embedding"][0] for field, language, value in views]
    return unit(np.mean(vectors, axis=0, keepdims=True))[0]


def similar(shelf, vector, k=10, diversity=0.0, without=()):
    """Finds the items that are nearest to a vector, and if asked for, not all of a sort.

    Args:
        shelf: `Shelf`.
        vector: float `(embedding,)`, unit length, of `query` or of an item.
        k: how many to return, at most.
        diversity: 0 for the nearest; towards 1 an item counts less the nearer it is to one that is already taken (maximal marginal relevance).
        without: ids that are passed over.

    Returns:
        List of `(place on the shelf, cosine)`, in the order they are taken.

    Raises:
        ValueError: if `diversity` is not between 0 and 1, or `k` is less than 1.

    Source:
        Carbonell and Goldstein (1998), "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries", section 2.
    """
    if not 0 <= diversity <= 1 or k < 1:
        raise ValueError(f"Expected `diversity` between 0 and 1 and `k` of at least 1. Received: diversity={diversity}, k={k}")
    count = min(len(shelf.ids), (max(100, _LOOKED_AT * k) if diversity else k) + len(without))
    cosines, places = shelf.index.search(np.ascontiguousarray(vector, np.float32)[None], count)
    left = [(int(place), float(cosine)) for place, cosine in zip(places[0], cosines[0]) if place >= 0 and shelf.ids[place] not in set(without)]
    if not diversity:
        return left[:k]
    taken, nearest = [], np.full(len(left), -1.0)  # The cosine of each to the nearest that is taken.
    among = shelf.vectors[[place for place, _ in left]] if left else np.zeros((0, 1))
    relevance = np.array([cosine for _, cosine in left])
    while len(taken) < min(k, len(left)):
        worth = (1 - diversity) * relevance - (diversity * nearest if taken else 0.0)
        worth[taken] = -np.inf
        taken.append(int(worth.argmax()))
        nearest = np.maximum(nearest, among @ among[taken[-1]])
    return [left[place] for place in taken]


def recommendation_scores(shelf, relevant, k=10, diversity=0.0):
    """Scores what is found for each item among all others.

    Args:
        shelf: `Shelf`.
        relevant: list of a label for each item: those of the same label are right; None for an item that is not asked.
        k: items found for each.
        diversity: see `similar`.

    Returns:
        Dict of `recall`, the share of the right items, or of `k` where there are more, that are found; `precision`, of the found that are right; `chance`, that of a random order;
        `diversity`, one less the mean cosine of two found items (intra-list diversity); and `items` that are asked.

    Source:
        Ziegler et al. (2005), "Improving Recommendation Lists Through Topic Diversification", section 3.3.
    """
    recalls, precisions, chances, apart, counts = [], [], [], [], collections.Counter(relevant)
    for place, label in enumerate(relevant):
        right = counts[label] - 1 if label is not None else 0
        if not right:
            continue
        found = [other for other, _ in similar(shelf, shelf.vectors[place], k, diversity, [shelf.ids[place]])]
        hits = sum(relevant[other] == label for other in found)
        recalls.append(hits / min(right, k))
        precisions.append(hits / max(len(found), 1))
        chances.append(right / (len(relevant) - 1))
        if len(found) > 1:
            cosines = shelf.vectors[found] @ shelf.vectors[found].T
            apart.append(1.0 - (cosines.sum() - len(found)) / (len(found) * (len(found) - 1)))
    means = {"recall": recalls, "precision": precisions, "chance": chances, "diversity": apart}
    return {**{name: float(np.mean(some)) if some else 0.0 for name, some in means.items()}, "items": len(recalls)}
