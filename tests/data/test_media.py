import errno
import io
import os
import pathlib
import struct
import tracemalloc
import zlib

import cv2
import hypothesis
import numpy as np
import pytest
import soundfile
from hypothesis import strategies
from PIL import Image

from cross_modal.data import media

LIMITS = media.Limits()
TAKE_ALL = media.Limits(allow=("constant",))


def noise(height=30, width=45):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def encode(pixels, extension):
    done, raw = cv2.imencode(extension, pixels)
    assert done
    return raw.tobytes()


def decode(raw):
    return cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)


def sound(samples, rate=16_000, form="WAV", subtype=None):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def sine(hertz=440, rate=16_000, seconds=0.5):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width, height):
    """A PNG of a few bytes that says it is this large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def with_orientation(jpeg, orientation):
    """Puts an EXIF orientation into a JPEG."""
    tiff = b"MM\0*" + struct.pack(">I", 8) + struct.pack(">HHHIHH", 1, 0x0112, 3, 1, orientation, 0) + struct.pack(">I", 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_media_are_read_below_the_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ö.bin").write_bytes(b"bytes")
    assert media.read_media(tmp_path, "a/ö.bin") == b"bytes"
    assert media.read_media(tmp_path, "a/../a/./ö.bin") == b"bytes"


def test_links_inside_the_folder_are_followed(tmp_path):
    (tmp_path / "real.bin").write_bytes(b"bytes")
    (tmp_path / "link.bin").symlink_to("real.bin")
    assert media.read_media(tmp_path, "link.bin") == b"bytes"


def test_the_folder_itself_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.bin").write_bytes(b"bytes")
    (tmp_path / "link").symlink_to("real")
    assert media.read_media(tmp_path / "link", "a.bin") == b"bytes"


@pytest.mark.parametrize("value", ["../secret.bin", "a/../../secret.bin", "file-link.bin", "folder-link/secret.bin", "{absolute}", "../table-other/secret.bin"])
def test_nothing_is_read_outside_the_folder(tmp_path, value):
    folder = tmp_path / "table"
    (folder / "a").mkdir(parents=True)
    (tmp_path / "table-other").mkdir()
    for place in (tmp_path, tmp_path / "table-other"):
        (place / "secret.bin").write_bytes(b"secret")
    (folder / "file-link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "folder-link").symlink_to(tmp_path)
    with pytest.raises(media.MediaError, match="^outside the table's folder$"):
        media.read_media(folder, value.format(absolute=tmp_path / "secret.bin"))


NOT_READ = {
    "nothing.png": "missing",
    "": "missing",
    "folder": "a folder, not a file",
    "empty.png": "empty",
    "empty.png/a": "missing",
    "broken-link": "missing",
    "round": "missing",
    "pipe": "no ordinary file",
    "https://a.org/im/0.png": "a URL, not a file",
    "file:///im/0.png": "a URL, not a file",
    "im\\0 a.png": "missing; did you mean im/0 a.png",
    "im/0%20a.png": "missing; did you mean im/0 a.png",
    " im/0 a.png ": "missing; did you mean im/0 a.png",
    "im\\0%20a.png ": "missing; did you mean im/0 a.png",
    "..\\secret.png": "missing",
    "im\\1.png": "missing",
}


@pytest.mark.parametrize("value, reason", NOT_READ.items())
def test_missing_and_empty(tmp_path, value, reason):
    tmp_path, secret = tmp_path / "table", tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (tmp_path / "folder").mkdir(parents=True)
    (tmp_path / "im").mkdir()
    (tmp_path / "im" / "0 a.png").write_bytes(b"bytes")
    (tmp_path / "round").symlink_to("round")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "broken-link").symlink_to("nowhere")
    with pytest.raises(media.MediaError, match=f"^{reason}$"):
        media.read_media(tmp_path, value)


@pytest.mark.parametrize("value", ["a\0.png", "a" * 300 + ".png", "\ud800.png"], ids=["null byte", "too long", "no character"])
def test_names_that_no_file_can_have_are_missing(tmp_path, value):
    with pytest.raises(media.MediaError, match="^missing$"):
        media.read_media(tmp_path, value)


def test_names_that_are_not_utf8_are_read(tmp_path):
    (pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.bin"))).write_bytes(b"bytes")
    assert media.read_media(tmp_path, "\udce9.bin") == b"bytes"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE])
def test_what_is_no_fault_of_the_table_is_raised(tmp_path, monkeypatch, number):
    def fail(*_):
        raise OSError(number, "now")

    (tmp_path / "a.bin").write_bytes(b"bytes")
    monkeypatch.setattr(media.os, "open", fail)
    with pytest.raises(OSError) as error:
        media.read_media(tmp_path, "a.bin")
    assert error.value.errno == number


def test_a_file_without_permission_is_told(tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError(errno.EACCES, "no")

    (tmp_path / "a.bin").write_bytes(b"bytes")
    monkeypatch.setattr(media.os, "open", fail)
    with pytest.raises(media.MediaError, match="^unreadable file$"):
        media.read_media(tmp_path, "a.bin")


@pytest.mark.parametrize("linux", [True, False])
def test_a_link_that_changes_while_it_is_opened_leads_nowhere(tmp_path, monkeypatch, linux):
    folder, link, outside = tmp_path / "table", tmp_path / "table" / "a.bin", tmp_path / "secret.bin"
    folder.mkdir()
    (folder / "real.bin").write_bytes(b"bytes")
    outside.write_bytes(b"secret")
    link.symlink_to("real.bin")
    real_open, real_link = os.open, os.readlink

    def swap(path, *rest):
        link.unlink()
        link.symlink_to(outside)
        return real_open(path, *rest)

    def readlink(path, **rest):
        if not linux and str(path).startswith("/proc"):
            raise FileNotFoundError(errno.ENOENT, "no")
        return real_link(path, **rest)

    monkeypatch.setattr(media.os, "readlink", readlink)
    assert media.read_media(folder, "a.bin") == b"bytes"
    monkeypatch.setattr(media.os, "open", swap)
    with pytest.raises(media.MediaError, match="^outside the table's folder$"):
        media.read_media(folder, "a.bin")


def test_no_more_than_the_limit_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(media, "_MAX_BYTES", 100)
    (tmp_path / "a.bin").write_bytes(bytes(100))
    assert len(media.read_media(tmp_path, "a.bin")) == 100
    (tmp_path / "a.bin").write_bytes(bytes(101))
    with pytest.raises(media.MediaError, match="^over the length limit$"):
        media.read_media(tmp_path, "a.bin")


def small(size):
    return media.Limits(image_size=size)


def saved(picture, form, **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def smooth():
    return cv2.resize(noise(6, 8), (60, 40), interpolation=cv2.INTER_CUBIC)


def drawn(mode="RGB"):
    """A picture of Pillow, whose channels are red, green, blue."""
    return Image.fromarray(np.ascontiguousarray(smooth()[:, :, ::-1])).convert(mode)


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tiff", ".ppm"])
def test_pictures_become_png_unchanged(extension):
    out = media.canonical_image(encode(noise(), extension), LIMITS)
    assert out.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode(out), noise())


FORMATS = [
    ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "jpeg"}), ("BMP", {}), ("GIF", {}), ("JPEG2000", {}), ("AVIF", {}), ("PPM", {}),
]  # fmt: skip


@pytest.mark.parametrize("form, options", FORMATS, ids=str)
def test_every_format_shows_the_same_picture(form, options):
    picture = drawn()
    expected = smooth() if form != "GIF" else np.asarray(picture.quantize(256).convert("RGB"))[:, :, ::-1]
    assert np.abs(media.decode_image(saved(picture, form, **options), LIMITS).astype(int) - expected).mean() < 6


@pytest.mark.parametrize("form, options", FORMATS, ids=str)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_cut_off_pictures_are_told(form, options, kept):
    raw = saved(drawn(), form, **options)
    with pytest.raises(media.MediaError, match="^(truncated|unreadable picture)$") as error:
        media.decode_image(raw[: int(len(raw) * kept)], LIMITS)
    assert form in ("JPEG2000", "AVIF", "PPM") or options.get("compression") or str(error.value) == "truncated"  # Those do not say where they end.


def test_jpeg_stays_jpeg():
    out = media.canonical_image(encode(smooth(), ".jpg"), LIMITS)
    assert out.startswith(b"\xff\xd8")
    assert np.abs(decode(out).astype(int) - smooth()).mean() < 6


def test_what_follows_a_jpeg_does_no_harm():
    """Telephones put a film behind it."""
    raw = encode(smooth(), ".jpg")
    np.testing.assert_array_equal(media.decode_image(raw + b"\0film\xff\xda\0\0" * 10, LIMITS), media.decode_image(raw, LIMITS))


@pytest.mark.parametrize("height, width, shape", [(40, 100, (20, 50)), (100, 40, (50, 20)), (50, 50, (50, 50)), (20, 30, (20, 30)), (1, 400, (1, 50))])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_long_side_is_at_most_size_and_nothing_grows(height, width, shape, extension):
    assert media.decode_image(encode(noise(height, width), extension), small(50)).shape[:2] == shape


@pytest.mark.parametrize("size", [20, 40, 79, 80, 160, 161, 320, 900])
def test_a_jpeg_that_is_shrunk_while_it_is_decoded_is_the_same_picture(size):
    large = cv2.resize(noise(6, 8), (640, 480), interpolation=cv2.INTER_CUBIC)
    out = media.decode_image(encode(large, ".jpg"), small(size))
    assert max(out.shape) == min(size, 640)
    assert np.abs(out.astype(int) - cv2.resize(large, out.shape[1::-1], interpolation=cv2.INTER_AREA)).mean() < 3


def test_grey_pictures_have_one_channel():
    grey = noise()[:, :, 0]
    np.testing.assert_array_equal(decode(media.canonical_image(encode(np.dstack([grey] * 3), ".png"), LIMITS)), grey)


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (255, 128, 0)])
def test_what_is_transparent_shows_the_background(background):
    alpha = np.zeros((30, 45), np.uint8)
    alpha[:10], alpha[10:20] = 255, 128
    out = media.decode_image(encode(np.dstack([noise(), alpha]), ".png"), media.Limits(background=background)).astype(int)
    np.testing.assert_array_equal(out[:10], noise()[:10])
    np.testing.assert_array_equal(out[20:], np.broadcast_to(background[::-1], (10, 45, 3)))
    np.testing.assert_allclose(out[10:20], noise()[10:20] * (128 / 255) + np.array(background[::-1]) * (127 / 255), atol=1)


def test_transparency_of_every_kind():
    alpha = Image.fromarray(np.repeat(np.uint8([[0], [255]]), 20, 0).repeat(60, 1))  # The upper half is clear.
    layered = drawn()
    layered.putalpha(alpha)
    grey = drawn("L")
    grey.putalpha(alpha)
    palette = drawn().quantize(16)
    clear = palette.getpixel((30, 10))
    for raw in (saved(layered, "PNG"), saved(layered, "WEBP", lossless=True), saved(layered, "TIFF"), saved(grey, "PNG")):
        out = media.decode_image(raw, LIMITS)
        assert (out[:20] == 255).all() and np.abs(out[20:].astype(int) - (smooth() if raw != saved(grey, "PNG") else np.asarray(drawn("L"))[:, :, None])[20:]).mean() < 6
    for form in ("PNG", "GIF"):
        out = media.decode_image(saved(palette, form, transparency=clear), LIMITS)
        assert (out[np.asarray(palette) == clear] == 255).all() and (out[np.asarray(palette) != clear] != 255).any()


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits_become_eight(extension):
    out = decode(media.canonical_image(encode(noise()[:, :, 0].astype(np.uint16) * 257, extension), LIMITS))
    assert out.dtype == np.uint8
    np.testing.assert_allclose(out.astype(int), noise()[:, :, 0], atol=1)
    clear = np.dstack([noise().astype(np.uint16) * 257, np.full((30, 45), 65535, np.uint16)])
    np.testing.assert_allclose(media.decode_image(encode(clear, ".png"), LIMITS).astype(int), noise(), atol=1)


@pytest.mark.parametrize("mode, form", [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("1", "PNG"), ("1", "TIFF"), ("P", "PNG"), ("L", "JPEG"), ("YCbCr", "JPEG")])
def test_other_colours(mode, form):
    picture = drawn(mode)
    expected = np.asarray(picture.convert("RGB"))[:, :, ::-1]
    assert np.abs(media.decode_image(saved(picture, form), LIMITS).astype(int) - expected).mean() < 6


def test_the_first_frame_is_taken():
    first, second = drawn(), Image.fromarray(noise(40, 60))
    for form in ("GIF", "WEBP", "TIFF"):
        raw = saved(first, form, save_all=True, append_images=[second])
        np.testing.assert_allclose(media.decode_image(raw, LIMITS), media.decode_image(saved(first, form), LIMITS), atol=40)
        assert np.abs(media.decode_image(raw, LIMITS).astype(int) - smooth()).mean() < 20


TURNS = {
    1: lambda picture: picture,
    2: lambda picture: picture[:, ::-1],
    3: lambda picture: picture[::-1, ::-1],
    4: lambda picture: picture[::-1],
    5: lambda picture: picture.transpose(1, 0, 2),
    6: lambda picture: np.rot90(picture, 3),
    7: lambda picture: picture[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("form, mode", [("JPEG", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGBA"), ("TIFF", "RGBA")])
def test_pictures_are_turned_upright(orientation, form, mode):
    """By EXIF's definition, OpenCV's work where nothing is transparent and ours where something is."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = drawn(mode)
    options = {"exif": exif} | ({"lossless": True} if form == "WEBP" else {})
    out = media.decode_image(saved(picture, form, **options), LIMITS).astype(int)
    assert np.abs(out - TURNS[orientation](smooth())).mean() < (6 if form == "JPEG" else 1)


