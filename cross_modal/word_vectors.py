"""Vectors of words, learned from texts: skip-gram with negative sampling, and GloVe."""

import collections
import dataclasses
import functools
import pathlib
import time

import keras
import numpy as np
import scipy.sparse
import tensorflow as tf

from cross_modal.layers import CoOccurrence, SkipGram
from cross_modal.losses import Cost
from cross_modal.retrieval import unit
from cross_modal.words import words_of

_STEPS = 24  # Words in a row of a batch.
_MOST = 200.0  # Terms of the cost that a word may be in, in a batch, on average: the sum of more steps made at once goes too far.


@dataclasses.dataclass(frozen=True)
class WordVectors:
    """Words and their vectors, the most common first.

    Args:
        words: list of str.
        vectors: float32 `(words, dim)`.
        counts: int `(words,)`, how often each occurs; zeros where it is not known.
    """

    words: list
    vectors: np.ndarray
    counts: np.ndarray

    def __getitem__(self, word):
        return self.vectors[self.place(word)]

    def place(self, word):
        """Returns the place of a word, or raises KeyError."""
        if word not in self.places:
            raise KeyError(f"Expected one of the {len(self.words):,} words. Received: {word!r}")
        return self.places[word]

    def __contains__(self, word):
        return word in self.places

    @functools.cached_property
    def places(self):
        """Dict of word to its place, the first where it stands twice."""
        return {word: place for place, word in reversed(list(enumerate(self.words)))}

    @property
    def unit(self):
        """The vectors with length one."""
        return unit(self.vectors)

    def nearest(self, word, k=10):
        """Returns the `k` words that are nearest to one, pairs of word and cosine, best first."""
        place, vectors = self.place(word), self.unit
        cosines = vectors @ vectors[place]
        order = [one for one in np.argsort(-cosines) if one != place][:k]
        return [(self.words[one], float(cosines[one])) for one in order]

    def save(self, path):
        """Writes the text format of word2vec: a line of the numbers of words and dimensions, then a line a word."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{len(self.words)} {self.vectors.shape[1]}\n")
            for word, vector in zip(self.words, self.vectors):
                file.write(f"{word} {' '.join(f'{value:.6g}' for value in vector)}\n")

    @classmethod
    def load(cls, path):
        """Reads what `save`, word2vec, gensim or fastText wrote.

        Raises:
            ValueError: naming the line, if it is no such file.
        """
        words, vectors = [], []
        with open(path, encoding="utf-8") as file:
            first = file.readline().split()
            if len(first) != 2 or not all(one.isdigit() for one in first):
                raise ValueError(f"{path}, line 1: expected the numbers of words and dimensions, as word2vec writes them. Received: {' '.join(first)[:60]!r}")
            for number, line in enumerate(file, 2):
                word, *values = line.rstrip(" \r\n").rsplit(" ", int(first[1]))  # word2vec and fastText end each line with a space.
                try:
                    vectors.append(np.array(values, np.float32))
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: expected a word and {first[1]} numbers. Received: {line[:60]!r}") from error
                if len(values) != int(first[1]):
                    raise ValueError(f"{path}, line {number}: expected a word and {first[1]} numbers. Received: {len(values)}")
                words.append(word)
        if len(words) != int(first[0]) or not words:
            raise ValueError(f"{path}: expected {first[0]} words, as its first line says, and at least one. Received: {len(words)}")
        return cls(words, np.stack(vectors), np.zeros(len(words), int))

    def projector(self, folder, name="words"):
        """Writes the vectors for TensorBoard's projector: `NAME.vectors.tsv`, `NAME.words.tsv`, and `projector_config.pbtxt` of all in the folder."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / f"{name}.vectors.tsv", self.vectors, fmt="%.6g", delimiter="\t")
        lines = "".join(f"{word}\t{count}\n" for word, count in zip(self.words, self.counts))
        (folder / f"{name}.words.tsv").write_text(f"word\tcount\n{lines}", encoding="utf-8")
        known = sorted(path.name.removesuffix(".vectors.tsv") for path in folder.glob("*.vectors.tsv"))
        config = "".join(f'embeddings {{\n  tensor_name: "{one}"\n  tensor_path: "{one}.vectors.tsv"\n  metadata_path: "{one}.words.tsv"\n}}\n' for one in known)
        (folder / "projector_config.pbtxt").write_text(config, encoding="utf-8")


