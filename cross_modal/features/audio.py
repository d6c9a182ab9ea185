"""WAV bytes to a log-mel spectrogram."""

import math

import librosa.feature
import librosa.filters
import numpy as np
import tensorflow as tf

from cross_modal.features.feature import Feature

SAMPLE_RATE = 16_000
_RATES = 1000, 768_000  # That are taken; a damaged header may say anything.
_BLOCK = 2**14  # Samples that are resampled at once: each takes the memory of some hundred.
_FLOOR = 1e-6  # Added to the mel energies before the logarithm: about -60 dB below a full-scale tone.


class Audio(Feature):
    """Turns a 16-bit PCM WAV of any rate and any number of channels into a log-mel spectrogram.

    The sound is mixed to one channel and resampled to 16 kHz. The spectrogram equals librosa's (`center=True`, Slaney scale and norm)
    to 1e-4. Then its mean over time is taken out and it is divided by its standard deviation, so that loudness and microphone do not matter.

    Args:
        bins: number of values of a frame: mel bands, and with `steps` one that says how long the recording was.
        hop_ms: milliseconds between frames.
        window_ms: milliseconds of one Hann window.
        seconds: longest sound kept, in seconds; the rest is cut off.
        range_db: with a number, such as 40, values are from 0, for what is so many decibels below the loudest band of the recording, or more, to 1, for that band, in place of the
            normalised ones. The hum of one room is then as silent as that of another, and a single word keeps its own mean, which says what vowel it has: for short recordings
            of speakers that were never heard, with `gain` of `augment.spectrogram`.
        trim_db: with a number, such as 20, what is more quiet than the loudest frame by so many decibels is cut off at both ends.
        steps: with a number, such as 32, frames that every recording is squeezed or stretched to, so that a word said slowly is as long as one said fast: for single words, with
            `trim_db`. The last value of each frame then is one more than the natural logarithm of the seconds that were kept.

    Returns:
        `featurize` returns float32 `(time, bins)`, one frame each `hop_ms`, or `steps` of them. Raises `tf.errors.InvalidArgumentError` for bytes that are no WAV.

    Source:
        Rabiner and Juang (1993), "Fundamentals of Speech Recognition", section 4.7, for linear time normalisation, which is what `steps` does.
    """

    kind = "audio"

    def __init__(self, bins=80, hop_ms=10, window_ms=25, seconds=30, range_db=None, trim_db=None, steps=None):
        super().__init__(name="audio")
        if not 0 < hop_ms <= window_ms:
            raise ValueError(f"Expected 0 < hop_ms <= window_ms. Received: hop_ms={hop_ms}, window_ms={window_ms}")
        for name, value in (("range_db", range_db), ("trim_db", trim_db)):
            if value is not None and value <= 0:
                raise ValueError(f"Expected `{name}` above 0. Received: {name}={value}")
        if steps is not None and not (type(steps) is int and steps > 0):
            raise ValueError(f"Expected `steps` to be a whole number above 0. Received: steps={steps}")
        if bins < 1 + bool(steps):
            raise ValueError(f"Expected `bins` to be at least {1 + bool(steps)}. Received: bins={bins}")
        self.bins, self.hop_ms, self.window_ms, self.seconds, self.range_db, self.trim_db, self.steps = bins, hop_ms, window_ms, seconds, range_db, trim_db, steps
        self.spec = tf.TensorSpec((None, bins), tf.float32)

    @property
    def frames(self):
        """Frames of the longest sound that is kept."""
        if self.steps:
            return self.steps
        return 1 + int(self.seconds * SAMPLE_RATE) // round(SAMPLE_RATE * self.hop_ms / 1000)

    @property
    def bands(self):
        """Values of a frame that are mel bands."""
        return self.bins - bool(self.steps)

    def featurize(self, raw):
        samples = decode_wav(raw, self.seconds)
        if self.range_db is not None:
            samples /= tf.maximum(tf.reduce_max(tf.abs(samples)), 1e-4)
        frames = log_mel(samples, self.bands, self.hop_ms, self.window_ms)
        if self.trim_db is not None:
            frames = trimmed(frames, self.trim_db)
        seconds = tf.cast(tf.shape(frames)[0], tf.float32) * (self.hop_ms / 1000)
        if self.steps:
            frames = tf.ensure_shape(_stretched(frames, self.steps), [self.steps, self.bands])
        if self.range_db is None:
            frames -= tf.reduce_mean(frames, 0, keepdims=True)
            frames /= tf.math.reduce_std(frames) + 1e-3
        else:
            frames = tf.maximum(1.0 + (frames - tf.reduce_max(frames)) * (10.0 / math.log(10.0) / self.range_db), 0.0)
        return tf.concat([frames, tf.fill([self.steps, 1], 1.0 + tf.math.log(seconds))], 1) if self.steps else frames

    def sound(self, frames):
        """Makes a recording that sounds like a spectrogram (Griffin-Lim, by librosa).

        Args:
            frames: float `(time, bins)`, as `featurize` makes them.

        Returns:
            float32 `(samples,)` at 16 kHz, between -1 and 1.

        Raises:
            ValueError: if `range_db` is None: without the means of the bands nothing can be heard.

        Source:
            Griffin and Lim (1984), "Signal Estimation from Modified Short-Time Fourier Transform", section 3.
        """
        if self.range_db is None:
            raise ValueError("Expected `range_db` of the audio feature, such as 60, for spectrograms that can be heard. Received: none, and so no mean of a band")
        width, hop = (round(SAMPLE_RATE * one / 1000) for one in (self.window_ms, self.hop_ms))
        frames = np.asarray(frames, np.float32)
        if self.steps and len(frames):
            seconds = math.exp(min(frames[:, -1].mean() - 1.0, math.log(self.seconds)))
            frames = _stretched(frames, max(1, round(seconds * 1000 / self.hop_ms))).numpy()
        frames = np.clip(frames[:, : self.bands], 0.0, 1.0)
        power = np.where(frames > 0, 10.0 ** ((frames - 1.0) * self.range_db / 10.0), 0.0)
        power = np.pad(power, [(0, max(0, 64 - len(power))), (0, 0)])  # Of a few frames alone there is no phase to be found.
        options = {"n_fft": 2 ** math.ceil(math.log2(width)), "hop_length": hop, "win_length": width, "n_iter": 16}
        samples = librosa.feature.inverse.mel_to_audio(power.T, sr=SAMPLE_RATE, **options) if power.any() else np.zeros(len(power) * hop)
        samples = samples[: len(frames) * hop]
        return (samples / max(1e-6, np.abs(samples).max(initial=0.0)) * 0.9).astype(np.float32)

    def config(self):
        shape = {"bins": self.bins, "hop_ms": self.hop_ms, "window_ms": self.window_ms, "seconds": self.seconds}
        return shape | {"range_db": self.range_db, "trim_db": self.trim_db, "steps": self.steps}


