"""Strings to the words and n-grams of letters that are in them."""

import itertools

import numpy as np
import scipy.sparse
import tensorflow as tf
import tensorflow_text as tf_text

from cross_modal.features.cleaning import Cleaner
from cross_modal.features.feature import Feature
from cross_modal.features.label import UNDETERMINED
from cross_modal.features.packing import packed, unpacked

_WORDS, _LETTERS = [1, 2], [2, 3, 4, 5]  # In a row.
_HASHES = 2**63 - 1
_NONE = np.zeros(0, np.int64), np.zeros(0, np.int64)
_PARTS = ["words", "letters", "own_words", "own_letters"]
_MARK = "\x1f"  # Between the tag of a language and the text.


class NGrams(Feature):
    """Finds which words, pairs of words, and groups of 2 to 5 letters of a word are in a string, without their order: for the tower `ngrams`.

    For classification of texts of which there are few, in any script. Learn what is looked for from a training split with `learn_ngrams`.

    Args:
        words: base64 of the sorted hashes, int64, of words and pairs of words.
        letters: those of groups of letters; a space stands for the beginning or the end of a word.
        own_words: those of words of one language, which are other ones than the same words of another; empty for none.
        own_letters: those of groups of letters of one language; empty for none.
        weights: base64 of how much each of all these counts, in this order, float32, see `weigh_ngrams`; None for all alike.
        weigh_by: label that the weights were learned from, where they are to be learned anew for a model that is shown a part of a training split alone.
        length: most of them kept of one string, words first; the rest is passed over.
        fold_case: see `Cleaner`, as `punctuation`, `stop_words` and `romanize`.

    Returns:
        `featurize` returns int32 `(time,)` of ids, each once, at most `length`: 1, which stands for there being a text, and those of each part from the first in `self.firsts` on.
        Id 0 is padding and never occurs. Of a text whose language is not known nothing is found of the last two.

    Raises:
        ValueError: if `length` leaves no room, or `weights` are not as many.

    Source:
        Wang and Manning (2012), "Baselines and Bigrams", section 2, for n-grams that are there or not; Daumé III (2007), "Frustratingly Easy Domain Adaptation", section 3.1, for
        those of a language beside those of all; Joulin et al. (2017), "Bag of Tricks for Efficient Text Classification", section 2.2, for hashes in place of words.
    """

    kind = "text"

    def __init__(
        self, words, letters, own_words="", own_letters="", weights=None, weigh_by=None, length=4096, fold_case=False, punctuation=True, stop_words=None, romanize=False
    ):  # fmt: skip
        super().__init__(name="ngrams")
        if length < 2:
            raise ValueError(f"Expected `length` to be at least 2. Received: length={length}")
        self._given = {"words": words, "letters": letters, "own_words": own_words, "own_letters": own_letters, "weights": weights}
        self._known = [unpacked(self._given[part], "<i8") for part in _PARTS]
        self.length, self.weigh_by = int(length), weigh_by
        ends = 2 + np.cumsum([len(known) for known in self._known])
        self.firsts, self.vocab_size = [2, *map(int, ends[:-1])], int(ends[-1])
        self.weights = None if weights is None else np.concatenate([[0.0, 1.0], unpacked(weights, "<f4")]).astype(np.float32)  # (vocab_size,)
        if weights is not None and len(self.weights) != self.vocab_size:
            raise ValueError(f"Expected {self.vocab_size - 2:,} `weights`, one for each of `words` and `letters`. Received: {len(self.weights) - 2:,}")
        self.spec = tf.TensorSpec((None,), tf.int32)
        self.cleaner = Cleaner(fold_case, punctuation, stop_words, romanize)

    def clean(self, raw, language):
        own = self._given["own_words"] or self._given["own_letters"]
        raw = tf_text.normalize_utf8(raw, "NFC")  # As texts of a table are; of what is sent an é may be two signs.
        return mark_language(self.cleaner(raw, language), language if own else tf.zeros_like(language))

    def featurize(self, raw):
        found = [tf.constant([1], tf.int32)]
        for first, known, hashes in zip(self.firsts, self._known, _hashes(raw[None])):
            if len(known):
                table, hashes = tf.constant(known), tf.unique(hashes.values).y  # A graph has the table once.
                places = tf.minimum(tf.searchsorted(table, hashes), len(known) - 1)
                found.append(tf.boolean_mask(first + places, tf.gather(table, places) == hashes))
        return tf.concat(found, 0)[: self.length]

    def config(self):
        return {**self._given, "weigh_by": self.weigh_by, "length": self.length, **self.cleaner.config()}


