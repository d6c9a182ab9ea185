"""Media files of any common format to pixels and samples in one canonical form."""

import contextlib
import dataclasses
import errno
import io
import os
import pathlib
import re
import stat
import urllib.parse
import warnings

import cv2
import numpy as np
import soundfile
import soxr
from PIL import Image

from cross_modal.data.containers import FORMAT_OF, PICTURES, Content, cut_picture, cut_sound, read_header, sniff

SAMPLE_RATE = 16_000
ALLOWED = ("constant", "extension")
_MAX_BYTES = 2**29  # Of a file, before anything is known of it.
_FLAT = 2  # Levels of 255 that a compressed picture of one colour may vary by.
_BITS, _ORIENTATION, _SAMPLE_FORMAT = 258, 274, 339  # Of TIFF; of the last 2 is signed, 3 floating point.
_RATES = range(1000, 768_001)  # Samples a second of a recording.
_LOUDEST = 1e4  # Of a sample, where 1 is full scale.
_SHORTEST = 0.01  # Seconds.
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL)  # The name's fault, now and ever.

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # It says on the terminal what is said in quarantine.csv.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class MediaError(ValueError):
    """A file that cannot be used; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is taken and how.

    Args:
        image_size: most pixels on the long side of a picture that is kept.
        max_pixels: most pixels of a picture that is read.
        max_seconds: longest recording, in seconds.
        max_characters: longest text.
        background: red, green and blue, 0 to 255, that shows through what is transparent.
        allow: what is taken although it looks like a mistake: `constant` pictures, and files whose content is of another format than their `extension` says.
    """

    image_size: int = 512
    max_pixels: int = 50_000_000
    max_seconds: float = 300.0
    max_characters: int = 100_000
    background: tuple[int, int, int] = (255, 255, 255)
    allow: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("image_size", "max_pixels", "max_seconds", "max_characters"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Expected `{name}` to be more than 0. Received: {name}={getattr(self, name)}")
        if len(self.background) != 3 or not all(0 <= part <= 255 for part in self.background):
            raise ValueError(f"Expected `background` to be red, green and blue from 0 to 255. Received: background={self.background}")
        if set(self.allow) - set(ALLOWED):
            raise ValueError(f"Expected `allow` to hold some of {', '.join(ALLOWED)}. Received: allow={self.allow}")


def read_media(folder, value):
    """Reads a file of a table.

    Args:
        folder: folder of the table.
        value: path relative to it.

    Returns:
        The bytes.

    Raises:
        MediaError: if the file is missing, empty, huge, no file, without permission, or outside the folder, also through links.
        OSError: if it cannot be read now, though it might be at another time.
    """
    folder = os.path.realpath(folder)
    try:
        path = os.path.join(folder, value)
        if not _inside(folder, os.path.realpath(path)):
            raise MediaError("outside the table's folder")
        _check_mode(os.stat(path).st_mode, value)  # Before it is opened, as a pipe would wait for its other end.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            status = os.fstat(file.fileno())
            _check_mode(status.st_mode, value)
            if not _inside(folder, _place(file.fileno(), path)):  # A link may have changed since.
                raise MediaError("outside the table's folder")
            raw = file.read(status.st_size + 1) if status.st_size <= _MAX_BYTES else None  # Memory is taken for as much as is asked for.
    except MediaError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte, or what no file system can write.
        if isinstance(error, PermissionError):
            raise MediaError("unreadable file") from error
        if isinstance(error, OSError) and error.errno not in _NO_FILE:
            raise
        raise MediaError(_missing(folder, value)) from error
    if raw is None or len(raw) > _MAX_BYTES:  # It may have grown.
        raise MediaError("over the length limit")
    if not raw:
        raise MediaError("empty")
    return raw


def check_extension(raw, name):
    """Raises `MediaError` if a file's name says another format than its content."""
    expected, found = FORMAT_OF.get(pathlib.PurePath(name).suffix.lower()), sniff(raw)
    if expected and found and found != expected:
        raise MediaError(f"not what its extension says ({found})")


def decode_image(raw, limits):
    """Decodes a picture: the first frame, upright, over the background where it is transparent, shrunk to the limit.

    Args:
        raw: bytes of a PNG, JPEG, GIF, WebP, TIFF, BMP, JPEG 2000, AVIF or PNM, of any depth and colours.
        limits: `Limits`.

    Returns:
        uint8 `(height, width, 3)`, in the order blue, green, red.

    Raises:
        MediaError: with the reason.
    """
    if not raw:
        raise MediaError("empty")
    form = sniff(raw)
    if form not in PICTURES:
        raise MediaError("unreadable picture")
    try:
        header = read_header(raw, form)
        width, height = header.size
        clear = form != "JPEG" and (header.mode in ("RGBA", "LA", "PA") or "transparency" in header.info)
        deep = form == "TIFF" and (max(header.tag_v2.get(_BITS, (0,))) > 16 or not {2, 3}.isdisjoint(header.tag_v2.get(_SAMPLE_FORMAT, ())))
        cut = cut_picture(raw, form, header)
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads to.
        raise MediaError("truncated" if cut_picture(raw, form, None) or (form == "JPEG" and b"\xff\xd9" not in raw) else "unreadable picture") from error
    if width * height > limits.max_pixels:
        raise MediaError("over the pixel limit")
    if cut:
        raise MediaError("truncated")
    flags = cv2.IMREAD_COLOR  # Turns upright by the EXIF orientation; one that keeps transparency does not.
    if form == "JPEG":  # Which can be decoded at a half, a quarter, an eighth.
        flags = next((flag for factor, flag in ((8, 65), (4, 33), (2, 17)) if max(width, height) >= factor * limits.image_size), flags)
    try:
        pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED if clear or deep else flags)
    except cv2.error as error:
        raise MediaError("unreadable picture") from error
    if pixels is None:
        # After the last scan of a JPEG begins, these two bytes are the end and nothing else.
        raise MediaError("truncated" if form == "JPEG" and raw.find(b"\xff\xd9", raw.rfind(b"\xff\xda")) < 0 else "unreadable picture")
    if deep:
        pixels = _eight_bits(pixels)
    elif clear:
        pixels = _upright(_over(pixels, limits.background), header)
    scale = limits.image_size / max(pixels.shape[:2])
    if scale < 1:
        height, width = pixels.shape[:2]
        pixels = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    if "constant" not in limits.allow and (np.ptp(pixels.reshape(-1, 3), axis=0) <= _FLAT).all():
        raise MediaError("constant picture")
    return pixels


