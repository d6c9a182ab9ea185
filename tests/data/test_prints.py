import io

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
    "8 bit": lambda samples: coded(samples, "WAV", "ULAW"),
}


@pytest.mark.parametrize("change", SOUND_CHANGES)
def test_the_same_recording_is_found_whatever_its_file(change):
    sounds = [voice(seed) for seed in range(30)]
    made = [prints.sound_print(samples) for samples in sounds] + [prints.sound_print(SOUND_CHANGES[change](samples)) for samples in sounds]
    pairs = found("audio", made)
    assert pairs <= {(place, place + 30) for place in range(30)}
    assert len(pairs) >= 27


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


@pytest.mark.parametrize("count", [1, 2, 3000])
def test_all_pairs_of_near_bits_are_candidates(count):
    random = np.random.default_rng(count)
    bits = random.integers(0, 2**63, count, np.uint64)
    for place in range(1, count, 3):  # Every third is near the one before it.
        bits[place] = bits[place - 1] ^ np.bitwise_or.reduce(np.uint64(1) << random.integers(0, 64, random.integers(0, 9)).astype(np.uint64), initial=np.uint64(0))
    pairs = {(min(pair), max(pair)) for first, second in prints._candidates(bits) for pair in zip(first.tolist(), second.tolist())}
    distance = np.bitwise_count(bits[:, None] ^ bits[None])
    assert pairs == {(one, two) for one, two in zip(*np.nonzero(distance <= 7)) if one < two}
