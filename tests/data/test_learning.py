import io
import json

import cv2
import numpy as np
import pytest
import sentencepiece
import soundfile
import tensorflow as tf

from cross_modal import features
from cross_modal.data import ingest, learn_features

SMALL = {"text": {"vocab_size": 400}}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    assert cv2.imwrite(str(folder / "a.png"), np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8))
    soundfile.write(folder / "a.wav", np.sin(np.arange(4000) / 5), 16_000)
    rows = [{"split": "train", "image": "a.png", "audio:tr": "a.wav", "text:en": f"dog number {i}", "label": "odd" if i % 2 else "even"} for i in range(6)]
    rows += [{"split": "test", "text:de": "ЖЖЖЖ ЖЖЖЖ ЖЖЖЖ", "label": "prime"}, {"split": "validation", "text:de": "ЖЖЖЖ"}]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return ingest(folder / "t.jsonl", folder / "out", progress=False)


def test_each_field_gets_its_feature(mixed):
    found, languages = learn_features(mixed, options=SMALL)
    assert [(name, type(feature)) for name, feature in found.items()] == [
        ("image", features.Image),
        ("audio", features.Audio),
        ("text", features.Text),
        ("label", features.Label),
    ]
    assert languages.names == ["und", "de", "en", "tr"]
    assert found["label"].names == ["even", "odd", "prime"]


def test_pictures_are_described_where_that_is_asked(mixed):
    feature = learn_features(mixed, ["image"], {"image": {"units": "descriptors", "patches": 3, "fisher": 2}})[0]["image"]
    assert type(feature) is features.Descriptors and feature.spec.shape == (3772 + 9 * 3 + 2 * 2 * 2 * 66,)
    with pytest.raises(ValueError, match="`units` of image to be pixels or descriptors. Received: units=patches"):
        learn_features(mixed, ["image"], {"image": {"units": "patches"}})
    with pytest.raises(ValueError, match="no options of image but `patches` and `fisher` with `units: descriptors`. Received: fit, size"):
        learn_features(mixed, ["image"], {"image": {"units": "descriptors", "size": [8, 8], "fit": "crop"}})
    kinds = learn_features(mixed, ["image"], {"image": {"size": [8, 8], "patches": 3}})[0]["image"].patches
    assert [one.shape for one in kinds] == [(6, 6, 3, 3), (3,)]


def test_fields_asked_for_in_their_order(mixed):
    found, languages = learn_features(mixed, ["label", "audio"])
    assert list(found) == ["label", "audio"] and languages.names == ["und", "tr"]


def test_subwords_are_learned_from_train_alone(mixed):
    found, _ = learn_features(mixed, ["text"], SMALL)
    model = sentencepiece.SentencePieceProcessor(model_proto=found["text"].model)
    pieces = [model.id_to_piece(i) for i in range(model.vocab_size())]
    assert {"d", "g", "b"} <= set(pieces)
    assert not any("Ж" in piece for piece in pieces)
    assert found["text"].featurize(tf.constant("ЖЖ")).shape[0] >= 4  # In bytes, then.


def test_options_reach_the_features(mixed):
    options = {"image": {"size": (5, 7), "channels": 1}, "audio": {"bins": 12, "hop_ms": 20}, "text": {"vocab_size": 300, "length": 3}}
    found, _ = learn_features(mixed, options=options)
    assert found["image"].spec.shape == (5, 7, 1)
    assert found["audio"].config() == {"bins": 12, "hop_ms": 20, "window_ms": 25, "seconds": 30, "range_db": None, "trim_db": None, "steps": None}
    assert found["text"].length == 3 and found["text"].vocab_size <= 300
    assert options["text"] == {"vocab_size": 300, "length": 3}  # It is the caller's.