def encode_image(pixels, lossy):
    """Encodes uint8 `(height, width, 3)` as bytes of a PNG, or of a JPEG if `lossy`; of one channel where the picture is grey."""
    if (pixels[:, :, :1] == pixels).all():
        pixels = pixels[:, :, 0]
    extension, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 92]) if lossy else (".png", [])
    return cv2.imencode(extension, pixels, options)[1].tobytes()


def canonical_image(raw, limits=Limits()):
    """Decodes a picture and encodes it as PNG, or as JPEG if it came as one; see `decode_image`."""
    return encode_image(decode_image(raw, limits), lossy=sniff(raw) == "JPEG")


def decode_audio(raw, limits):
    """Decodes a recording, mixes it to one channel and resamples it.

    Args:
        raw: bytes of any format libsndfile reads, of any rate and channels.
        limits: `Limits`.

    Returns:
        float32 `(samples,)` at 16 kHz.

    Raises:
        MediaError: with the reason.
    """
    if not raw:
        raise MediaError("empty")
    file = Content(raw)
    cut = cut_sound(raw)
    try:
        with soundfile.SoundFile(file) as sound:
            frames, rate = sound.frames, sound.samplerate
            if frames > limits.max_seconds * rate > 0:
                raise MediaError("over the length limit")
            if rate not in _RATES:
                raise MediaError("unreadable sound")
            samples, read, low, high = _mix(sound)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:  # TypeError: SoundFile of RAW needs a rate.
        # A decoder that fails where the file ends has met the end too soon.
        raise MediaError("truncated" if cut or (sniff(raw) == "FLAC" and file.tell() == len(raw) > 8192) else "unreadable sound") from error
    if cut or read < frames:
        raise MediaError("truncated")
    if read < _SHORTEST * rate:
        raise MediaError("too short")
    if high - low < 1e-4:
        raise MediaError("silent")
    return samples / np.float32(max(1.0, high, -low))  # Floating point may go beyond full scale, and would be cut off there.


def canonical_audio(raw, limits=Limits()):
    """Decodes a recording and encodes it as 16 kHz 16-bit WAV; see `decode_audio`."""
    return encode_wav(decode_audio(raw, limits))


def encode_wav(samples, rate=SAMPLE_RATE):
    """Encodes samples `(samples,)` between -1 and 1 as bytes of a 16-bit WAV."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _inside(folder, path):
    return os.path.commonpath([folder, path]) == folder


def _check_mode(mode, value):
    if stat.S_ISDIR(mode):
        raise MediaError("a folder, not a file" if value.strip() else "missing")
    if not stat.S_ISREG(mode):
        raise MediaError("no ordinary file")


def _place(number, path):
    """Where the file lies that is open under a number."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:  # Not on Linux.
        path = os.path.realpath(path)
        return path if os.path.samestat(os.stat(path), os.fstat(number)) else ""


