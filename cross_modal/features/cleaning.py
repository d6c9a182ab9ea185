"""Classic text cleaning, as TensorFlow graph code."""

import functools
import unicodedata

import tensorflow as tf
import tensorflow_text as tf_text
from anyascii import anyascii


class Cleaner(tf.Module):
    """Takes out of texts what is not to count. Nothing that is there becomes empty: a text of nothing but stop words keeps them.

    Args:
        romanize: whether letters of all scripts are written in Latin ones, so that what languages share is seen whatever they are written in.
        fold_case: whether `Straße` and `STRASSE` are the same.
        punctuation: whether punctuation is kept; without, spaces stand in its place.
        stop_words: dict of language to list of words that are left out, compared without case and without punctuation around them; words are what stands between spaces.
            Those of `pt` count for `pt-BR` too, and the other way round; those of `und` for texts without a language.

    Call with texts and tags of their languages, string `(values,)`; returns string `(values,)`.
    """

    def __init__(self, fold_case=False, punctuation=True, stop_words=None, romanize=False):
        super().__init__(name="cleaner")
        self.romanize = bool(romanize)
        self.fold_case, self.punctuation, self.words = bool(fold_case), bool(punctuation), {tag: list(words) for tag, words in (stop_words or {}).items()}
        words = [(tag.partition("-")[0], word) for tag, words in self.words.items() for word in words]
        self.letters = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(*_latin()), "") if self.romanize else None
        self.table = None
        if words:
            keys = sorted({key.decode() for key in _keys(*map(tf.constant, zip(*words))).numpy()})
            self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, [True] * len(keys)), False)

    def __call__(self, raw, language):
        if self.table is not None:
            raw = tf_text.normalize_utf8(raw, "NFC")  # As stop words are; of what is sent an é may be two signs.
        if self.fold_case:
            raw = tf_text.case_fold_utf8(raw)
        if not self.punctuation:
            raw = _or_before(tf.strings.strip(tf.strings.regex_replace(raw, r"[\p{P}\s]+", " ")), raw)
        if self.table is not None:
            words = tf.strings.split(tf.strings.regex_replace(raw, r"\p{Z}+", " "))
            tags = tf.where(language == "", "und", tf.strings.regex_replace(language, "-.*", ""))
            stops = self.table.lookup(_keys(tf.gather(tags, words.value_rowids()), words.values))
            left = tf.ragged.boolean_mask(words, words.with_values(~stops))
            raw = _or_before(tf.strings.reduce_join(left, axis=1, separator=" "), raw)
        if self.letters is not None:
            characters = tf.strings.unicode_split(tf_text.normalize_utf8(raw, "NFC"), "UTF-8")
            latin = self.letters.lookup(characters.values)
            raw = tf.strings.reduce_join(characters.with_values(tf.where(latin == "", characters.values, latin)), axis=1)
            raw = tf.strings.lower(raw, "utf-8") if self.fold_case else raw  # Where a syllable begins there are capitals.
        return raw

    def config(self):
        """Returns the keyword arguments that build an equal one."""
        stop_words = {tag: list(words) for tag, words in self.words.items()}
        return {"fold_case": self.fold_case, "punctuation": self.punctuation, "stop_words": stop_words, "romanize": self.romanize}


def _keys(tags, words):
    """What stop words are found by."""
    return tf_text.case_fold_utf8(tf.strings.join([tags, tf.strings.regex_replace(words, r"^\p{P}+|\p{P}+$", "")], " "))


def _or_before(cleaned, raw):
    """What is left of a text, or the text where nothing is."""
    return tf.where(tf.strings.length(cleaned) > 0, cleaned, raw)


@functools.cache
def _latin():
    """Characters past ASCII that are written in letters, and those letters, two lists."""
    found = {character: anyascii(character) for character in map(chr, range(128, 0x20000)) if unicodedata.category(character)[0] in "LMN"}
    found = {character: latin for character, latin in found.items() if latin and latin != character}
    return list(found), list(found.values())
