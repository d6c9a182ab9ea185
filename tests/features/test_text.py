import unicodedata

import pytest
import tensorflow as tf

from cross_modal import features, testing

CORPUS = ["one hundred and two dogs", "einhundertzwei Hunde", "cent deux chiens, été", "сто две собаки"] * 5
UNKNOWN = 1
OTHERS = {
    "chinese": "你好，世界",
    "arabic": "مرحبا بالعالم",
    "hebrew": "שלום עולם",
    "thai": "สวัสดีชาวโลก",
    "devanagari": "नमस्ते दुनिया",
    "hangul": "한국어",
    "vietnamese": "Việt Nam ế",
    "emoji": "👩‍👩‍👧 🇹🇷 👍🏽",
    "mathematical": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "rare": "\U0001f6f8\U00020000\U0010fffd",
    "mixed directions": "abc \u202eשלום\u202c 123",
    "control symbols": "<pad> <unk> <s> </s> <0x00>",
    "its own space mark": "a▁b",
}


@pytest.fixture(scope="module")
def model():
    return features.learn_subwords(CORPUS, 400)


@pytest.fixture(scope="module")
def text(model):
    return features.Text(model, 32)


def ids(text, string):
    return text.featurize(tf.constant(string)).numpy().tolist()


def test_text_keeps_its_contract(text):
    testing.check_feature(text, ["one hundred dogs", "zwei", "שלום", "👍🏽"])


def test_model_may_be_bytes_or_base64(model, text):
    assert ids(features.Text(text.config()["model"], 32), "two dogs") == ids(features.Text(model, 32), "two dogs")


@pytest.mark.parametrize("string", OTHERS.values(), ids=OTHERS)
def test_what_was_never_seen_is_neither_unknown_nor_padding(text, string):
    found = ids(text, string)
    assert found and UNKNOWN not in found and 0 not in found
    assert max(found) < text.vocab_size


@pytest.mark.parametrize("string", ["été", "Việt Nam", "한국어", "Ñandú Å ç", "й ї", "がぎ", "नि"])
def test_both_forms_of_unicode_are_one(text, string):
    composed, decomposed = unicodedata.normalize("NFC", string), unicodedata.normalize("NFD", string)
    assert ids(text, composed) == ids(text, decomposed)


def test_forms_differ_at_all():
    assert unicodedata.normalize("NFC", "été") != unicodedata.normalize("NFD", "été")


def test_compatible_characters_and_white_space_are_folded(text):
    assert ids(text, "ｔｗｏ  ﬁne\tdogs\n") == ids(text, "two fine dogs")


def test_different_strings_differ(text):
    assert len({tuple(ids(text, string)) for string in ("two dogs", "dogs two", "Two dogs", "twodogs", "two dog")}) == 5


@pytest.mark.parametrize("length", [1, 7, 32])
def test_long_text_is_cut_at_length(model, length):
    long, short = " ".join(["dogs two hundred"] * 3334), " ".join(["dogs two hundred"] * 40)
    feature = features.Text(model, length)
    assert len(ids(feature, long)) == length
    assert ids(feature, long) == ids(feature, short)


@pytest.mark.parametrize("raw", [b"\xff\xfe dogs", b"\xed\xa0\x80", b"caf\xe9"])
def test_bytes_that_are_no_utf8_do_not_crash(text, raw):
    found = text.featurize(tf.constant(raw)).numpy().tolist()
    assert 0 not in found and UNKNOWN not in found


@pytest.mark.parametrize("string", ["   ", "\n\t", "\u200b"])
def test_white_space_has_no_steps_and_does_not_break_a_batch(text, string):
    out = features.featurize_batch(text, tf.constant([string, "two"]))
    assert not out["mask"].numpy()[0].any() and out["mask"].numpy()[1].any()


def test_learning_the_same_text_twice_gives_the_same(model):
    assert features.learn_subwords(CORPUS, 400) == model


def test_seen_words_are_short_and_bytes_are_the_last_resort(text):
    assert len(ids(text, "dogs")) < len("dogs") + 1
    assert len(ids(text, "你")) >= 3


def test_small_text_gives_fewer_subwords(model):
    assert features.Text(model).vocab_size <= 400
    assert features.Text(features.learn_subwords(["two dogs sat"], 5000)).vocab_size < 5000


@pytest.mark.parametrize("length", [0, -3])
def test_length_error_says_what_came(model, length):
    with pytest.raises(ValueError, match=f"Expected `length` to be at least 1 subword. Received: length={length}"):
        features.Text(model, length)


@pytest.mark.parametrize("texts", [[], ["", "  ", "\n"]])
def test_no_text_to_learn_from(texts):
    with pytest.raises(ValueError, match="at least one text to learn subwords from. Received: none"):
        features.learn_subwords(texts)


def test_vocabulary_too_small_says_how_many_it_needs():
    with pytest.raises(ValueError, match=r"Expected `vocab_size` to be at least \d+: .* Received: vocab_size=100"):
        features.learn_subwords(CORPUS, 100)


@pytest.mark.parametrize("texts", [["abab"], ["ab ab"], ["㌀㍿㌁"], ["½ ﬁ ㎏"]], ids=["no space", "space", "ligatures", "fractions"])
def test_vocabulary_of_the_size_that_the_error_asks_for_is_enough(texts):
    """Characters are to be counted as the model sees them: after NFKC, its mark of a space included."""
    with pytest.raises(ValueError, match="at least") as error:
        features.learn_subwords(texts, 260)
    asked = int(str(error.value).split("at least ")[1].split(":")[0])
    assert features.Text(features.learn_subwords(texts, asked)).vocab_size <= asked


