"""Random changes to what a model is trained on; nothing of this is in scores or in an export."""

import inspect
import math

import tensorflow as tf

from cross_modal.features.audio import SAMPLE_RATE, decode_wav, resample


def image(value, seed, *, crop=None, scale=0.0, rotation=0.0, shift=0.0, flip=False, brightness=0.0, contrast=0.0, saturation=0.0, erase=0.0):
    """Changes pictures, each in its own way. What comes into a picture from outside is black.

    Args:
        value: float32 `(batch, height, width, channels)` between 0 and 1.
        seed: int `(2,)`.
        crop: smallest share of a picture's area that is cut out, at random, and drawn at full size, its sides at most a third longer or shorter; None for no crop.
        scale: largest share by which a picture grows or shrinks.
        rotation: largest angle in degrees, either way.
        shift: largest share of each side by which a picture is moved.
        flip: whether half of the pictures are mirrored, left for right.
        brightness: largest part of full brightness added or taken away.
        contrast: largest share by which distances from the mean grow or shrink.
        saturation: the same for distances from grey, of coloured pictures.
        erase: largest share of each side of a rectangle that is replaced by the picture's mean, in half of the pictures.

    Returns:
        float32 of the same shape.

    Source:
        Szegedy et al. (2015), "Going Deeper with Convolutions", section 6, for `crop`.
    """
    if crop is not None and not 0.0 < crop <= 1.0:
        raise ValueError(f"Expected `crop` to be a share of the area, above 0 and at most 1, or None. Received: crop={crop}")
    draw = _draws(seed)
    if crop is not None or scale or rotation or shift or flip:
        value = _moved(value, draw, 1.0 if crop is None else crop, scale, rotation, shift, flip)
    count = tf.shape(value)[0]
    if brightness or contrast:
        mean = tf.reduce_mean(value, [1, 2, 3], keepdims=True)
        factor = 1.0 + contrast * draw((count, 1, 1, 1))
        value = tf.clip_by_value((value - mean) * factor + mean + brightness * draw((count, 1, 1, 1)), 0.0, 1.0)
    if saturation and value.shape[-1] == 3:
        grey = tf.image.rgb_to_grayscale(value)
        value = tf.clip_by_value((value - grey) * (1.0 + saturation * draw((count, 1, 1, 1))) + grey, 0.0, 1.0)
    if erase:
        mean = tf.reduce_mean(value, [1, 2], keepdims=True)
        hidden = _span(value.shape[1], erase, draw, count)[:, :, None, None] & _span(value.shape[2], erase, draw, count)[:, None, :, None]
        value = tf.where(hidden & (draw((count, 1, 1, 1)) > 0.0), mean, value)
    return value