def _stretched(frames, count):
    return tf.image.resize(frames[:, :, None], [count, frames.shape[1]], antialias=True)[:, :, 0]


def trimmed(frames, range_db):
    """Cuts off what is quiet at both ends of a log-mel spectrogram.

    Args:
        frames: float32 `(time, bins)`, natural logarithms.
        range_db: by how many decibels the first and the last frame that are kept may be quieter than the loudest one.

    Returns:
        float32 `(time, bins)`, of one frame at least.
    """
    level = tf.reduce_logsumexp(frames, 1) * (10.0 / math.log(10.0))
    kept = tf.where(level >= tf.reduce_max(level) - range_db)[:, 0]
    return frames[kept[0] : kept[-1] + 1]


def decode_wav(raw, seconds=30):
    """Decodes 16-bit PCM WAV bytes to one channel at 16 kHz.

    Args:
        raw: string tensor `()`.
        seconds: longest sound kept; the rest is cut off before it is resampled.

    Returns:
        float32 `(samples,)` between -1 and 1. What is no such WAV, or says that it has less than 1 or more than 768 kHz, raises `tf.errors.InvalidArgumentError`.
    """
    channels, rate = tf.audio.decode_wav(_plain(raw))
    with tf.control_dependencies([tf.debugging.Assert((rate >= _RATES[0]) & (rate <= _RATES[1]), [f"Expected a rate of {_RATES[0]} to {_RATES[1]} Hz. Received", rate])]):
        rate = tf.identity(rate)
    samples = tf.reduce_mean(channels[: tf.cast(seconds * tf.cast(rate, tf.float32), tf.int32)], -1)
    return tf.cond(tf.equal(rate, SAMPLE_RATE), lambda: samples, lambda: resample(samples, rate))


