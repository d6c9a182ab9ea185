"""Strings to subword ids."""

import base64
import functools
import io
import struct
import unicodedata

import numpy as np
import sentencepiece
import tensorflow as tf
import tensorflow_text as tf_text

from cross_modal.features.cleaning import Cleaner
from cross_modal.features.feature import Feature

_UNITS = {"subwords": "unigram", "characters": "char", "bytes": "char"}  # And the kind of SentencePiece model.
_WAYS = 4  # In which a subword is spelled by others, at most.
_SPACE = "\u2581"  # The sign that SentencePiece puts for a space.
_JOINERS = "\u200c\u200d"  # Of letters in Persian and Hindi, and of emoji.
_KEPT = 4  # What SentencePiece calls a piece that is never written otherwise.


class Text(Feature):
    """Splits a string in any script into subwords of a SentencePiece model, or into its characters or bytes.

    The model applies Unicode NFKC, but for signs that the texts it learned from have, folds white space and falls back to bytes, so that no string is out of vocabulary.
    Learn a model from a training split with `learn_subwords`.

    Args:
        model: serialised SentencePiece model, as bytes or as base64 text.
        length: most subwords kept of one string; the rest is cut off.
        fold_case: see `Cleaner`, as `punctuation`, `stop_words` and `romanize`; all is left as it is unless they say so.

    Returns:
        `featurize` returns int32 `(time,)` of ids, at most `length`. Id 0 is padding and never occurs.

    Source:
        Kudo (2018), "Subword Regularization", section 3.2.
    """

    kind = "text"
    start, end = 2, 3  # Ids that stand before and after a text that is written; `featurize` gives neither.

    def __init__(self, model, length=128, fold_case=False, punctuation=True, stop_words=None, romanize=False):
        super().__init__(name="text")
        if length < 1:
            raise ValueError(f"Expected `length` to be at least 1 subword. Received: length={length}")
        self.model = base64.b64decode(model) if isinstance(model, str) else model
        self.length = int(length)
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=self.model)
        self.vocab_size = self._processor.vocab_size()
        self.spec = tf.TensorSpec((None,), tf.int32)
        self.cleaner = Cleaner(fold_case, punctuation, stop_words, romanize)

    def clean(self, raw, language):
        return self.cleaner(raw, language)

    def featurize(self, raw):
        # Made where it is used, as a constant of the graph: made once, it would live in TensorFlow's kernel cache, which `keras.utils.set_random_seed` empties.
        return tf_text.SentencepieceTokenizer(self.model).tokenize(raw)[: self.length]

    def places(self, raw):
        """Returns where each subword of strings `(batch,)` begins and ends, in bytes, a pair of int32 `(batch, time)` with at least one step; 0 after the last of a string."""
        _, *places = tf_text.SentencepieceTokenizer(self.model).tokenize_with_offsets(raw)
        return [tf.pad(tf.cast(one[:, : self.length].to_tensor(), tf.int32), [[0, 0], [0, 1]]) for one in places]

    def ids(self, text):
        """Returns the ids of a str, list of int, those past `length` included."""
        return self._processor.encode(text)

    def count(self, text):
        """Returns how many subwords a str has, those past `length` included."""
        return len(self.ids(text))

    def detokenize(self, ids):
        """Returns the strings `(batch,)` of ids int32 `(batch, time)`; 0 is passed over."""
        return tf_text.SentencepieceTokenizer(self.model).detokenize(tf.ragged.boolean_mask(ids, ids > 0))

    def pieces(self, ids):
        """Returns what each subword stands for, bytes, of ids int32 of any shape: spaces are spaces, and 0 is nothing. Those of a text, joined, are the text after a space."""
        return tf.gather(self._pieces, ids)

    @functools.cached_property
    def _pieces(self):
        model, found = self._processor, []
        for number in range(self.vocab_size):
            piece = model.id_to_piece(number)
            said = bytes([int(piece[3:-1], 16)]) if model.is_byte(number) else piece.replace(_SPACE, " ").encode()
            found.append(b"" if model.is_control(number) or model.is_unknown(number) else said)
        return np.array(found, object)

    @functools.cached_property
    def parts(self):
        """How subwords are spelled by others.

        Returns:
            Ways, a list of lists of at least two ids, but for the first, which is empty; and for each subword which of them is its first, and how many it has, the likeliest
            four at most, int32 `(subwords,)`.
        """
        model, ways, counts = self._processor, [[]], []
        pieces = [model.id_to_piece(number) for number in range(self.vocab_size)]
        known = {piece: number for number, piece in enumerate(pieces) if not (model.is_control(number) or model.is_unknown(number) or model.is_byte(number))}
        for piece in pieces:
            best = [[(0.0, [])]]  # The likeliest ways to spell what ends at each letter.
            for end in range(1, len(piece) + 1) if piece in known else ():
                last = ((start, known[piece[start:end]]) for start in range(end) if piece[start:end] in known and end - start < len(piece))
                found = [(score + model.get_score(number), [*before, number]) for start, number in last for score, before in best[start]]
                best.append(sorted(found, reverse=True)[:_WAYS])
            found = best[-1] if len(best) > 1 else []
            ways += [way for _, way in found]
            counts.append(len(found))
        return ways, (1 + np.cumsum(counts) - counts).astype(np.int32), np.array(counts, np.int32)

    def config(self):
        return {"model": base64.b64encode(self.model).decode(), "length": self.length, **self.cleaner.config()}