def mark_language(raw, language):
    """Returns texts that say which language they are in, for `learn_ngrams` and `weigh_ngrams` to find what is a language's own; of what users wrote nothing is taken for that.

    Args:
        raw: string tensor `(values,)`; what is empty stays so.
        language: string tensor `(values,)` of tags, empty or `und` where none is known.
    """
    raw = tf.strings.regex_replace(raw, _MARK, " ")
    return tf.where((language == "") | (language == UNDETERMINED) | (raw == ""), raw, tf.strings.join([language, _MARK, raw]))


def learn_ngrams(texts, vocab_size=None, idf=False):
    """Finds the words and groups of letters that stand in two texts or more.

    Args:
        texts: iterable of strings, of the training split alone; of those with a mark, see `mark_language`, also what is a language's own.
        vocab_size: most of them, those in the most texts, and of those that are in as many all or none; None for 200,000.
        idf: whether each counts the more, the fewer texts it is in, by its inverse document frequency as scikit-learn has it, `1 + ln((1 + texts) / (1 + texts that have it))`.

    Returns:
        Dict of `words`, `letters`, `own_words` and `own_letters`, and with `idf` also `weights`, the mean of whose squares is one; see `NGrams`.

    Raises:
        ValueError: if there is no text, or `vocab_size` is less than 3.

    Source:
        Spärck Jones (1972), "A Statistical Interpretation of Term Specificity and Its Application in Retrieval", for `idf`.
    """
    vocab_size = 200_000 if vocab_size is None else vocab_size
    if vocab_size < 3:
        raise ValueError(f"Expected `vocab_size` to be at least 3. Received: vocab_size={vocab_size}")
    parts, texts, total = [[_NONE] for _ in _PARTS], (text for text in texts if text.strip()), 0
    while some := list(itertools.islice(texts, 1024)):
        total += len(some)
        for pieces, hashes in zip(parts, _hashes(tf.constant(some))):
            pieces.append(_once(hashes))
            if sum(len(values) for values, _ in pieces[1:]) > len(pieces[0][0]):  # What is known is sorted again only where it may double.
                pieces[:] = [_summed(pieces)]
    found = [_summed(pieces) for pieces in parts]
    if not any(len(values) for values, _ in found):
        raise ValueError("Expected at least one text to learn n-grams from. Received: none; does the training split have this field?")
    counts = np.sort(np.concatenate([seen for _, seen in found]))[::-1]
    least = max(2, counts[vocab_size - 2] + 1) if len(counts) > vocab_size - 2 else 2
    known = {name: packed(values[seen >= least], "<i8") for name, (values, seen) in zip(_PARTS, found)}
    if idf:
        known["weights"] = _as_weights(1.0 + np.log((1.0 + total) / (1.0 + np.concatenate([seen[seen >= least] for _, seen in found]))))
    return known


