import io
import tracemalloc

import cv2
import numpy as np
import pytest
import soundfile

from cross_modal.data import media, prints

LIMITS = media.Limits()


def photo(seed, height=96, width=128):
    random = np.random.default_rng(seed)
    coarse = cv2.resize(random.integers(0, 256, (5, 7, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.GaussianBlur(cv2.circle(coarse, tuple(int(one) for one in random.integers(10, 90, 2)), 15, tuple(int(one) for one in random.integers(0, 256, 3)), -1), (3, 3), 0)


def voice(seed, seconds=0.8):
    """A sum of gliding tones with pauses."""
    random = np.random.default_rng(seed)
    time = np.arange(int(16_000 * seconds)) / 16_000
    sound = sum(random.uniform(0.1, 0.3) * np.sin(2 * np.pi * (random.uniform(200, 2500) * time + random.uniform(-800, 800) * time**2)) for _ in range(6))
    return (sound * np.interp(time, np.linspace(0, seconds, 9), random.uniform(0, 1, 9) ** 2)).astype(np.float32) * 0.5


def found(kind, made):
    bits, thumbs, lengths = zip(*made)
    pairs = prints.near_pairs(kind, np.array(bits, np.uint64), np.frombuffer(b"".join(thumbs), np.uint8).reshape(len(bits), prints.THUMB), np.array(lengths))
    return {tuple(pair) for pair in pairs.tolist()}


def jpeg(pixels, quality):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


CHANGES = {
    "half the size": lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "three times the size": lambda pixels: cv2.resize(pixels, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC),
    "JPEG of low quality": lambda pixels: jpeg(pixels, 40),
    "small and JPEG": lambda pixels: jpeg(cv2.resize(pixels, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), 70),
    "brighter": lambda pixels: np.clip(pixels * 1.05 + 5, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_picture_is_found_whatever_its_file(change):
    pictures = [photo(seed) for seed in range(40)]
    made = [prints.picture_print(pixels) for pixels in pictures] + [prints.picture_print(CHANGES[change](pixels)) for pixels in pictures]
    pairs = found("image", made)
    assert pairs <= {(place, place + 40) for place in range(40)}  # None that are not the same.
    assert len(pairs) >= 38


def test_colours_tell_pictures_apart():
    picture = photo(0)
    assert found("image", [prints.picture_print(picture), prints.picture_print(np.ascontiguousarray(picture[:, :, ::-1]))]) == set()


def coded(samples, form, subtype=None, rate=16_000):
    file = io.BytesIO()
    soundfile.write(file, samples[:: 16_000 // rate], rate, format=form, subtype=subtype)
    return media.decode_audio(file.getvalue(), LIMITS)


SOUND_CHANGES = {
    "softer": lambda samples: samples * 0.3,
    "with silence at both ends": lambda samples: np.pad(samples, (3000, 5000)),
    "MP3": lambda samples: coded(samples, "MP3"),
    "Vorbis": lambda samples: coded(samples, "OGG", "VORBIS"),
    "Opus": lambda samples: coded(samples, "OGG", "OPUS"),
    "softer, with silence, Vorbis": lambda samples: coded(np.pad(samples, (777, 4011)) * 0.5, "OGG", "VORBIS"),
    "8 bit": lambda samples: coded(samples, "WAV", "ULAW"),
}


@pytest.mark.parametrize("change", SOUND_CHANGES)
def test_the_same_recording_is_found_whatever_its_file(change):
    sounds = [voice(seed) for seed in range(30)]
    made = [prints.sound_print(samples) for samples in sounds] + [prints.sound_print(SOUND_CHANGES[change](samples)) for samples in sounds]
    pairs = found("audio", made)
    assert pairs <= {(place, place + 30) for place in range(30)}
    assert len(pairs) >= 28


def test_the_same_noise_is_found_and_no_other():
    sounds = [(0.2 * np.random.default_rng(seed).normal(size=24_000)).astype(np.float32) for seed in range(20)]
    changed = [coded(np.pad(samples, 4000) * 0.5, "OGG", "VORBIS") for samples in sounds]
    assert found("audio", [prints.sound_print(samples) for samples in sounds + changed]) == {(place, place + 20) for place in range(20)}


def test_silence_around_clicks_does_not_move_them():
    clicks = np.where(np.arange(32_000) % 4000 < 40, np.float32(0.5), np.float32(0))
    for around in (8000, 777, 3011):
        assert found("audio", [prints.sound_print(clicks), prints.sound_print(np.pad(clicks, around))]) == {(0, 1)}


def test_pictures_of_one_colour_are_the_same_if_the_colour_is():
    colours = [(10, 200, 30), (200, 10, 30), (90, 90, 90), (1, 2, 250), (250, 250, 250), (0, 0, 0), (100, 50, 50), (200, 150, 150)]
    made = [prints.picture_print(np.full((32, size, 3), colour, np.uint8)) for size in (32, 50) for colour in colours]
    assert found("image", made) == {(place, place + len(colours)) for place in range(len(colours))}


def test_a_slower_recording_is_another_one():
    samples = voice(0)
    slow = np.interp(np.arange(0, len(samples), 0.8), np.arange(len(samples)), samples).astype(np.float32)
    assert found("audio", [prints.sound_print(samples), prints.sound_print(slow)]) == set()


def test_prints_of_the_shortest():
    for pixels in (np.uint8([[[1, 2, 3], [200, 0, 9]]]), np.random.default_rng(0).integers(0, 256, (1, 3000, 3), np.uint8)):
        bits, thumb, length = prints.picture_print(pixels)
        assert 0 <= bits < 2**64 and len(thumb) == prints.THUMB and length == 0
    for samples in (np.float32([0.5, -0.5]), voice(0, 0.01)):
        bits, thumb, length = prints.sound_print(samples)
        assert 0 <= bits < 2**64 and len(thumb) == prints.THUMB and length > 0


def views(seed, count, steps):
    """Bits and thumbnails of which some are near others, in steps small enough that chains arise."""
    random = np.random.default_rng(seed)
    bits, thumbs = random.integers(0, 2**63, count, np.uint64), random.integers(0, 256, (count, prints.THUMB), np.uint8).astype(int)
    for place in range(1, count):
        if random.random() < 0.7:
            near = random.integers(place)
            bits[place] = bits[near] ^ np.bitwise_or.reduce(np.uint64(1) << random.integers(0, 64, random.integers(0, 9)).astype(np.uint64), initial=np.uint64(0))
            thumbs[place] = np.clip(thumbs[near] + random.normal(0, random.choice(steps), prints.THUMB), 0, 255)
    return bits, thumbs.astype(np.uint8), random.choice([0.5, 0.6, 3, 3.1, 3.3], count)


def sets(count, pairs):
    names = list(range(count))
    for one, two in pairs:
        old, new = max(names[one], names[two]), min(names[one], names[two])
        names = [new if name == old else name for name in names]
    return names


@pytest.mark.parametrize("count", [0, 1, 2, 1500])
@pytest.mark.parametrize("kind", ["image", "audio"])
def test_the_sets_are_those_that_all_pairs_give(kind, count):
    bits, thumbs, lengths = views(count, count, (3, 8, 12, 40))
    pairs = prints.near_pairs(kind, bits, thumbs, lengths)
    unit = thumbs - thumbs.mean(1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    near = unit @ unit.T >= prints._LEAST[kind]
    if kind == "image":
        near &= np.bitwise_count(bits[:, None] ^ bits[None]) <= 7
    else:
        near &= np.abs(lengths[:, None] - lengths) <= 0.1 + 0.03 * np.maximum(lengths[:, None], lengths)
    expected = sets(count, [(one, two) for one, two in zip(*np.nonzero(near)) if one < two])
    assert sets(count, pairs.tolist()) == expected
    assert pairs.shape == (count - len(set(expected)), 2) and (pairs[:, 0] < pairs[:, 1]).all()


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_many_that_are_all_alike_take_little(kind):
    """All pairs of 6,000 are 18 million."""
    random = np.random.default_rng(0)
    bits = np.uint64(12345) ^ (np.uint64(1) << random.integers(0, 64, 6000).astype(np.uint64))
    thumbs = np.tile(random.integers(0, 256, prints.THUMB, np.uint8), (6000, 1))
    thumbs[:, 0] = random.integers(0, 256, 6000)
    tracemalloc.start()
    try:
        pairs = prints.near_pairs(kind, bits, thumbs, np.ones(6000))
        assert tracemalloc.get_traced_memory()[1] < 160e6  # Pairs of places alone would take 288 MB.
    finally:
        tracemalloc.stop()
    assert sets(6000, pairs.tolist()[:50])[:51] == [0] * 51 and len(pairs) == 5999


def test_no_pair_is_compared_twice_once_it_is_joined(monkeypatch):
    compared = []
    monkeypatch.setattr(prints, "_alike", lambda least, one, two, real=prints._alike: compared.append(len(one) * len(two)) or real(least, one, two))
    thumbs = np.tile(np.random.default_rng(0).integers(0, 256, prints.THUMB, np.uint8), (6000, 1))
    assert len(prints.near_pairs("image", np.full(6000, 7, np.uint64), thumbs, np.zeros(6000))) == 5999
    assert sum(compared) < 4e6