@pytest.mark.parametrize("raw", [b"garbage", b"RIFF0000WEBP", png_header(0, 5), b"<html><body>404</body></html>"], ids=range(4))
def test_what_is_no_picture_is_told(raw):
    with pytest.raises(media.MediaError, match="^(unreadable picture|truncated)$"):
        media.decode_image(raw, LIMITS)


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFF00, 10_000])
def test_a_chunk_that_says_it_is_longer_than_the_file_is_not_decoded(monkeypatch, length):
    raw = encode(noise(), ".png")
    place = raw.find(b"IDAT") - 4
    monkeypatch.setattr(media.cv2, "imdecode", None)
    with pytest.raises(media.MediaError, match="^truncated$"):
        media.decode_image(raw[:place] + struct.pack(">I", length) + raw[place + 4 :], LIMITS)


def test_a_deep_picture_with_transparency_costs_little_memory():
    pixels = np.full((3000, 2000, 4), 30_000, np.uint16)
    pixels[:1000, :, 3] = 0
    raw = encode(pixels, ".png")
    tracemalloc.start()
    try:
        out = media.decode_image(raw, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 150e6  # The picture has 48 MB, 96 MB as floating point numbers.
    finally:
        tracemalloc.stop()
    assert (out[:150] == 255).all() and (out[200:] < 200).all()


DEEP = {
    "from 0 to 1": (lambda part: part / 255, lambda part: part),
    "any floating point": (lambda part: part * 40 - 3000, lambda part: (part - part.min()) * (255 / np.ptp(part))),
    "the largest": (lambda part: (part / 128 - 1) * 3e38, lambda part: (part - part.min()) * (255 / np.ptp(part))),
    "integers": (lambda part: (part.astype(np.int64) * 4_000_000).astype(np.int32), lambda part: (part - part.min()) * (255 / np.ptp(part))),
    "signed": (lambda part: (part * 200.0 - 20_000).astype(np.int16), lambda part: (part - part.min()) * (255 / np.ptp(part))),
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("double", [False, True])
def test_deep_tiff_shows_the_same_picture(kind, channels, double):
    change, expected = DEEP[kind]
    pixels = smooth()[:, :, :channels].astype(np.float32)
    deep = change(pixels)
    if deep.dtype.kind == "f":
        deep = deep.astype(np.float64 if double else np.float32)
    out = media.decode_image(encode(deep, ".tiff"), LIMITS)
    np.testing.assert_allclose(out.astype(float), np.broadcast_to(expected(pixels), out.shape), atol=1.01)


def test_what_is_no_number_in_a_tiff_is_dark():
    pixels = smooth()[:, :, 0].astype(np.float32) / 255
    pixels[:5], pixels[5:10] = np.nan, np.inf
    out = media.decode_image(encode(pixels, ".tiff"), LIMITS)
    assert not out[:5].any() and (out[5:10] == 255).all()
    np.testing.assert_allclose(out[10:, :, 0], pixels[10:] * 255, atol=1)
    with pytest.raises(media.MediaError, match="^constant picture$"):
        media.decode_image(encode(np.full((30, 30), np.nan, np.float32), ".tiff"), LIMITS)


def test_transparency_of_numbers_that_are_no_bytes_is_told():
    with pytest.raises(media.MediaError, match="^transparent picture of floating point or signed numbers$"):
        media.decode_image(encode(np.random.default_rng(0).random((20, 20, 4), np.float32), ".tiff"), LIMITS)


def test_a_huge_picture_costs_no_memory():
    tracemalloc.start()
    try:
        for width, height in ((50_000, 50_000), (2**31 - 1, 2**31 - 1), (50_000_001, 1)):
            with pytest.raises(media.MediaError, match="^over the pixel limit$"):
                media.decode_image(png_header(width, height), LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    with pytest.raises(media.MediaError, match="^over the pixel limit$"):
        media.decode_image(encode(noise(), ".png"), media.Limits(max_pixels=30 * 45 - 1))
    assert media.decode_image(encode(noise(), ".png"), media.Limits(max_pixels=30 * 45)).shape == (30, 45, 3)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("level", [0, 127, 255])
def test_a_picture_of_one_colour_is_told(extension, level):
    raw = encode(np.full((20, 30, 3), (level, 255 - level, 9), np.uint8), extension)
    with pytest.raises(media.MediaError, match="^constant picture$"):
        media.decode_image(raw, LIMITS)
    assert media.decode_image(raw, TAKE_ALL).shape == (20, 30, 3)


def test_what_is_wholly_transparent_is_of_one_colour():
    with pytest.raises(media.MediaError, match="^constant picture$"):
        media.decode_image(encode(np.dstack([noise(), np.zeros((30, 45), np.uint8)]), ".png"), LIMITS)


@pytest.mark.parametrize("form, name", [("PNG", "a.jpg"), ("JPEG", "a.PNG"), ("WEBP", "a.jpeg"), ("GIF", "a.wav"), ("BMP", "folder.png/a.gif")])
def test_what_is_not_what_its_extension_says(form, name):
    raw = saved(drawn(), form)
    with pytest.raises(media.MediaError, match=rf"^not what its extension says \({media.sniff(raw)}\)$"):
        media.check_extension(raw, name)


@pytest.mark.parametrize(
    "form, name", [("PNG", "a.png"), ("JPEG", "a.JFIF"), ("JPEG", "a.jpg"), ("PNG", "a"), ("PNG", "a.dat"), ("TIFF", "a.tif"), ("AVIF", "a.avif"), ("JPEG2000", "a.jp2")]
)
def test_names_that_fit(form, name):
    media.check_extension(saved(drawn(), form), name)


SOUNDS = [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("RF64", None), ("FLAC", None), ("AIFF", None), ("AU", None), ("CAF", None), ("W64", None),
          ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)]  # fmt: skip


@pytest.mark.parametrize("form, subtype", SOUNDS)
def test_sounds_become_wav(form, subtype):
    raw = sound(sine(), form=form, subtype=subtype)
    assert media.sniff(raw) == {"RF64": "WAV"}.get(form, form)
    out = media.canonical_audio(raw, LIMITS)
    info = soundfile.info(io.BytesIO(out))
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", 16_000, 1)
    samples, _ = soundfile.read(io.BytesIO(out))
    assert min(len(samples), 8000) > 7000
    spectrum = np.abs(np.fft.rfft(samples[:7000]))
    assert abs(np.argmax(spectrum) * 16_000 / 7000 - 440) < 3
    if form not in ("OGG", "MP3"):
        np.testing.assert_allclose(samples, sine(), atol=2e-2 if subtype == "ULAW" else 1e-4)


@pytest.mark.parametrize("form, subtype", SOUNDS)
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_cut_off_sounds_are_told(form, subtype, kept):
    raw = sound(np.concatenate([sine(), noise(90, 90).ravel()[:24_000] / 600 - 0.2]), form=form, subtype=subtype)
    with pytest.raises(media.MediaError, match="^(truncated|unreadable sound|silent)$") as error:
        media.decode_audio(raw[: int(len(raw) * kept)], LIMITS)
    assert str(error.value) == "truncated" or form == "CAF"


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_sounds_are_resampled(rate):
    samples = media.decode_audio(sound(sine(rate=rate), rate, subtype="FLOAT"), LIMITS)
    assert abs(len(samples) - 8000) <= 1
    np.testing.assert_allclose(samples[200:7800], sine()[200:7800], atol=2e-3)


@pytest.mark.parametrize("loudest", [1.5, 3000.0])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_what_is_louder_than_full_scale_is_not_cut_off(loudest, rate):
    """Floating point goes beyond it, and some programs write whole numbers so."""
    samples = media.decode_audio(sound(loudest * sine(rate=rate) / 0.5, rate, subtype="FLOAT"), LIMITS)
    np.testing.assert_allclose(samples[200:7800], sine()[200:7800] / np.abs(sine()).max(), atol=5e-3)
    assert np.abs(samples).max() <= 1.01


def test_what_16_khz_cannot_hold_is_removed():
    samples = media.decode_audio(sound(sine(11_000, 44_100) + 0.1 * sine(500, 44_100), 44_100, subtype="FLOAT"), LIMITS)
    np.testing.assert_allclose(samples[200:7800], 0.1 * sine(500)[200:7800], atol=3e-3)


def test_channels_are_mixed():
    samples = media.decode_audio(sound(np.stack([sine(300), sine(700)], 1), subtype="FLOAT"), LIMITS)
    np.testing.assert_allclose(samples, (sine(300) + sine(700)) / 2, atol=1e-4)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(1000), np.full(1000, 0.3), np.full(1000, 1e-6)],
    ids=["zeros", "constant", "soft"],
)
def test_silence_is_told(samples):
    with pytest.raises(media.MediaError, match="^silent$"):
        media.decode_audio(sound(samples.astype(np.float32), subtype="FLOAT"), LIMITS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e30, -3e30, 2e4])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_numbers_that_are_no_sound_are_told(value, rate):
    samples = sine()
    samples[100] = value
    with pytest.raises(media.MediaError, match="^unreadable sound$"):
        media.decode_audio(sound(samples, rate, subtype="FLOAT"), LIMITS)


