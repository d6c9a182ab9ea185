import io

import librosa
import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf

from cross_modal import features, testing
from cross_modal.features import audio

RATES = (8000, 22_050, 44_100, 48_000)


def wav(samples, rate=16_000):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def sine(hertz, rate=16_000, seconds=0.5, loudness=0.5):
    return (loudness * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def noise(size=8000, loudness=0.1):
    return np.clip(np.random.default_rng(0).normal(0, loudness, size), -1, 1).astype(np.float32)


def reference(samples, bins, hop, window, size):
    """What librosa.feature.melspectrogram does, of its parts, which numba need not compile."""
    padded = np.pad(samples, size // 2)  # center=True, pad_mode="constant"
    power = np.abs(librosa.stft(padded, n_fft=size, hop_length=hop, win_length=window, center=False)) ** 2
    return np.log(librosa.filters.mel(sr=16_000, n_fft=size, n_mels=bins) @ power + 1e-6).T


def resampled(samples, rate):
    return audio.resample(tf.constant(samples), tf.constant(rate)).numpy()


def test_audio_keeps_its_contract():
    sounds = [wav(noise(4000)), wav(sine(440, 44_100, 0.2), 44_100), wav(np.stack([noise(3000), sine(300)[:3000]], 1), 8000)]
    for options in ({}, {"range_db": 40, "trim_db": 20}, {"trim_db": 20, "steps": 12}):
        testing.check_feature(features.Audio(bins=20, **options), sounds)


@pytest.mark.parametrize("bins, hop_ms, window_ms, size", [(80, 10, 25, 512), (40, 20, 32, 512), (16, 25, 64, 1024)])
@pytest.mark.parametrize("sound", [noise(8000), sine(440), noise(123), noise(8001, 0.5), np.zeros(4000, np.float32)], ids=["noise", "sine", "short", "odd", "silent"])
def test_log_mel_is_librosas(sound, bins, hop_ms, window_ms, size):
    expected = reference(sound, bins, 16 * hop_ms, 16 * window_ms, size)
    for run in (audio.log_mel, tf.function(audio.log_mel)):
        out = run(tf.constant(sound), bins, hop_ms, window_ms)
        assert out.shape == expected.shape
        np.testing.assert_allclose(out, expected, atol=1e-4)


def test_spectrogram_is_the_normalised_log_mel():
    samples = (noise(8000) * 32767).astype(np.int16)  # Exactly what a 16-bit file holds.
    expected = reference(samples / np.float32(32768), 80, 160, 400, 512)
    expected = expected - expected.mean(0)
    np.testing.assert_allclose(features.Audio().featurize(tf.constant(wav(samples))), expected / (expected.std() + 1e-3), atol=1e-3)


@pytest.mark.parametrize("rate", RATES)
def test_resampling_gives_the_sine_at_16_khz(rate):
    out, expected = resampled(sine(1000, rate), rate), sine(1000)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out[200:-200], expected[200:-200], atol=2e-4)


@pytest.mark.parametrize("rate", RATES)
def test_resampling_is_soxrs(rate):
    sound = sum(sine(hertz, rate, loudness=0.2) for hertz in (150, 900, 2500, 3300))
    out, expected = resampled(sound, rate), soxr.resample(sound, rate, 16_000)
    assert abs(len(out) - len(expected)) <= 1
    size = min(len(out), len(expected))
    np.testing.assert_allclose(out[200 : size - 200], expected[200 : size - 200], atol=2e-3)


@pytest.mark.parametrize("rate, hertz", [(22_050, 10_000), (44_100, 9500), (44_100, 15_000), (48_000, 11_000), (48_000, 23_000)])
def test_what_16_khz_cannot_hold_is_removed_not_folded(rate, hertz):
    assert np.abs(resampled(sine(hertz, rate), rate)[200:-200]).max() < 5e-3
    kept = resampled(sine(hertz, rate) + sine(700, rate), rate)
    np.testing.assert_allclose(kept[200:-200], sine(700)[200:-200], atol=6e-3)


@pytest.mark.parametrize("rate, seconds", [(8000, 3), (22_050, 15), (44_100, 15), (44_100, 30), (48_000, 30)])
def test_number_of_samples_is_exact_for_long_sounds(rate, seconds):
    """Only the count is of interest: one tap a side is enough."""
    out = audio.resample(tf.zeros(rate * seconds), tf.constant(rate), zeros=1)
    assert out.shape == (16_000 * seconds,)


@pytest.mark.parametrize("rate", RATES)
def test_a_request_of_any_rate_is_the_same_sound(rate):
    feature = features.Audio(bins=20)
    envelope = np.linspace(0.2, 1, 16_000)
    sounds = [np.interp(np.linspace(0, 1, each), np.linspace(0, 1, 16_000), envelope) * sine(800, each, 1.0) for each in (16_000, rate)]
    one, other = feature.featurize(tf.constant(wav(sounds[0]))).numpy(), feature.featurize(tf.constant(wav(sounds[1], rate))).numpy()
    assert one.shape == other.shape
    loud = slice(2, -2), slice(4, 8)  # Around 800 Hz; elsewhere there is only the rounding to 16 bits.
    np.testing.assert_allclose(one[loud], other[loud], atol=0.1)


@pytest.mark.parametrize("rate", [8000, 48_000])
def test_resampling_block_by_block_is_that_of_all_at_once(rate, monkeypatch):
    sound = np.random.default_rng(0).normal(size=rate // 4).astype(np.float32)
    whole = resampled(sound, rate)
    monkeypatch.setattr(audio, "_BLOCK", 300)
    np.testing.assert_array_equal(resampled(sound, rate), whole)
    monkeypatch.setattr(audio, "_BLOCK", len(whole))
    np.testing.assert_array_equal(resampled(sound, rate), whole)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_format_that_is_told_at_length_is_the_same_sound(channels):
    files = [io.BytesIO(), io.BytesIO()]
    for file, form in zip(files, ("WAV", "WAVEX")):
        soundfile.write(file, np.stack([sine(300)] * channels, 1), 16_000, format=form, subtype="PCM_16")
    plain, long = (file.getvalue() for file in files)
    assert len(long) > len(plain)
    np.testing.assert_array_equal(audio.decode_wav(tf.constant(long)), audio.decode_wav(tf.constant(plain)))


@pytest.mark.parametrize("rate", [1, 999, 768_001, 100_000_000])
def test_a_rate_that_no_recording_has_is_told(rate):
    raw = bytearray(wav(sine(300)))
    raw[24:28], raw[28:32] = rate.to_bytes(4, "little"), (2 * rate).to_bytes(4, "little")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Expected a rate of 1000 to 768000 Hz. Received"):
        audio.decode_wav(tf.constant(bytes(raw)))


def test_channels_are_mixed():
    left, right = sine(300), sine(1200)
    stereo = audio.decode_wav(tf.constant(wav(np.stack([left, right], 1)))).numpy()
    np.testing.assert_allclose(stereo, (left + right) / 2, atol=1e-4)


def test_decoded_samples_are_between_minus_one_and_one():
    samples = audio.decode_wav(tf.constant(wav(np.array([-32768, 0, 16384, 32767], np.int16)))).numpy()
    np.testing.assert_allclose(samples, [-1, 0, 0.5, 1], atol=1e-4)


def test_loudness_does_not_matter():
    feature = features.Audio()
    loud, soft = (feature.featurize(tf.constant(wav(noise(16_000, 0.2) * factor))).numpy() for factor in (1, 0.25))
    np.testing.assert_allclose(loud, soft, atol=0.15)
    assert np.abs(loud - soft).mean() < 0.01


def test_a_soft_recording_in_a_humming_room_is_as_a_loud_one_elsewhere():
    """Half a second of a tone, then of nothing but the room."""
    said, room = np.concatenate([sine(500), np.zeros(8000)]), np.random.default_rng(1).normal(size=16_000)
    loud, soft = said + 1e-4 * room, 0.003 * (said + 3e-3 * room)
    usual, ranged = (audio.Audio(bins=40, range_db=limit) for limit in (None, 30))
    apart = [np.abs(feature.featurize(wav(loud)) - feature.featurize(wav(soft))).max() for feature in (usual, ranged)]
    assert apart[0] > 1.0 and apart[1] < 0.05
    values = ranged.featurize(wav(soft)).numpy()
    assert values.max() == 1.0 and (values[-40:] == 0).all()  # The loudest band, and the room.
    decibels = audio.log_mel(said.astype(np.float32), 40, 10, 25).numpy() * 10 / np.log(10)
    np.testing.assert_allclose(ranged.featurize(wav(loud)), np.maximum(1 + (decibels - decibels.max()) / 30, 0), atol=0.02)
    assert np.isfinite(ranged.featurize(wav(np.zeros(4000)))).all()
    with pytest.raises(ValueError, match="Received: range_db=0"):
        audio.Audio(range_db=0)


def test_what_is_quiet_at_both_ends_is_cut_off():
    """0.3 s of a tone with a pause, between a hum 30 dB below it: what is kept begins and ends with the tone, the pause stays."""
    hum, said = sine(500, seconds=0.5, loudness=0.01), np.concatenate([sine(500, seconds=0.1), np.zeros(1600, np.float32), sine(500, seconds=0.1)])
    sound = wav(np.concatenate([hum, said, hum]))
    for limit, frames in ((20, 30), (40, 130)):
        for bounds in ({}, {"range_db": 60}):
            assert abs(features.Audio(bins=20, trim_db=limit, **bounds).featurize(sound).shape[0] - frames) <= 3
    frames = audio.log_mel(tf.constant(np.concatenate([hum, said, hum])), 20, 10, 25)
    kept = audio.trimmed(frames, 20).numpy()
    assert any(np.array_equal(kept, frames[start : start + len(kept)]) for start in range(48, 52))
    assert features.Audio(bins=20, trim_db=20).featurize(wav(np.zeros(4000))).shape[0] == 26  # All is as loud as the loudest.


def test_words_said_slowly_and_fast_are_as_long():
    """A tone that rises from 300 to 2,000 Hz within 0.3 s and within 0.6 s, half a second of silence before each."""
    rising = [librosa.chirp(fmin=300, fmax=2000, sr=16_000, duration=seconds).astype(np.float32) * 0.5 for seconds in (0.3, 0.6)]
    feature = features.Audio(bins=21, range_db=40, trim_db=20, steps=16)
    fast, slow = (feature.featurize(wav(np.concatenate([np.zeros(8000, np.float32), one]))).numpy() for one in rising)
    assert fast.shape == slow.shape == (16, 21) and np.abs(fast - slow)[:, :20].mean() < 0.04
    assert np.abs(fast - fast[::-1])[:, :20].mean() > 0.2  # What comes first stays first.
    for one, seconds in ((fast, 0.3), (slow, 0.6)):
        assert (one[:, 20] == one[0, 20]).all() and np.exp(one[0, 20] - 1.0) == pytest.approx(seconds, abs=0.03)
        assert len(feature.sound(one)) / 16_000 == pytest.approx(seconds, abs=0.03)


def test_next_to_nothing_is_stretched_too():
    feature = features.Audio(bins=21, steps=16)
    assert feature.frames == 16 and feature.bands == 20
    for samples in (0, 1, 160, 40_000):
        out = feature.featurize(wav(noise(samples))).numpy()
        assert out.shape == (16, 21) and np.isfinite(out).all()
    np.testing.assert_allclose(out[:, :20].mean(0), 0.0, atol=1e-5)
    assert out[0, 20] == pytest.approx(1.0 + np.log(251 * 0.01))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"trim_db": 0}, "Expected `trim_db` above 0. Received: trim_db=0"),
        ({"steps": 0}, "Received: steps=0"),
        ({"steps": 2.5}, "Received: steps=2.5"),
        ({"steps": True}, "Received: steps=True"),
        ({"bins": 1, "steps": 4}, "`bins` to be at least 2"),
    ],
)
def test_trim_steps_and_bins_have_to_be_above_0(options, said):
    with pytest.raises(ValueError, match=said):
        features.Audio(**options)


