import hashlib
import json

import pytest

from cross_modal import samples


def _digest(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def test_the_seed_decides_every_byte(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        samples.write_sample(tmp_path / name, numbers=20, seed=seed, progress=False)
    assert _digest(tmp_path / "a") == _digest(tmp_path / "b") != _digest(tmp_path / "c")


def test_items_hold_what_the_page_says(table):
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == [str(number) for number in range(40)]
    assert sum(row["split"] == "test" for row in rows) == 8
    row = rows[21]
    assert (row["parity"], row["digits"], row["text:en"], row["text:de"], row["text:ko"]) == ("odd", 2, "twenty-one", "einundzwanzig", "이십일")
    assert all((table.parent / path).exists() for path in [*row["image"], *(path for language in samples.SPEECH_LANGUAGES for path in row[f"audio:{language}"])])


def test_handwriting_of_one_split_is_in_no_other():
    import numpy as np

    digits = samples.split_digits(np.random.default_rng(0))
    seen = {split: {picture.tobytes() for pictures in digits[split] for picture in pictures} for split in digits}
    assert not seen["train"] & seen["test"] and not seen["train"] & seen["validation"] and not seen["validation"] & seen["test"]
    assert all(len(pictures) >= 10 for split in digits for pictures in digits[split])


def test_without_speech_there_is_no_audio(tmp_path):
    path = samples.write_sample(tmp_path, numbers=20, speech=False, progress=False)
    assert "audio" not in path.read_text(encoding="utf-8")


def test_too_few_numbers_are_told(tmp_path):
    with pytest.raises(ValueError, match="between 20 and 1000 numbers. Received: numbers=5"):
        samples.write_sample(tmp_path, numbers=5)


def test_voices_that_are_not_to_be_heard_speak_in_the_test_split_alone(tmp_path, monkeypatch):
    said, say = [], samples._Speaker.say
    monkeypatch.setattr(samples._Speaker, "say", lambda self, text, language, voices, draw: said.append((text, set(voices))) or say(self, text, language, voices, draw))
    table = samples.write_sample(tmp_path, numbers=20, unheard=("m7", "f4"), progress=False)
    tested = {row[f"text:{tag}"] for row in map(json.loads, table.read_text(encoding="utf-8").splitlines()) if row["split"] == "test" for tag in samples.SPEECH_LANGUAGES}
    assert tested and all((voices == {"m7", "f4"}) == (text in tested) and len(voices) in (2, 7) for text, voices in said)


def test_voices_that_there_are_not_are_told(tmp_path):
    for unheard in (("m9",), samples.VOICES):
        with pytest.raises(ValueError, match="`unheard` to be some of m1, .*Received: unheard="):
            samples.write_sample(tmp_path, numbers=20, unheard=unheard)
