"""Does any damaged file crash ingest? Real media with flipped, cut, moved and repeated bytes.

    python benchmarks/fuzz.py DATA [--count 100000]

DATA is a folder of tables with media beside them; some of them are also saved in the other formats first. Every input is decoded as a picture and as a
sound in a process that is watched: an input that ends it, or raises anything but `MediaError`, is a crash, and is printed by
its number, which with the seed makes it again.
"""

import argparse
import collections
import io
import multiprocessing
import pathlib
import random
import tempfile
import time

import soundfile
from PIL import Image

from cross_modal.data import media, prints

_BATCH = 500
_LIMITS = media.Limits(max_pixels=4_000_000)


def damaged(files, seed, number):
    """The input of a number: one file, damaged in one to four ways."""
    chance = random.Random(f"{seed}/{number}")
    raw = bytearray(files[chance.randrange(len(files))].read_bytes())
    for _ in range(chance.randint(1, 4)):
        if not raw:
            break
        place = min(len(raw) - 1, int(len(raw) * chance.random() ** chance.choice((1, 4))))  # Headers more often than the rest.
        way = chance.randrange(5)
        if way == 0:
            for _ in range(chance.randint(1, 16)):
                raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        elif way == 1:
            raw[place] = chance.choice((0, 1, 127, 128, 255))
        elif way == 2:
            del raw[place:]
        elif way == 3:
            del raw[place : place + chance.randint(1, 64)]
        else:
            raw[place:place] = raw[place : place + chance.randint(1, 64)]
    return bytes(raw)


def decode(raw):
    """What became of an input, in a word."""
    said = []
    for decoder, printed in ((media.decode_image, prints.picture_print), (media.decode_audio, prints.sound_print)):
        try:
            printed(decoder(raw, _LIMITS))
            said.append("taken")
        except media.MediaError as error:
            said.append(str(error))
    return "taken" if "taken" in said else said[1] if media.sniff(raw) in media.EXTENSIONS["audio"] else said[0]


def other_formats(files, folder):
    """Saves pictures and sounds in the formats that the tables do not have; returns their paths."""
    made = []
    for number, path in enumerate(files):
        if media.sniff(path.read_bytes()) in media.EXTENSIONS["image"]:
            picture = Image.open(path).convert("RGBA")
            for form, mode in (("GIF", "P"), ("WEBP", "RGBA"), ("TIFF", "RGBA"), ("BMP", "RGB"), ("JPEG2000", "RGB"), ("AVIF", "RGB"), ("PPM", "RGB")):
                made.append(folder / f"{number}.{form}")
                picture.convert(mode).save(made[-1], form, **({"compression": "tiff_lzw"} if form == "TIFF" else {}))
        else:
            samples, rate = soundfile.read(io.BytesIO(path.read_bytes()))
            for form, subtype in (("FLAC", "PCM_16"), ("MP3", None), ("OGG", "OPUS"), ("AIFF", None), ("AU", None), ("CAF", None), ("W64", None)):
                made.append(folder / f"{number}.{form}")
                soundfile.write(made[-1], samples, 16_000 if subtype == "OPUS" else rate, format=form, subtype=subtype)
    return made


def work(files, seed, numbers, queue):
    for number in numbers:
        queue.put((number, "began"))
        try:
            queue.put((number, decode(damaged(files, seed, number))))
        except BaseException as error:  # Whatever it is, it is what is looked for.
            queue.put((number, f"CRASH {type(error).__name__}: {error}"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    extensions = {extension for kinds in media.EXTENSIONS.values() for formats in kinds.values() for extension in formats}
    by_kind = collections.defaultdict(list)
    for path in sorted(path for path in options.data.rglob("*") if path.suffix.lower() in extensions):
        by_kind[path.parent].append(path)
    files = [path for paths in by_kind.values() for path in random.Random(0).sample(paths, min(200, len(paths)))]
    print(f"{len(files)} files of {', '.join(str(folder.relative_to(options.data)) for folder in by_kind)}")
    formats = tempfile.TemporaryDirectory()
    files += other_formats(random.Random(1).sample(files, min(100, len(files))), pathlib.Path(formats.name))
    counts, crashes, started, context = collections.Counter(), [], time.time(), multiprocessing.get_context("spawn")
    for start in range(0, options.count, _BATCH * 20):
        numbers, queue = list(range(start, min(start + _BATCH * 20, options.count))), context.SimpleQueue()
        while numbers:
            process = context.Process(target=work, args=(files, options.seed, numbers, queue))
            process.start()
            last, done = None, set()
            while process.is_alive() or not queue.empty():
                if queue.empty():
                    time.sleep(0.01)
                    continue
                last, said = queue.get()
                if said != "began":
                    done.add(last)
                    counts[said.split(":")[0] if said.startswith("CRASH") else said] += 1
                    crashes += [(last, said)] if said.startswith("CRASH") else []
            process.join()
            if process.exitcode:
                crashes.append((last, f"the process ended with {process.exitcode}"))
                done.add(last)
            numbers = [number for number in numbers if number not in done]
        print(f"{sum(counts.values()):>8,} inputs, {len(crashes)} crashes, {time.time() - started:.0f} s", flush=True)
    for said, count in counts.most_common():
        print(f"{count:>8,}  {said}")
    for number, said in crashes:
        print(f"input {number}: {said}")
    print(f"inputs tried: {options.count:,}; crashes: {len(crashes)}")


if __name__ == "__main__":
    main()
