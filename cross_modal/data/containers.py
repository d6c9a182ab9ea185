"""What a file says of itself before it is decoded: its format, its size, and where it ends."""

import io
import re
import types

from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Jpeg2KImagePlugin, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin, WebPImagePlugin

# Pillow reads the header, so that a size is known before a pixel is decoded; OpenCV decodes.
PICTURES = {
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
_MAGIC = {name: re.compile(pattern, re.DOTALL) for name, pattern in {**{name: entry[0] for name, entry in PICTURES.items()}, **_SOUNDS}.items()}
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
KIND_OF = {extension: kind for kind, formats in EXTENSIONS.items() for extensions in formats.values() for extension in extensions}
FORMAT_OF = {extension: name for formats in EXTENSIONS.values() for name, extensions in formats.items() for extension in extensions}


def sniff(raw):
    """Names the format of a file by its first bytes: `PNG`, `WAV`, ..., or an empty string for none of `EXTENSIONS`."""
    return next((name for name, pattern in _MAGIC.items() if pattern.match(raw[:64])), "")


def read_header(raw, form):
    """Reads what a picture says of itself.

    Args:
        raw: bytes of a picture.
        form: see `sniff`.

    Returns:
        What Pillow makes of it, with `size`, `mode` and `info`, and of a TIFF `tag_v2`. Raises whatever a damaged header leads to.
    """
    try:
        return PICTURES[form][1](io.BytesIO(raw))
    except SyntaxError:
        if form != "TIFF":
            raise
    file, tags = io.BytesIO(raw), TiffImagePlugin.ImageFileDirectory_v2(raw[:8])  # Pillow knows few of the depths of TIFF.
    file.seek(tags.next)
    tags.load(file)
    return types.SimpleNamespace(size=(int(tags[256]), int(tags[257])), mode="", info={}, tag_v2=tags)


def cut_picture(raw, form, header):
    """Whether a picture ends before its end, as far as its format says where that is; of a JPEG OpenCV tells."""
    if form == "PNG":
        place, name = 8, b""
        while name != b"IEND" and place <= len(raw):
            name = raw[place + 4 : place + 8]
            place += 12 + int.from_bytes(raw[place : place + 4], "big")
        return place > len(raw)  # OpenCV would take memory for whatever length a chunk says.
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


def cut_sound(raw):
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


class Content(io.BytesIO):
    """Bytes as a file in which a damaged header may send libsndfile to before the beginning; an error there would be printed and lost."""

    def seek(self, place, whence=0):
        try:
            return super().seek(place, whence)
        except ValueError:
            return self.tell()
