"""The embedded dataset: numbers from 0 to 999, handwritten, in words and spoken.

An item is a number. Its pictures are composed of real handwritten digits (scikit-learn's `load_digits`; the samples in the test pictures are in no
training picture). Its texts are the number in words in nine languages and four scripts. Its sounds
are those words spoken by synthetic voices in three languages, where `espeakng-loader` (in the `demo` extra) is installed. All is
drawn from one seed, and written as an ordinary table with media files beside it.
"""

import concurrent.futures
import ctypes
import importlib.util
import json
import pathlib
import shutil
import tempfile

import cv2
import numpy as np
import soundfile
import soxr
from num2words import num2words
from sklearn.datasets import load_digits
from tqdm import tqdm

TEXT_LANGUAGES = ("ar", "de", "en", "es", "fr", "ko", "ru", "tr", "uk")
SPEECH_LANGUAGES = ("en", "es", "fr")
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
_PICTURES = {"train": 8, "validation": 1, "test": 1}
_RECORDINGS = {"train": 3, "validation": 1, "test": 1}
VOICES = ("m1", "m2", "m3", "m4", "m7", "f1", "f2", "f3", "f4")
_DIGIT = 16  # Pixels of a digit's side.


def has_speech():
    """Returns whether the package that speaks is installed."""
    return importlib.util.find_spec("espeakng_loader") is not None


def write_sample(folder, numbers=1000, seed=0, speech=None, progress=True, unheard=()):
    """Writes the sample as `items.jsonl` with `image/` and `audio/` beside it.

    Args:
        folder: where to.
        numbers: how many numbers, from 0; at least 20 and at most 1,000. A tenth of them are validation and a fifth test.
        seed: seed of all draws.
        speech: whether to write sounds; None for wherever it can.
        progress: whether to show a progress bar.
        unheard: voices, of `VOICES`, that all recordings of the test split have, and no other.

    Returns:
        Path of the table.

    Raises:
        ValueError: if `numbers` is out of range, or `unheard` has what is no voice, or all of them.
        ModuleNotFoundError: if `speech` is True and the package that speaks is missing.
    """
    if not 20 <= numbers <= 1000:
        raise ValueError(f"Expected between 20 and 1000 numbers. Received: numbers={numbers}")
    if not set(unheard) < set(VOICES):
        raise ValueError(f"Expected `unheard` to be some of {', '.join(VOICES)}. Received: unheard={unheard}")
    folder = pathlib.Path(folder)
    for name in ("image", "audio"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    speaker = _Speaker() if (has_speech() if speech is None else speech) else None
    draw = np.random.default_rng(seed)
    splits = number_splits(numbers, draw)
    digits = split_digits(draw)
    table, writes = folder / "items.jsonl", []
    # Draws and speech in order, files beside them: the seed decides every byte, and the second core has work.
    with table.open("w", encoding="utf-8") as file, concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number in tqdm(range(numbers), desc="sample", unit="item", disable=not progress, mininterval=1.0):
            split = splits[number]
            row = {"id": str(number), "split": split, "parity": "odd" if number % 2 else "even", "digits": len(str(number)), "image": []}
            for view in range(_PICTURES[split]):
                row["image"].append(f"image/{number}_{view}.png")
                cv2.imwrite(str(folder / row["image"][-1]), draw_number(number, digits[split], draw))
            row |= {f"text:{language}": num2words(number, lang=language) for language in TEXT_LANGUAGES}
            for language in SPEECH_LANGUAGES if speaker else ():
                row[f"audio:{language}"] = []
                voices = unheard if unheard and split == "test" else [voice for voice in VOICES if voice not in unheard]
                for view in range(_RECORDINGS[split]):
                    row[f"audio:{language}"].append(f"audio/{number}_{language}_{view}.flac")
                    samples, rate = speaker.say(row[f"text:{language}"], language, voices, draw)
                    writes.append(pool.submit(_write_sound, folder / row[f"audio:{language}"][-1], samples, rate))
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        for write in writes:
            write.result()  # Raises what went wrong, such as a full disk.
    return table


def _write_sound(path, samples, rate):
    soundfile.write(path, soxr.resample(samples, rate, 16_000), 16_000)


def number_splits(numbers, draw):
    """Returns a dict of number, from 0, to the split that it is drawn into."""
    order = draw.permutation(numbers)
    first, second = round(SHARES["train"] * numbers), round((SHARES["train"] + SHARES["validation"]) * numbers)
    splits = dict.fromkeys(order[:first].tolist(), "train")
    splits |= dict.fromkeys(order[first:second].tolist(), "validation")
    return splits | dict.fromkeys(order[second:].tolist(), "test")


def split_digits(draw):
    """Returns a dict of split to digit to pictures of it, `(samples, 8, 8)`, with no sample in two splits."""
    data = load_digits()
    part = draw.choice(list(SHARES), len(data.target), p=list(SHARES.values()))
    return {split: [data.images[(part == split) & (data.target == digit)] for digit in range(10)] for split in SHARES}


def draw_number(number, digits, draw):
    """Draws a number on a strip of three places, at the right as in a column of figures, each digit by any writer, a little moved, turned and scaled."""
    strip = np.zeros((_DIGIT + 8, 3 * _DIGIT + 8), np.float32)
    text = str(number)
    left = 4 + (3 - len(text)) * _DIGIT
    for place, digit in enumerate(text):
        sample = digits[int(digit)]
        pixels = (sample[draw.integers(len(sample))] * 15.9).astype(np.float32)
        turn = cv2.getRotationMatrix2D((3.5, 3.5), draw.uniform(-8, 8), _DIGIT / 8 * draw.uniform(0.9, 1.1))
        turn[:, 2] += [left + place * _DIGIT + _DIGIT / 2 - 4 + draw.uniform(-1, 1), 4 + _DIGIT / 2 - 4 + draw.uniform(-2, 2)]
        strip = np.maximum(strip, cv2.warpAffine(pixels, turn, (strip.shape[1], strip.shape[0]), flags=cv2.INTER_LINEAR))
    return strip.astype(np.uint8)


class _Speaker:
    """Speaks by the espeak-ng library that the `espeakng-loader` package carries."""

    def __init__(self):
        import espeakng_loader

        # The library keeps its state in globals: a copy of its own makes what a speaker says depend on nothing said before.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            self._library = ctypes.CDLL(shutil.copy(espeakng_loader.get_library_path(), folder))
        self._chunks = []
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._keep = callback(self._collect)  # The library calls it later: it must live as long as this object.
        self._rate = self._library.espeak_Initialize(2, 0, str(espeakng_loader.get_data_path()).encode(), 0)
        if self._rate <= 0:
            raise RuntimeError(f"Expected espeak-ng to start. Received: error {self._rate} from {espeakng_loader.get_library_path()}")
        self._library.espeak_SetSynthCallback(self._keep)

    def _collect(self, samples, count, events):
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text, language, voices, draw):
        """Returns the samples, between -1 and 1, and their rate."""
        voice = f"{language}+{draw.choice(voices)}"
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise RuntimeError(f"Expected espeak-ng to have the voice {voice}. Received: no such voice")
        self._library.espeak_SetParameter(1, int(draw.integers(150, 200)), 0)  # Words a minute.
        self._library.espeak_SetParameter(3, int(draw.integers(25, 75)), 0)  # Pitch, 0 to 99.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(0))  # Voices tremble and breathe at random.
        self._chunks.clear()
        raw = text.encode()
        self._library.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._chunks).astype(np.float32) / 32768, self._rate
