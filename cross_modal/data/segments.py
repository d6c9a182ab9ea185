"""Long recordings to pieces."""

import numpy as np

_HOP = 0.02  # Seconds between looks at the loudness.
_QUIET_DB = 35.0  # Below the loudest looks.
_BUMP = 25, 0.05  # Looks, and a share of all, that a clap or a bump may be louder in than all that is said.


def cut_at_silences(samples, rate, longest, margin=0.1):
    """Cuts a recording where it is silent, into pieces that are no longer than asked for.

    Pieces are as long as can be. Speech without a pause that is longer is cut where it is quietest in the second half of the time there is.

    Args:
        samples: float `(time,)`.
        rate: samples a second.
        longest: seconds of a piece.
        margin: seconds kept of the silence before and after a piece.

    Returns:
        List of pairs of the first sample of a piece and the one after its last; none where all is silent.

    Raises:
        ValueError: if a piece would be shorter than a second.
    """
    if longest < 1:
        raise ValueError(f"Expected pieces of at least 1 second. Received: longest={longest}")
    size = max(1, round(_HOP * rate))
    frames = np.pad(np.asarray(samples, np.float32), (0, -len(samples) % size)).reshape(-1, size)
    power = (frames**2).mean(axis=1)
    if not power.max(initial=0.0):
        return []
    loudest = np.sort(power)[-1 - min(_BUMP[0], int(_BUMP[1] * len(power)))]
    loud = power > loudest * 10 ** (-_QUIET_DB / 10)
    most, around = int(longest * rate / size), int(margin * rate / size)
    bounds, start = [], 0
    while start < len(loud) and loud[start:].any():
        first = max(start, start + int(loud[start:].argmax()) - around)
        end = min(first + most, len(loud))
        if loud[end:].any():
            # The middle of the longest pause in the second half, or else the quietest place.
            half = np.arange(first + most // 2, end)
            quiet = half[~loud[half]]
            runs = np.split(quiet, np.flatnonzero(np.diff(quiet) > 1) + 1) if len(quiet) else []
            end = int(max(runs, key=len).mean()) if runs else int(half[power[half].argmin()])
        last = first + int(np.flatnonzero(loud[first:end])[-1]) + 1 if loud[first:end].any() else first
        if last > first:
            bounds.append((first * size, min(min(last + around, end) * size, len(samples))))
        start = max(end, first + 1)
    return bounds
