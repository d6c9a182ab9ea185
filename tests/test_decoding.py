import itertools

import numpy as np
import pytest
import tensorflow as tf

from cross_modal import decoding

START, END, LENGTH = 2, 3, 4
TABLES = np.random.default_rng(1).normal(size=(3, LENGTH + 1, 4, 4)).astype("float32") * 2  # Logits by row, place and last id.
MEMORY = {"row": tf.range(3), "states_row": tf.range(3)}


def step(ids, place, memory):
    tf.debugging.assert_equal(memory["row"], memory["states_row"])
    return tf.gather_nd(tf.constant(TABLES), tf.stack([memory["row"], tf.fill(tf.shape(ids), place), ids], 1)), memory


def chances(row, place, last):
    logits = TABLES[row, place, last].astype(float)
    return logits - np.log(np.exp(logits).sum())


def every(row, length_penalty):
    """All sequences that end, best first, each looked at."""
    found = []
    for count in range(LENGTH):
        for ids in itertools.product([0, 1, 2], repeat=count):
            written = (START, *ids, END)
            total = sum(chances(row, place, written[place])[written[place + 1]] for place in range(count + 1))
            found.append((total / ((5 + count + 1) / 6) ** length_penalty, list(ids) + [0] * (LENGTH - count)))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 2.0])
def test_a_wide_beam_finds_the_best_of_all(length_penalty):
    ids, scores = decoding.beam(step, MEMORY, 3, START, END, LENGTH, beams=8, length_penalty=length_penalty)
    for row in range(3):
        for place, (score, right) in enumerate(every(row, length_penalty)[:3]):
            assert float(scores[row, place]) == pytest.approx(score, abs=1e-5)
            assert ids[row, place].numpy().tolist() == right


def test_one_beam_is_greedy_and_the_graph_gives_the_same():
    ids, scores = decoding.greedy(step, MEMORY, 3, START, END, LENGTH)
    one, marks = tf.function(lambda: decoding.beam(step, MEMORY, 3, START, END, LENGTH, beams=1, length_penalty=0.0))()
    assert (one[:, 0] == ids).numpy().all()
    np.testing.assert_allclose(marks[:, 0], scores, atol=1e-5)
    last, total, written = START, 0.0, []
    for place in range(LENGTH):  # By hand.
        chosen = int(chances(1, place, last).argmax())
        total, last = total + chances(1, place, last)[chosen], chosen
        if chosen == END:
            break
        written.append(chosen)
    assert ids[1].numpy().tolist() == written + [0] * (LENGTH - len(written)) and float(scores[1]) == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("shrink", [True, False])
def test_a_text_does_not_depend_on_what_is_searched_for_beside_it(shrink):
    """A penalty would let a long text, which is kept but not gone on with, catch up while another item is searched for."""
    length, chances = 64, np.full((2, 64, 8, 8), 1e-9, "float32")  # By item, place, last id and id.
    chances[:, :, :, END] = 1.0
    chances[0, 0, START, [END, 4, 5]] = 0.2, 0.3, 0.5
    chances[0, 1, 4, [END, 6]], chances[0, 1, 5, [END, 6]] = (0.9, 0.1), (0.8, 0.2)
    chances[0, 2:12, 6, END], chances[0, 2:12, 6, 6] = 0.0, 1.0
    chances[1, :14, :, END], chances[1, :14, :, 4] = 0.02, 0.98

    def found(items):
        memory = {"states_chances": tf.math.log(tf.maximum(chances[items], 1e-9))}
        ids, scores = decoding.beam(
            lambda ids, place, memory: (tf.gather(memory["states_chances"][:, place], ids, axis=1, batch_dims=1), memory), memory, len(items), START, END, length, 2, 1.0, shrink
        )
        return ids.numpy()[0].tolist(), scores.numpy()[0]

    (alone, own), (beside, same) = found([0]), found([0, 1])
    assert alone == beside and own == pytest.approx(same)


def test_what_does_not_end_is_returned_all_the_same():
    def never(ids, place, memory):
        return tf.one_hot(tf.ones_like(ids), 4, 5.0, 0.0) + tf.one_hot(3, 4, -1e9), memory

    ids, scores = decoding.beam(never, {}, 2, START, END, 3, beams=2)
    assert ids[:, 0].numpy().tolist() == [[1, 1, 1]] * 2 and np.isfinite(scores).all() and (scores.numpy() > -10).all()


