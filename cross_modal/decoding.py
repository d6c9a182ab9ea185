"""Ways to write a sequence step by step, inside the graph.

All take a `step`: a function from ids `(rows,)`, place int `()` and memory to logits `(rows, vocab)` and the memory after it. A memory is a dict of tensors
`(rows, ...)`; those under a name that begins with `states` are the same at every step and for every hypothesis of an item.
"""

from keras import ops

PADDING = 0
_NEVER = -1e9
_STAGES = (0.1875, 0.3125, 0.5, 1.0)  # Shares of the length after which rows that are done are left behind: most are long before the last.


def greedy(step, memory, rows, start, end, length, shrink=True):
    """Takes the likeliest id at each step.

    Args:
        step: see above.
        memory: before the first step.
        rows: number of sequences, int or tensor.
        start: id that goes in first.
        end: id that ends a sequence.
        length: most ids, int.
        shrink: whether rows that are done are left behind, which takes shapes that are not known before: not for XLA.

    Returns:
        Pair of ids int32 `(rows, length)`, padded with 0 from the end on, which is not in them; and the sum of the log-probabilities, the end's included, `(rows,)`.
    """

    def pick(logits, place):
        return ops.argmax(logits, axis=-1)

    return _written(step, memory, rows, start, end, length, pick, shrink)


def sample(step, memory, rows, start, end, length, drawn, temperature=1.0, top_k=0, top_p=1.0):
    """Draws an id at each step.

    Args:
        step: see above, as `memory`, `rows`, `start`, `end` and `length` in `greedy`.
        drawn: numbers from 0 to 1 at random, `(rows, length)`, which decide.
        temperature: what logits are divided by, above 0; below 1 the likely becomes likelier. A number, or one for each sequence, as the next two.
        top_k: number of likeliest ids to draw among; 0 for all.
        top_p: the likeliest ids that together have this probability are drawn among, above 0.

    Returns:
        As `greedy`; the log-probabilities are those of the model as it is.

    Source:
        Fan et al. (2018), "Hierarchical Neural Story Generation", section 5.4 (top-k); Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", section 3.1 (top-p).
    """
    temperature, top_p = (ops.reshape(ops.convert_to_tensor(one, "float32"), (-1, 1)) for one in (temperature, top_p))
    top_k = ops.reshape(ops.convert_to_tensor(top_k, "int32"), (-1, 1))

    def pick(logits, place):
        vocab = logits.shape[-1]
        best, ids = ops.top_k(ops.cast(logits, "float32") / temperature, vocab)
        best = ops.where((ops.arange(vocab) < top_k) | (top_k == 0), best, _NEVER)
        chances = ops.exp(best - ops.logsumexp(best, axis=-1, keepdims=True))
        sums = ops.cumsum(chances, axis=-1)
        chances = ops.where(sums - chances < top_p, chances, 0.0)  # The first always stays.
        sums = ops.cumsum(chances, axis=-1)
        place = ops.sum(ops.cast(sums <= ops.take(drawn, place, axis=1)[:, None] * sums[:, -1:], "int32"), axis=-1)
        last = ops.sum(ops.cast(chances > 0, "int32"), axis=-1) - 1
        return ops.take_along_axis(ids, ops.minimum(place, last)[:, None], axis=-1)[:, 0]

    return _written(step, memory, rows, start, end, length, pick, shrink=False)  # Each row has numbers of its own to draw by.


def _written(step, memory, rows, start, end, length, pick, shrink):
    def unfinished(place, last, ids, score, done):
        return ops.logical_not(done)

    def one(place, last, ids, score, done, memory):
        logits, memory = step(last, place, memory)
        chosen = ops.cast(pick(logits, place), "int32")
        chances = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
        gained = ops.take_along_axis(chances, chosen[:, None], axis=-1)[:, 0]
        score = score + ops.where(done, 0.0, gained)
        done = ops.logical_or(done, chosen == end)
        written = ops.where(done, PADDING, chosen)
        ids = ops.slice_update(ids, (0, place), written[:, None])
        return place + 1, chosen, ids, score, done, memory

    last = ops.full((rows,), start, "int32")
    begun = (last, ops.zeros((rows, length), "int32"), ops.zeros((rows,), "float32"), ops.zeros((rows,), "bool"))
    _, ids, score, _ = _search(one, unfinished, begun, memory, length, shrink)
    return ids, score


