import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_modal import features, spans

TEXTS = ["Ada has 12 cats, 2 dogs and a car.", "東京は日本の首都です。", "قطة سوداء في البيت", "one 👍🏽 two", "theater the heat", "(Paris) ﬁne"]


@pytest.fixture(scope="module")
def text():
    return features.Text(features.learn_subwords([*TEXTS, "two dogs"] * 4, 480), 64)


def _pieces(text, strings):
    return text.pieces(features.featurize_batch(text, tf.constant(strings))["value"])


def _found(text, string, answer):
    """The answer as it is cut out where it was found."""
    pieces = _pieces(text, [string])
    first, last = spans.find_spans(pieces, tf.constant([answer]))
    cut, start, end = spans.cut_spans(pieces, first, last)
    return cut.numpy()[0].decode(), int(start[0]), int(end[0])


def test_pieces_joined_are_the_text_after_a_space(text):
    joined = tf.strings.reduce_join(_pieces(text, TEXTS), axis=1).numpy()
    assert [one.decode() for one in joined] == [f" {one}" for one in [*TEXTS[:-1], "(Paris) fine"]]


@pytest.mark.parametrize(
    "string, answer",
    [(TEXTS[0], "12 cats"), (TEXTS[0], "Ada"), (TEXTS[0], "car"), (TEXTS[1], "日本"), (TEXTS[2], "سوداء"), (TEXTS[3], "👍🏽"), (TEXTS[3], "one 👍🏽 two")],
)
def test_an_answer_is_found_where_it_stands(text, string, answer):
    cut, start, end = _found(text, string, answer)
    assert answer in cut and string[start:end] == cut and start <= string.index(answer) and end >= string.index(answer) + len(answer)


def test_a_whole_word_comes_before_a_part_of_one(text):
    assert _found(text, TEXTS[0], "2")[0].startswith("2") and _found(text, TEXTS[0], "2")[1] == TEXTS[0].index("2 dogs")
    assert _found(text, TEXTS[4], "the")[1] == 8
    assert "eat" in _found(text, TEXTS[4], "eat")[0]


def test_what_is_not_there_is_not_found(text):
    first, last = spans.find_spans(_pieces(text, [TEXTS[0], TEXTS[0], "", "a"]), tf.constant(["dog house", "", "x", "a longer answer than the text"]))
    assert first.numpy().tolist() == last.numpy().tolist() == [-1] * 4
    cut, start, end = spans.cut_spans(_pieces(text, ["", "a"]), tf.constant([-1, -1]), tf.constant([-1, -1]))
    assert cut.numpy().tolist() == [b"", b""] and start.numpy().tolist() == end.numpy().tolist() == [-1, -1]


def test_the_likeliest_span_is_in_order_short_and_of_real_steps():
    """Of four steps the last is padding, the likeliest beginning is after the likeliest end, and spans have two steps at most."""
    logits = np.log(np.array([[[0.1, 0.2, 0.1, 0.5, 0.1], [0.1, 0.6, 0.2, 0.05, 0.05]], [[0.9, 0.1, 0.0, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0, 0.0]]], np.float32) + 1e-9)
    mask = tf.constant([[True, True, True, False]] * 2)
    first, last, chance = (one.numpy() for one in spans.best_spans(tf.constant(logits), mask, 2))
    assert (first.tolist(), last.tolist()) == ([0, -1], [0, -1]) and chance == pytest.approx([0.12, 0.81], abs=1e-4)
    first, last, _ = spans.best_spans(tf.constant(np.log([[[0.01, 0.9, 0.03, 0.03, 0.03], [0.01, 0.1, 0.1, 0.6, 0.19]]]).astype("float32")), mask[:1], 2)
    assert (first[0].numpy(), last[0].numpy()) == (0, 0)
    first, last, _ = spans.best_spans(tf.constant(np.log([[[0.01, 0.9, 0.03, 0.03, 0.03], [0.01, 0.1, 0.1, 0.6, 0.19]]]).astype("float32")), mask[:1], 3)
    assert (first[0].numpy(), last[0].numpy()) == (0, 2)


@settings(deadline=None)
@given(st.text(st.sampled_from("ab 东é\u0301ﬁ①½Ａ\u3000\u200b\u200f\ufeff\n🎉 one two"), min_size=1, max_size=12), st.integers(0, 20), st.integers(0, 20))
def test_what_is_cut_stands_in_the_text_as_it_is_written(text, string, first, more):
    count = len(text.ids(string))
    first, last = (tf.constant([min(one, count - 1)]) for one in (first, first + more))
    cut, start, end = spans.cut_texts(tf.constant([string]), *text.places([string]), first, last)
    found = cut.numpy()[0].decode()
    blank = string.translate(dict.fromkeys(map(ord, "\u200b\u200f\ufeff\u3000\n"), " "))
    assert (string[int(start[0]) : int(end[0])] == found and blank[int(start[0])] != " " and blank[int(end[0]) - 1] != " ") if found else int(start[0]) == int(end[0]) == -1
    if count and more >= count and not int(first[0]):
        assert len(found) == len(blank.strip())


def test_a_span_is_cut_from_what_somebody_wrote(text):
    """Of full width, with two spaces, and with a ligature, which a model reads as others do."""
    strings = ["قال\u200f أحمد", "Ａｄａ  has\u300012\n cats", "(Paris)  ﬁne", "", "東京は日本"]
    read = features.featurize_batch(text, tf.constant(strings))["value"]
    first, last = spans.find_spans(text.pieces(read), tf.constant(["أحمد", "has 12", "fine", "Ada", "日本"]))
    cut, start, end = spans.cut_texts(tf.constant(strings), *text.places(tf.constant(strings)), first, last)
    assert [one.decode() for one in cut.numpy()] == ["أحمد", "has\u300012", "ﬁne", "", "日本"]
    assert [(int(a), int(b)) for a, b in zip(start, end)] == [(5, 9), (5, 11), (9, 12), (-1, -1), (3, 5)]


def test_half_a_character_is_none():
    pieces = tf.constant([[b" a", b"\xe4", b"\xbd", b"\xa0", b"b"]])
    cut, start, end = spans.cut_spans(pieces, tf.constant([0]), tf.constant([2]))
    assert cut.numpy()[0] == b"a" and int(start[0]) == 0
    assert spans.cut_spans(pieces, tf.constant([1]), tf.constant([3]))[0].numpy()[0].decode() == "你"
    assert spans.cut_spans(pieces, tf.constant([3]), tf.constant([3]))[0].numpy()[0] == b""