def test_draws_are_as_likely_as_the_model_says():
    memory = {"row": tf.zeros(4000, tf.int32), "states_row": tf.zeros(4000, tf.int32)}

    drawn = np.random.default_rng(3).random((4000, 1), np.float32)

    def shares(**options):
        ids, _ = decoding.sample(step, memory, 4000, START, END, 1, drawn, **options)
        return np.bincount(np.where(ids[:, 0] == 0, 0, ids[:, 0]), minlength=4) / 4000

    right = np.exp(chances(0, 0, START))
    right = np.array([right[0] + right[END], *right[1:3], 0.0])  # An end is written as padding.
    np.testing.assert_allclose(shares(), right, atol=0.03)
    best = int(chances(0, 0, START).argmax())
    for options in ({"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}):
        assert shares(**options)[0 if best == END else best] == 1.0
    half = shares(top_k=np.repeat([0, 1], 2000), top_p=np.repeat([1e-6, 1.0], 2000))  # Of each sequence its own.
    assert half[0 if best == END else best] == 1.0


def test_ctc_reads_each_id_once_and_the_likeliest_text_first():
    logits = np.full((2, 4, 4), -9.0, "float32")
    for row, ids in enumerate(([1, 1, 0, 1], [0, 2, 3, 3])):
        logits[row, range(4), ids] = 9.0
    for beams in (1, 3):
        ids, scores = decoding.ctc(logits, 3, beams)
        assert ids.shape == (2, beams, 3) and ids[:, 0].numpy().tolist() == [[1, 1, 0], [2, 3, 0]] and scores.numpy()[0, 0] == pytest.approx(0.0, abs=1e-3)
    # "1" can be read off two steps in three ways, each of them less likely than nothing at all.
    unsure = np.log(np.array([[[0.6, 0.4], [0.6, 0.4]]], "float32"))
    assert decoding.ctc(unsure, 2)[0].numpy().tolist() == [[[0, 0]]]
    ids, scores = decoding.ctc(unsure, 2, beams=2)
    assert ids.numpy().tolist() == [[[1, 0], [0, 0]]] and np.exp(scores[0]) == pytest.approx([0.64, 0.36], abs=1e-4)
    nothing = np.full((1, 3, 4), -1e9, "float32")
    nothing[:, :, 0] = 0.0
    assert not decoding.ctc(nothing, 5, beams=2)[0][0, 0].numpy().any()


def test_rows_that_are_done_are_left_behind_and_nothing_changes():
    """Twelve rows that end early, late or never write the same with and without those that are done."""
    rows, length, asked = 12, 32, []
    table = np.random.default_rng(3).normal(size=(rows, length, 5, 5)).astype("float32")
    table[:, :, :, END] += np.linspace(-6.0, 4.0, rows)[:, None, None]

    def one(ids, place, memory):
        asked.append(len(ids))
        past = memory["past"] * 0.9 + tf.cast(ids, tf.float32)  # What was written before matters too.
        logits = tf.gather_nd(tf.constant(table), tf.stack([memory["row"], tf.fill(tf.shape(ids), place), ids], 1))
        return logits + 0.1 * tf.sin(past)[:, None] * tf.range(5.0), {**memory, "past": past}

    memory = {"row": tf.range(rows), "past": tf.zeros(rows)}
    for search in (decoding.greedy, decoding.beam):
        whole, marks = search(one, memory, rows, START, END, length, shrink=False)
        every_row, asked[:] = sum(asked), []
        ids, scores = search(one, memory, rows, START, END, length)
        assert (ids.numpy() == whole.numpy()).all() and len(set((whole.numpy() > 0).sum(axis=-1).ravel())) > 3
        np.testing.assert_allclose(scores, marks, atol=1e-5)
        assert sum(asked) < 0.8 * every_row
        asked.clear()


@pytest.mark.parametrize("search", [decoding.greedy, decoding.beam])
@pytest.mark.parametrize("call", [lambda function: function(), lambda function: tf.function(function)()], ids=["eager", "graph"])
def test_all_rows_may_be_done_long_before_the_end(search, call):
    def at_once(ids, place, memory):
        return tf.tile([[0.0, 0.0, 0.0, 50.0, -50.0]], [tf.size(ids), 1]), memory

    ids, scores = call(lambda: search(at_once, MEMORY, 3, START, END, 64))
    assert float(tf.reduce_max(scores)) == pytest.approx(0.0, abs=1e-4)
    assert (np.reshape(ids, (3, -1, 64))[:, 0] == 0).all()
