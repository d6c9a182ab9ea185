"""Does `predict` need more memory for a longer table, and does it survive being killed? A classifier of short texts, with weights as they are drawn.

python benchmarks/predict.py --out saved_models/predict
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import keras
import psutil

from cross_modal import config
from cross_modal.data import ingest

SETTINGS = {"task": "classification", "features": {"text": {"vocab_size": 400}, "label": {}}, "towers": {"text": {"kind": "gru"}}, "options": {"dim": 64}}


def rows(count):
    return ({"id": f"item {number}", "text:en": f"the words of number {number}, {number * 7919 % count} and {number % 97}", "label": "ab"[number % 2]} for number in range(count))


def made(out, count):
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{count}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(count))
    return path


def predict(run, table, answers, kill_after=None):
    """Seconds and peak MiB of one call; it is killed when it has written so many bytes, where that is asked for."""
    began, peak = time.monotonic(), 0
    process = subprocess.Popen([sys.executable, "-m", "cross_modal", "predict", str(run), str(table), "--out", str(answers)], stderr=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        written = sum(part.stat().st_size for part in answers.parent.glob(f"{answers.name}.*.part"))
        if kill_after and written > kill_after:
            process.kill()
        time.sleep(0.02)
    process.wait()
    return time.monotonic() - began, peak / 2**20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default="saved_models/predict", help="folder (%(default)s)")
    options = parser.parse_args()
    dataset = ingest(made(options.out, 1000), options.out / "dataset", progress=False)
    full = config.resolve({**SETTINGS, "dataset": str(dataset.path)})
    features, languages = config.make_features(full)
    keras.utils.set_random_seed(0)
    config.save_run(options.out / "run", full, features, languages)
    config.make_task(full, features, languages).build().save(options.out / "run" / "model.keras")
    print("| rows | seconds | rows/s | peak MiB |\n|---|---|---|---|")
    for count in (5_000, 50_000, 200_000):
        answers = options.out / f"{count}.answers.jsonl"
        answers.unlink(missing_ok=True)
        seconds, peak = predict(options.out / "run", made(options.out, count), answers)
        print(f"| {count:,} | {seconds:.1f} | {count / seconds:,.0f} | {peak:,.0f} |", flush=True)
    whole, parts = options.out / "50000.answers.jsonl", options.out / "parts.jsonl"
    parts.unlink(missing_ok=True)
    spent = sum(predict(options.out / "run", options.out / "50000.jsonl", parts, share * whole.stat().st_size)[0] for share in (0.2, 0.5, 0.8))
    spent += predict(options.out / "run", options.out / "50000.jsonl", parts)[0]
    same = [json.loads(line)["id"] for line in parts.open()] == [json.loads(line)["id"] for line in whole.open()]
    print(f"\nkilled 3 times, 50,000 rows take {spent:.1f} s in all; {'each is' if same else 'NOT each is'} answered once, in order")


if __name__ == "__main__":
    main()
