"""How good are answers to questions, and how much of that is bias?

    python benchmarks/questions.py DATA easy_vqa pictures reading [--seeds 3] [--out saved_models/questions]

DATA is a folder with the table `easy_vqa`. Each seed draws another split, which parts no picture, and other weights; runs that are there are not trained again.

    easy_vqa  questions about pictures of a shape, 13 answers; asked are those about a tenth of the pictures. Beside the model stand readers of the question alone and of the
              picture alone, and linear models on plain features
    pictures  the embedded questions about handwritten numbers, in four languages
    reading   the embedded questions about short texts, in four languages, where question and text may be of two, and every fifth question has no answer
"""

import collections
import time

from tables import command, ingest, main, rows_of, score

from cross_modal import questions

EASY_VQA = {
    "features": {"image": {"size": [32, 32]}, "question": {"length": 24}, "answer": {}},
    "towers.question.kind": "gru",
    "fusion.kind": "multiply",
    "options.dim": 96,
    "training": {"epochs": 8, "batch_size": 128, "learning_rate": 3e-3, "ema": 0.99},
}
PICTURES = {
    "features": {"image": {"size": [16, 40], "channels": 1}, "question": {"vocab_size": 400, "length": 16}, "answer": {}},
    "towers.question.kind": "gru",
    "options.dim": 96,
    "training": {"epochs": 12, "steps_per_epoch": 100, "batch_size": 128, "learning_rate": 4e-3, "ema": 0.99},
    "training.augment.image": {"rotation": 5, "shift": 0.05, "scale": 0.05},
}
READING = {
    "features": {"context": {"vocab_size": 800, "length": 96}, "question": {"like": "context", "length": 24}, "answer": {"vocab_size": 800}},
    "towers": {"context": {"kind": "gru"}, "question": {"kind": "gru"}},
    "options": {"dim": 128, "context": "context", "no_answer": True},
    "training": {"epochs": 12, "steps_per_epoch": 100, "batch_size": 64, "learning_rate": 4e-3, "ema": 0.99},
}


def noted(found, scores, seconds):
    for reader, name in (("answer", "all fields"), ("answer_from_question", "the question alone"), ("answer_without_question", "all but the question")):
        if reader in scores:
            found[f"{name}, right"].append(scores[reader]["exact"])
            for kind, one in scores[reader]["kinds"].items():
                found[f"{name}, right of {kind}"].append(one["exact"])
            if "f1" in scores[reader]:
                found[f"{name}, F1"].append(scores[reader]["f1"])
        if reader in scores.get("baseline", {}):
            found[f"linear model, {name}, right"].append(scores["baseline"][reader]["exact"])
    found["minutes"].append(seconds / 60)


def asked(dataset, run, seed, keys):
    began = time.monotonic()
    return score(dataset, run, seed, keys, "question_answering"), time.monotonic() - began


def easy_vqa(data, out, seeds):
    found, rows = collections.defaultdict(list), rows_of(data, "easy_vqa")
    for row in rows:
        row.pop("split")
    for seed in seeds:
        dataset = ingest(rows, out / f"easy_vqa-{seed}", "--field", "answer=label", "--splits", "0.85,0.05,0.1", "--seed", seed)
        noted(found, *asked(dataset, out / f"easy_vqa-{seed}" / "run", seed, EASY_VQA))
    return found


def embedded(out, name, write, keys, seeds, *arguments):
    found, folder = collections.defaultdict(list), out / name
    if not (folder / "items.jsonl").exists():
        write(folder)
    command("ingest", folder / "items.jsonl", "--out", folder / "dataset", *arguments)
    for seed in seeds:
        noted(found, *asked(folder / "dataset", folder / f"run-{seed}", seed, keys))
    return found


def pictures(data, out, seeds):
    return embedded(out, "pictures", questions.write_questions, PICTURES, seeds, "--field", "answer=label")


def reading(data, out, seeds):
    return embedded(out, "reading", questions.write_reading, READING, seeds)


if __name__ == "__main__":
    main(__doc__, {function.__name__: function for function in (easy_vqa, pictures, reading)}, "questions", 3)
