"""Strings to the words and n-grams of letters that are in them."""

import base64
import itertools

import numpy as np
import scipy.sparse
import tensorflow as tf

from cross_modal.features.cleaning import Cleaner
from cross_modal.features.feature import Feature

_WORDS, _LETTERS = [1, 2], [2, 3, 4, 5]  # In a row.
_HASHES = 2**63 - 1
_NONE = np.zeros(0, np.int64), np.zeros(0, np.int64)


class NGrams(Feature):
    """Finds which words, pairs of words, and groups of 2 to 5 letters of a word are in a string, without their order: for the tower `ngrams`.

    For classification of texts of which there are few, in any script. Learn what is looked for from a training split with `learn_ngrams`.

    Args:
        words: base64 of the sorted hashes, int64, of words and pairs of words.
        letters: those of groups of letters; a space stands for the beginning or the end of a word.
        weights: base64 of how much each of them counts, words first, float32, see `weigh_ngrams`; None for all alike.
        length: most of them kept of one string, words first; the rest is passed over.
        fold_case: see `Cleaner`, as `punctuation`, `stop_words` and `romanize`.

    Returns:
        `featurize` returns int32 `(time,)` of ids, each once, at most `length`: 1, which stands for there being a text, from 2 on words, and from `2 + self.words` on letters.
        Id 0 is padding and never occurs.

    Raises:
        ValueError: if `length` leaves no room, or `weights` are not as many.

    Source:
        Wang and Manning (2012), "Baselines and Bigrams", section 2, for n-grams that are there or not; Joulin et al. (2017), "Bag of Tricks for Efficient Text Classification",
        section 2.2, for hashes in place of words.
    """

    kind = "text"

    def __init__(self, words, letters, weights=None, length=4096, fold_case=False, punctuation=True, stop_words=None, romanize=False):
        super().__init__(name="ngrams")
        if length < 2:
            raise ValueError(f"Expected `length` to be at least 2. Received: length={length}")
        self._given = {"words": words, "letters": letters, "weights": weights}
        self._known = [_unpacked(part, "<i8") for part in (words, letters)]
        self.length = int(length)
        self.words = len(self._known[0])
        self.vocab_size = 2 + self.words + len(self._known[1])
        self.weights = None if weights is None else np.concatenate([[0.0, 1.0], _unpacked(weights, "<f4")]).astype(np.float32)  # (vocab_size,)
        if weights is not None and len(self.weights) != self.vocab_size:
            raise ValueError(f"Expected {self.vocab_size - 2:,} `weights`, one for each of `words` and `letters`. Received: {len(self.weights) - 2:,}")
        self.spec = tf.TensorSpec((None,), tf.int32)
        self.cleaner = Cleaner(fold_case, punctuation, stop_words, romanize)

    def clean(self, raw, language):
        return self.cleaner(raw, language)

    def featurize(self, raw):
        found, first = [tf.constant([1], tf.int32)], 2
        for known, hashes in zip(self._known, _hashes(raw[None])):
            if len(known):
                table, hashes = tf.constant(known), tf.unique(hashes.values).y  # A graph has the table once.
                places = tf.minimum(tf.searchsorted(table, hashes), len(known) - 1)
                found.append(tf.boolean_mask(first + places, tf.gather(table, places) == hashes))
            first += len(known)
        return tf.concat(found, 0)[: self.length]

    def config(self):
        return {**self._given, "length": self.length, **self.cleaner.config()}


def learn_ngrams(texts, vocab_size=None):
    """Finds the words and groups of letters that stand in two texts or more.

    Args:
        texts: iterable of strings, of the training split alone.
        vocab_size: most of them, those in the most texts, and of those that are in as many all or none; None for 200,000.

    Returns:
        Dict of `words` and `letters`, see `NGrams`.

    Raises:
        ValueError: if there is no text, or `vocab_size` is less than 3.
    """
    vocab_size = 200_000 if vocab_size is None else vocab_size
    if vocab_size < 3:
        raise ValueError(f"Expected `vocab_size` to be at least 3. Received: vocab_size={vocab_size}")
    parts, texts = ([_NONE], [_NONE]), (text for text in texts if text.strip())
    while some := list(itertools.islice(texts, 1024)):
        for pieces, hashes in zip(parts, _hashes(tf.constant(some))):
            pieces.append(_once(hashes))
            if sum(len(values) for values, _ in pieces[1:]) > len(pieces[0][0]):  # What is known is sorted again only where it may double.
                pieces[:] = [_summed(pieces)]
    found = [_summed(pieces) for pieces in parts]
    if not any(len(values) for values, _ in found):
        raise ValueError("Expected at least one text to learn n-grams from. Received: none; does the training split have this field?")
    counts = np.sort(np.concatenate([seen for _, seen in found]))[::-1]
    least = max(2, counts[vocab_size - 2] + 1) if len(counts) > vocab_size - 2 else 2
    return {name: _packed(values[seen >= least], "<i8") for name, (values, seen) in zip(("words", "letters"), found)}