def weigh_ngrams(known, texts, labels):
    """Says how much each n-gram counts: the more, the more unequally it is spread over the labels.

    The weight is the largest logarithm, over the labels of which a text has it, of its share in texts of one by its share in those of the others, one text more of each. The mean
    of the squares of all is one.

    Args:
        known: dict that `learn_ngrams` returned.
        texts: iterable of strings, of the training split alone, with a mark or without as those.
        labels: iterable of a collection of labels of each text, which may be empty.

    Returns:
        `weights` of `NGrams`.

    Raises:
        ValueError: if there are fewer than two labels.

    Source:
        Wang and Manning (2012), "Baselines and Bigrams", equation 1; the largest of all labels in place of one of two.
    """
    tables, names, pairs = [unpacked(known[part], "<i8") for part in _PARTS], {}, zip(texts, labels)
    own = scipy.sparse.csr_matrix((0, sum(map(len, tables))))  # (labels, n-grams)
    while some := list(itertools.islice(pairs, 1024)):
        chunk, owners = zip(*some)
        seen = scipy.sparse.hstack([_looked_up(table, hashes) for table, hashes in zip(tables, _hashes(tf.constant(chunk)))]).tocsr()  # (texts, n-grams)
        has = [(names.setdefault(name, len(names)), place) for place, one in enumerate(owners) for name in sorted(one)]
        has = scipy.sparse.csr_matrix((np.ones(len(has)), np.array(has, int).reshape(-1, 2).T), (len(names), len(chunk)))
        own.resize((len(names), own.shape[1]))
        own = own + has @ seen
    if len(names) < 2:
        raise ValueError(f"Expected texts of two labels or more to weigh n-grams by. Received: {len(names)}")
    sums, total = (np.asarray(own.sum(axis=axis)).ravel() for axis in (1, 0))
    own = own.tocoo()
    shares = [np.log(seen + 1.0) - np.log(whole + own.shape[1]) for seen, whole in ((own.data, sums[own.row]), (total[own.col] - own.data, total.sum() - sums[own.row]))]
    weights = np.zeros(own.shape[1])
    np.maximum.at(weights, own.col, shares[0] - shares[1])
    return _as_weights(weights)


def _as_weights(weights):
    return packed(weights / max(np.sqrt(np.mean(weights**2)), 1e-6), "<f4")


def _looked_up(table, hashes):
    """Which of the hashes of a table are among those of texts, ragged `(batch, time)`: a sparse matrix of ones, `(batch, table)`."""
    rows, values = hashes.value_rowids().numpy(), hashes.values.numpy()
    places = np.searchsorted(table, values)
    known = np.append(table, 0)[places] == values
    found = scipy.sparse.csr_matrix((np.ones(known.sum()), (rows[known], places[known])), (hashes.nrows().numpy(), len(table) + 1))[:, : len(table)]
    found.data[:] = 1.0
    return found


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
    """Hashes of the words and of the groups of letters of strings `(batch,)`, and of both as a language's own where there is a mark: four ragged int64 tensors `(batch, time)`."""
    marked = tf.strings.regex_full_match(raw, f"(?s).*{_MARK}.*")
    languages = tf.strings.to_hash_bucket_fast(tf.strings.regex_replace(raw, f"(?s){_MARK}.*", _MARK), _HASHES)  # With the mark a tag is no word of any text.
    raw = tf.strings.regex_replace(tf.strings.regex_replace(raw, f"(?s)^.*{_MARK}", ""), r"[\p{Z}\s]+", " ")
    tokens = tf.strings.split(raw, " ")
    tokens = tf.ragged.boolean_mask(tokens, tf.strings.length(tokens) > 0)
    apart = tf.strings.split(tf.strings.strip(tf.strings.regex_replace(raw, r"\s*([^\p{L}\p{M}\p{N}_\s])\s*", r" \1 ")))
    words = tf.strings.ngrams(apart, _WORDS, separator=" ")
    characters = tf.strings.unicode_split(tf.strings.join([" ", tokens.values, " "]), "UTF-8")
    groups = tf.strings.ngrams(characters, _LETTERS, separator="")
    letters = tf.RaggedTensor.from_row_splits(groups.values, tf.gather(groups.row_splits, tokens.row_splits))
    shared = [one.with_values(tf.strings.to_hash_bucket_fast(one.values, _HASHES)) for one in (words, letters)]
    own = [one.with_values(tf.bitwise.bitwise_xor(one.values, tf.gather(languages, one.value_rowids()))) for one in shared]
    return shared + [tf.ragged.boolean_mask(one, one.with_values(tf.gather(marked, one.value_rowids()))) for one in own]