@pytest.mark.parametrize("count, rate", [(0, 16_000), (1, 16_000), (159, 16_000), (100, 44_100), (300, 700_000)])
def test_what_is_too_short_is_told(count, rate):
    with pytest.raises(media.MediaError, match="^too short$"):
        media.decode_audio(sound(sine()[:count], rate), LIMITS)
    assert media.decode_audio(sound(sine()[: rate // 100 + 1], rate), LIMITS).size


@pytest.mark.parametrize("rate", [1, 999, 768_001, 10_000_000, 2_000_000_000])
def test_rates_that_no_recording_has_are_told(rate):
    with pytest.raises(media.MediaError, match="^unreadable sound$"):
        media.decode_audio(sound(sine()[:100], rate), LIMITS)


def test_many_channels_at_a_high_rate_take_no_memory():
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 655_350, 8, format="FLAC", subtype="PCM_16") as out:
        block = np.zeros((655_350, 8), np.int16)
        block[::50] = 20_000
        for _ in range(5):
            out.write(block)
    tracemalloc.start()
    try:
        samples = media.decode_audio(file.getvalue(), LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 40e6  # All of it would be 105 MB.
    finally:
        tracemalloc.stop()
    assert samples.shape == (5 * 16_000,)


def test_forty_minutes_are_told_before_they_are_decoded():
    raw = sound(np.zeros(40 * 60 * 100, np.float32) + 0.1, 100, subtype="PCM_U8")
    with pytest.raises(media.MediaError, match="^over the length limit$"):
        media.decode_audio(raw, LIMITS)
    with pytest.raises(media.MediaError, match="^over the length limit$"):
        media.decode_audio(sound(sine()), media.Limits(max_seconds=0.4))
    assert len(media.decode_audio(sound(sine()), media.Limits(max_seconds=0.5))) == 8000


@pytest.mark.parametrize("raw", [b"garbage", b"RIFF", sound(sine())[:20], encode(noise(), ".png")], ids=["garbage", "riff", "header", "picture"])
def test_what_is_no_sound_is_told(raw):
    with pytest.raises(media.MediaError, match="^(unreadable sound|truncated)$"):
        media.decode_audio(raw, LIMITS)


def test_encoded_samples_are_clipped():
    samples, rate = soundfile.read(io.BytesIO(media.encode_wav(np.array([-2, -0.5, 0, 0.5, 2]), 8000)))
    assert rate == 8000
    np.testing.assert_allclose(samples, [-1, -0.5, 0, 0.5, 1], atol=1e-4)


GOOD = [saved(drawn(), form, **options) for form, options in FORMATS] + [sound(sine(seconds=0.1), form=form, subtype=subtype) for form, subtype in SOUNDS]


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(
    raw=strategies.sampled_from(GOOD),
    flips=strategies.lists(strategies.tuples(strategies.integers(0, 10**6), strategies.integers(1, 255)), max_size=8),
    cut=strategies.one_of(strategies.none(), strategies.integers(0, 10**6)),
    grow=strategies.binary(max_size=8),
)
def test_damaged_media_are_told_or_are_what_they_should_be(raw, flips, cut, grow):
    damaged = bytearray(raw)
    for place, value in flips:
        damaged[place % len(damaged)] ^= value
    damaged = bytes(damaged[: None if cut is None else cut % len(damaged)]) + grow
    for decoder in (media.decode_image, media.decode_audio):
        try:
            out = decoder(damaged, LIMITS)
        except media.MediaError as error:
            assert str(error)
        else:
            assert np.isfinite(out).all() and np.ptp(out) > 0
            assert (out.dtype, out.ndim) == ((np.uint8, 3) if decoder is media.decode_image else (np.float32, 1))


@pytest.mark.parametrize("wrong", [{"image_size": 0}, {"max_pixels": -1}, {"max_seconds": 0}, {"background": (0, 0)}, {"background": (0, 0, 256)}, {"allow": ("silent",)}], ids=str)
def test_limits_say_what_is_wrong(wrong):
    with pytest.raises(ValueError, match=f"Expected `{next(iter(wrong))}` to .* Received: {next(iter(wrong))}="):
        media.Limits(**wrong)
