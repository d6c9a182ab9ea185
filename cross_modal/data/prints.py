"""Perceptual prints: what is the same picture or recording, whatever its file looks like.

Pictures and recordings go the same way: a small picture, for sound of its mel spectrogram; 64 bits of its cosine transform, to find those that may be the same; and the
correlation of thumbnails, to tell.
"""

import cv2
import numpy as np

from cross_modal.data.media import SAMPLE_RATE

THUMB = 768  # Bytes of a thumbnail: 16 x 16 x 3 of a picture, 32 steps x 24 bands of a recording.
_BITS = 7  # Most bits of 64 that may differ.
_LEAST = {"image": 0.99, "audio": 0.985}  # Correlation; for sounds less, as codecs and trimming move more, and distinct takes of one word by one speaker stay below it.
_WINDOW, _HOP, _BANDS = 512, 128, 24  # In samples: 32 ms, 8 ms.
_QUIET = 40  # Decibels below the loudest step: silence at the ends is not part of a recording.
_RANGE = 60  # Decibels below the loudest that are told apart.


def picture_print(pixels):
    """Makes the print of a picture.

    Args:
        pixels: uint8 `(height, width, 3)`.

    Returns:
        Tuple of int, 64 bits; bytes, `THUMB`; and float, seconds from the first sound to the last, or 0 for a picture.

    Source:
        Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section 3.2.1.
    """
    grey = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    return _bits(grey), cv2.resize(pixels, (16, 16), interpolation=cv2.INTER_AREA).tobytes(), 0.0


def sound_print(samples):
    """Makes the print of a recording, which neither its loudness nor silence at its ends changes.

    Args:
        samples: float32 `(samples,)` at 16 kHz.

    Returns:
        See `picture_print`.
    """
    samples = np.pad(samples, _WINDOW)  # So that a sudden start looks as one after silence.
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.concatenate([np.abs(np.fft.rfft(frames[start : start + 4096] * _HANN)) ** 2 @ _MEL.T for start in range(0, len(frames), 4096)])
    decibels = 10 * np.log10(power + 1e-10)  # (steps, bands)
    loud = decibels.max(axis=1)
    there = np.flatnonzero(loud > loud.max() - _QUIET)
    decibels = decibels[there[0] : there[-1] + 1]
    picture = (np.clip(decibels - loud.max() + _RANGE, 0, _RANGE) * (255 / _RANGE)).astype(np.float32)
    thumb = cv2.resize(picture, (_BANDS, 32), interpolation=cv2.INTER_AREA)
    return _bits(cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA)), thumb.round().astype(np.uint8).tobytes(), len(picture) * _HOP / SAMPLE_RATE


def near_pairs(kind, bits, thumbs, lengths):
    """Finds views that are nearly the same.

    Args:
        kind: `image` or `audio`.
        bits: uint64 `(views,)`, see `picture_print`.
        thumbs: uint8 `(views, THUMB)`; may be a memory map.
        lengths: float `(views,)`, in seconds; near ones differ by at most 3 % and 0.1 s.

    Returns:
        int `(pairs, 2)`, places of the two.
    """
    found = [np.zeros((0, 2), np.int64)]
    for first, second in _candidates(bits):
        pairs = np.stack([first, second], axis=1)
        pairs = pairs[np.abs(lengths[first] - lengths[second]) <= 0.1 + 0.03 * np.maximum(lengths[first], lengths[second])]
        for start in range(0, len(pairs), 4096):
            some = pairs[start : start + 4096]
            found.append(some[_correlation(thumbs[some[:, 0]], thumbs[some[:, 1]]) >= _LEAST[kind]])
    return np.unique(np.concatenate(found), axis=0)


def _bits(picture):
    """64 bits: whether each of the lowest 8 x 8 frequencies is above their median."""
    low = cv2.dct(picture.astype(np.float32))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")


def _candidates(bits):
    """Yields pairs of arrays of places whose bits differ in at most `_BITS` places: by the pigeonhole, one of as many bytes and one more is equal."""
    for byte in range(8):
        key = (bits >> np.uint64(8 * byte)) & np.uint64(255)
        order = np.argsort(key, kind="stable")
        bounds = np.searchsorted(key[order], np.arange(257, dtype=np.uint64))
        for start, stop in zip(bounds[:-1], bounds[1:]):
            places = order[start:stop]
            step = max(1, 2**21 // max(1, len(places)))  # Blocks of some megabytes.
            for top in range(0, len(places), step):
                rows = places[top : top + step]
                row, column = np.nonzero(np.bitwise_count(bits[rows][:, None] ^ bits[places[top:]][None]) <= _BITS)
                above = column > row
                yield rows[row[above]], places[top:][column[above]]


def _correlation(one, two):
    one, two = (thumb.astype(np.float32) - thumb.mean(axis=1, dtype=np.float32, keepdims=True) for thumb in (one, two))
    norm = np.sqrt((one**2).sum(1) * (two**2).sum(1))
    return (one * two).sum(1) / np.maximum(norm, 1e-6)


def _mel_bands():
    """Triangles between 150 and 3600 Hz, which any codec and a telephone leave."""

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = 700 * (10 ** (np.linspace(mel(150), mel(3600), _BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    rise = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


_MEL = _mel_bands()
_HANN = np.hanning(_WINDOW).astype(np.float32)