def _search(one, unfinished, state, memory, length, shrink, beams=1):
    """Goes on step by step while a row is unfinished, and leaves the others behind now and then.

    Args:
        one: function from place, tensors of the state and memory to the same after a step.
        unfinished: function from place and tensors of the state to bool `(rows,)`.
        state: tuple of tensors `(rows, ...)`.
        memory: dict of tensors `(rows * beams, ...)`.
        length: most steps.
        shrink: whether rows are left behind.
        beams: see `memory`.

    Returns:
        The state of all rows at the end.
    """

    def until(last, place, state, memory):
        def go_on(place, *given):
            return ops.logical_and(place < last, ops.any(unfinished(place, *given[:-1])))

        place, *state, memory = ops.while_loop(go_on, one, (place, *state, memory))
        return place, tuple(state), memory

    if not shrink:
        return until(length, 0, state, memory)[1]
    ends = ops.convert_to_tensor([max(1, round(share * length)) for share in _STAGES], "int32")

    def going_on(place, state, memory):
        kept = ops.nonzero(unfinished(place, *state))[0]
        own = ops.reshape(kept[:, None] * beams + ops.arange(beams, dtype=kept.dtype), (-1,))
        return kept, tuple(ops.take(part, kept, axis=0) for part in state), {name: ops.take(value, own, axis=0) for name, value in memory.items()}

    def stage(place, whole, left, state, memory):
        place, state, memory = until(ops.min(ops.where(ends > place, ends, length)), place, state, memory)
        whole = tuple(ops.scatter_update(all_of, left[:, None], part) for all_of, part in zip(whole, state))
        kept, state, memory = going_on(place, state, memory)
        return place, whole, ops.take(left, kept), state, memory

    def some_left(place, whole, left, *given):
        return ops.logical_and(place < length, ops.size(left) > 0)

    # One loop around the other, so that a step is traced but once; at first all rows go on, but from here on a graph does not know how many.
    return ops.while_loop(some_left, stage, (0, state, *going_on(0, state, memory)))[1]