@pytest.mark.parametrize("units", ["subwords", "characters"])
@pytest.mark.parametrize("string", ["你好，世界！", "真的吗？好的…", "10 m² und ½ Liter™", "می‌خواهم بروم", "👨‍👩‍👧 ist 1º", "「はい」～"])
def test_signs_come_back_as_they_were_taught(string, units):
    feature = features.Text(features.learn_subwords([*CORPUS, string], units=units))
    assert feature.detokenize(tf.constant([ids(feature, string)])).numpy()[0].decode() == string
    more = features.Text(features.extend_subwords(features.learn_subwords(CORPUS, 400), [string], 60))
    assert more.detokenize(tf.constant([ids(more, string)])).numpy()[0].decode() == string


def test_letters_and_digits_of_other_forms_are_the_usual_ones(text):
    feature = features.Text(features.learn_subwords([*CORPUS, "ＡＢＣ １２ ﬁne ｶﾞ，"]))
    assert feature.detokenize(tf.constant([ids(feature, "ＡＢＣ １２ ﬁne ｶﾞ，")])).numpy()[0].decode() == "ABC 12 fine ガ，"
    assert ids(feature, "ＡＢＣ") == ids(feature, "ABC")
    assert text.detokenize(tf.constant([ids(text, "two，dogs…")])).numpy()[0].decode() == "two,dogs..."  # No text that it learned from has them.


def test_generator_is_read_once():
    assert features.learn_subwords((string for string in CORPUS), 400) == features.learn_subwords(CORPUS, 400)


@pytest.mark.parametrize("units, first, second", [("characters", "deux", 5), ("bytes", "deux", 5), ("characters", "日本", 3), ("bytes", "日本", 7)])
def test_small_units_come_back_as_they_were(units, first, second):
    feature = features.Text(features.learn_subwords(["deux cents", "zwei 日本"], units=units))
    ids = feature.featurize(tf.constant(first))
    assert len(ids) == second and feature.detokenize(ids[None]).numpy()[0].decode() == first  # One for the space that SentencePiece puts before all.
    assert feature.detokenize(feature.featurize(tf.constant("Ω ñ"))[None]).numpy()[0].decode() == "Ω ñ"


def test_units_must_be_known():
    with pytest.raises(ValueError, match="one of subwords, characters, bytes, or ngrams for features without an order. Received: units=words"):
        features.learn_subwords(["one"], units="words")


def test_extended_subwords_keep_the_ids_of_what_was_there(model, text):
    texts = ["дві собаки біжать", "два коти сидять на килимі"] * 5
    more = features.Text(features.extend_subwords(model, texts, 60), 32)
    assert text.vocab_size < more.vocab_size <= text.vocab_size + 60 and ids(more, "one hundred dogs") == ids(text, "one hundred dogs")
    assert len(ids(more, texts[0])) < len(ids(text, texts[0])) and max(ids(more, texts[0])) >= text.vocab_size
    assert more.detokenize(tf.constant([ids(more, "два коти")])).numpy()[0].decode() == "два коти"
    assert features.extend_subwords(model, texts, 1).startswith(model)
    with pytest.raises(ValueError, match="Expected `more` to be at least 1 subword. Received: more=0"):
        features.extend_subwords(model, texts, 0)


def test_parts_spell_what_they_stand_for(text):
    """The likeliest four of all ways there are, tried one by one."""
    model, (ways, starts, counts) = text._processor, text.parts
    pieces = [model.id_to_piece(number) for number in range(text.vocab_size)]
    known = {piece: number for number, piece in enumerate(pieces) if number > 3 and not model.is_byte(number)}

    def spelled(rest):
        return [[known[rest[:end]], *after] for end in range(1, len(rest) + 1) if rest[:end] in known for after in spelled(rest[end:])] if rest else [[]]

    assert ways[0] == [] and counts.max() > 1 and counts.sum() == len(ways) - 1
    for number, (piece, start, count) in enumerate(zip(pieces, starts, counts)):
        every = [way for way in spelled(piece) if len(way) > 1] if piece in known else []
        chances = sorted((sum(map(model.get_score, way)) for way in every), reverse=True)[:4]
        assert all(way in every for way in ways[start : start + count]), number
        assert [sum(map(model.get_score, way)) for way in ways[start : start + count]] == pytest.approx(chances)


def test_parts_by_hand():
    """Of letters a, b and c, and the words that they make up."""
    feature = features.Text(features.learn_subwords(["ab abc"] * 50, 267))
    number = feature._processor.piece_to_id
    ways, starts, counts = feature.parts
    found = {tuple(way) for way in ways[starts[number("▁ab")] :][: counts[number("▁ab")]]}
    assert number("▁ab") > 3 and found == {tuple(map(number, way)) for way in (["▁a", "b"], ["▁", "a", "b"], ["▁", "ab"]) if all(number(one) > 3 for one in way)} != set()
    assert counts[number("a")] == counts[number("<0x61>")] == counts[1] == 0


@pytest.mark.parametrize("units", ["characters", "bytes"])
def test_small_units_have_no_parts(units):
    assert not features.Text(features.learn_subwords(CORPUS, units=units)).parts[2].any()