def learn_subwords(texts, vocab_size=None, units="subwords"):
    """Learns a SentencePiece model.

    Letters and digits are brought to NFKC. Signs of the texts, such as `，`, `…` and `²`, and joiners stay as they are, so that what is written has them too.

    Args:
        texts: iterable of strings, of the training split alone.
        units: "subwords" (unigram); "characters", those of the texts, and bytes of all others; or "bytes", for which nothing is learned. Small units make long sequences, of
            which nothing is rare.
        vocab_size: most subwords, 256 bytes and 4 control symbols included; fewer come out of a small text. None for 8,000, or 4,000 more than the scripts of the texts need.
            Of other units there are as many as there are.

    Returns:
        The serialised model, bytes: the `model` of `Text`.

    Raises:
        ValueError: if there is no text, no such `units`, or `vocab_size` leaves no room beside bytes and control symbols.
    """
    if units not in _UNITS:
        raise ValueError(f"Expected `units` to be one of {', '.join(_UNITS)}, or ngrams for features without an order. Received: units={units}")
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise ValueError("Expected at least one text to learn subwords from. Received: none; does the training split have this field?")
    if units == "bytes":
        texts = ["a"]  # And the sign for a space. What is not in the model falls apart into bytes.
    kept = _kept(texts)
    # As SentencePiece counts them: after NFKC, what is kept too, and with the sign that it puts for a space.
    characters = len({_SPACE, *kept, *(character for text in texts for character in unicodedata.normalize("NFKC", text) if not character.isspace())})
    if units != "subwords":
        vocab_size = 260 + characters
    vocab_size = max(8000, 4260 + characters) if vocab_size is None else vocab_size
    if vocab_size < 260 + characters:
        raise ValueError(
            f"Expected `vocab_size` to be at least {260 + characters}: 256 bytes, 4 control symbols and the {characters} characters of the texts. Received: vocab_size={vocab_size}"
        )
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, model_type=_UNITS[units], vocab_size=vocab_size, hard_vocab_limit=False,
        character_coverage=1.0, byte_fallback=True, max_sentence_length=100_000, input_sentence_size=1_000_000,
        pad_id=0, unk_id=1, bos_id=2, eos_id=3, num_threads=2, minloglevel=2, user_defined_symbols=kept,
    )  # fmt: skip
    return model.getvalue()


def _kept(texts):
    """The signs of texts that NFKC would write otherwise, and joiners, which SentencePiece takes for spaces."""
    return sorted(sign for sign in set().union(*texts) if sign in _JOINERS or (_is_sign(sign) and unicodedata.normalize("NFKC", sign) != sign))


def _is_sign(character):
    category = unicodedata.category(character)
    return category[0] in "PS" or category == "No" or unicodedata.decomposition(character).startswith(("<super>", "<sub>"))


def extend_subwords(model, texts, more):
    """Adds subwords of other texts, such as those of another language, to a SentencePiece model; what was there keeps its ids.

    Args:
        model: serialised model of subwords (unigram).
        texts: iterable of strings, of the training split alone.
        more: most subwords to add, characters that the model lacks first.

    Returns:
        The serialised model, bytes.

    Raises:
        ValueError: if there is no text, or `more` is less than 1.
    """
    if more < 1:
        raise ValueError(f"Expected `more` to be at least 1 subword. Received: more={more}")
    texts = list(texts)
    old, new = (sentencepiece.SentencePieceProcessor(model_proto=one) for one in (model, learn_subwords(texts, None)))
    known = {old.id_to_piece(number) for number in range(old.vocab_size())}
    found = [
        (new.id_to_piece(number), new.get_score(number)) for number in range(new.vocab_size()) if not (new.is_control(number) or new.is_byte(number) or new.is_unknown(number))
    ]
    found = sorted((one for one in found if one[0] not in known), key=lambda one: (len(one[0]) > 1, -one[1]))[:more]
    kept = set(_kept(texts))
    # A serialised message may be followed by more of what it has a list of: field 1 of `ModelProto`, pieces, each with its text, score and type, fields 1 to 3.
    for piece, score in found:
        raw = piece.encode()
        body = b"\x0a" + _varint(len(raw)) + raw + b"\x15" + struct.pack("<f", score) + (bytes([0x18, _KEPT]) if piece in kept else b"")
        model += b"\x0a" + _varint(len(body)) + body
    return model


def _varint(number):
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + _varint(number // 128)