def weigh_ngrams(words, letters, texts, labels, power=1.5):
    """Says how much each n-gram counts: the more, the more unequally it is spread over the labels.

    The weight is a power of the largest logarithm, over the labels, of its share in texts of one by its share in those of the others, one text more of each. That a label with few
    texts lacks it says nothing. The mean of the squares of all is one.

    Args:
        words: see `NGrams`.
        letters: see `NGrams`.
        texts: iterable of strings, of the training split alone.
        labels: iterable of a collection of labels of each text, which may be empty.
        power: 1 for the logarithm itself; more sets off what tells most.

    Returns:
        `weights` of `NGrams`.

    Raises:
        ValueError: if there are fewer than two labels.

    Source:
        Wang and Manning (2012), "Baselines and Bigrams", equation 1; the largest of all labels in place of one of two.
    """
    tables, counts, pairs = [_unpacked(part, "<i8") for part in (words, letters)], {}, zip(texts, labels)
    while some := list(itertools.islice(pairs, 1024)):
        chunk, owns = zip(*some)
        seen = scipy.sparse.hstack([_looked_up(table, hashes) for table, hashes in zip(tables, _hashes(tf.constant(chunk)))]).tocsr()  # (texts, n-grams)
        for name in {name for own in owns for name in own}:
            counts[name] = counts.get(name, 0.0) + np.asarray(seen[[name in own for own in owns]].sum(axis=0))[0]
    if len(counts) < 2:
        raise ValueError(f"Expected texts of two labels or more to weigh n-grams by. Received: {len(counts)}")
    own = np.stack([counts[name] for name in sorted(counts)])  # (labels, n-grams)
    shares = [np.log(one + 1.0) - np.log((one + 1.0).sum(axis=1, keepdims=True)) for one in (own, own.sum(axis=0) - own)]
    weights = np.maximum(shares[0] - shares[1], 0.0).max(axis=0) ** power
    return _packed(weights / max(np.sqrt(np.mean(weights**2)), 1e-6), "<f4")


def _looked_up(table, hashes):
    """Which of the hashes of a table are among those of texts, ragged `(batch, time)`: a sparse matrix of ones, `(batch, table)`."""
    rows, values = hashes.value_rowids().numpy(), hashes.values.numpy()
    places = np.searchsorted(table, values)
    known = np.append(table, 0)[places] == values
    found = scipy.sparse.csr_matrix((np.ones(known.sum()), (rows[known], places[known])), (hashes.nrows().numpy(), len(table) + 1))[:, : len(table)]
    found.data[:] = 1.0
    return found


def _packed(values, kind):
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _unpacked(packed, kind):
    return np.frombuffer(base64.b64decode(packed), kind)


def _once(hashes):
    """The hashes of texts, ragged `(batch, time)`, each once a text, and a one for each."""
    rows, values = hashes.value_rowids().numpy(), hashes.values.numpy()
    order = np.lexsort((values, rows))
    rows, values = rows[order], values[order]
    first = np.concatenate([[True], (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])])[: len(values)]
    return values[first], np.ones(first.sum(), np.int64)


def _summed(pieces):
    """The sorted hashes of pairs of hashes and numbers, and the sums of their numbers."""
    values, places = np.unique(np.concatenate([values for values, _ in pieces]), return_inverse=True)
    return values, np.bincount(places, np.concatenate([seen for _, seen in pieces]), len(values)).astype(np.int64)


def _hashes(raw):
    """Hashes of the words and of the groups of letters of strings `(batch,)`, two ragged int64 tensors `(batch, time)`."""
    raw = tf.strings.regex_replace(raw, r"[\p{Z}\s]+", " ")
    tokens = tf.strings.split(raw, " ")
    tokens = tf.ragged.boolean_mask(tokens, tf.strings.length(tokens) > 0)
    apart = tf.strings.split(tf.strings.strip(tf.strings.regex_replace(raw, r"\s*([^\p{L}\p{M}\p{N}_\s])\s*", r" \1 ")))
    words = tf.strings.ngrams(apart, _WORDS, separator=" ")
    characters = tf.strings.unicode_split(tf.strings.join([" ", tokens.values, " "]), "UTF-8")
    groups = tf.strings.ngrams(characters, _LETTERS, separator="")
    letters = tf.RaggedTensor.from_row_splits(groups.values, tf.gather(groups.row_splits, tokens.row_splits))
    return [one.with_values(tf.strings.to_hash_bucket_fast(one.values, _HASHES)) for one in (words, letters)]
