import unicodedata

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_modal import features, testing

TEXTS = ["good dog, good day", "good cat", "a cat!", "сто две собаки", "сто", "你好世界", "你好", "👍 good", "👍"]


@pytest.fixture(scope="module")
def ngrams():
    return features.NGrams(**features.learn_ngrams(TEXTS))


def ids(feature, text):
    return feature.featurize(tf.constant(text)).numpy().tolist()


def test_keeps_its_contract(ngrams):
    testing.check_feature(ngrams, TEXTS)


def test_what_stands_in_two_texts_is_known(ngrams):
    """The words good, cat, 👍 and сто; of letters all groups of " good ", which has six, and those of " cat ", but for those with its last space."""
    words = [one for one in ids(ngrams, "good cat") if 2 <= one < ngrams.firsts[1]]
    letters = [one for one in ids(ngrams, "good cat") if one >= ngrams.firsts[1]]
    assert ngrams.firsts == [2, 6, ngrams.vocab_size, ngrams.vocab_size] and len(words) == 2  # The pair of the two, "day" and 你好世界 stand in one text alone.
    assert len(letters) == (5 + 4 + 3 + 2) + (3 + 2 + 1)
    assert len(ids(ngrams, "good dog, good day")) == 1 + 1 + 14  # "good" once.


def test_a_text_of_nothing_known_is_there(ngrams):
    assert ids(ngrams, "zzzz") == [1] and ids(ngrams, " ") == [1]


def test_words_are_the_same_with_and_without_punctuation(ngrams):
    words = [[one for one in ids(ngrams, text) if one < ngrams.firsts[1]] for text in ("good", "(good)", "good.", "«good»")]
    assert all(one == words[0] and len(one) == 2 for one in words)


def test_the_longest_is_cut_and_words_stand_first(ngrams):
    short = features.NGrams(**{**ngrams.config(), "length": 3})
    assert ids(short, "good cat") == ids(ngrams, "good cat")[:3] and max(ids(short, "good cat")) < ngrams.firsts[1]
    with pytest.raises(ValueError, match="`length` to be at least 2. Received: length=1"):
        features.NGrams(**{**ngrams.config(), "length": 1})


def test_rare_ones_go_first():
    few = features.NGrams(**features.learn_ngrams(["b c", "b c", "b"] * 2, 7))
    assert few.vocab_size == 6 and len(ids(few, "b")) == 5 and ids(few, "c") == [1]  # The word, " b", "b " and " b ".


def test_what_cannot_be_learned_is_told():
    with pytest.raises(ValueError, match="at least one text to learn n-grams from"):
        features.learn_ngrams(["", "  "])
    with pytest.raises(ValueError, match="`vocab_size` to be at least 3. Received: vocab_size=2"):
        features.learn_ngrams(["a"], 2)


def test_what_is_in_texts_of_one_label_counts_more():
    """By hand: of "good" and "bad", each in two texts of one label and none of the other, and "day" in one of each. Once more, for smoothing: 3 to 1 of all, 2 to 2."""
    texts, labels = ["good day", "good", "bad day", "bad", "", "day"], [["a"], ["a"], ["b"], ["b"], [], []]
    found = features.learn_ngrams(texts, 100_000)
    feature = features.NGrams(**found, weights=features.weigh_ngrams(found, texts, labels))
    weights = {word: [feature.weights[one] for one in ids(feature, word) if 2 <= one < feature.firsts[1]] for word in ("good", "bad", "day")}
    assert [len(one) for one in weights.values()] == [1, 1, 1] and weights["day"][0] < 0.2 * weights["good"][0]
    own = {label: sum(np.isin(np.arange(2, feature.vocab_size), ids(feature, text)) for text, (one,) in zip(texts, labels[:4]) if one == label) + 1.0 for label in "ab"}
    ratios = np.abs(np.log(own["a"] / own["a"].sum()) - np.log(own["b"] / own["b"].sum()))
    np.testing.assert_allclose(feature.weights[2:], ratios / np.sqrt(np.mean(ratios**2)), rtol=1e-5)
    assert feature.weights[1] == 1 and type(feature)(**feature.config()).weights.tolist() == feature.weights.tolist()


