import numpy as np
import pytest

from cross_modal.data.segments import cut_at_silences

RATE = 1000


def sound(*parts):
    """Seconds of noise and, negative, of silence."""
    draw = np.random.default_rng(0)
    return np.concatenate([draw.normal(0, 0.1, int(part * RATE)) if part > 0 else np.zeros(int(-part * RATE)) for part in parts])


def seconds(samples, longest, **options):
    return [(round(start / RATE, 1), round(end / RATE, 1)) for start, end in cut_at_silences(samples, RATE, longest, **options)]


def test_pieces_end_in_pauses():
    assert seconds(sound(-1, 2, -1, 2, -1, 2, -1), 6) == [(0.9, 6.1), (6.9, 9.1)]
    assert seconds(sound(3, -1, 3), 4, margin=0.0) == [(0.0, 3.0), (4.0, 7.0)]
    assert seconds(sound(3), 4) == [(0.0, 3.0)]


def test_speech_without_a_pause_is_cut_nowhere_twice():
    found = cut_at_silences(sound(25), RATE, 10)
    assert found[0][0] == 0 and found[-1][1] == 25 * RATE
    assert all(5 * RATE <= end - start <= 10 * RATE for start, end in found[:-1])
    assert [start for start, _ in found[1:]] == [end for _, end in found[:-1]], "nothing is lost"


def test_a_clap_does_not_make_speech_silent():
    """Speech at a hundredth of full scale for a minute, after a clap of a twentieth of a second."""
    samples = np.concatenate([np.ones(50), np.zeros(RATE), sound(60) / 10])
    assert seconds(samples, 90)[-1][1] == pytest.approx(61.0, abs=0.1) and seconds(samples, 30)[-1][1] == pytest.approx(61.0, abs=0.1)
    assert sum(end - start for start, end in seconds(samples, 30)) > 59


def test_silence_has_no_pieces():
    assert seconds(sound(-5), 4) == [] and seconds(np.zeros(0), 4) == []
    with pytest.raises(ValueError, match="longest=0.1"):
        cut_at_silences(sound(1), RATE, 0.1)