def test_a_field_of_pictures_without_any_is_told(tmp_path):
    rows = [{"image": f"{number}.png", "text:en": f"a text {number}", "split": "train"} for number in range(4)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = ingest(tmp_path / "t.jsonl", tmp_path / "d", {"text": "text"}, progress=False, max_bad=1.0, fractions=(1, 0, 0))
    with pytest.raises(ValueError, match="Expected pictures of image to learn from. Received: none, see `describe`. Leave the field out"):
        learn_features(dataset)


def test_a_feature_of_the_users_own(mixed):
    class Length(features.Feature):
        kind = "text"

        def __init__(self, factor):
            super().__init__(name="length")
            self.factor, self.spec = factor, tf.TensorSpec((1,), tf.int32)

        def featurize(self, raw):
            return tf.strings.length(raw)[None] * self.factor

        def config(self):
            return {"factor": self.factor}

    found, _ = learn_features(mixed, ["text"], {"text": {"kind": Length, "factor": 3}})
    assert found["text"].featurize(tf.constant("dog")).numpy().tolist() == [9]


def test_learning_again_gives_the_same(mixed):
    one, two = (learn_features(mixed, options=SMALL) for _ in range(2))
    assert [feature.config() for feature in one[0].values()] == [feature.config() for feature in two[0].values()]


@pytest.mark.parametrize("fields, options", [(["text", "words"], {}), (None, {"words": {}})])
def test_a_field_that_is_not_there(mixed, fields, options):
    with pytest.raises(KeyError, match="Expected fields of the dataset: image, audio, text, label. Received: words"):
        learn_features(mixed, fields, options)


def test_a_field_without_text_to_learn_from(tmp_path):
    rows = [{"split": "train", "label": "a"}, {"split": "test", "text:en": "only here"}]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(ValueError, match="does the training split have this field"):
        learn_features(ingest(tmp_path / "t.jsonl", tmp_path / "out", progress=False))


def test_what_is_stored_is_what_features_read(mixed):
    found, _ = learn_features(mixed, options=SMALL)
    for name, feature in found.items():
        for value, _ in mixed.values("train", name):
            assert feature.spec.shape.is_compatible_with(feature.featurize(tf.constant(value)).shape)
    ((raw, language), *_) = mixed.values("train", "audio")
    assert language == "tr" and soundfile.info(io.BytesIO(raw)).samplerate == 16_000


def test_subwords_are_learned_from_cleaned_texts(mixed):
    found, _ = learn_features(mixed, ["text"], {"text": {"vocab_size": 300, "fold_case": True, "stop_words": ["en"]}})
    assert "the" in found["text"].config()["stop_words"]["en"] and found["text"].config()["fold_case"]
    given, _ = learn_features(mixed, ["text"], {"text": {"vocab_size": 300, "stop_words": {"en": ["dog"]}}})
    pieces = sentencepiece.SentencePieceProcessor(model_proto=given["text"].model)
    assert not any("g" in pieces.id_to_piece(i) for i in range(260, pieces.vocab_size())), "dog was not to count"
    every, _ = learn_features(mixed, ["text"], {"text": {"vocab_size": 300, "stop_words": True}})
    assert set(every["text"].config()["stop_words"]) == {"en", "de"}
    assert learn_features(mixed, ["text"], {"text": {"vocab_size": 400, "stop_words": "en"}})[0]["text"].config()["stop_words"].keys() == {"en"}
    with pytest.raises(ValueError, match="Expected languages with stop words: af, ar.*Received: xx"):
        learn_features(mixed, ["text"], {"text": {"stop_words": ["xx"]}})


@pytest.mark.parametrize("sides, coloured, size, channels", [((28, 28), False, (32, 32), 1), ((90, 120), True, (48, 64), 3), ((300, 20), False, (64, 8), 1)])
def test_pictures_are_taken_as_they_are_up_to_64_pixels(tmp_path, sides, coloured, size, channels):
    rows = []
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, sides, np.uint8)
        pixels = np.stack([pixels] * 3, -1)
        pixels[0, 0, 0] ^= 255 if coloured and number == 5 else 0
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
        rows.append({"image": f"{number}.png", "split": "train"})
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    dataset = ingest(tmp_path / "t.jsonl", tmp_path / "out", progress=False, fractions=(1, 0, 0))
    found, _ = learn_features(dataset)
    assert (found["image"].size, found["image"].channels) == (size, channels)
    given, _ = learn_features(dataset, options={"image": {"size": (7, 9), "channels": 3}})
    assert (given["image"].size, given["image"].channels) == ((7, 9), 3)


def test_n_grams_are_weighed_by_a_label_beside_them(tmp_path):
    texts, labels = ["good day", "good", "bad day", "bad"], ["a", "a", "b", "b"]
    rows = [{"split": "train", "text:en": text, "text:de": f"{text}!", "mood": label} for text, label in zip(texts, labels)]
    rows += [{"split": split, "text:en": "bad", "mood": "a"} for split in ("validation", "test")]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = ingest(tmp_path / "t.jsonl", tmp_path / "d", {"text": "text", "mood": "label"}, progress=False)
    feature = learn_features(dataset, ["text"], {"text": {"units": "ngrams", "weigh_by": "mood"}})[0]["text"]
    found = features.learn_ngrams([text + mark for text in texts for mark in ("", "!")])
    expected = features.weigh_ngrams(found, [text + mark for text in texts for mark in ("", "!")], [{label} for label in labels for _ in "12"])
    assert feature.config() == features.NGrams(**found, weights=expected, weigh_by="mood").config() and np.ptp(feature.weights) > 0.5
    assert learn_features(dataset, ["text"], {"text": {"units": "ngrams"}})[0]["text"].weights is None
    both = learn_features(dataset, ["text"], {"text": {"units": "ngrams", "weigh_by": "mood", "by_language": True}})[0]["text"]
    assert both.firsts[:3] == feature.firsts[:3] and both.config()["words"] == found["words"] and both.vocab_size > feature.vocab_size  # "good" of English, "good" of German.
    with pytest.raises(ValueError, match="Expected a label of the dataset: mood. Received: text"):
        learn_features(dataset, ["text"], {"text": {"units": "ngrams", "weigh_by": "text"}})
    idf = learn_features(dataset, ["text"], {"text": {"units": "ngrams", "idf": True}})[0]["text"]
    assert idf.config() == features.NGrams(**features.learn_ngrams([text + mark for text in texts for mark in ("", "!")], idf=True)).config()
    with pytest.raises(ValueError, match="n-grams of text to be weighed by a label or by their inverse document frequency. Received: weigh_by=mood, idf=True"):
        learn_features(dataset, ["text"], {"text": {"units": "ngrams", "weigh_by": "mood", "idf": True}})


