"""The encoding of a text file: by its byte order mark, UTF-8 if most of it is, or else the one that its letters look right in."""

import codecs
import collections
import hashlib
import itertools
import re
import unicodedata

from cross_modal.data import schema

_BOMS = [(codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")]
_NOT_OF_FILES = {"idna", "punycode", "undefined", "unicode_escape", "unicode-escape", "raw_unicode_escape", "raw-unicode-escape"}
_FILES = [(b"\x1f\x8b", "a gzip file"), (b"PK\x03\x04", "a zip file, such as an Excel workbook"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook"), (b"%PDF-", "a PDF"),
          (b"BZh", "a bzip2 file"), (b"\xfd7zXZ\0", "an xz file"), (b"7z\xbc\xaf", "a 7z file"), (b"\x28\xb5\x2f\xfd", "a zstd file"), (b"PAR1", "a Parquet file"),
          (b"SQLite format 3\0", "an SQLite database"), (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture")]  # fmt: skip
_LINES, _SAMPLE = 2**12, 2**15  # Lines that are kept, and bytes that are looked at in the end.

# In order of preference where several give letters that look as right.
_CANDIDATES = ("cp1252", "cp1250", "cp1254", "cp1251", "cp1253", "cp1255", "cp1256", "cp1257", "cp874", "gb18030", "cp932", "euc_jp", "cp949", "big5", "koi8_r", "koi8_u", "cp866",
               "iso8859_2", "iso8859_15")  # fmt: skip
_NEAR = 0.002  # Scores this near to each other are as good.

_LATIN = [set(letters + letters.upper()) for letters in (
    "àâæçéèêëîïôœùûüÿ", "ãõáâàçéêíóôú", "áéíóúñü", "àèéìíîòóùú", "äöüß", "éëèêïóöüáç", "åäöéàü", "æøåéèêóòâôàü", "áðéíóúýþæöø", "äöåšžé", "àçèéíïòóúü", "çë", "ąćęłńóśźż",
    "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "çğıİöşüâîû", "ąčęėįšųūž", "āčēģīķļņšūž", "äöüõšž", "ĉĝĥĵŝŭ", "áéíóúẁẃŵŷâêîôûïö")]  # fmt: skip
_FREQUENT = {
    "CYRILLIC": set("оеаинтсрвлкмдпуіяыь"),
    "GREEK": set("αοιετσνηυρπκμλςά"),
    "HEBREW": set("יוהלאראתבשמנדםכ"),
    "ARABIC": set("اليمنرتبوةعدسفهكقحأ"),
    "THAI": set("านรอกเงวมยลสดท่้ิีัทต"),
}
_RUSSIAN = set("абвгдежзийклмнопрстуфхцчшщъыьэюяё")
_HAN = set(
    "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学么之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但"
    "现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明问力理尔点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太"
    "新比才便夫再书部水像眼等体却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色红黑黄狗猫穿站坐男树街狗照片"
    "這個們來時為說國著裡後會過對學麼從無現經長兒愛給間兩親進話與見問點幾將實聲車機氣並別書體電門聽員許寫馬難結樂沒還樣種開總動頭紅黃貓樹邊張關當發"
    "出者自分場合部目気社内今私立物年会時行間方後地事見手前田世界思考食飲犬子駅朝夜店歩走読色々写真青"
)
_HANGUL = set("이다는을의가고에하지한로은를도서사자기나대들리인있어그아시해일수보정오부여주전람것라제으과만장한게스상우원구거면까안니마개습했었")
_PUNCTUATION = set("“”„‘’‚‹›«»–—…€£¥¢§©®°±·×÷™•¡¿½¼¾²³¹ªº´†‡‰µ№€")


def read_encoding(path, given=None):
    """Finds out the encoding of a text file.

    Args:
        path: `pathlib.Path` of the file.
        given: encoding to take in any case; None to find out.

    Returns:
        Triple of the file's SHA-256; the encoding; and, if it is a guess, the first words that depend on it, else an empty string.

    Raises:
        TableError: if it is no text file, the encoding does not exist, or cannot be that of the file.
    """
    digest, lines = hashlib.sha256(), []
    with path.open("rb") as file:
        head = block = file.read(2**20)
        while block:
            digest.update(block)
            if not block.isascii():
                lines += _high_lines(block, block is head)
                lines = lines[::2] if len(lines) > 2 * _LINES else lines
            block = file.read(2**20)
    return digest.hexdigest(), *_decided(path, head, lines, given)


def encoding_of(path, raw, given=None):
    """Finds out the encoding of a text of which all is at hand.

    Args:
        path: that it is from, for messages.
        raw: bytes.
        given: see `read_encoding`.

    Returns:
        The last two that `read_encoding` returns; raises as it does.
    """
    return _decided(path, raw, [] if raw.isascii() else _high_lines(raw, True), given)


def _decided(path, head, lines, given):
    """The encoding and, of a guess, words, by the beginning of a text and those of its lines that have bytes above 127."""
    for magic, what in _FILES:
        if head.startswith(magic):
            raise schema.TableError(f"Expected a table of text. Received: {path}, which is {what} by its first bytes. Unpack it, or save it as CSV in UTF-8.")
    if given:
        return _check_given(path, given, head), ""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name, ""
    if head.count(b"\0") > len(head) // 4:
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be", ""
    if not lines and re.search(rb"\x1b\$[@B]", head):
        return "iso2022_jp", _shown(head.splitlines(), "iso2022_jp")
    if sum(map(_is_utf8, lines)) * 2 >= len(lines):  # A damaged place in a text that is UTF-8 costs its row, not the others.
        return "utf-8", ""
    lines = _spread(lines)
    found = guess_encoding(lines)
    return found, _shown(lines, found)


def _check_given(path, given, head):
    try:
        name = codecs.lookup(given).name
        if name in _NOT_OF_FILES:
            raise LookupError(name)
        b"a".decode(name, "replace")
    except (LookupError, ValueError) as error:
        raise schema.TableError(f"{path}: expected an encoding that Python knows, of text, such as cp1252 or gb18030. Received: {given}") from error
    wide = name.startswith(("utf-16", "utf-32"))
    marked = wide and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    if wide and head and not marked:
        if b"\0" not in head:
            raise schema.TableError(f"{path}: expected text in {given}. Received none of the zero bytes that such text has. Leave --encoding out, or give another.")
        if name in ("utf-16", "utf-32"):
            raise schema.TableError(f"{path}: expected text in {given} to begin with a byte order mark. Received none. Give {name}-le or {name}-be as --encoding.")
    try:
        codecs.getincrementaldecoder(name)("strict" if name == "utf-7" else "replace").decode(head)
    except ValueError as error:
        raise schema.TableError(f"{path}: expected text in {given}. Received: {error}. Leave --encoding out, or give another.") from error
    return name[:6] if marked else name  # Of the codec without an order, which passes over the mark that says it.


def open_text(path, encoding):
    """Opens a text file. What is no text in this encoding becomes half of a surrogate pair, and is told when the value is looked at."""
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    return path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, errors=errors, newline="")


def _high_lines(block, first):
    """Lines with bytes above 127. A line that a block begins or ends within is left out: letters of several bytes cannot be told in a part of them."""
    lines = block.splitlines() if first else block.split(b"\n")[1:]
    lines = lines if len(lines) < 2 or block.endswith(b"\n") or len(block) < 2**20 else lines[:-1]
    return list(itertools.islice((line[:2000] for line in lines if not line.isascii()), _LINES if first else 64))


def _is_utf8(line):
    try:
        codecs.getincrementaldecoder("utf-8")().decode(line)
    except UnicodeDecodeError:
        return False
    return True


def _spread(lines):
    lines = list(dict.fromkeys(lines))
    step = sum(map(len, lines)) // _SAMPLE + 1
    return lines[::step]


def _shown(lines, encoding):
    words = (word for line in lines for word in re.findall(r"\w*[^\W\x00-\x7f]+\w*", line.decode(encoding, "replace")))
    text = " ".join(itertools.islice(dict.fromkeys(itertools.islice(words, 100)), 4)) or next((line.decode(encoding, "replace").strip() for line in lines), "")
    return text[:40]


def guess_encoding(lines):
    """Guesses the encoding of lines that are not UTF-8 by the letters that they hold in each.

    Args:
        lines: list of bytes.

    Returns:
        Name of the encoding.
    """
    scores = {name: _score([line.decode(name, "surrogateescape") for line in lines], name) for name in _CANDIDATES}
    best = max(scores.values())
    return next(name for name, score in scores.items() if score >= best - _NEAR)


def _score(lines, encoding):
    """How right letters look, at most 1: the mean over bytes of what a letter is worth where it stands."""
    points, weight, all_letters = 0.0, 0, collections.Counter()
    for line in lines:
        letters, padded = [], f" {line} "
        for before, letter, after in zip(padded, line, padded[2:]):
            if letter < "\x80" or letter == "\xa0":
                continue
            if letter < "\u0250" and letter.isalpha() and letter not in "ªº":
                weight += 1
                if _odd_latin(before, letter, after):
                    points -= 1
                else:
                    letters.append(letter)
            else:
                width, worth = _worth(before, letter, after, encoding)
                weight += width
                points += width * worth
        points += _fit(letters)
        all_letters.update(letters)
    # A language of one line may be told by chance, that of all is not: it decides between what is equal else.
    return points / max(weight, 1) + 0.05 * _fit(all_letters.elements()) / max(weight, 1)


def _fit(letters):
    letters = list(letters)
    return max(sum(1.0 if letter in known else -0.5 for letter in letters) for known in _LATIN) if letters else 0.0


def _odd_latin(before, letter, after):
    """Whether a Latin letter stands where none does: next to a digit, a capital after a small letter, or with none of a to z on either side of many."""
    if before.isdigit() or after.isdigit() or (letter.isupper() and before.islower()) or (letter.islower() and before.isupper() and after.isupper()):
        return True
    return "\x7f" < before and before.isalpha() and "\x7f" < after and after.isalpha() or not (before.isalpha() or after.isalpha()) and letter not in "àÀéÉèÈóÓáÁíÍåÅöÖøØæÆ"


def _worth(before, letter, after, encoding):
    """Returns the number of bytes that a letter took, about, and what it is worth, from -1 to 1."""
    if letter >= "\u2e80" or "\u1100" <= letter < "\u1200":
        return _worth_east(before, letter, after, encoding)
    script = unicodedata.name(letter, "NONE").partition(" ")[0]
    if script in _FREQUENT:
        latin = "a" <= before.lower() <= "z" or "a" <= after.lower() <= "z"
        return 1, -1.0 if latin else _worth_letter(before, letter, after, script)
    category = unicodedata.category(letter)
    if category in ("Cc", "Cs", "Cn", "Co"):
        return 1, -1.5
    if category == "Cf":
        return 1, -0.5
    width = 2 if encoding in ("gb18030", "cp932", "euc_jp", "cp949", "big5") else 1
    if letter not in _PUNCTUATION:
        return width, 0.0 if width == 2 and category[0] in "PS" else -0.7
    inside = before.isalpha() and after.isalpha()
    if (
        (inside and letter not in "’‘–—·“”«»")
        or (letter in "¿¡„" and before.isalnum())
        or (letter in "¹½¼¾" and before.isalpha())
        or (letter in "²³" and not (before.isdigit() or before in "mM"))
        or (letter in "ªº" and not before.isdigit() and before not in ".nN")
        or (letter in "£¥¢€§" and after.isalpha())
    ):
        return width, -1.0
    several = (before in _PUNCTUATION) + (after in _PUNCTUATION)
    return width, 0.9 - 0.4 * several if width == 1 else 0.3


def _worth_letter(before, letter, after, script):
    if letter.isupper() and before.islower() or letter.islower() and before.isupper() and after.isupper():
        return -1.0
    if before.isdigit() or after.isdigit():
        return -0.3
    if script == "THAI" and (unicodedata.combining(letter) or unicodedata.category(letter) == "Mn") and not "ก" <= before <= "๎" or letter in "๏๚๛":
        return -1.0
    if script == "HEBREW":
        if letter in "ךםןףץ" and "א" <= after <= "ת":
            return -1.0
        if letter < "א":
            return -0.2  # Vowel points, which hardly any text has.
    if script == "GREEK" and letter == "ς" and after.isalpha():
        return -1.0
    if script == "CYRILLIC" and letter.lower() not in _RUSSIAN and letter.lower() not in "іїєґўђјљњћџ":
        return -0.5
    return (1.0 if letter.lower() in _FREQUENT[script] else 0.55) - (0.1 if letter.isupper() and before.isupper() else 0.0)


def _is_east(letter):
    return "\u2e80" <= letter < "\ue000" or "\uf900" <= letter < "\ufb00" or "\uff00" <= letter < "\uffef"


def _worth_east(before, letter, after, encoding):
    if "\ud800" <= letter < "\uf900":
        return 1, -1.5
    if not _is_east(before) and not _is_east(after) and (before.isalpha() or after.isalpha()):
        return 2, -1.0
    if "\u3000" < letter < "\u3040" or "\uff00" < letter < "\uff61":
        return 2, 0.5
    japanese, korean = encoding in ("cp932", "euc_jp"), encoding == "cp949"
    if "\u3040" <= letter < "\u3100":
        return 2, 1.0 if japanese else -0.5
    if "\uac00" <= letter < "\ud7b0":
        mixed = "\u4e00" <= before < "\ua000" or "\u4e00" <= after < "\ua000"
        return 2, -0.5 if mixed else 1.0 if letter in _HANGUL else 0.4
    if "\u4e00" <= letter < "\ua000":
        if korean:
            return 2, -0.5
        return 2, 1.0 if letter in _HAN else 0.55 if _is_common(letter, encoding) else -0.3
    return (1, -0.4) if "\uff61" <= letter < "\uffa0" else (2, -0.5)


def _is_common(letter, encoding):
    """Whether a character is of the first of the two levels that the standard behind an encoding has."""
    if encoding == "gb18030":
        raw = letter.encode("gbk", "ignore")
        return len(raw) == 2 and 0xB0 <= raw[0] < 0xD8 and raw[1] > 0xA0
    if encoding == "big5":
        return letter.encode("big5", "ignore")[:1] < b"\xc9"
    return letter.encode("euc_jp", "ignore")[:1] < b"\xd0"
