"""How fast is ingest, how much memory does it take, and does it go on after being killed?

    python benchmarks/ingest.py --out saved_models/ingest [--rows 200000] [--pictures 10000]

Makes its own tables: pictures of 64 x 64 pixels; and rows of two texts and a label, a tenth of them with a picture. Each run is a process of its own, whose peak memory is read
when it has ended.
"""

import argparse
import csv
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np

_WORDS = "red green blue small large old new cat dog bird tree house runs sleeps flies over under beside".split()


def write_pictures(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "items.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "label"])
        for number in range(count):
            chance = np.random.default_rng(number)
            pixels = cv2.resize(chance.integers(0, 256, (6, 6, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
            name = f"{number}.{'png' if number % 2 else 'jpg'}"
            cv2.imwrite(str(folder / name), pixels)
            writer.writerow([number, name, number % 10])
    return folder / "items.csv"


def write_rows(folder, count):
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    with (folder / "items.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "text:en", "text:de", "label"])
        for number in range(count):
            image = ""
            if number % 10 == 0:
                image = f"{number}.png"
                cv2.imwrite(str(folder / image), cv2.resize(np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC))
            writer.writerow([number, image, f"{' '.join(chance.choices(_WORDS, k=9))} {number}", f"{' '.join(chance.choices(_WORDS, k=9))} {number}", number % 10])
    return folder / "items.csv"


def run(table, out, kill_after=None):
    """Runs ingest in a process of its own; returns seconds, peak memory in MiB, and whether it came to its end."""
    code = "import sys; from cross_modal.data import ingest; ingest(sys.argv[1], sys.argv[2], progress=False)"
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code, str(table), str(out)])
    if kill_after is not None:
        try:
            process.wait(kill_after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0) if process.returncode is None else (0, process.returncode, None)
    process.returncode = status
    return time.monotonic() - began, usage.ru_maxrss / 1024 if usage else 0, status == 0


def digest(folder):
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("saved_models/ingest"), help="folder (%(default)s)")
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=200_000)
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    tables = {"pictures": write_pictures(options.out / "pictures", options.pictures), "rows": write_rows(options.out / "rows", options.rows)}
    print("| table | seconds | rows/s | peak MiB |\n|---|---|---|---|")
    for name, table in tables.items():
        count = getattr(options, name)
        seconds, peak, _ = run(table, options.out / name / "out")
        print(f"| {count:,} {name} | {seconds:.1f} | {count / seconds:,.0f} | {peak:,.0f} |", flush=True)
    whole = seconds
    expected, chance, spent, kills, done = digest(options.out / "rows" / "out"), random.Random(0), 0.0, 0, False
    while not done:
        seconds, peak, done = run(tables["rows"], options.out / "rows" / "again", None if kills == 4 else chance.uniform(0.1, 0.6) * whole)
        spent, kills = spent + seconds, kills + (not done)
    same = digest(options.out / "rows" / "again") == expected
    print(f"\nkilled {kills} times and started again: {spent:.1f} s in all, {spent / whole:.2f} of a run that is left alone; the same bytes: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    main()
