"""What the benchmarks on real tables share."""

import argparse
import json
import pathlib

import numpy as np
import pyarrow
import pyarrow.parquet

from cross_modal import cli


def rows_of(data, name):
    """The rows of a table, with the content of its files in place of their paths."""
    rows = [json.loads(line) for line in (data / name / "items.jsonl").open(encoding="utf-8")]
    return [{key: (data / name / value).read_bytes() if key.partition(":")[0] in ("image", "audio") else value for key, value in row.items()} for row in rows]


def ask_validation(rows):
    """The rows with the validation part to be asked."""
    return [{**row, "split": "train" if row["split"] == "train" else "test"} for row in rows]


def command(*arguments):
    if cli.main([str(one) for one in arguments]):
        raise SystemExit(1)


def ingest(rows, out, *arguments):
    """Makes a dataset of rows, unless it is there."""
    out.mkdir(parents=True, exist_ok=True)
    keys = dict.fromkeys(key for row in rows for key in row)
    rows = [{key: row.get(key) for key in keys} for row in rows]  # Arrow takes the columns of the first row.
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out / "items.parquet")
    command("ingest", out / "items.parquet", "--out", out / "dataset", *arguments)
    return out / "dataset"


def sets(keys):
    """Settings as the command line takes them."""
    return [word for key, value in keys.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def train(dataset, run, task, seed, keys):
    """Trains, unless it is done."""
    if not (run / "model.keras").exists():
        resume = ["--resume"] if (run / "run.yaml").exists() else [dataset, "--task", task, *sets({**keys, "seed": seed})]
        command("train", "--run", run, "--no-baseline", *resume)


def score(dataset, run, seed, keys, task="classification", baseline=True):
    """Trains, unless it is done, and scores on the test split, also a linear model, unless that is not asked for."""
    train(dataset, run, task, seed, keys)
    kept = run / "metrics.json"
    if not kept.exists() or "test" not in json.loads(kept.read_text()):
        command("evaluate", run, *([] if baseline else ["--no-baseline"]))
    return json.loads(kept.read_text())["test"]


def spread(values):
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}" if len(values) > 1 else f"{values[0]:.3f}"


def main(words, functions, name, seeds):
    """Runs the functions that are asked for, each from folder of tables, folder of runs and seeds to a dict of what to a list of numbers, and prints a table of each."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("what", nargs="+", choices=functions)
    parser.add_argument("--seeds", type=int, default=seeds, help="number of seeds (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=f"saved_models/{name}", help="folder (%(default)s)")
    options = parser.parse_args()
    for what in options.what:
        found = functions[what](options.data, options.out, range(options.seeds))
        print(f"\n| {what} | | runs |\n|---|---|---|")
        for part, values in found.items():
            print(f"| {part} | {spread(values)} | {len(values)} |", flush=True)
