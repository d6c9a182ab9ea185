"""What costs nothing: a linear model on plain features, to set a score against."""

import contextlib
import warnings

import cv2
import librosa
import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

_SIZES = {"image": 8 * 8 * 9 + 48, "audio": 80}


def image_features(raw):
    """Describes a picture by its gradients and colours.

    Args:
        raw: bytes of an encoded picture.

    Returns:
        float32 `(624,)`: histograms of 9 directions of the gradients in 8 x 8 cells, each normalised with the four cells around a corner, and the colours at 4 x 4.

    Source:
        Dalal and Triggs (2005), "Histograms of Oriented Gradients for Human Detection", section 6, simplified.
    """
    pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), (64, 64), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    right, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    strength, place = np.hypot(right, down), (np.arctan2(down, right) % np.pi) / np.pi * 9
    cells = np.zeros((9, 8, 8), np.float32)
    for direction in range(9):
        near = np.maximum(0.0, 1.0 - np.abs((place - direction - 0.5 + 4.5) % 9 - 4.5))  # Shared out between the two directions that are nearest.
        cells[direction] = (strength * near).reshape(8, 8, 8, 8).sum(axis=(1, 3))
    energy = cv2.blur(np.pad((cells**2).sum(axis=0), 1, mode="edge"), (3, 3))[1:-1, 1:-1]
    gradients = np.minimum(cells / np.sqrt(energy * 9 + 1e-3), 0.4)
    return np.concatenate([gradients.ravel(), cv2.resize(pixels, (4, 4), interpolation=cv2.INTER_AREA).ravel() / 255.0]).astype(np.float32)


def audio_features(raw):
    """Describes a recording by mean and standard deviation of 20 mel-frequency cepstral coefficients and of their differences in time.

    Args:
        raw: bytes of a 16-bit WAV of 16 kHz and one channel, as a dataset has it.

    Returns:
        float32 `(80,)`.
    """
    samples = np.frombuffer(raw[44:], "<i2").astype(np.float32) / 2**15
    coefficients = librosa.feature.mfcc(y=np.pad(samples, (0, max(0, 2048 - len(samples)))), sr=16_000, n_mfcc=20, n_fft=512, hop_length=160)
    both = np.concatenate([coefficients, np.diff(coefficients, axis=1, prepend=coefficients[:, :1])])
    return np.concatenate([both.mean(axis=1), both.std(axis=1)])


def linear_baseline(kinds, train, train_labels, test, multi_label=False):
    """Trains a logistic regression on plain features: of pictures and recordings as above, of texts the TF-IDF of words and of 2 to 4 letters.

    Args:
        kinds: dict of field to kind.
        train: dict of field to list of raw bytes, None where a view is absent.
        train_labels: int `(examples,)`, or bool `(examples, classes)` with `multi_label`.
        test: as `train`.
        multi_label: whether each class is learned by itself.

    Returns:
        What is answered for `test`: int `(examples,)`, or bool `(examples, classes)`.
    """
    a, b = plain_features(kinds, train, test)
    if multi_label:
        return np.stack([_answers(a, labels, b) for labels in np.asarray(train_labels).T], axis=1).astype(bool)
    return _answers(a, np.asarray(train_labels), b)


def plain_features(kinds, train, test):
    """Makes the plain features that `linear_baseline` learns from.

    Args:
        kinds: see `linear_baseline`, as `train` and `test`.

    Returns:
        Pair of sparse matrices `(examples, columns)`, scaled by what `train` is like.
    """
    parts = [_columns(kind, train[name], test[name]) for name, kind in kinds.items()]
    return tuple(scipy.sparse.hstack(part, format="csr") for part in zip(*parts))


def _answers(train, labels, test):
    if len(np.unique(labels)) < 2:
        return np.repeat(labels[:1], test.shape[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # A baseline may stop before the end.
        return LogisticRegression(max_iter=200).fit(train, labels).predict(test)


def _columns(kind, train, test):
    """Features of both parts, of like size, by what the first is like; and whether a view is there."""
    there = [np.array([[raw is not None] for raw in part], np.float32) for part in (train, test)]
    if kind == "text":
        texts = [[(raw or b"").decode() for raw in part] for part in (train, test)]
        words = TfidfVectorizer(token_pattern=r"\w+", max_features=50_000)
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=50_000)
        parts = [[scipy.sparse.csr_matrix(one)] for one in there]
        for vectorizer in (words, letters):
            with contextlib.suppress(ValueError):  # There are no words in the training texts.
                vectorizer.fit(texts[0])
                for made, own in zip(parts, texts):
                    made.append(vectorizer.transform(own))
        return [scipy.sparse.hstack(made, format="csr") for made in parts]
    function = image_features if kind == "image" else audio_features
    size = _SIZES[kind]
    dense = [np.stack([np.zeros(size, np.float32) if raw is None else function(raw) for raw in part]) for part in (train, test)]
    scaler = StandardScaler().fit(dense[0][there[0][:, 0] > 0]) if there[0].any() else MaxAbsScaler().fit(dense[0])
    dense = [scaler.transform(one) * beside for one, beside in zip(dense, there)]
    return [scipy.sparse.csr_matrix(np.concatenate([one / np.sqrt(size), beside], axis=1)) for one, beside in zip(dense, there)]
