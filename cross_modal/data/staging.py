"""The first pass over a table: rows in chunks, and each chunk's views checked and brought to canonical form.

Every step is a function of files to files, whose results are named by all that they depend on. So any number of threads, or machines that share the folder, can do them; and a
run that was killed finds what is done.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import unicodedata

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet

from cross_modal.data import media, prints, schema

_VERSION = 4  # Of what is written here; another number makes everything anew.
_ROWS, _VIEWS, _BYTES = 256, 2**14, 2**26  # Of a chunk, at most.
_MOST_MARKS = 500
_MARKS = re.compile(
    f"[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u06d6-\u06ed\u0730-\u074a\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{{{_MOST_MARKS}}}"
)
_BROKEN = "\ufdd0"  # Never a character.
_ITEM = {"row": "int64", "id": "string", "group": "string", "split": "string"}
_RAW = pyarrow.schema({**{name: getattr(pyarrow, kind)() for name, kind in _ITEM.items()}, "field": pyarrow.string(), "language": pyarrow.string(), "value": pyarrow.string(),
                       "content": pyarrow.binary(), "reason": pyarrow.string()})  # fmt: skip
_NAMES = ("row", "id", "group", "split", "field", "language", "label", "reason", "path", "sha256", "hash", "bits", "thumb", "length", "height", "width", "start", "size", "script")


@dataclasses.dataclass(frozen=True)
class Stage:
    """What the views of a table are staged with.

    Args:
        work: folder of the intermediate files.
        folder: folder that media are relative to.
        kinds: dict of field to kind.
        limits: `media.Limits`.
        keep: whether canonical values are written, or only looked at.
    """

    work: pathlib.Path
    folder: pathlib.Path
    kinds: dict
    limits: media.Limits
    keep: bool = True


def write_chunks(items, work, see):
    """Writes items to chunks of rows.

    Args:
        items: iterable of `Item`, one a row.
        work: folder.
        see: called with each item.

    Returns:
        Pair of number of chunks and number of views.
    """
    columns, rows, size, chunks, views = {name: [] for name in _RAW.names}, 0, 0, 0, 0
    for item in items:
        see(item)
        for view in item.views:
            content = view.value if isinstance(view.value, bytes) else None
            value = None if content is not None or view.value is None else _escaped(view.value)
            entry = (view.row, _escaped(item.id), _escaped(item.group), item.split, view.field, view.language, value, content, view.reason)
            for name, one in zip(columns, entry):
                columns[name].append(one)
            size += len(view.value or b"")
        rows += 1
        views += len(item.views)
        if rows == _ROWS or size > _BYTES or len(columns["row"]) > _VIEWS:
            _write_parquet(pyarrow.table(columns, schema=_RAW), work / f"rows-{chunks:06d}.parquet")
            columns, rows, size, chunks = {name: [] for name in _RAW.names}, 0, 0, chunks + 1
    if rows:
        _write_parquet(pyarrow.table(columns, schema=_RAW), work / f"rows-{chunks:06d}.parquet")
        chunks += 1
    return chunks, views


def chunk_key(stage, number):
    """Names the result of a chunk by all that it depends on: its rows, which files they name, as the system knows them, and the settings."""
    table = pyarrow.parquet.read_table(stage.work / f"rows-{number:06d}.parquet")
    digest = hashlib.sha256(json.dumps([_VERSION, media.cv2.__version__, media.soundfile.__libsndfile_version__, stage.kinds, dataclasses.asdict(stage.limits)]).encode())
    for field, value, content, *rest in zip(*(table[name].to_pylist() for name in ("field", "value", "content", *_ITEM, "language", "reason"))):
        digest.update(json.dumps([field, value, rest]).encode())
        if content is not None:
            digest.update(hashlib.sha256(content).digest())
        elif value is not None and stage.kinds.get(field) in ("image", "audio"):
            digest.update(json.dumps(schema.stamp(os.path.join(stage.folder, value))).encode())
    return digest.hexdigest()[:24] if stage.keep else digest.hexdigest()[:24] + "-check"


def staged(stage, key):
    """Whether the result of a chunk is there."""
    return (stage.work / f"views-{key}.parquet").exists() and (not stage.keep or (stage.work / f"views-{key}.bin").exists())


def stage_chunk(stage, number, key):
    """Checks the views of a chunk, and writes their canonical values and an index of them.

    Args:
        stage: `Stage`.
        number: of the chunk.
        key: its `chunk_key`.

    Returns:
        Pair of number of views, and list of field and reason of those that cannot be used.
    """
    index_path = stage.work / f"views-{key}.parquet"
    if staged(stage, key):
        index = pyarrow.parquet.read_table(index_path, columns=["field", "reason"])
        reasons = [(field, reason) for field, reason in zip(*(index[name].to_pylist() for name in ("field", "reason"))) if reason]
        return index.num_rows, reasons
    table = pyarrow.parquet.read_table(stage.work / f"rows-{number:06d}.parquet")
    columns = {name: [] for name in _NAMES}
    values = _temporary(stage.work / f"views-{key}.bin")
    place = 0
    with values.open("wb") if stage.keep else contextlib.nullcontext() as file:
        for entry in zip(*(table[name].to_pylist() for name in _RAW.names)):
            row = dict(zip(_RAW.names, entry))
            value, found = check_view(stage, schema.View(row["field"], row["content"] if row["content"] is not None else row["value"], row["language"], row["row"], row["reason"]))
            found |= {name: row[name] for name in _ITEM} | {"start": place, "size": len(value)}
            for name in _NAMES:
                columns[name].append(found[name])
            if file:
                file.write(value)
                place += len(value)
    if stage.keep:
        os.replace(values, stage.work / f"views-{key}.bin")
    _write_parquet(pyarrow.table({name: _array(name, column) for name, column in columns.items()}), index_path)  # Last: it says that the chunk is done.
    return len(columns["row"]), [(field, reason) for field, reason in zip(columns["field"], columns["reason"]) if reason]


def check_view(stage, view):
    """Brings one view to canonical form.

    Args:
        stage: `Stage`.
        view: `View`.

    Returns:
        Pair of the bytes, none where the view cannot be used; and a dict of what is known of it, with `reason` where it cannot.
    """
    kind = stage.kinds.get(view.field)
    found = {"field": view.field, "language": view.language, "label": "", "reason": "", "path": "", "sha256": "", "hash": 0, "bits": 0, "thumb": None, "length": 0.0,
             "height": 0, "width": 0, "script": ""}  # fmt: skip
    raw = view.value if isinstance(view.value, bytes) else None
    try:
        if view.reason and not (view.reason.startswith("unknown language") and kind in ("image", "label")):  # What has no language cannot be in an unknown one.
            raise media.MediaError(view.reason)
        if view.value is None:
            raise media.MediaError(f"NaN {kind}")
        if kind in ("image", "audio"):
            if raw is None and _BROKEN in view.value:
                raise media.MediaError("a name that is no UTF-8")
            if raw is None:
                raw = media.read_media(stage.folder, view.value)
                if "extension" not in stage.limits.allow:
                    media.check_extension(raw, view.value)
            value = (_stage_image if kind == "image" else _stage_audio)(raw, stage.limits, found)
        else:
            value = _stage_text(kind, view.value, stage.limits, found)
        found["hash"] = _hash64(raw if kind in ("image", "audio") else value)
    except media.MediaError as error:
        value = b""
        said = "" if view.value is None else f"{len(raw)} bytes" if isinstance(view.value, bytes) else view.value
        found |= {"reason": str(error), "path": said[:1000], "sha256": hashlib.sha256(raw).hexdigest() if raw else "", "thumb": None}
    return value, found


def _stage_image(raw, limits, found):
    pixels = media.decode_image(raw, limits)
    found["height"], found["width"] = pixels.shape[:2]
    found["bits"], found["thumb"], _ = prints.picture_print(pixels)
    return media.encode_image(pixels, lossy=media.sniff(raw) == "JPEG")


def _stage_audio(raw, limits, found):
    samples = media.decode_audio(raw, limits)
    found["width"] = len(samples)
    found["bits"], found["thumb"], found["length"] = prints.sound_print(samples)
    return media.encode_wav(samples)


def _stage_text(kind, value, limits, found):
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    if len(value) > limits.max_characters:
        raise media.MediaError("over the length limit")
    if _MARKS.search(value):  # Bringing them into order takes their number squared.
        raise media.MediaError(f"more than {_MOST_MARKS} combining marks on one character")
    text = schema.canonical_text(value)
    categories = {unicodedata.category(character) for character in set(text)}
    if _BROKEN in text or "Cs" in categories:
        raise media.MediaError("broken encoding")
    if all(category[0] == "Z" for category in categories) or not text.strip():
        raise media.MediaError("empty text")
    if all(category[0] in "CZ" for category in categories):
        raise media.MediaError("control characters only")
    if kind == "label":
        if text.lower() == "nan":
            raise media.MediaError("NaN label")
        found["label"] = text
    else:
        found["width"], found["script"] = len(text), script_of(text)
    return text.encode()


def script_of(text):
    """Returns the ISO 15924 code of the script of most letters, or an empty string if there are no letters."""
    if text.isascii():  # Most are, and looking at each letter takes longer than all else that a text needs.
        return "Latn" if any(map(str.isalpha, text)) else ""
    counts = {}
    for character in text[:100]:
        if character.isalpha():
            script = _script(character)
            counts[script] = counts.get(script, 0) + 1
    return max(sorted(counts), key=counts.get) if counts else ""


def _script(character):
    script = _SCRIPTS.get(character)
    if script is None:
        from fontTools import unicodedata as scripts

        script = _SCRIPTS[character] = scripts.script(character)
    return script


_SCRIPTS = {}


def read_index(stage, key):
    """Reads the index of a staged chunk; returns a dict of name to list or array."""
    table = pyarrow.parquet.read_table(stage.work / f"views-{key}.parquet")
    return {name: table[name].to_numpy(zero_copy_only=False) if name in _NUMBERS else table[name].to_pylist() for name in table.column_names}


def read_values(stage, number, places):
    """Returns what the table has at places in a chunk: list of a text, a label, a path, or the number of bytes of a file's content."""
    table = pyarrow.parquet.read_table(stage.work / f"rows-{number:06d}.parquet", columns=["value", "content"]).take(places)
    sizes = pyarrow.compute.binary_length(table["content"]).to_pylist()
    return [value or f"{size or 0} bytes" for value, size in zip(table["value"].to_pylist(), sizes)]


_NUMBERS = {"row": "int64", "hash": "uint64", "bits": "uint64", "length": "float32", "height": "int32", "width": "int32", "start": "int64", "size": "int64"}


def _array(name, column):
    return pyarrow.array(column, type=pyarrow.binary() if name == "thumb" else getattr(pyarrow, _NUMBERS.get(name, "string"))())


def _hash64(raw):
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], "big")


def _escaped(text):
    """Puts a sign where half of a surrogate pair stands, which no file can hold, for `check_view` to find."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return schema.BROKEN.sub(_BROKEN, text)
    return text


def _temporary(path):
    return path.with_name(f"{path.name}.{os.getpid()}-{np.random.default_rng().integers(2**62):x}.part")


def _write_parquet(table, path):
    part = _temporary(path)
    pyarrow.parquet.write_table(table, part, compression="zstd", compression_level=1)
    os.replace(part, path)
