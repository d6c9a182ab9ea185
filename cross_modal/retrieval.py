"""How well views of one kind find those of another, over a whole gallery."""

import dataclasses

import numpy as np

from cross_modal import metrics

_CHUNK = 2**24  # Cells of a similarity matrix that are looked at together.
_HUBS = 10  # The k of the k-occurrences.
DEPTHS = (1, 5, 10)


def unit(vectors):
    """Returns vectors `(rows, size)` with length one, float32; those of nothing stay 0."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@dataclasses.dataclass
class Embedded:
    """Embedded views of one kind.

    Args:
        vectors: float `(views, embedding)`, unit length.
        items: int `(views,)`, equal for views of one item.
        contents: int `(views,)`, equal for views of equal content.
    """

    vectors: np.ndarray
    items: np.ndarray
    contents: np.ndarray


def retrieve(sources, targets):
    """Lets each source look for the views of its item among all targets. A target with the same content as a right one is right too.

    Args:
        sources: `Embedded`; those whose item has no target are left out.
        targets: `Embedded`.

    Returns:
        Dict of `queries`, `candidates`, `recall@k` and `chance@k` for the depths 1, 5 and 10, `median_rank`, `mrr` (mean reciprocal rank), and `hubness`, the skewness of how
        often a candidate is among the first ten answers: 0 for even, large where a few are the answer to everything. None with fewer than two items.

    Source:
        Radovanović et al. (2010), "Hubs in Space", section 3, for `hubness`.
    """
    asked = np.flatnonzero(np.isin(sources.items, targets.items))
    if len(np.unique(sources.items[asked])) < 2:
        return None
    order = np.argsort(targets.items, kind="stable")
    _, groups = np.unique(targets.contents, return_inverse=True)
    alike = len(groups) > groups.max() + 1
    ranks, chances, hubs = [], [], np.zeros(len(targets.items), np.int64)
    for start in range(0, len(asked), max(1, _CHUNK // len(targets.items))):
        some = asked[start : start + max(1, _CHUNK // len(targets.items))]
        relevant = _relevant(sources.items[some], targets.items, order, groups if alike else None)
        similarity = sources.vectors[some] @ targets.vectors.T
        ranks.append(metrics.ranks(similarity, relevant))
        chances.append(relevant.sum(axis=1))
        if len(targets.items) > _HUBS:
            hubs += np.bincount(np.argpartition(-similarity, _HUBS - 1, axis=1)[:, :_HUBS].ravel(), minlength=len(hubs))
    ranks, right = np.concatenate(ranks), np.concatenate(chances)
    row = {"queries": len(ranks), "candidates": len(targets.items), "median_rank": float(np.median(ranks)), "mrr": float((1 / ranks).mean())}
    for k in DEPTHS:
        row[f"recall@{k}"] = float((ranks <= k).mean())
        row[f"chance@{k}"] = float(np.mean([metrics.chance_at(len(targets.items), k, count) for count in right]))
    spread = hubs.std()
    return {**row, "hubness": float(((hubs - hubs.mean()) ** 3).mean() / spread**3) if spread else 0.0}


def _relevant(items, candidates, order, groups):
    """Which candidates are right for queries of these items: bool `(queries, candidates)`."""
    relevant = np.zeros((len(items), len(candidates)), bool)
    low, high = (np.searchsorted(candidates, items, side, sorter=order) for side in ("left", "right"))
    for row, a, b in zip(relevant, low, high):
        places = order[a:b]
        row[places] = True
        if groups is not None:
            row |= np.isin(groups, groups[places])
    return relevant
