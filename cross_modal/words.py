"""Texts to words."""

import functools
import re
import sys
import unicodedata

_ALONE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"  # Chinese, Japanese, Thai and their neighbours put no space between words.


@functools.cache
def _pattern():
    """What a word is: letters and digits with their marks, which `\\w` does not know; in Cyrillic also an apostrophe between letters."""
    marks = "".join(one for one in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(one).startswith("M"))
    spaced = rf"[^\W{_ALONE}][\w{marks}]*"
    return re.compile(rf"[{_ALONE}][{marks}]*|{spaced}(?:(?<=[\u0400-\u04ff])['\u2019\u02bc](?=[\u0400-\u04ff]){spaced})*")


def words_of(text):
    """Splits a text into words, folded in case, without punctuation; where a script puts no space between words, into characters."""
    text = unicodedata.normalize("NFC", text.replace("\u0130", "i").casefold())  # The Turkish capital would become two characters.
    return [word for word in _pattern().findall(text) if unicodedata.category(word[0])[0] not in "PSMZC"]
