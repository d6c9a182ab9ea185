"""How fast are texts written? A run of `benchmarks/generation.py`, asked for the validation part of multi30k in English.

    python benchmarks/decoding.py DATA RUN [--to de] [--sentences 256]

RUN is a folder such as `saved_models/generation/en-de/transformer-0`. Greedy and with five beams, one sentence at a time and 32, in memory and from the SavedModel, with and
without XLA; the best of three times each. The first time, in which the graph is traced and XLA compiles for each new shape, stands beside them. Subwords are those of the answers.
"""

import argparse
import dataclasses
import pathlib
import tempfile
import time

import keras
from tables import rows_of

from cross_modal import config, exporting
from cross_modal.serving import ask


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--to", default="de", help="language to write (%(default)s)")
    parser.add_argument("--sentences", type=int, default=256, help="how many (%(default)s)")
    options = parser.parse_args()
    _, task = config.load_task(options.run)
    model = keras.models.load_model(options.run / "model.keras")
    texts = [row["text:en"] for row in rows_of(options.data, "multi30k") if row["split"] != "train" and row.get("text:en")][: options.sentences]
    print("| beams | XLA | from | batch | sentences/s | subwords/s | ms a batch | the first time, s |\n|---|---|---|---|---|---|---|---|")
    for beams in (1, 5):
        for xla in (False, True):
            changed = dataclasses.replace(task, beams=beams, jit_compile=xla)
            with tempfile.TemporaryDirectory() as folder:
                places = {"memory": changed.endpoints(model)["generate"], "SavedModel": exporting.load(exporting.export(changed, model, folder))["generate"]}
                for place, endpoint in places.items():
                    for size in (1, 32):
                        some = texts[:64] if size == 1 else texts
                        rows = [{"text": text, "text_language": "en", "target_language": options.to} for text in some]
                        times = []
                        for _ in range(4):
                            began = time.monotonic()
                            answers = ask(endpoint, rows, size)
                            times.append(time.monotonic() - began)
                        best, subwords = min(times[1:]), sum(task.features[task.target].count(text.decode()) for text in answers["text"])
                        shown = (f"{len(rows) / best:,.1f}", f"{subwords / best:,.0f}", f"{1000 * size * best / len(rows):,.1f}", f"{times[0]:.1f}")
                        print("|", " | ".join((str(beams), "yes" if xla else "no", place, str(size), *shown)), "|", flush=True)


if __name__ == "__main__":
    main()
