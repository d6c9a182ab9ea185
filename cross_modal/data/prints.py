"""Perceptual prints: what is the same picture or recording, whatever its file looks like.

What is the same is told by the correlation of thumbnails, for sound of its mel spectrogram. To find those that may be: for pictures 64 bits of the cosine transform; for
recordings their lengths and the lowest frequencies of the thumbnails.
"""

import cv2
import numpy as np

from cross_modal.data.media import SAMPLE_RATE

THUMB = 768  # Bytes of a thumbnail: 16 x 16 x 3 of a picture, 32 steps x 24 bands of a recording.
_BITS = 7  # Most bits of 64 that may differ.
_LEAST = {"image": 0.99, "audio": 0.985}  # Correlation; for sounds less, as codecs move more, and distinct takes of one word by one speaker stay below it.
_FLAT = 2  # Levels of 255 that a picture of one colour may vary by, or two of them differ by.
_FEW = 16  # Views of one set and equal bits that are compared with views of other bits.
_WINDOW, _HOP, _STEPS, _BANDS = 512, 64, 32, 24  # The first two in samples: 32 ms, 4 ms.
_RANGE = 45  # Decibels below the loudest that are told apart.
_SPREAD = 1.8  # Standard deviations to each side of the middle that are looked at; of an even sound 1.73 reach the ends.


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

    Its middle and length are the mean and the spread of where it is loud. A threshold would move by steps, and far where a codec lifts or drops what is just below it.

    Args:
        samples: float32 `(samples,)` at 16 kHz.

    Returns:
        See `picture_print`; of a recording the bits are 0.
    """
    samples = np.pad(samples, _WINDOW)  # So that a sudden start looks as one after silence.
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.concatenate([np.abs(np.fft.rfft(frames[start : start + 4096] * _HANN)) ** 2 @ _MEL.T for start in range(0, len(frames), 4096)])
    decibels = 10 * np.log10(power + 1e-10)  # (steps, bands)
    picture = np.clip(decibels - decibels.max() + _RANGE, 0, _RANGE) * (255 / _RANGE)
    loud, time = picture.max(axis=1), np.arange(len(picture)) + 0.5
    middle = np.average(time, weights=loud)
    reach = _SPREAD * max(0.5, np.sqrt(np.average((time - middle) ** 2, weights=loud)))
    # The sum up to any time, of which the mean of each of 32 steps is a difference.
    total = np.concatenate([np.zeros((1, _BANDS)), np.cumsum(picture, axis=0)])
    edges = np.clip(np.linspace(middle - reach, middle + reach, _STEPS + 1), 0, len(picture))
    before = np.minimum(edges.astype(int), len(picture) - 1)
    total = total[before] + (edges - before)[:, None] * picture[before]
    thumb = np.diff(total, axis=0) / (2 * reach / _STEPS)
    return 0, thumb.round().astype(np.uint8).tobytes(), 2 * reach * _HOP / SAMPLE_RATE


def near_pairs(kind, bits, thumbs, lengths):
    """Finds views that are nearly the same.

    Two are if their thumbnails correlate, and the bits of pictures or the lengths of recordings are near; or if both are pictures of one colour, and it is the same. What is
    joined already is not compared again, so that any number of views that are all alike take little time; for views of equal bits, or recordings of near lengths, that are
    not alike it grows with the square of their number. Of the views of equal bits that are joined, 16 are compared with those of other bits.

    Args:
        kind: `image` or `audio`.
        bits: uint64 `(views,)`, see `picture_print`.
        thumbs: uint8 `(views, THUMB)`; may be a memory map.
        lengths: float `(views,)`, in seconds; near ones differ by at most 3 % and 0.1 s.

    Returns:
        int `(pairs, 2)`, places of two: each view that is not the first of its set, after the first. They join the sets; they are not all the pairs that are near.
    """
    parents = np.arange(len(bits))
    for first, others, may in (_like_bits if kind == "image" else _like_sounds)(bits, thumbs, np.asarray(lengths, np.float32), parents):
        _join_alike(_LEAST[kind], thumbs, parents, first, others, may)
    roots = _roots(parents, np.arange(len(bits)))
    places = np.flatnonzero(roots != np.arange(len(bits)))
    return np.stack([roots[places], places], axis=1)


def _bits(picture):
    """64 bits: whether each of the lowest 8 x 8 frequencies is above their median."""
    low = cv2.dct(picture.astype(np.float32))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low[1:])).tobytes(), "big")


def _blocks(places):
    """Yields pairs of parts of the places, of some megabytes for the table of both, so that each two places are met."""
    for top in range(0, len(places), 512):
        for left in range(top, len(places), 4096):
            yield places[top : top + 512], places[left : left + 4096]


def _like_bits(bits, thumbs, lengths, parents):
    """Yields places, others, and which of each two may be the same: first those of equal bits, then those whose bits differ in at most `_BITS` places."""
    order = np.argsort(bits, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(bits[order])) + 1):
        if len(places) > 1:
            for first, others in _blocks(places):
                yield first, others, None
    order = np.lexsort((_roots(parents, np.arange(len(bits))), bits))
    start = np.ones(len(bits), bool)
    start[1:] = (np.diff(bits[order]) != 0) | (np.diff(parents[order]) != 0)
    rank = np.arange(len(bits)) - np.maximum.accumulate(np.where(start, np.arange(len(bits)), 0))
    few = np.sort(order[rank < _FEW])
    for byte in range(8):  # By the pigeonhole, one of as many bytes as bits may differ, and one more, is equal.
        key = (bits[few] >> np.uint64(8 * byte)) & np.uint64(255)
        order = few[np.argsort(key, kind="stable")]
        for places in np.split(order, np.cumsum(np.bincount(key.astype(int), minlength=256))[:-1]):
            for first, others in _blocks(places):
                differ = bits[first][:, None] ^ bits[others]
                may = np.bitwise_count(differ) - np.uint8(1) < _BITS  # Without those of equal bits: 0 becomes 255.
                if may.any():
                    for lower in range(byte):  # Those that have been met.
                        may &= (differ >> np.uint64(8 * lower)) & np.uint64(255) != 0
                    yield first, others, may


def _like_sounds(bits, thumbs, lengths, parents):
    """Yields places, others, and which of each two may be the same: of near lengths, and no farther apart in the lowest frequencies of their thumbnails than they may be in all."""
    probes = np.zeros((len(lengths), len(_LOWEST)), np.float16)
    for start in range(0, len(lengths), 4096):
        probes[start : start + 4096] = _unit(thumbs[np.arange(start, min(start + 4096, len(lengths)))])[0] @ _LOWEST.T
    norms = (probes.astype(np.float32) ** 2).sum(1) / 2
    apart = 1 - _LEAST["audio"] + 0.005  # Half of the squared distance, which no part of the frequencies exceeds; and what 16 bits round off.
    for first, others in _blocks(np.argsort(lengths, kind="stable")):
        longer = 0.1 + 0.03 * lengths[others]
        if lengths[others[0]] - longer[0] <= lengths[first[-1]]:
            near = np.abs(lengths[others] - lengths[first][:, None]) <= np.maximum(longer, 0.1 + 0.03 * lengths[first][:, None])
            yield first, others, near & (probes[first].astype(np.float32) @ probes[others].astype(np.float32).T >= norms[first][:, None] + (norms[others] - apart))


def _join_alike(least, thumbs, parents, first, others, may):
    """Joins views with others that are alike where `may`, everywhere if it is None, and that are not joined yet."""
    if may is not None and not may.any():
        return
    roots = _roots(parents, first), _roots(parents, others)
    if (roots[0] == roots[1][0]).all() and (roots[1] == roots[1][0]).all():
        return
    new = roots[0][:, None] != roots[1]
    may = new if may is None else may & new
    rows, columns = np.flatnonzero(may.any(axis=1)), np.flatnonzero(may.any(axis=0))
    if len(rows):
        row, column = np.nonzero(may[np.ix_(rows, columns)] & _alike(least, thumbs[first[rows]], thumbs[others[columns]]))
        _join(parents, first[rows[row]], others[columns[column]])


def _alike(least, one, two):
    (one, row, level_one), (two, column, level_two) = _unit(one), _unit(two)
    alike = one @ two.T >= least
    alike[np.ix_(row, column)] = (np.abs(level_one[:, None] - level_two) <= _FLAT).all(axis=2)
    return alike


def _unit(thumbs):
    """Thumbnails less their means, of length 1, or 0 where they are of one colour; the places of those; and their colours."""
    colours = thumbs.reshape(len(thumbs), -1, 3)
    flat = np.flatnonzero((np.ptp(colours[:, ::50], axis=1) <= _FLAT).all(axis=1))  # A first look, as most are not.
    flat = flat[(np.ptp(colours[flat], axis=1) <= _FLAT).all(axis=1)]
    unit = thumbs - thumbs.mean(axis=1, dtype=np.float32, keepdims=True)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
    unit[flat] = 0
    return unit, flat, colours[flat].mean(axis=1)


def _roots(parents, places):
    """The first place of the set of each."""
    roots = parents[places]
    while (parents[roots] != roots).any():
        roots = parents[roots]
    parents[places] = roots
    return roots


def _join(parents, one, two):
    """Joins the sets of places, two and two."""
    while len(one):
        one, two = _roots(parents, one), _roots(parents, two)
        one, two = np.minimum(one, two), np.maximum(one, two)
        apart = one < two
        one, two = one[apart], two[apart]
        np.minimum.at(parents, two, one)


def _lowest():
    """The lowest 8 x 8 frequencies of the thumbnail of a recording, but for the mean, as rows of unit length."""
    waves = [np.cos(np.pi * np.arange(8)[:, None] * (np.arange(size) + 0.5) / size) for size in (_STEPS, _BANDS)]
    waves = np.einsum("as,bt->abst", *waves).reshape(64, THUMB)[1:]
    return (waves / np.linalg.norm(waves, axis=1, keepdims=True)).astype(np.float32)


def _mel_bands():
    """Triangles between 150 and 3600 Hz, which any codec and a telephone leave."""

    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = 700 * (10 ** (np.linspace(mel(150), mel(3600), _BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    rise = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)


_LOWEST = _lowest()
_MEL = _mel_bands()
_HANN = np.hanning(_WINDOW).astype(np.float32)