def test_what_is_in_fewer_texts_counts_more():
    """By hand: of four texts that are not empty "good" is in three, "bad" in two; sklearn's smoothed inverse document frequency."""
    texts = ["good good", "good", "bad", "good bad", " "]
    feature = features.NGrams(**features.learn_ngrams(texts, 100_000, idf=True))
    good, bad = ([feature.weights[one] for one in ids(feature, word) if 2 <= one < feature.firsts[1]] for word in ("good", "bad"))
    assert len(good) == len(bad) == 1 and bad[0] / good[0] == pytest.approx((1 + np.log(5 / 3)) / (1 + np.log(5 / 4)), rel=1e-5)
    assert np.mean(feature.weights[2:] ** 2) == pytest.approx(1, rel=1e-5)


def marked(texts, tags):
    return [text.decode() for text in features.mark_language(tf.constant(texts), tf.constant(tags)).numpy()]


def test_a_language_has_words_of_its_own():
    """English and German each have "gift" twice, French once: known are the word of all, English gift and German Gift, but no French one."""
    texts, tags = ["a gift", "gift", "gift", "das gift", "gift", "mon\x1fami"], ["en", "en", "de", "de", "fr", "und"]
    found = features.learn_ngrams(marked(texts, tags))
    plain = features.learn_ngrams([text.replace("\x1f", " ") for text in texts])
    assert {part: found[part] for part in plain if not part.startswith("own")} == {part: plain[part] for part in plain if not part.startswith("own")}
    feature = features.NGrams(**found)
    asked = {tag: feature.clean(tf.constant(["gift"]), tf.constant([tag])) for tag in ("en", "de", "fr", "", "und")}
    seen = {tag: set(ids(feature, text[0])) for tag, text in asked.items()}
    own = feature.firsts[2]
    assert feature.firsts[3] - own == 2 and {one for one in seen["en"] if one < own} == seen["fr"] == seen[""] == seen["und"]
    assert len(seen["en"]) == len(seen["de"]) == 2 * len(seen["fr"]) - 1 and seen["en"] & seen["de"] == seen["fr"]  # All but the id of there being a text.
    testing.check_feature(feature, TEXTS)


def test_a_tag_that_is_a_word_is_another_thing():
    """Hindi has the word "xx"; Hindi's tag in a text of a language "xx" is not that."""
    feature = features.NGrams(**features.learn_ngrams(marked(["xx", "xx", "hi", "hi"], ["hi", "hi", "und", "und"])))
    assert feature.vocab_size > feature.firsts[2]
    assert max(ids(feature, feature.clean(tf.constant(["hi"]), tf.constant(["xx"]))[0])) < feature.firsts[2]


def test_what_a_language_says_of_a_label_is_weighed_by_itself():
    """ "nu" tells nothing over both languages, and all within each."""
    texts, tags, labels = ["nu", "nu", "ba", "ba"] * 2, ["en"] * 4 + ["fr"] * 4, [["a"]] * 2 + [["b"]] * 4 + [["a"]] * 2
    found = features.learn_ngrams(marked(texts, tags))
    feature = features.NGrams(**found, weights=features.weigh_ngrams(found, marked(texts, tags), labels))
    words = feature.weights[: feature.firsts[1]][2:], feature.weights[feature.firsts[2] : feature.firsts[3]]
    assert [len(one) for one in words] == [2, 4] and words[0] == pytest.approx(0) and min(words[1]) > 1


@pytest.mark.parametrize("text", ["schöne Grüße", "tiếng Việt", "한국어 문장"])
def test_signs_that_are_two_are_as_those_that_are_one(text):
    feature, tag = features.NGrams(**features.learn_ngrams([text] * 2)), tf.constant(["und"])
    one, two = (feature.featurize(feature.clean(tf.constant([unicodedata.normalize(form, text)]), tag)[0]).numpy().tolist() for form in ("NFC", "NFD"))
    assert one == two and len(one) > 10


def test_weights_that_cannot_be_are_told(ngrams):
    with pytest.raises(ValueError, match="texts of two labels or more to weigh n-grams by. Received: 1"):
        features.weigh_ngrams(features.learn_ngrams(TEXTS), TEXTS, [["a"]] * len(TEXTS))
    with pytest.raises(ValueError, match=f"Expected {ngrams.vocab_size - 2} `weights`, one for each of `words` and `letters`. Received: 1"):
        features.NGrams(**{**ngrams.config(), "weights": "AACAPw=="})


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_any_text_is_taken(ngrams, text):
    found = ids(ngrams, text.encode("utf-8", "ignore") or b"?")
    assert found[0] == 1 and len(set(found)) == len(found) and max(found) < ngrams.vocab_size
