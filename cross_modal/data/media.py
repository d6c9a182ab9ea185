"""Media files of any common format to one canonical form."""

import io
import os
import pathlib

import cv2
import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000


class MediaError(ValueError):
    """A file that cannot be used; the message is the reason."""


def read_media(folder, value):
    """Reads a file of a table.

    Args:
        folder: folder of the table.
        value: path relative to it.

    Returns:
        The bytes.

    Raises:
        MediaError: if the file is missing, empty, or outside the folder, also through links.
    """
    folder = pathlib.Path(folder).resolve()
    try:
        path = pathlib.Path(os.path.realpath(folder / value))
        there = path.is_file()
    except (OSError, ValueError) as error:  # A name too long, or with a null byte.
        raise MediaError("missing") from error
    if not path.is_relative_to(folder):
        raise MediaError("outside the table's folder")
    if not there:
        raise MediaError("missing")
    raw = path.read_bytes()
    if not raw:
        raise MediaError("empty")
    return raw


def canonical_image(raw, size):
    """Decodes a picture, turns it upright, shrinks it, and encodes it as PNG, or as JPEG if it came as one.

    Args:
        raw: bytes of any format OpenCV reads.
        size: most pixels on the long side.

    Returns:
        Bytes.

    Raises:
        MediaError: if OpenCV cannot read it.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR)  # Applies the EXIF orientation, drops alpha.
    except cv2.error as error:  # Among others, a header that claims more pixels than OpenCV takes.
        raise MediaError("unreadable picture") from error
    if pixels is None:
        raise MediaError("unreadable picture")
    scale = size / max(pixels.shape[:2])
    if scale < 1:
        height, width = pixels.shape[:2]
        pixels = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    if (pixels[:, :, :1] == pixels).all():
        pixels = pixels[:, :, 0]
    extension, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 92]) if raw[:2] == b"\xff\xd8" else (".png", [])
    return cv2.imencode(extension, pixels, options)[1].tobytes()


def canonical_audio(raw):
    """Decodes a recording, mixes it to one channel and encodes it as 16 kHz 16-bit WAV.

    Args:
        raw: bytes of any format libsndfile reads.

    Returns:
        Bytes.

    Raises:
        MediaError: if libsndfile cannot read it, or it is silent.
    """
    try:
        samples, rate = soundfile.read(io.BytesIO(raw), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise MediaError("unreadable sound") from error
    samples = samples.mean(axis=1)
    if not samples.size or not np.isfinite(samples).all() or np.ptp(samples) < 1e-4:
        raise MediaError("silent")
    return encode_wav(samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE))


def encode_wav(samples, rate=SAMPLE_RATE):
    """Encodes samples `(samples,)` between -1 and 1 as bytes of a 16-bit WAV."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
