"""How long does a search take in a large gallery, how much of what is nearest does it find, and beside looking at every vector?

    python benchmarks/search.py [--count 1000000]

Vectors of 128 numbers around as many centres as a thousandth of their count, as views of alike things lie; queries are near one of them.
"""

import argparse
import resource
import time

import numpy as np

from cross_modal.galleries import build_index


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(max(1, options.count // 1000), 128)).astype(np.float32)
    vectors = np.empty((options.count, 128), np.float32)
    for start in range(0, options.count, 50_000):
        some = vectors[start : start + 50_000]
        some[:] = centres[draw.integers(0, len(centres), len(some))] + 0.7 * draw.normal(size=some.shape)
        some /= np.linalg.norm(some, axis=1, keepdims=True)
    queries = vectors[draw.integers(0, options.count, 200)] + 0.03 * draw.normal(size=(200, 128)).astype(np.float32)
    began = time.monotonic()
    index = build_index(vectors)
    built = time.monotonic() - began
    began = time.monotonic()
    found = np.stack([index.search(query[None], 10)[1][0] for query in queries])
    one = (time.monotonic() - began) / len(queries)
    began = time.monotonic()
    exact = np.stack([np.argpartition(-(vectors @ query), 9)[:10] for query in queries])
    every = (time.monotonic() - began) / len(queries)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact)])
    print("| vectors | built in, s | a search, ms | every vector, ms | of the ten nearest found | peak GiB |\n|---|---|---|---|---|---|")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"| {options.count:,} | {built:.0f} | {1000 * one:.1f} | {1000 * every:.1f} | {recall:.3f} | {peak:.1f} |")


if __name__ == "__main__":
    main()