def _missing(folder, value):
    """Why there may be no file of a name."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://|data:", value):
        return "a URL, not a file"
    turned = value.replace("\\", "/")
    for repaired in (value.strip(), turned, urllib.parse.unquote(value), urllib.parse.unquote(turned.strip())):
        with contextlib.suppress(ValueError):
            path = os.path.realpath(os.path.join(folder, repaired))
            if repaired != value and os.path.isfile(path) and _inside(folder, path):
                return f"missing; did you mean {repaired}"
    return "missing"


def _mix(sound):
    """Reads a sound block by block, so that many channels and a high rate take no memory; returns samples of one channel at 16 kHz, how many, lowest and highest."""
    change = soxr.ResampleStream(sound.samplerate, SAMPLE_RATE, 1, dtype="float32") if sound.samplerate != SAMPLE_RATE else None
    parts, read, low, high = [], 0, np.inf, -np.inf
    while True:
        block = sound.read(max(1, 2**20 // sound.channels), dtype="float32", always_2d=True)
        if not np.abs(block).max(initial=0) <= _LOUDEST:  # Nor are NaNs.
            raise MediaError("unreadable sound")
        part, read = block.mean(axis=1), read + len(block)
        low, high = min(low, part.min(initial=np.inf)), max(high, part.max(initial=-np.inf))
        parts.append(change.resample_chunk(part, last=not len(part)) if change else part)
        if not len(part):
            return np.concatenate(parts), read, low, high


def _strips(pixels):
    """Parts of a picture, of some megabytes each."""
    step = max(1, 2**20 // pixels.shape[1])
    return (slice(top, top + step) for top in range(0, len(pixels), step))


def _over(pixels, background):
    """Lays pixels of any depth with transparency over a colour."""
    if pixels.ndim < 3:  # The header says transparent, the pixels are not.
        pixels = pixels[:, :, None]
    out = np.empty((*pixels.shape[:2], 3), np.uint8)
    for rows in _strips(pixels):
        part = pixels[rows].astype(np.float32) / np.iinfo(pixels.dtype).max
        alpha = part[:, :, 3:] if part.shape[2] == 4 else np.float32(1)
        out[rows] = (part[:, :, :3] * alpha * 255 + np.float32(background[::-1]) * (1 - alpha)).round()
    return out


def _eight_bits(pixels):
    """Makes bytes of signed or floating point numbers: from 0 to 1 where these are there, otherwise from the lowest to the highest."""
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        raise MediaError("transparent picture of floating point or signed numbers")
    pixels = pixels[:, :, None] if pixels.ndim < 3 else pixels
    ends = [(part.min(), part.max()) for part in (pixels[rows][np.isfinite(pixels[rows])] for rows in _strips(pixels)) if part.size]
    low, high = (float(min(low for low, _ in ends)), float(max(high for _, high in ends))) if ends else (0.0, 0.0)
    if pixels.dtype.kind == "f" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    out = np.empty((*pixels.shape[:2], 3), np.uint8)
    for rows in _strips(pixels):
        part = np.nan_to_num(pixels[rows].astype(np.float64), nan=low, posinf=high, neginf=low)
        out[rows] = ((part / 2 - low / 2) * (255 / max(high / 2 - low / 2, 1e-30))).round()  # Halves, as the range may be more than a number holds.
    return out


def _upright(pixels, header):
    """Turns by the EXIF orientation what OpenCV has not: it does so for TIFF alone when it keeps transparency."""
    exif = Image.Exif()
    try:
        exif.load(header.info.get("exif"))
        orientation = 1 if hasattr(header, "tag_v2") else exif.get(_ORIENTATION, 1)
    except Exception:  # Damaged EXIF says nothing.
        orientation = 1
    turns = {3: [cv2.ROTATE_180], 5: [cv2.ROTATE_90_CLOCKWISE], 6: [cv2.ROTATE_90_CLOCKWISE], 7: [cv2.ROTATE_90_COUNTERCLOCKWISE], 8: [cv2.ROTATE_90_COUNTERCLOCKWISE]}
    for turn in turns.get(orientation, []):
        pixels = cv2.rotate(pixels, turn)
    if orientation in (2, 4, 5, 7):
        pixels = cv2.flip(pixels, 0 if orientation == 4 else 1)
    return pixels