def test_languages_that_nobody_named_have_no_n_grams_of_their_own(tmp_path):
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({"text": f"a text {number}", "split": "train"}) for number in range(3)))
    dataset = ingest(tmp_path / "t.jsonl", tmp_path / "d", {"text": "text"}, progress=False, fractions=(1, 0, 0))
    with pytest.raises(ValueError, match="Expected text to be in languages that are named, such as text:en, for `by_language`. Received: none"):
        learn_features(dataset, ["text"], {"text": {"units": "ngrams", "by_language": True}})


@pytest.mark.parametrize("by_language", [False, True])
def test_a_mark_in_a_text_names_no_language(tmp_path, by_language):
    """The character that separates a tag from its text may stand in what users write: nothing before it is lost, and it is no tag."""
    rows = [{"text:en": "good\x1fday", "split": "train"}, {"text:de": "good day", "split": "train"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = ingest(tmp_path / "t.jsonl", tmp_path / "d", {"text": "text"}, progress=False, fractions=(1, 0, 0))
    feature = learn_features(dataset, ["text"], {"text": {"units": "ngrams", "by_language": by_language}})[0]["text"]
    marked, plain = (feature.featurize(feature.clean(tf.constant([text]), tf.constant(["en"]))[0]).numpy().tolist() for text in ("good\x1fday", "good day"))
    assert feature.firsts[1] - 2 == 3 and feature.vocab_size == feature.firsts[2]  # good, day, and both; nothing stands in two texts of one language.
    assert marked == plain and {2, 3, 4} <= set(marked)


def test_room_for_many_scripts():
    """The usual number of subwords would not hold the characters."""
    texts = [chr(0x4E00 + number) + chr(0xAC00 + number) for number in range(4000)]
    model = sentencepiece.SentencePieceProcessor(model_proto=features.learn_subwords(texts))
    assert model.encode(chr(0x4E00 + 77), out_type=str)[-1].endswith(chr(0x4E00 + 77))


def test_stop_words_of_texts_without_a_language(tmp_path):
    (tmp_path / "t.csv").write_text("text,split\n" + "".join(f"the dog is {number},train\n" for number in range(9)))
    dataset = ingest(tmp_path / "t.csv", tmp_path / "out", progress=False, kinds={"text": "text"}, fractions=(1, 0, 0))
    found, _ = learn_features(dataset, ["text"], {"text": {"stop_words": "en"}})
    assert found["text"].clean(tf.constant(["The dog is 3", "the dog"]), tf.constant(["", "und"])).numpy().tolist() == [b"dog 3", b"dog"]
    with pytest.raises(ValueError, match="Expected text to be in languages that are named"):
        learn_features(dataset, ["text"], {"text": {"stop_words": True}})


@pytest.mark.parametrize("units", ["characters", "ngrams"])
def test_texts_are_read_like_those_of_another_field(tmp_path, units):
    rows = [{"one:en": f"a cat {number % 2}", "other:en": "a fox", "split": "train"} for number in range(4)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = ingest(tmp_path / "t.jsonl", tmp_path / "d", {"one": "text", "other": "text"}, progress=False, fractions=(1, 0, 0))
    found, _ = learn_features(dataset, options={"one": {"units": units, "length": 40}, "other": {"like": "one", "length": 9}})
    assert found["other"].config() == {**found["one"].config(), "length": 9} and list(found) == ["one", "other"]
    for text in ("cat", "fox"):  # What stands in either field is known.
        ids = found["one"].featurize(tf.constant(text)).numpy().tolist()
        assert len(set(ids)) > 2 and found["other"].featurize(tf.constant(text)).numpy().tolist() == ids[:9]
    for wanted in ({"like": "other"}, {"like": "nothing"}, {"like": "one", "units": "bytes"}):
        with pytest.raises(ValueError, match=f"Expected `like` of other to be a field of texts.*Received: like={wanted['like']}"):
            learn_features(dataset, options={"other": wanted})
