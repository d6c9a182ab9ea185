"""Classic text cleaning, as TensorFlow graph code."""

import tensorflow as tf
import tensorflow_text as tf_text


class Cleaner(tf.Module):
    """Takes out of texts what is not to count. Nothing that is there becomes empty: a text of nothing but stop words keeps them.

    Args:
        fold_case: whether `Straße` and `STRASSE` are the same.
        punctuation: whether punctuation is kept; without, spaces stand in its place.
        stop_words: dict of language to list of words that are left out, compared without case and without punctuation around them; words are what stands between spaces.
            Those of `pt` count for `pt-BR` too, and the other way round; those of `und` for texts without a language.

    Call with texts and tags of their languages, string `(values,)`; returns string `(values,)`.
    """

    def __init__(self, fold_case=False, punctuation=True, stop_words=None):
        super().__init__(name="cleaner")
        self.fold_case, self.punctuation, self.words = bool(fold_case), bool(punctuation), {tag: list(words) for tag, words in (stop_words or {}).items()}
        words = [(tag.partition("-")[0], word) for tag, words in self.words.items() for word in words]
        self.table = None
        if words:
            keys = sorted({key.decode() for key in _keys(*map(tf.constant, zip(*words))).numpy()})
            self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, [True] * len(keys)), False)

    def __call__(self, raw, language):
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
        return raw

    def config(self):
        """Returns the keyword arguments that build an equal one."""
        return {"fold_case": self.fold_case, "punctuation": self.punctuation, "stop_words": {tag: list(words) for tag, words in self.words.items()}}


def _keys(tags, words):
    """What stop words are found by."""
    return tf_text.case_fold_utf8(tf.strings.join([tags, tf.strings.regex_replace(words, r"^\p{P}+|\p{P}+$", "")], " "))


def _or_before(cleaned, raw):
    """What is left of a text, or the text where nothing is."""
    return tf.where(tf.strings.length(cleaned) > 0, cleaned, raw)
