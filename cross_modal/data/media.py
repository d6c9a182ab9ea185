"""Media files of any common format to pixels and samples in one canonical form."""

import dataclasses
import io
import os
import pathlib
import re
import warnings

import cv2
import numpy as np
import soundfile
import soxr
from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Image, Jpeg2KImagePlugin, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin, WebPImagePlugin

SAMPLE_RATE = 16_000
ALLOWED = ("constant", "extension")
_MAX_BYTES = 2**29  # Of a file, before anything is known of it.
_FLAT = 2  # Levels of 255 that a compressed picture of one colour may vary by.
_ORIENTATION = 0x0112

# Pillow reads the header, so that a size is known before a pixel is decoded; OpenCV decodes.
_PICTURES = {
    "PNG": (rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    "JPEG": (rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    "GIF": (rb"GIF8[79]a", GifImagePlugin.GifImageFile),
    "WebP": (rb"RIFF....WEBP", WebPImagePlugin.WebPImageFile),
    "TIFF": (rb"II\*\0|MM\0\*", TiffImagePlugin.TiffImageFile),
    "BMP": (rb"BM", BmpImagePlugin.BmpImageFile),
    "JPEG 2000": (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", Jpeg2KImagePlugin.Jpeg2KImageFile),
    "AVIF": (rb"....ftypavi[fs]", AvifImagePlugin.AvifImageFile),
    "PNM": (rb"P[1-6]\s", PpmImagePlugin.PpmImageFile),
}
_SOUNDS = {
    "WAV": rb"(?:RIFF|RF64)....WAVE",
    "FLAC": rb"fLaC",
    "OGG": rb"OggS",
    "AIFF": rb"FORM....AIF[FC]",
    "MP3": rb"ID3|\xff[\xe2-\xe7\xf2-\xff]",
    "AU": rb"\.snd",
    "CAF": rb"caff",
    "W64": rb"riff\x2e\x91\xcf\x11",
}
_MAGIC = {name: re.compile(pattern, re.DOTALL) for name, pattern in {**{name: entry[0] for name, entry in _PICTURES.items()}, **_SOUNDS}.items()}
EXTENSIONS = {
    "image": {
        "PNG": (".png", ".apng"), "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "GIF": (".gif",), "WebP": (".webp",), "TIFF": (".tif", ".tiff"), "BMP": (".bmp", ".dib"),
        "JPEG 2000": (".jp2", ".j2k"), "AVIF": (".avif",), "PNM": (".pnm", ".ppm", ".pgm", ".pbm"),
    },
    "audio": {
        "WAV": (".wav", ".wave", ".rf64"), "FLAC": (".flac",), "OGG": (".ogg", ".oga", ".opus"), "AIFF": (".aif", ".aiff", ".aifc"), "MP3": (".mp3",), "AU": (".au", ".snd"),
        "CAF": (".caf",), "W64": (".w64",),
    },
}  # fmt: skip
_FORMAT_OF = {extension: name for kind in EXTENSIONS.values() for name, extensions in kind.items() for extension in extensions}

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
        MediaError: if the file is missing, empty, huge, or outside the folder, also through links.
    """
    folder = os.path.realpath(folder)
    try:
        path = os.path.realpath(os.path.join(folder, value))
        there = os.path.isfile(path)
        if os.path.commonpath([folder, path]) != folder:
            raise MediaError("outside the table's folder")
        if not there:
            raise MediaError("missing")
        if os.path.getsize(path) > _MAX_BYTES:
            raise MediaError("over the length limit")
        with open(path, "rb") as file:
            raw = file.read()
    except MediaError:
        raise
    except (OSError, ValueError) as error:  # A name too long, or with a null byte; a file without permission.
        raise MediaError("unreadable file" if isinstance(error, PermissionError) else "missing") from error
    if not raw:
        raise MediaError("empty")
    return raw


def sniff(raw):
    """Names the format of a file by its first bytes: `PNG`, `WAV`, ..., or an empty string for none of `EXTENSIONS`."""
    return next((name for name, pattern in _MAGIC.items() if pattern.match(raw[:64])), "")


def check_extension(raw, name):
    """Raises `MediaError` if a file's name says another format than its content."""
    expected, found = _FORMAT_OF.get(pathlib.PurePath(name).suffix.lower()), sniff(raw)
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
    if form not in _PICTURES:
        raise MediaError("unreadable picture")
    try:
        header = _PICTURES[form][1](io.BytesIO(raw))
        width, height = header.size
        clear = form != "JPEG" and (header.mode in ("RGBA", "LA", "PA") or "transparency" in header.info)
        cut = _cut_picture(raw, form, header)
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads to.
        raise MediaError("truncated" if _cut_picture(raw, form, None) or (form == "JPEG" and b"\xff\xd9" not in raw) else "unreadable picture") from error
    if width * height > limits.max_pixels:
        raise MediaError("over the pixel limit")
    if cut:
        raise MediaError("truncated")
    flags = cv2.IMREAD_COLOR  # Turns upright by the EXIF orientation; one that keeps transparency does not.
    if form == "JPEG":  # Which can be decoded at a half, a quarter, an eighth.
        flags = next((flag for factor, flag in ((8, 65), (4, 33), (2, 17)) if max(width, height) >= factor * limits.image_size), flags)
    try:
        pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED if clear else flags)
    except cv2.error as error:
        raise MediaError("unreadable picture") from error
    if pixels is None:
        # After the last scan of a JPEG begins, these two bytes are the end and nothing else.
        raise MediaError("truncated" if form == "JPEG" and raw.find(b"\xff\xd9", raw.rfind(b"\xff\xda")) < 0 else "unreadable picture")
    if clear:
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
    file = io.BytesIO(raw)
    cut = _cut_sound(raw)
    try:
        with soundfile.SoundFile(file) as sound:
            frames, rate = sound.frames, sound.samplerate
            if rate <= 0 or frames > limits.max_seconds * rate:
                raise MediaError("over the length limit" if rate > 0 else "unreadable sound")
            samples = sound.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:  # TypeError: SoundFile of RAW needs a rate.
        # A decoder that fails where the file ends has met the end too soon.
        raise MediaError("truncated" if cut or (sniff(raw) == "FLAC" and file.tell() == len(raw) > 8192) else "unreadable sound") from error
    if cut or len(samples) < frames:
        raise MediaError("truncated")
    samples = samples.mean(axis=1)
    if not samples.size or not np.isfinite(samples).all() or np.ptp(samples) < 1e-4:
        raise MediaError("silent")
    return samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE)


def canonical_audio(raw, limits=Limits()):
    """Decodes a recording and encodes it as 16 kHz 16-bit WAV; see `decode_audio`."""
    return encode_wav(decode_audio(raw, limits))


def encode_wav(samples, rate=SAMPLE_RATE):
    """Encodes samples `(samples,)` between -1 and 1 as bytes of a 16-bit WAV."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _over(pixels, background):
    """Lays pixels of any depth with transparency over a colour."""
    pixels = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    if pixels.ndim < 3 or pixels.shape[2] < 4:  # The header says transparent, the pixels are not.
        pixels = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        return (pixels * 255).round().astype(np.uint8)
    alpha = pixels[:, :, 3:]
    return (pixels[:, :, :3] * alpha * 255 + np.float32(background[::-1]) * (1 - alpha)).round().astype(np.uint8)


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


def _cut_picture(raw, form, header):
    """Whether a picture ends before its end, as far as its format says where that is; of a JPEG OpenCV tells."""
    if form == "PNG":
        return raw.rfind(b"IEND") < 0
    if form == "GIF":
        return raw.rstrip(b"\0")[-1:] != b";"
    if form == "WebP":
        return int.from_bytes(raw[4:8], "little") + 8 > len(raw)
    if form == "BMP":
        return int.from_bytes(raw[2:6], "little") > len(raw)
    if form == "TIFF":
        order = "little" if raw[:2] == b"II" else "big"
        if int.from_bytes(raw[4:8], order) >= len(raw):
            return True
        tags = getattr(header, "tag_v2", {})
        strips = [(tags.get(starts, ()), tags.get(sizes, ())) for starts, sizes in ((273, 279), (324, 325))]
        return any(start + size > len(raw) for starts, sizes in strips for start, size in zip(starts, sizes))
    return False


def _cut_sound(raw):
    """Whether a recording ends before its end, where its format says how long it is."""
    if raw[:4] in (b"RIFF", b"FORM"):
        said = int.from_bytes(raw[4:8], "little" if raw[:4] == b"RIFF" else "big")
        return len(raw) + 1 < said + 8 and said < 0x7FFFF000  # What is written as a stream says 0 or all ones.
    if raw[:4] == b".snd":
        said = int.from_bytes(raw[8:12], "big")
        return len(raw) < int.from_bytes(raw[4:8], "big") + said and said < 0x7FFFF000
    if raw[:4] in (b"RF64", b"riff"):
        return len(raw) + 8 < int.from_bytes(raw[20:28] if raw[:4] == b"RF64" else raw[16:24], "little")
    if raw[:4] == b"OggS":
        page = raw[raw.rfind(b"OggS") :]
        whole = len(page) > 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
        return not whole or not page[5] & 4  # The last page bears a flag.
    return False
