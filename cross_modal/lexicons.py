"""Word vectors of two languages in one space: which word means which."""

import collections
import dataclasses

import numpy as np
import scipy.sparse
from scipy.linalg import orthogonal_procrustes

from cross_modal.retrieval import unit
from cross_modal.words import words_of


def seed_lexicon(sources, targets, min_count=5, least=0.3):
    """Finds words that mean the same in sentences that do: pairs each of which is the other's best (by Dice's coefficient of the sentences that they stand in).

    Args:
        sources: list of str.
        targets: list of str, the translation of each.
        min_count: rarer words are left out.
        least: least coefficient, between 0 and 1.

    Returns:
        List of pairs of words, the surest first.

    Raises:
        ValueError: if there are not as many of both.

    Source:
        Melamed (2000), "Models of Translational Equivalence among Words", section 3, for mutual best pairs.
    """
    if len(sources) != len(targets):
        raise ValueError(f"Expected as many sources as targets. Received: {len(sources)} and {len(targets)}")
    (words, table), (others, other_table) = (_standing(texts, min_count) for texts in (sources, targets))
    if not words or not others:
        return []
    both = (table.T @ other_table).tocoo()
    counts, other_counts = (np.asarray(one.sum(axis=0)).ravel() for one in (table, other_table))
    share = scipy.sparse.csr_matrix((2.0 * both.data / (counts[both.row] + other_counts[both.col]), (both.row, both.col)), shape=both.shape)
    best, other_best = np.asarray(share.argmax(axis=1)).ravel(), np.asarray(share.argmax(axis=0)).ravel()
    pairs = [(place, end, share[place, end]) for place, end in enumerate(best) if other_best[end] == place and share[place, end] >= least]
    return [(words[place], others[end]) for place, end, _ in sorted(pairs, key=lambda pair: -pair[2])]


def _standing(texts, min_count):
    """Words, and which text each stands in, sparse `(texts, words)`."""
    split = [set(words_of(text)) for text in texts]
    counts = collections.Counter(word for words in split for word in words)
    words = sorted(word for word, count in counts.items() if count >= min_count)
    places = {word: place for place, word in enumerate(words)}
    pairs = [(row, places[word]) for row, some in enumerate(split) for word in some if word in places]
    rows, columns = zip(*pairs) if pairs else ((), ())
    return words, scipy.sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(texts), len(words)))


def align(vectors, target, pairs):
    """Turns the vectors of a language so that words that mean the same are near each other, without changing what is near to what in it.

    Args:
        vectors: `WordVectors` that are turned.
        target: `WordVectors` that stay.
        pairs: list of pairs of a word and the target's word, such as a dictionary or `seed_lexicon`; those with an unknown word are passed over.

    Returns:
        `WordVectors` of unit length around no mean, and those of the target: compare these two.

    Raises:
        ValueError: if the sizes differ, or no pair is known.

    Source:
        Artetxe et al. (2016), "Learning Principled Bilingual Mappings of Word Embeddings while Preserving Monolingual Invariance", sections 2.1 to 2.3.
    """
    if vectors.vectors.shape[1] != target.vectors.shape[1]:
        raise ValueError(f"Expected vectors of one size. Received: {vectors.vectors.shape[1]} and {target.vectors.shape[1]}")
    known = [(vectors.places[a], target.places[b]) for a, b in pairs if a in vectors.places and b in target.places]
    if not known:
        raise ValueError(f"Expected a pair of words that both have vectors. Received: none among {len(pairs):,} pairs")
    a, b = (_centred(one) for one in (vectors, target))
    places, others = map(list, zip(*known))
    turn, _ = orthogonal_procrustes(a[places], b[others])
    return dataclasses.replace(vectors, vectors=(a @ turn).astype(np.float32)), dataclasses.replace(target, vectors=b)


def _centred(vectors):
    found = vectors.unit
    return unit(found - found.mean(axis=0))


def translate_words(vectors, target, words, k=5, csls=10):
    """Finds the words of another language that are nearest, after `align`.

    Args:
        vectors: `WordVectors`.
        target: `WordVectors` in the same space.
        words: list of str.
        k: how many of each.
        csls: number of neighbours by whose nearness a cosine is corrected, so that words that are near to everything are no answer; 0 for plain cosines.

    Returns:
        List of a list of pairs of word and score for each, best first.

    Raises:
        KeyError: if a word has no vector.

    Source:
        Conneau et al. (2018), "Word Translation Without Parallel Data", section 2.3 (CSLS).
    """
    a, b = vectors.unit, target.unit
    near_target = _nearness(b, a, csls) if csls else 0.0
    found = []
    for start in range(0, len(words), 512):
        places = [vectors.place(word) for word in words[start : start + 512]]
        cosines = a[places] @ b.T
        scores = 2 * cosines - _nearness(a[places], b, csls)[:, None] - near_target[None] if csls else cosines
        for row in scores:
            best = np.argsort(-row)[:k]
            found.append([(target.words[place], float(row[place])) for place in best])
    return found


def _nearness(rows, others, count):
    """Mean cosine of each row and the others that are nearest to it."""
    means = []
    for start in range(0, len(rows), 512):
        cosines = rows[start : start + 512] @ others.T
        count = min(count, cosines.shape[1])
        means.append(np.partition(cosines, -count, axis=1)[:, -count:].mean(axis=1))
    return np.concatenate(means)


def lexicon_scores(vectors, target, pairs, csls=10):
    """Says how often the translation of a word is found.

    Args:
        vectors: see `translate_words`, as `target` and `csls`.
        pairs: list of pairs of a word and a right answer; a word may have several. Those with an unknown word are passed over.

    Returns:
        Dict of `precision@1`, `precision@5`, and `words`, how many were asked.

    Raises:
        ValueError: if no pair is known.
    """
    right = collections.defaultdict(set)
    for word, other in pairs:
        if word in vectors.places and other in target.places:
            right[word].add(other)
    if not right:
        raise ValueError(f"Expected a pair of words that both have vectors. Received: none among {len(pairs):,} pairs")
    answers = [[word for word, _ in some] for some in translate_words(vectors, target, list(right), 5, csls)]
    scores = {f"precision@{k}": float(np.mean([bool(right[word] & set(said[:k])) for word, said in zip(right, answers)])) for k in (1, 5)}
    return {**scores, "words": len(right)}
