import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import soundfile

from cross_modal.data import media


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


@pytest.mark.parametrize("value, reason", [("nothing.png", "missing"), ("folder", "missing"), ("", "missing"), ("empty.png", "empty"), ("broken-link", "missing")])
def test_missing_and_empty(tmp_path, value, reason):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "broken-link").symlink_to("nowhere")
    with pytest.raises(media.MediaError, match=f"^{reason}$"):
        media.read_media(tmp_path, value)


@pytest.mark.parametrize("value", ["a\0.png", "a" * 300 + ".png"], ids=["null byte", "too long"])
def test_names_that_no_file_can_have_are_missing(tmp_path, value):
    with pytest.raises(media.MediaError):
        media.read_media(tmp_path, value)


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tiff", ".webp"])
def test_pictures_become_png_unchanged(extension):
    raw = encode(noise(), extension)
    out = media.canonical_image(raw, 512)
    assert out.startswith(b"\x89PNG")
    np.testing.assert_array_equal(decode(out), cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR))


def test_jpeg_stays_jpeg():
    smooth = cv2.resize(noise(4, 6), (60, 40), interpolation=cv2.INTER_CUBIC)
    out = media.canonical_image(encode(smooth, ".jpg"), 512)
    assert out.startswith(b"\xff\xd8")
    assert np.abs(decode(out).astype(int) - smooth).mean() < 6


@pytest.mark.parametrize("height, width, shape", [(40, 100, (20, 50)), (100, 40, (50, 20)), (50, 50, (50, 50)), (20, 30, (20, 30)), (1, 400, (1, 50))])
def test_long_side_is_at_most_size_and_nothing_grows(height, width, shape):
    assert decode(media.canonical_image(encode(noise(height, width), ".png"), 50)).shape[:2] == shape


def test_grey_pictures_have_one_channel_and_transparency_goes():
    grey = noise()[:, :, 0]
    np.testing.assert_array_equal(decode(media.canonical_image(encode(np.dstack([grey] * 3), ".png"), 64)), grey)
    clear = np.dstack([noise(), grey])
    np.testing.assert_array_equal(decode(media.canonical_image(encode(clear, ".png"), 64)), noise())


def test_sixteen_bits_become_eight():
    out = decode(media.canonical_image(encode(noise()[:, :, 0].astype(np.uint16) * 257, ".png"), 64))
    assert out.dtype == np.uint8
    np.testing.assert_allclose(out.astype(int), noise()[:, :, 0], atol=1)


@pytest.mark.parametrize("orientation, turn", [(3, cv2.ROTATE_180), (6, cv2.ROTATE_90_CLOCKWISE), (8, cv2.ROTATE_90_COUNTERCLOCKWISE)])
def test_pictures_are_turned_upright(orientation, turn):
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :32] = 255
    out = decode(media.canonical_image(with_orientation(encode(picture, ".jpg"), orientation), 512))
    np.testing.assert_allclose(out, cv2.rotate(picture, turn)[:, :, 0], atol=12)


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.5])
def test_cut_off_pictures_are_told(extension, kept):
    raw = encode(noise(), extension)
    with pytest.raises(media.MediaError, match="^unreadable picture$"):
        media.canonical_image(raw[: int(len(raw) * kept)], 64)


@pytest.mark.parametrize("raw", [b"garbage", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF0000WEBP", png_header(100_000, 100_000), png_header(0, 5)], ids=range(6))
def test_what_is_no_picture_is_told(raw):
    with pytest.raises(media.MediaError, match="^unreadable picture$"):
        media.canonical_image(raw, 64)


@pytest.mark.parametrize("form, subtype", [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", None), ("AIFF", None), ("OGG", None), ("MP3", None)])
def test_sounds_become_wav(form, subtype):
    out = media.canonical_audio(sound(sine(), form=form, subtype=subtype))
    info = soundfile.info(io.BytesIO(out))
    assert (info.format, info.subtype, info.samplerate, info.channels) == ("WAV", "PCM_16", 16_000, 1)
    samples, _ = soundfile.read(io.BytesIO(out))
    size = min(len(samples), 8000)
    assert size > 7000
    lossy = form in ("OGG", "MP3")
    spectrum = np.abs(np.fft.rfft(samples[:7000]))
    assert abs(np.argmax(spectrum) * 16_000 / 7000 - 440) < 3
    if not lossy:
        np.testing.assert_allclose(samples, sine(), atol=1e-4)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_sounds_are_resampled(rate):
    samples, _ = soundfile.read(io.BytesIO(media.canonical_audio(sound(sine(rate=rate), rate, subtype="FLOAT"))))
    assert abs(len(samples) - 8000) <= 1
    np.testing.assert_allclose(samples[200:7800], sine()[200:7800], atol=2e-3)


def test_what_16_khz_cannot_hold_is_removed():
    samples, _ = soundfile.read(io.BytesIO(media.canonical_audio(sound(sine(11_000, 44_100) + 0.1 * sine(500, 44_100), 44_100, subtype="FLOAT"))))
    np.testing.assert_allclose(samples[200:7800], 0.1 * sine(500)[200:7800], atol=3e-3)


def test_channels_are_mixed():
    samples, _ = soundfile.read(io.BytesIO(media.canonical_audio(sound(np.stack([sine(300), sine(700)], 1), subtype="FLOAT"))))
    np.testing.assert_allclose(samples, (sine(300) + sine(700)) / 2, atol=1e-4)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(1000), np.full(1000, 0.3), np.zeros(0), np.full(1000, 1e-6), np.full(1000, np.nan), np.array([0.5])],
    ids=["zeros", "constant", "none", "soft", "nan", "one"],
)
def test_silence_is_told(samples):
    with pytest.raises(media.MediaError, match="^silent$"):
        media.canonical_audio(sound(samples.astype(np.float32), subtype="FLOAT"))


@pytest.mark.parametrize("raw", [b"garbage", b"RIFF", sound(sine())[:20], encode(noise(), ".png")], ids=["garbage", "riff", "header", "picture"])
def test_what_is_no_sound_is_told(raw):
    with pytest.raises(media.MediaError, match="^unreadable sound$"):
        media.canonical_audio(raw)


def test_encoded_samples_are_clipped():
    samples, rate = soundfile.read(io.BytesIO(media.encode_wav(np.array([-2, -0.5, 0, 0.5, 2]), 8000)))
    assert rate == 8000
    np.testing.assert_allclose(samples, [-1, -0.5, 0, 0.5, 1], atol=1e-4)
