"""Does the input keep the model busy? Measures the input alone, the model alone on one batch kept in memory, and both together, on the embedded sample.

python benchmarks/throughput.py --out saved_models/throughput
"""

import argparse
import pathlib
import resource
import time

from cross_modal import config, samples
from cross_modal.data import batches, ingest
from cross_modal.demo import alignment_config

STEPS = 100


def _rate(function, size):
    function(10)
    began = time.monotonic()
    function(STEPS)
    return STEPS * size / (time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default="saved_models/throughput", help="folder (%(default)s)")
    options = parser.parse_args()
    dataset = ingest(samples.write_sample(options.out / "sample"), options.out / "dataset")
    full = alignment_config(dataset)
    features, languages = config.make_features(full)
    task = config.make_task(full, features, languages)
    size = full["training"]["batch_size"]

    def data(cache):
        return batches(dataset, "train", features, languages, size, draws=task.draws, seed=0, cache=cache).map(task.example)

    model = task.build()
    model.compile(optimizer="adam", **task.objective())
    model.optimizer.build(model.trainable_variables)
    cached, fresh = data(True), data(False)
    one = next(iter(cached))

    def pull(made):
        iterator = iter(made)  # One iterator: a second one would fill the shuffle buffer again.
        return lambda steps: [next(iterator) for _ in range(steps)]

    kept = cached.take(1).cache().repeat()
    rates = {
        "input, featurized views cached": _rate(pull(cached), size),
        "input, featurized anew": _rate(pull(fresh), size),
        "model alone": _rate(lambda steps: model.fit(kept, steps_per_epoch=steps, verbose=0, shuffle=False), size),
        "input and model": _rate(lambda steps: model.fit(cached, steps_per_epoch=steps, verbose=0, shuffle=False), size),
    }
    views = sum(task.draws.values())
    print(f"batches of {size} items, {views} views each; shapes {[tuple(value.shape) for value in (one[0][name]['value'] for name in features)]}")
    print("| what | items/s | of the model alone |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / rates['model alone']:.2f} |")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