def beam(step, memory, rows, start, end, length, beams=5, length_penalty=1.0, shrink=True):
    """Looks for the likeliest sequences, keeping the best few beginnings at each step.

    A sequence that has ended is compared by its log-probability divided by `((5 + ids) / 6) ** length_penalty`, its end counted among the ids. The search for an item's ends when
    nothing that goes on is better, at the length it has, than the worst of as many ended ones as there are beams, however long others are searched for.

    Args:
        step: see above, as `memory`, `rows`, `start`, `end` and `length` in `greedy`.
        beams: number of beginnings kept, and of sequences returned.
        length_penalty: 0 compares log-probabilities as they are, which are higher for short sequences.
        shrink: see `greedy`.

    Returns:
        Pair of ids int32 `(rows, beams, length)`, best first, padded with 0 from the end on, which is not in them; and the scores that they were compared by, `(rows, beams)`.

    Source:
        Wu et al. (2016), "Google's Neural Machine Translation System", section 7, without coverage.
    """

    def penalty(ids):
        return ((5.0 + ops.cast(ids, "float32")) / 6.0) ** length_penalty

    def unfinished(place, alive, scores, ended, marks, done):
        return ops.logical_not(done)

    def one(place, alive, scores, ended, marks, done, memory):
        last = ops.where(place == 0, start, ops.take(alive, ops.maximum(place - 1, 0), axis=2))  # (rows, beams)
        logits, memory = step(ops.reshape(last, (-1,)), place, memory)
        vocab = logits.shape[-1]
        chances = ops.reshape(ops.log_softmax(ops.cast(logits, "float32"), axis=-1), (-1, beams, vocab)) + scores[:, :, None]
        # Twice as many as beams: even if half of them end, enough go on.
        found, where = ops.top_k(ops.reshape(chances, (-1, beams * vocab)), 2 * beams)
        parent, chosen = where // vocab, where % vocab
        grown = ops.take_along_axis(alive, parent[:, :, None], axis=1)  # (rows, 2 * beams, length)
        ends = chosen == end
        marked = ops.where(ends & ops.logical_not(done)[:, None], found / penalty(place + 1), _NEVER)
        marks, best = ops.top_k(ops.concatenate([marks, marked], axis=1), beams)
        ended = ops.take_along_axis(ops.concatenate([ended, grown], axis=1), best[:, :, None], axis=1)
        scores, best = ops.top_k(ops.where(ends, _NEVER, found), beams)
        grown = ops.slice_update(grown, (0, 0, place), chosen[:, :, None])
        alive = ops.take_along_axis(grown, best[:, :, None], axis=1)
        parent = ops.take_along_axis(parent, best, axis=1) + ops.arange(ops.shape(parent)[0])[:, None] * beams  # Rows of the memory.
        parent = ops.reshape(parent, (-1,))
        memory = {name: value if name.startswith("states") else ops.take(value, parent, axis=0) for name, value in memory.items()}
        # With a bound, since no row may be left, of which Keras would take no maximum. What is done stays done, though a penalty may let what is longer catch up.
        better = ops.max(scores, axis=1, initial=_NEVER) / penalty(place + 1) > ops.min(marks, axis=1, initial=-_NEVER)
        return place + 1, alive, scores, ended, marks, done | ops.logical_not(better), memory

    memory = {name: ops.repeat(value, beams, axis=0) for name, value in memory.items()}
    empty, never = ops.zeros((rows, beams, length), "int32"), ops.full((rows, beams), _NEVER)
    only = ops.concatenate([ops.zeros((rows, 1)), never[:, 1:]], axis=1)  # All beams are the same at first: one of them is enough.
    begun = (empty, only, empty, never, ops.zeros((rows,), "bool"))
    alive, scores, ended, marks, _ = _search(one, unfinished, begun, memory, length, shrink, beams)
    # What has not ended at the greatest length stands behind what has.
    marks = ops.concatenate([marks, scores / penalty(length)], axis=1)
    behind = ops.concatenate([ops.zeros((rows, beams)), ops.full((rows, beams), _NEVER / 2)], axis=1)
    _, best = ops.top_k(marks + behind, beams)
    ids = ops.take_along_axis(ops.concatenate([ended, alive], axis=1), best[:, :, None], axis=1)
    return ids, ops.take_along_axis(marks, best, axis=1)


def ctc(logits, length, beams=1):
    """Reads the likeliest texts off the steps of a recording.

    Args:
        logits: `(rows, steps, vocab)`, see `losses.CTC`.
        length: most ids, int.
        beams: beginnings kept, and texts returned; 1 takes the likeliest id of each step.

    Returns:
        Pair of ids int32 `(rows, beams, length)`, best first, padded with 0; and log-probabilities, with one beam those of the steps, else of the texts, `(rows, beams)`.

    Source:
        Graves et al. (2006), "Connectionist Temporal Classification", section 3.2, for one beam; Hannun et al. (2014), "First-Pass Large Vocabulary Continuous Speech Recognition
        using Bi-Directional Recurrent DNNs", section 2, without language model, for several.
    """
    logits = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    steps = ops.full((ops.shape(logits)[0],), ops.shape(logits)[1])
    if beams == 1:
        ids, _ = ops.ctc_decode(logits, steps, strategy="greedy", mask_index=PADDING)
        scores = ops.sum(ops.max(logits, axis=-1), axis=-1, keepdims=True)
    else:
        ids, scores = ops.ctc_decode(logits, steps, strategy="beam_search", beam_width=beams, top_paths=beams, mask_index=PADDING)
    ids = ops.transpose(ops.maximum(ids, PADDING), (1, 0, 2))[:, :, :length]
    ids = ops.pad(ids, ((0, 0), (0, 0), (0, ops.maximum(length - ops.shape(ids)[2], 0))))
    return ops.reshape(ids, (-1, beams, length)), scores