def _plain(raw):
    """A WAV whose format is told at length (WAVE_FORMAT_EXTENSIBLE), with the short one that TensorFlow reads."""
    said = tf.strings.substr(tf.strings.join([raw, b"\0" * 60]), 12, 34)
    long = (tf.strings.substr(said, 0, 10) == b"fmt \x28\0\0\0\xfe\xff") & (tf.strings.substr(said, 32, 2) == b"\x01\0")

    def short():
        head, middle, rest = (tf.strings.substr(raw, place, size) for place, size in ((0, 16), (22, 14), (60, tf.strings.length(raw) - 60)))
        return tf.strings.join([head, b"\x10\0\0\0\x01\0", middle, rest])

    return tf.cond(long & (tf.strings.length(raw) >= 60), short, lambda: raw)


def resample(samples, rate, zeros=16):
    """Resamples a sound to 16 kHz by a Hann-windowed sinc, in the graph.

    Args:
        samples: float32 `(samples,)`.
        rate: int32 `()`, samples per second of `samples`.
        zeros: zero crossings of the sinc on each side.

    Returns:
        float32 `(samples,)` at 16 kHz.

    Source:
        Smith, "Digital Audio Resampling", the band-limited interpolation of section 2.
    """
    hertz, rate = tf.cast(rate, tf.int64), tf.cast(rate, tf.float32)
    cutoff = tf.minimum(1.0, SAMPLE_RATE / rate)  # In units of the input's Nyquist frequency: what 16 kHz cannot hold goes.
    reach = tf.cast(tf.math.ceil(zeros / cutoff), tf.int32)
    size = tf.size(samples)
    count = tf.cast((tf.cast(size, tf.int64) * SAMPLE_RATE + hertz - 1) // hertz, tf.int32)  # Rounded up.
    padded, offsets = tf.pad(samples, [[reach, reach + 1]]), tf.range(1 - reach, reach + 1)

    def some(start):
        """The samples from one on, as many as are made at once."""
        # Whole and fractional position apart: a float32 position would lose the fraction in a long recording.
        step = tf.cast(tf.range(start, tf.minimum(start + _BLOCK, count)), tf.float64) * tf.cast(rate, tf.float64) / SAMPLE_RATE
        whole = tf.cast(tf.floor(step), tf.int32)
        fraction = tf.cast(step - tf.floor(step), tf.float32)
        distance = tf.cast(offsets, tf.float32)[None] - fraction[:, None]  # (samples, taps)
        x = distance * cutoff
        sinc = tf.where(tf.abs(x) < 1e-6, tf.ones_like(x), tf.sin(math.pi * x) / (math.pi * tf.where(tf.abs(x) < 1e-6, tf.ones_like(x), x)))
        window = tf.where(tf.abs(x) < zeros, 0.5 + 0.5 * tf.cos(math.pi * x / zeros), tf.zeros_like(x))
        taps = tf.gather(padded, whole[:, None] + offsets[None] + reach)
        return tf.reduce_sum(taps * sinc * window, -1) * cutoff

    def block(start):
        made = some(start)
        return tf.pad(made, [[0, _BLOCK - tf.size(made)]])

    def blocks():
        starts = tf.range(0, count, _BLOCK)
        return tf.reshape(tf.map_fn(block, starts, fn_output_signature=tf.TensorSpec((_BLOCK,)), parallel_iterations=1), [-1])[:count]

    return tf.cond(count <= _BLOCK, lambda: some(0), blocks)


def log_mel(samples, bins, hop_ms, window_ms):
    """Computes the natural logarithm of mel energies, equal to librosa's.

    Args:
        samples: float32 `(samples,)` at 16 kHz.
        bins: number of mel bands.
        hop_ms: milliseconds between frames.
        window_ms: milliseconds of one Hann window.

    Returns:
        float32 `(time, bins)`.
    """
    hop, width = round(SAMPLE_RATE * hop_ms / 1000), round(SAMPLE_RATE * window_ms / 1000)
    size = 2 ** math.ceil(math.log2(width))
    window = np.zeros(size, np.float32)  # librosa puts a short window in the middle of the frame, tf.signal.stft at its left.
    start = (size - width) // 2
    window[start : start + width] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    frames = tf.signal.frame(tf.pad(samples, [[size // 2, size // 2]]), size, hop)
    power = tf.abs(tf.signal.rfft(frames * window)) ** 2  # (time, size / 2 + 1)
    bands = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=size, n_mels=bins).T
    return tf.math.log(power @ tf.constant(bands, tf.float32) + _FLOOR)