def audio(raw, seed, seconds=30, *, gain_db=0.0, noise_db=None, shift_ms=0, speed=0.0):
    """Changes one recording.

    Args:
        raw: WAV bytes, string `()`.
        seed: int `(2,)`.
        seconds: of the sound that are kept, when all is done.
        gain_db: largest change of loudness, either way; what passes full scale is clipped.
        noise_db: smallest distance of white noise below the recording; it is drawn between that and 30 dB more. None for no noise.
        shift_ms: most milliseconds of silence put before the sound, or cut off its beginning; at most a tenth of the recording is cut.
        speed: largest share by which the recording is played faster (and higher) or slower.

    Returns:
        WAV bytes, string `()`, 16 kHz and one channel.
    """
    draw = _draws(seed)
    samples = decode_wav(raw, seconds * (1.0 + speed))
    if speed:
        samples = resample(samples, tf.cast(tf.round(SAMPLE_RATE * (1.0 + speed * draw(()))), tf.int32), zeros=6)
    if shift_ms:
        moved = tf.cast(shift_ms * SAMPLE_RATE / 1000 * draw(()), tf.int32)
        samples = tf.pad(samples[tf.clip_by_value(-moved, 0, tf.size(samples) // 10) :], [[tf.maximum(moved, 0), 0]])
    if noise_db is not None:
        distance = noise_db + 15.0 * (1.0 + draw(()))
        power = tf.reduce_mean(samples**2) * 10.0 ** (-distance / 10.0)
        samples += tf.sqrt(power) * tf.random.stateless_normal(tf.shape(samples), draw.next_seed())
    if gain_db:
        samples *= 10.0 ** (gain_db * draw(()) / 20.0)
    return tf.audio.encode_wav(tf.clip_by_value(samples, -1.0, 1.0)[:, None], SAMPLE_RATE)


def spectrogram(value, mask, seed, *, time_mask=0.0, bin_mask=0.0, masks=2, warp=0.0, gain=0.0):
    """Hears a recording from another throat and through another microphone, and hides spans of time and of frequency bands, set to 0.

    Args:
        value: float32 `(batch, time, bins)`.
        mask: bool `(batch, time)`.
        seed: int `(2,)`.
        time_mask: largest share of the recording's length that one span hides.
        bin_mask: largest share of the bands that one span hides.
        masks: number of spans of each.
        warp: by how much of their height bands are moved up or down at most, as if throats were shorter or longer.
        gain: how much is added to a band, or taken from it, at most, along a curve over all bands; what is 0 stays 0.

    Returns:
        float32 of the same shape.

    Source:
        Park et al. (2019), "SpecAugment", section 2, without time warping; Jaitly and Hinton (2013), "Vocal Tract Length Perturbation (VTLP) improves speech recognition",
        section 3, without its bend; Nam et al. (2022), "FilterAugment", section 2 (linear).
    """
    draw, count, bins = _draws(seed), tf.shape(value)[0], value.shape[2]
    if warp:
        value = _between(value, tf.range(bins, dtype=tf.float32) * (1.0 + warp * draw((count, 1))))
    if gain:
        curve = _between(gain * draw((count, 1, _BENDS)), tf.tile(tf.linspace(0.0, _BENDS - 1.0, bins)[None], (count, 1)))
        value = tf.where(value == 0.0, 0.0, value + curve)
    lengths = tf.reduce_sum(tf.cast(mask, tf.float32), 1, keepdims=True)
    hidden = tf.zeros(tf.shape(value), tf.bool)
    for _ in range(masks):
        if time_mask:
            hidden |= _span(tf.shape(value)[1], time_mask, draw, count, lengths)[:, :, None]
        if bin_mask:
            hidden |= _span(value.shape[2], bin_mask, draw, count)[:, None, :]
    return tf.where(hidden, 0.0, value)


def text(value, mask, seed, *, word_dropout=0.0):
    """Leaves subwords out; each text keeps at least one.

    Args:
        value: int32 `(batch, time)`.
        mask: bool `(batch, time)`.
        seed: int `(2,)`.
        word_dropout: share left out.

    Returns:
        Pair of int32 and bool `(batch, time)`: what is left, at the beginning.
    """
    chance = tf.where(mask, tf.random.stateless_uniform(tf.shape(mask), seed), -1.0)
    kept = mask & ((chance >= word_dropout) | (chance == tf.reduce_max(chance, 1, keepdims=True)))
    order = tf.argsort(tf.cast(~kept, tf.int32), axis=1, stable=True)
    value, kept = tf.gather(value, order, batch_dims=1), tf.gather(kept, order, batch_dims=1)
    return tf.where(kept, value, 0), kept


def subwords(value, parts, seed, *, split=0.0):
    """Writes some subwords as several others that spell the same, so that a text is not always seen in the same ones.

    Args:
        value: int32 `(time,)`.
        parts: of the feature, see `features.Text.parts`.
        seed: int `(2,)`.
        split: how often a subword that others spell is replaced by them, in one of the likeliest ways, each as often as another.

    Returns:
        Ragged int32 `(time, subwords)`: what stands in the place of each.

    Source:
        Kudo (2018), "Subword Regularization", section 3, for several segmentations of a text, of which the likeliest are drawn; Provilkov et al. (2020), "BPE-Dropout", section 3,
        for a small chance of smaller subwords, each by itself.
    """
    ways, starts, counts = (tf.ragged.constant(parts[0], tf.int32, row_splits_dtype=tf.int64), *map(tf.constant, parts[1:]))
    draw, count = _draws(seed), tf.gather(counts, value)
    chance, which = (0.5 + 0.5 * draw(tf.shape(value)) for _ in range(2))
    place = tf.minimum(tf.cast(which * tf.cast(count, tf.float32), tf.int32), count - 1)
    apart = tf.gather(ways, tf.where((count > 0) & (chance < split), tf.gather(starts, value) + place, 0))
    return tf.concat([apart, tf.ragged.boolean_mask(value[:, None], apart.row_lengths()[:, None] == 0)], 1)


def drop_modalities(masks, seed, share):
    """Hides whole fields of items, so that a model learns to do without; one field that is there is always kept.

    Args:
        masks: dict of field to bool `(batch, views, time or 1)`.
        seed: int `(2,)`.
        share: how often a field is hidden.

    Returns:
        Dict of field to mask.
    """
    present = tf.stack([tf.reduce_any(mask, [1, 2]) for mask in masks.values()], 1)  # (batch, fields)
    chance = tf.where(present, tf.random.stateless_uniform(tf.shape(present), seed), -1.0)
    kept = (chance >= share) | (chance == tf.reduce_max(chance, 1, keepdims=True))
    return {name: mask & kept[:, place, None, None] for place, (name, mask) in enumerate(masks.items())}


def mix(batch, inputs, labels, seed, alpha):
    """Mixes each item with another one of the batch, inputs and labels alike.

    Args:
        batch: of `batches`.
        inputs: names of fields of real numbers.
        labels: names of labels.
        seed: int `(2,)`.
        alpha: of the symmetric beta distribution that the share is drawn from.

    Returns:
        The batch; a label has besides `value` also `other` and `other_mask`, those of the other item, and `share`, float32 `(batch,)`, that of the item itself.

    Source:
        Zhang et al. (2018), "mixup: Beyond Empirical Risk Minimization", section 2.
    """
    draw, count = _draws(seed), tf.size(batch["item"])
    order = tf.random.experimental.stateless_shuffle(tf.range(count), draw.next_seed())
    a, b = (tf.random.stateless_gamma((count,), draw.next_seed(), alpha) + 1e-9 for _ in range(2))
    share = a / (a + b)
    batch = dict(batch)
    for name in inputs:
        value, mask = batch[name]["value"], batch[name]["mask"]
        own = tf.cast(tf.reshape(share, (-1, *[1] * (value.shape.rank - 1))), value.dtype)
        batch[name] = {**batch[name], "value": own * value + (1.0 - own) * tf.gather(value, order), "mask": mask | tf.gather(mask, order)}
    for name in labels:
        batch[name] = {**batch[name], "other": tf.gather(batch[name]["value"], order), "other_mask": tf.gather(batch[name]["mask"], order), "share": share}
    return batch


_BENDS = 5  # Points that the curve of `gain` goes through.
_KINDS = {"image": (image,), "audio": (audio, spectrogram), "text": (text, subwords), "label": (), "again": (subwords,)}


def check_options(augment, kinds):
    """Checks what is asked for.

    Args:
        augment: dict of field to dict of the keyword arguments of the functions above.
        kinds: dict of field to kind, "again" for what is drawn once more.

    Raises:
        ValueError: for an unknown field or argument, listing the known ones.
    """
    for field, options in augment.items():
        if field not in kinds:
            raise ValueError(f"Expected `augment` to name fields among {', '.join(kinds)}. Received: {field}")
        if not isinstance(options or {}, dict):
            raise ValueError(f"Expected `augment` of {field} to be a dict of what is done to how much. Received: {options!r}")
        known = [name for function in _KINDS[kinds[field]] for name in _options(function)]
        unknown = [name for name in options or {} if name not in known]
        if unknown:
            raise ValueError(f"Expected `augment` of {field} to have keys among {', '.join(known) or 'none'}. Received: {', '.join(unknown)}")
        for name, value in (options or {}).items():
            if not isinstance(value, (int, float)) and not (name == "noise_db" and value is None):
                raise ValueError(f"Expected `augment` of {field} to have a number for {name}. Received: {value!r}")


def chosen(function, options):
    """Those of the options that a function takes."""
    return {name: value for name, value in (options or {}).items() if name in _options(function)}


def _options(function):
    return [name for name, one in inspect.signature(function).parameters.items() if one.kind == one.KEYWORD_ONLY]


class _draws:  # noqa: N801  A function with a memory.
    """Draws numbers between -1 and 1, others at each call."""

    def __init__(self, seed):
        self.seed, self.calls = tf.cast(seed, tf.int64), 0

    def next_seed(self):
        self.calls += 1
        return self.seed + tf.constant([0, self.calls], tf.int64) * 1_000_003

    def __call__(self, shape):
        return tf.random.stateless_uniform(shape, self.next_seed(), -1.0, 1.0)


def _between(value, places):
    """Values `(batch, time, bins)` at places `(batch, any)` of the last axis, between two neighbours in proportion, at the ends the last ones: `(batch, time, any)`."""
    places = tf.clip_by_value(places, 0.0, value.shape[2] - 1.0)
    below = tf.cast(tf.minimum(tf.floor(places), value.shape[2] - 2.0), tf.int32)
    share = (places - tf.cast(below, tf.float32))[:, :, None]
    columns = tf.transpose(value, (0, 2, 1))
    found = tf.gather(columns, below, batch_dims=1) * (1.0 - share) + tf.gather(columns, below + 1, batch_dims=1) * share
    return tf.transpose(found, (0, 2, 1))


def _span(size, share, draw, count, lengths=None):
    """A span of at most a share of the length at a random place of each row: bool `(batch, size)`."""
    lengths = tf.cast(size, tf.float32) * tf.ones((count, 1)) if lengths is None else lengths
    width = lengths * share * (0.5 + 0.5 * draw((count, 1)))
    start = (lengths - width) * (0.5 + 0.5 * draw((count, 1)))
    places = tf.cast(tf.range(size), tf.float32)[None]
    return (places >= start) & (places < start + width)


def _moved(value, draw, crop, scale, rotation, shift, flip):
    """One projective transform a picture, around its middle."""
    count, height, width = tf.shape(value)[0], value.shape[1], value.shape[2]
    angle, size = rotation * math.pi / 180.0 * draw((count,)), tf.exp(math.log1p(scale) * draw((count,)))
    mirror = tf.where(draw((count,)) < 0.0, -1.0, 1.0) if flip else tf.ones((count,))
    right, down = shift * width * draw((count,)), shift * height * draw((count,))
    tall = wide = tf.ones((count,))
    if crop < 1.0:
        side = tf.sqrt(crop + (1.0 - crop) * (0.5 + 0.5 * draw((count,))))
        ratio = tf.clip_by_value(tf.exp(0.5 * math.log(4 / 3) * draw((count,))), side, 1.0 / side)
        tall, wide = side * ratio, side / ratio
        right += (1.0 - wide) / 2.0 * (width - 1) * draw((count,)) / wide
        down += (1.0 - tall) / 2.0 * (height - 1) * draw((count,)) / tall
    x, y = (width - 1) / 2.0, (height - 1) / 2.0
    a, b = wide * tf.cos(angle) / size * mirror, -tall * tf.sin(angle) / size
    c, d = wide * tf.sin(angle) / size * mirror, tall * tf.cos(angle) / size
    # From a place in the result to one in the picture.
    rows = [a, b, x - a * (x + right) - b * (y + down), c, d, y - c * (x + right) - d * (y + down), tf.zeros_like(a), tf.zeros_like(a)]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=value, transforms=tf.stack(rows, 1), output_shape=[height, width], fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT"
    )