def test_one_frame_each_hop():
    for samples, hop_ms, frames in ((16_000, 10, 101), (16_000, 25, 41), (159, 10, 1), (160, 10, 2)):
        assert features.Audio(bins=10, hop_ms=hop_ms).featurize(tf.constant(wav(noise(samples)))).shape == (frames, 10)


def test_long_sound_is_cut():
    feature = features.Audio(bins=10, seconds=0.5)
    whole, cut = noise(16_000), noise(16_000)[:8000]
    np.testing.assert_array_equal(feature.featurize(tf.constant(wav(whole))), feature.featurize(tf.constant(wav(cut))))


@pytest.mark.parametrize("samples", [0, 1, 5, 16_000])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_silence_and_next_to_nothing_are_finite(samples, rate):
    out = features.Audio(bins=10).featurize(tf.constant(wav(np.zeros(samples, np.float32), rate))).numpy()
    assert out.shape[0] >= 1 and np.isfinite(out).all()


@pytest.mark.parametrize("raw", [b"not a sound", wav(noise(100))[:20]])
def test_bytes_that_are_no_wav(raw):
    with pytest.raises(tf.errors.InvalidArgumentError):
        features.Audio().featurize(tf.constant(raw))


@pytest.mark.parametrize("hop_ms, window_ms", [(0, 25), (-1, 25), (30, 25)])
def test_hop_error_says_what_came(hop_ms, window_ms):
    with pytest.raises(ValueError, match=f"Expected 0 < hop_ms <= window_ms. Received: hop_ms={hop_ms}, window_ms={window_ms}"):
        features.Audio(hop_ms=hop_ms, window_ms=window_ms)


def test_frames_of_the_longest_sound():
    feature = features.Audio(bins=8, hop_ms=20, seconds=0.5)
    assert feature.frames == feature.featurize(wav(noise(16_000))).shape[0] == 26


def test_a_spectrogram_can_be_heard():
    """A tone comes back at its pitch, loud, and for as long; silence as silence."""
    feature = features.Audio(bins=80, range_db=60, seconds=2)
    samples = feature.sound(feature.featurize(wav(sine(1000, seconds=1.0))))
    assert abs(len(samples) - 16_000) <= 160 and np.abs(samples).max() == pytest.approx(0.9)
    spectrum = np.abs(np.fft.rfft(samples[4000:12_000]))
    assert abs(spectrum.argmax() * 2 - 1000) < 60
    assert not feature.sound(np.zeros((10, 80))).any() and len(feature.sound(np.ones((2, 80)))) == 320 and not len(feature.sound(np.zeros((0, 80))))
    with pytest.raises(ValueError, match="`range_db` of the audio feature, such as 60, .* Received: none"):
        features.Audio().sound(np.zeros((10, 80)))
