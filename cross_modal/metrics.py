"""Functions of references and hypotheses; scikit-learn does the counting where it can."""

import numpy as np
from sklearn.metrics import accuracy_score, f1_score


def ranks(similarity, relevant):
    """Ranks the first relevant candidate of each query.

    A candidate that is as similar as the relevant one counts as before it, and so does NaN: a model that gives all the same score earns nothing.

    Args:
        similarity: float `(queries, candidates)`.
        relevant: bool `(queries, candidates)`, at least one True a row.

    Returns:
        int `(queries,)`, 1 for the best.

    Raises:
        ValueError: if a query has no relevant candidate.
    """
    similarity, relevant = np.asarray(similarity), np.asarray(relevant, bool)
    if not relevant.any(axis=1).all():
        raise ValueError(f"Expected a relevant candidate for every query. Received: none for queries {np.flatnonzero(~relevant.any(axis=1))[:5].tolist()}")
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    return 1 + (~(similarity < best) & ~relevant).sum(axis=1)


def recall_at(similarity, relevant, k):
    """Returns the share of queries with a relevant candidate among the first `k`, between 0 and 1."""
    return float((ranks(similarity, relevant) <= k).mean())


def chance_at(candidates, k):
    """Returns the recall at `k` of a random order with one relevant candidate."""
    return min(1.0, k / candidates)


def accuracy(references, hypotheses):
    """Returns the share of equal labels."""
    return float(accuracy_score(references, hypotheses))


def macro_f1(references, hypotheses):
    """Returns the mean F1 over the classes that occur in the references."""
    return float(f1_score(references, hypotheses, labels=sorted(set(references)), average="macro", zero_division=0.0))