def count_words(texts, min_count=2):
    """Counts the words of texts.

    Args:
        texts: list of str.
        min_count: rarer words are left out.

    Returns:
        Triple of the words, the most common first; how often each occurs; and a list of int32 arrays, the places of each text's words, those left out passed over.

    Raises:
        ValueError: if no word is common enough, or no two of them stand near each other.
    """
    split = [words_of(text) for text in texts]
    counts = collections.Counter(word for words in split for word in words)
    words = [word for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if count >= min_count]
    if not words:
        raise ValueError(f"Expected a word that occurs {min_count} times or more in the texts. Received: none in {len(texts):,} texts")
    known = {word: place for place, word in enumerate(words)}
    places = [np.array([known[word] for word in some if word in known], np.int32) for some in split]
    if max(map(len, places)) < 2:
        raise ValueError("Expected texts of two words or more. Received: none in which two stand near each other")
    return words, np.array([counts[word] for word in words]), places


def _in_a_row(places):
    """The words of all texts in a row, and which text each is of."""
    return np.concatenate(places), np.repeat(np.arange(len(places)), [len(one) for one in places])


def skip_gram(
    texts, dim=100, window=5, negatives=5, epochs=5, min_count=2, subsample=1e-3, learning_rate=0.06, batch_words=1536, shared=16, seed=0, progress=None,
):  # fmt: skip
    """Learns vectors by which a word foretells those around it (Word2Vec).

    A batch holds texts one after the other in rows of 24 words, and each row has its own wrong words, which all its words share: what would be single products of two vectors
    are products of matrices.

    Args:
        texts: list of str, such as the training split's in one language.
        dim: size of a vector.
        window: most words to each side; for each word a number up to it is drawn.
        negatives: wrong words for each right one.
        epochs: times that the texts are gone through.
        min_count: rarer words are left out.
        subsample: words more frequent than this share of all are passed over now and then; 0 for never.
        learning_rate: of the first step; it falls to nothing along a line.
        batch_words: words in a step. The steps of words that are in it often are made smaller.
        shared: wrong words that a row shares.
        seed: of weights and draws.
        progress: function of the epoch (from 1), the loss of a word and the words a second; or None.

    Returns:
        `WordVectors`.

    Raises:
        ValueError: if no word is common enough, no two stand near each other, or the loss is no longer a number.

    Source:
        Mikolov et al. (2013), "Distributed Representations of Words and Phrases and their Compositionality", sections 2.2 and 2.3; Ji et al. (2016), "Parallelizing Word2Vec in
        Shared and Distributed Memory", section 3.1, for wrong words that are shared.
    """
    words, counts, places = count_words(texts, min_count)
    chance, frequency = np.random.default_rng(seed), counts / counts.sum()
    kept = np.minimum(1.0, np.sqrt(subsample / frequency) + subsample / frequency) if subsample else np.ones(len(words))
    rows = max(1, batch_words // _STEPS)
    keras.utils.set_random_seed(seed)
    # --- inputs ---
    inputs = [keras.Input((_STEPS,), dtype="int32", name=name) for name in ("words", "texts", "reach")] + [keras.Input((shared,), dtype="int32", name="wrong")]
    # --- body ---
    layer = SkipGram(len(words), dim, negatives, name="skip_gram")
    # --- model ---
    model = keras.Model(inputs, layer(*inputs))
    model.compile(keras.optimizers.SGD(learning_rate), Cost(reduction="sum"), steps_per_execution=8, jit_compile=False)
    ids, text = _in_a_row(places)
    shown, drawn = kept * counts / (kept * counts).sum(), counts**0.75 / (counts**0.75).sum()
    terms = min(rows * _STEPS, len(ids)) * min(window + 1, len(ids) / len(places))  # In a batch, right ones.
    layer.scales.assign(np.minimum(1.0, _MOST / (terms * shown * (1 + negatives))) ** 0.5)
    layer.other_scales.assign(np.minimum(1.0, _MOST / (terms * (shown + negatives * drawn))) ** 0.5)
    spread = np.cumsum(drawn)
    for epoch in range(epochs):
        began = time.monotonic()
        chosen = np.flatnonzero(chance.random(len(ids)) < kept[ids])
        count = max(1, -(-len(chosen) // (_STEPS * rows)))
        packed = np.full((2, count * rows * _STEPS), -1, np.int32)
        packed[:, : len(chosen)] = ids[chosen], text[chosen]
        packed = packed.reshape(2, -1, _STEPS)[:, chance.permutation(count * rows)].reshape(2, count, rows, _STEPS)
        reach = chance.integers(1, window + 1, packed[0].shape, np.int32)
        wrong = np.searchsorted(spread, chance.random((count, rows, shared))).astype(np.int32)
        data = _slices(((*packed, reach, wrong), np.zeros((count, rows), np.float32)))
        falling = _Falling(learning_rate, epoch * count, epochs * count)
        loss = model.fit(data, verbose=0, shuffle=False, callbacks=[falling]).history["loss"][0]
        if not np.isfinite(loss):
            raise ValueError(
                f"Expected the loss to be a number. Received: {loss} in epoch {epoch + 1}. A lower `learning_rate`, or fewer `batch_words` than {rows * _STEPS}, may help."
            )
        if progress:
            progress(epoch + 1, loss / (_STEPS * rows), len(ids) / (time.monotonic() - began))
    return WordVectors(words, layer.vectors.numpy() * layer.scales.numpy()[:, None], counts)


def _slices(arrays, size=None):
    """The first axis of arrays in order, `size` at once."""
    data = tf.data.Dataset.from_tensor_slices(arrays)
    options = tf.data.Options()
    options.autotune.enabled = False  # Its threads end up to a second late.
    return (data if size is None else data.batch(size)).prefetch(2).with_options(options)


class _Falling(keras.callbacks.Callback):
    """Lets the learning rate fall along a line."""

    def __init__(self, highest, first, steps):
        super().__init__()
        self.highest, self.first, self.steps = highest, first, steps

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate.assign(self.highest * max(1e-3, 1.0 - (self.first + batch) / self.steps))


def glove(texts, dim=100, window=8, epochs=15, min_count=2, most=10.0, power=0.75, learning_rate=0.05, batch_size=16_384, seed=0, progress=None):
    """Learns vectors whose products are the logarithms of how often two words stand near each other (GloVe).

    Args:
        texts: list of str.
        dim: size of a vector.
        window: most words between two, which count one over how far they are apart.
        epochs: times that the pairs are gone through.
        min_count: rarer words are left out.
        most: pairs that occur as often, or more, count in full; rarer ones less.
        power: by how much less.
        learning_rate: of Adagrad.
        batch_size: pairs in a step.
        seed: of weights and order.
        progress: see `skip_gram`; words are pairs here.

    Returns:
        `WordVectors`, the sums of a word's two vectors.

    Raises:
        ValueError: if no word is common enough, or no two stand near each other.

    Source:
        Pennington et al. (2014), "GloVe: Global Vectors for Word Representation", sections 3 and 4.2.
    """
    words, counts, places = count_words(texts, min_count)
    table = near_counts(places, len(words), window).tocoo()
    keras.utils.set_random_seed(seed)
    chance = np.random.default_rng(seed)
    # --- inputs ---
    inputs = [keras.Input((), dtype="int32", name=name) for name in ("word", "other")] + [keras.Input((), name=name) for name in ("logarithm", "weight")]
    # --- body ---
    layer = CoOccurrence(len(words), dim, name="co_occurrence")
    # --- model ---
    model = keras.Model(inputs, layer(*inputs))
    # Adagrad by the sum over a batch, as if each pair were a step of its own.
    model.compile(keras.optimizers.Adagrad(learning_rate, initial_accumulator_value=1.0), Cost(reduction="sum"), steps_per_execution=8, jit_compile=False)
    pairs = table.row.astype(np.int32), table.col.astype(np.int32), np.log(table.data).astype(np.float32), np.minimum(1.0, table.data / most).astype(np.float32) ** power
    for epoch in range(epochs):
        began, order = time.monotonic(), chance.permutation(table.nnz)
        data = _slices((tuple(one[order] for one in pairs), np.zeros(table.nnz, np.float32)), batch_size)
        loss = model.fit(data, verbose=0, shuffle=False).history["loss"][0]
        if progress:
            progress(epoch + 1, loss / min(batch_size, table.nnz), table.nnz / (time.monotonic() - began))
    return WordVectors(words, layer.vectors.numpy() + layer.others.numpy(), counts)


def near_counts(places, size, window):
    """Counts how often words stand near each other.

    Args:
        places: list of int arrays, the words of each text.
        size: number of words.
        window: most words between two.

    Returns:
        Symmetric sparse matrix `(size, size)`; a pair counts one over how far it is apart.
    """
    ids, text = _in_a_row(places)
    total = scipy.sparse.csr_matrix((size, size), dtype=np.float32)
    for apart in range(1, min(window, len(ids) - 1) + 1):
        same = text[apart:] == text[:-apart]
        pair = ids[:-apart][same], ids[apart:][same]
        total = total + scipy.sparse.csr_matrix((np.full(len(pair[0]), 1.0 / apart, np.float32), pair), shape=(size, size))
    return (total + total.T).tocsr()


METHODS = {"skip-gram": skip_gram, "glove": glove}
