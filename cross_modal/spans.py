"""Answers that stand in a text: where they are, and which is the likeliest; TensorFlow graph code."""

import tensorflow as tf

_NEVER = -1e9
_BLANK = r"[\s\pZ\p{Cc}\x{200B}\x{200E}\x{200F}\x{FEFF}\x{FFFD}\x{2581}]+"  # What SentencePiece takes for a space.


def find_spans(pieces, answers):
    """Finds answers in texts.

    Of several places the first counts where the answer is not part of a longer word or number, and else the first. Case counts.

    Args:
        pieces: string `(batch, time)`, what each subword of the texts stands for, empty where there is none; see `Text.pieces`.
        answers: string `(batch,)`, without spaces at their ends; empty for none.

    Returns:
        Pair of the first and the last subword that the answer is part of, int32 `(batch,)`, -1 where it is not found.
    """
    sizes = tf.strings.length(pieces)
    ends = tf.cumsum(sizes, axis=1)  # (batch, time), in bytes.
    text = _bytes(tf.strings.reduce_join(pieces, axis=1))  # (batch, length)
    wanted = _bytes(answers)  # (batch, size)
    count = tf.strings.length(answers)
    size = tf.shape(wanted)[1]
    padded = tf.pad(text, [[0, 0], [1, size]], constant_values=-1)
    windows = tf.gather(padded[:, 1:], tf.range(tf.shape(text)[1])[:, None] + tf.range(size)[None], axis=1)  # (batch, length, size)
    same = tf.reduce_all((windows == wanted[:, None]) | ~tf.sequence_mask(count, size)[:, None], axis=2) & (count > 0)[:, None]
    before = padded[:, : tf.shape(text)[1]]
    after = tf.gather(padded[:, 1:], tf.minimum(tf.range(tf.shape(text)[1])[None] + count[:, None], tf.shape(padded)[1] - 2), axis=1, batch_dims=1)
    whole = same & ~(_in_word(before) & _in_word(wanted[:, :1])) & ~(_in_word(after) & _in_word(_last(wanted, count)))
    place = tf.where(tf.reduce_any(whole, 1), _first(whole), _first(same))
    first = tf.reduce_sum(tf.cast(ends <= place[:, None], tf.int32), axis=1)
    last = tf.reduce_sum(tf.cast(ends < (place + count)[:, None], tf.int32), axis=1)
    found = tf.reduce_any(same, 1)
    return tf.where(found, first, -1), tf.where(found, last, -1)


def best_spans(logits, mask, longest):
    """Finds the likeliest spans.

    Args:
        logits: float `(batch, 2, 1 + time)`, of where a span begins and ends; the first of each is of there being none.
        mask: bool `(batch, time)`, which steps are real.
        longest: most steps of a span.

    Returns:
        Triple of the first and the last step, int32 `(batch,)`, -1 where there being none is likelier than any span; and the probability, `(batch,)`.
    """
    chances = tf.nn.log_softmax(logits, axis=-1)
    starts, ends = chances[:, 0, 1:], chances[:, 1, 1:]
    steps = tf.shape(starts)[1]
    apart = tf.range(steps)[None] - tf.range(steps)[:, None]
    allowed = ((apart >= 0) & (apart < longest))[None] & mask[:, :, None] & mask[:, None, :]
    sums = tf.reshape(tf.where(allowed, starts[:, :, None] + ends[:, None, :], _NEVER), (-1, steps * steps))
    best, place = tf.reduce_max(sums, axis=1), tf.argmax(sums, axis=1, output_type=tf.int32)
    none = chances[:, 0, 0] + chances[:, 1, 0]
    there = best > none
    return tf.where(there, place // steps, -1), tf.where(there, place % steps, -1), tf.exp(tf.maximum(best, none))


def cut_spans(pieces, first, last):
    """Cuts spans out of texts.

    Args:
        pieces: see `find_spans`.
        first: see `best_spans`, as `last`.

    Returns:
        Triple of the spans, string `(batch,)`, without spaces at their ends; and where each begins and ends (the character after it) in the text, int32 `(batch,)`. Empty and
        -1 where there is none.
    """
    steps = tf.range(tf.shape(pieces)[1])[None]
    chosen = (steps >= first[:, None]) & (steps <= last[:, None]) & (first >= 0)[:, None]
    cut = tf.strings.reduce_join(tf.where(chosen, pieces, ""), axis=1)
    cut = tf.strings.unicode_transcode(cut, "UTF-8", "UTF-8", errors="ignore")  # A subword may be a byte of a character.
    text = tf.strings.strip(cut)
    characters = tf.strings.length(pieces, unit="UTF8_CHAR")
    before = tf.reduce_sum(tf.where(steps < first[:, None], characters, 0), axis=1)
    # Before the text stands a space that is none of it, and the span may begin with one.
    blank = tf.strings.length(cut) - tf.strings.length(tf.strings.regex_replace(cut, "^ +", ""))
    return _placed(text, before + blank - 1)


def cut_texts(texts, begins, ends, first, last):
    """Cuts spans out of texts as they are written, not as a model reads them.

    Args:
        texts: string `(batch,)`.
        begins: int32 `(batch, time)`, where each subword begins, as `ends`, in bytes; see `Text.places`.
        ends: where each ends.
        first: see `best_spans`, as `last`.

    Returns:
        As `cut_spans`; `start` and `end` are characters of the texts.
    """
    begin, end = (tf.where(first >= 0, tf.gather(places, tf.maximum(steps, 0), axis=1, batch_dims=1), 0) for places, steps in ((begins, first), (ends, last)))
    cut = tf.strings.regex_replace(tf.strings.substr(texts, begin, end - begin), _BLANK + "$", "")
    text = tf.strings.regex_replace(cut, "^" + _BLANK, "")
    before = tf.strings.substr(texts, tf.zeros_like(begin), begin + tf.strings.length(cut) - tf.strings.length(text))
    return _placed(text, tf.strings.length(before, unit="UTF8_CHAR"))


def _placed(text, start):
    """The spans, and where each begins and ends, -1 where it is empty."""
    size = tf.strings.length(text, unit="UTF8_CHAR")
    return text, tf.where(size > 0, start, -1), tf.where(size > 0, start + size, -1)


def _bytes(texts):
    """The bytes of texts, int32 `(batch, length)`, -1 after their end."""
    sizes = tf.strings.length(texts)
    longest = tf.maximum(tf.reduce_max(sizes), 1)
    numbers = tf.cast(tf.io.decode_raw(texts, tf.uint8, fixed_length=longest), tf.int32)
    return tf.where(tf.sequence_mask(sizes, longest), numbers, -1)


def _in_word(byte):
    """Whether a byte is of a letter or digit, int32 of any shape; past ASCII all letters are taken for such."""
    lower = byte | 32
    return ((lower >= 97) & (lower <= 122)) | ((byte >= 48) & (byte <= 57)) | (byte >= 128)


def _last(numbers, count):
    return tf.gather(tf.pad(numbers, [[0, 0], [1, 0]], constant_values=-1), count[:, None], axis=1, batch_dims=1)


def _first(true):
    return tf.argmax(tf.cast(true, tf.int32), axis=1, output_type=tf.int32)
