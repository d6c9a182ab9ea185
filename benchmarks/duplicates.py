"""Which share of changed pictures and recordings does ingest take for the same, and how many others?

    python benchmarks/duplicates.py DATA [--count 300]

DATA is a folder of tables with media beside them. Of each folder of media, `count` files are changed in each way and looked for beside their original; the last column counts
pairs among all files as they are whose bytes differ, which one may want to look at.
"""

import argparse
import collections
import hashlib
import io
import pathlib
import random

import cv2
import numpy as np
import soundfile
import soxr

from cross_modal.data import media, prints, splits

_LIMITS = media.Limits(allow=("constant",))


def _jpeg(pixels, quality):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def _half(pixels):
    return cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _coded(samples, form, subtype=None, rate=16_000):
    file = io.BytesIO()
    soundfile.write(file, samples if rate == 16_000 else soxr.resample(samples, 16_000, rate), rate, format=form, subtype=subtype)
    samples, rate = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")
    return samples if rate == 16_000 else soxr.resample(samples, rate, 16_000)


CHANGES = {
    "image": {
        "JPEG 50": lambda pixels: _jpeg(pixels, 50),
        "half": _half,
        "half, JPEG 70": lambda pixels: _jpeg(_half(pixels), 70),
        "double": lambda pixels: cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
        "brighter": lambda pixels: np.clip(pixels * 1.05 + 5, 0, 255).astype(np.uint8),
    },
    "audio": {
        "MP3": lambda samples: _coded(samples, "MP3"),
        "Vorbis": lambda samples: _coded(samples, "OGG", "VORBIS"),
        "Opus": lambda samples: _coded(samples, "OGG", "OPUS"),
        "8 kHz": lambda samples: _coded(samples, "WAV", "PCM_16", 8000),
        "softer": lambda samples: samples * 0.3,
        "silence around": lambda samples: np.pad(samples, (1600, 3000)),
        "all three": lambda samples: _coded(np.pad(samples * 0.3, (1600, 3000)), "OGG", "VORBIS"),
    },
}


def _sets(kind, made):
    """The first of the set that each is in."""
    bits, thumbs, lengths = zip(*made)
    pairs = prints.near_pairs(kind, np.array(bits, np.uint64), np.frombuffer(b"".join(thumbs), np.uint8).reshape(-1, prints.THUMB), np.array(lengths))
    return splits.join(len(made), pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    for kind, changes in CHANGES.items():
        decoder, printed = (media.decode_image, prints.picture_print) if kind == "image" else (media.decode_audio, prints.sound_print)
        print(f"\n| {kind} | {' | '.join(changes)} | files | in sets of other bytes |\n|{'---|' * (len(changes) + 3)}")
        extensions = {extension for formats in media.EXTENSIONS[kind].values() for extension in formats}
        for folder in sorted({path.parent for path in options.data.rglob("*") if path.suffix.lower() in extensions}):
            raws = [path.read_bytes() for path in sorted(folder.iterdir())]
            values = [decoder(raw, _LIMITS) for raw in raws]
            made = [printed(value) for value in values]
            some = random.Random(0).sample(range(len(values)), min(options.count, len(values)))
            found = []
            for change in changes.values():
                sets = _sets(kind, [made[place] for place in some] + [printed(change(values[place])) for place in some])
                found.append(np.mean(sets[: len(some)] == sets[len(some) :]))
            contents = collections.defaultdict(set)
            for place, raw in zip(_sets(kind, made), raws):
                contents[place].add(hashlib.sha256(raw).digest())
            other = sum(len(one) for one in contents.values() if len(one) > 1)
            print(f"| {folder.relative_to(options.data)} | {' | '.join(f'{share:.3f}' for share in found)} | {len(values):,} | {other:,} |", flush=True)


if __name__ == "__main__":
    main()
