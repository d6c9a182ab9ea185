"""Does the demo's result hold for other seeds? Trains its alignment once a seed and prints the lowest and mean recall@1 of its routes.

python benchmarks/seeds.py --seeds 3 --out saved_models/seeds
"""

import argparse
import pathlib
import time

import numpy as np

from cross_modal import samples
from cross_modal.data import ingest
from cross_modal.demo import align
from cross_modal.evaluation import evaluate


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default="saved_models/seeds", help="folder (%(default)s)")
    options = parser.parse_args()
    dataset = ingest(samples.write_sample(options.out / "sample"), options.out / "dataset")
    rows = []
    print("| seed | training, s | trained: mean | lowest | never trained: mean | lowest |\n|---|---|---|---|---|---|")
    for seed in range(options.seeds):
        began = time.monotonic()
        task, model = align(dataset, options.out / str(seed), seed=seed, progress=False)
        spent = time.monotonic() - began
        scores = evaluate(task, model, dataset, "test")
        rows.append([scores[name][key] for name in ("trained", "never_trained") for key in ("recall@1", "lowest recall@1")])
        print(f"| {seed} | {spent:.0f} | " + " | ".join(f"{value:.3f}" for value in rows[-1]) + " |", flush=True)
    print("| mean ± sd | | " + " | ".join(f"{mean:.3f} ± {sd:.3f}" for mean, sd in zip(np.mean(rows, 0), np.std(rows, 0))) + " |")


if __name__ == "__main__":
    main()
