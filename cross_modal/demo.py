"""The main job in one go: make the sample, train, score, export, and ask the export."""

import pathlib
import time

import keras
import numpy as np
import soxr
import tensorflow as tf

from cross_modal import config, samples
from cross_modal.data import ingest, media
from cross_modal.data.batching import batches
from cross_modal.evaluation import evaluate
from cross_modal.exporting import export, load
from cross_modal.galleries import build_gallery, search
from cross_modal.report import history_picture, retrieval_picture
from cross_modal.training import fit

_ROUTES = ["*->*", "!text:tr->*", "text:tr->text:en", "!audio:fr->image"]  # Two recordings are never in a batch together either: `views` of audio is 1.
_QUERIES = [("text", "tr"), ("text", "ru"), ("text", "de"), ("text", "en"), ("audio", "en"), ("audio", "es"), ("audio", "fr"), ("audio", "fr")]


def demo(out, quick=False):
    """Runs the whole line on the embedded sample and prints what it finds.

    Args:
        out: folder for all that it makes; runs in it are made anew.
        quick: whether to take a small sample and a few steps, to see that everything runs; the scores mean nothing then.

    Returns:
        Dict of the scores of `alignment` and `classification` on the unseen numbers.
    """
    began = time.monotonic()
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    _say(1, "the sample: numbers, handwritten, in words and spoken")
    if not samples.has_speech():
        print("espeakng-loader is not installed (pip install 'cross_modal[demo]'): the sample has no speech")
    table = samples.write_sample(out / "sample", numbers=60 if quick else 1000)
    dataset = ingest(table, out / "dataset")
    print(f"{table} -> {dataset}")
    print(f"texts in {', '.join(dataset.fields['text'].languages)}; speech in {', '.join(dataset.fields['audio'].languages) if 'audio' in dataset.fields else 'no language'}")

    _say(2, "one model for pictures, words and voices")
    task, model = align(dataset, out / "alignment", quick=quick)
    print(f"{model.count_params():,} parameters; never trained: Turkish beside anything but English text, French speech beside a picture, speech beside speech\n")
    scores = {"alignment": evaluate(task, model, dataset, "test", run=out / "alignment")}
    print(task.summary(scores["alignment"]))
    picture = _picture(task, model, dataset, out / "retrieval.png")
    print(f"\nqueries and the pictures that they find: {picture}")

    _say(3, "the SavedModel, asked with a raw string, a raw PNG and a raw WAV")
    _ask(export(task, model, out / "alignment" / "export"), dataset)

    _say(4, "two inputs, two outputs: picture and written word to parity and number of digits, in stock Keras")
    task, model = _classify(dataset, out, quick)
    scores["classification"] = evaluate(task, model, dataset, "test", run=out / "classification")
    print(task.summary(scores["classification"]))
    print(f"\nexported: {export(task, model, out / 'classification' / 'export')}")
    print(f"done in {time.monotonic() - began:.0f} s; everything is in {out}")
    return scores


def _say(number, words):
    print(f"\n[{number}/4] {words}", flush=True)


def alignment_config(dataset, seed=0, quick=False):
    """Returns the resolved configuration of the demo's alignment."""
    speech = "audio" in dataset.fields
    return config.resolve({
        "task": "alignment",
        "dataset": str(dataset.path),
        "seed": seed,
        "features": {
            "image": {"size": [16, 40], "channels": 1},
            "text": {"vocab_size": 600, "length": 64},
            **({"audio": {"bins": 40, "hop_ms": 20}} if speech else {}),
        },
        # No dropout but for sound: views are drawn anew each time, so that in so few steps the model learns too little sooner than too much.
        "towers": {
            "image": {"widths": [16, 32, 64], "normalization": "layer", "dropout": 0.0},
            "text": {"dropout": 0.0},
            **({"audio": {"normalization": None}} if speech else {}),
        },
        "options": {"views": {"text": 3}, "routes": _ROUTES if speech else _ROUTES[:3], "dropout": 0.0},
        "training": {"epochs": 2 if quick else 9, "steps_per_epoch": 2 if quick else 100, "batch_size": 64},
    })  # fmt: skip


def align(dataset, run, seed=0, quick=False, progress=True):
    """Trains the demo's alignment.

    Args:
        dataset: `Dataset` of the sample.
        run: folder of the run; a training in it is made anew.
        seed: of weights, dropout and draws.
        quick: whether to take a few steps only.
        progress: whether to tell each epoch.

    Returns:
        Pair of `Task` and `keras.Model`.
    """
    full = alignment_config(dataset, seed, quick)
    _clear(run)
    features, languages = config.make_features(full)
    task = config.make_task(full, features, languages)
    config.save_run(run, full, features, languages, dataset)
    model = fit(task, dataset, run, seed=seed, progress=progress, **full["training"])
    history_picture(run / "history.csv", run / "history.png")
    return task, model


def _clear(run):
    """Takes the last demo's training away, so that this one starts anew."""
    for path in (run / "checkpoints").glob("*"):
        path.unlink()
    (run / "history.csv").unlink(missing_ok=True)


def _classify(dataset, out, quick):
    """Trains without our `fit`, to show that a task makes a plain Keras model and plain batches."""
    run = out / "classification"
    full = config.resolve({
        "task": "classification",
        "dataset": str(dataset.path),
        "features": {"image": {"size": [16, 40], "channels": 1}, "text": {"vocab_size": 600, "length": 64}, "parity": {}, "digits": {}},
        "towers": {"image": {"widths": [16, 32], "normalization": "layer"}},
        "options": {"dim": 64},
    })  # fmt: skip
    features, languages = config.make_features(full)
    task = config.make_task(full, features, languages)
    train = batches(dataset, "train", features, languages, 64, draws=task.draws, seed=0).map(task.example)
    validation = batches(dataset, "validation", features, languages, 64, draws=task.draws).map(task.example)
    keras.utils.set_random_seed(0)
    model = task.build()
    model.compile(optimizer=keras.optimizers.Adam(2e-3), **task.objective())
    model.fit(train, steps_per_epoch=2 if quick else 60, epochs=2 if quick else 3, validation_data=validation, verbose=2, shuffle=False)
    config.save_run(run, full, features, languages, dataset)
    model.save(run / "model.keras")
    return task, model


def _picture(task, model, dataset, path):
    endpoints = task.endpoints(model)
    gallery = build_gallery(endpoints, dataset, "test", "image")
    examples = [item for item in dataset.items("test").take(64).as_numpy_iterator()]
    queries = []
    for place, (field, language) in enumerate(_QUERIES):
        item = examples[(7 * place) % len(examples)]
        tags = [tag.decode() for tag in item[field]["language"]] if field in item else []
        if language not in tags:
            continue
        number, value = item["id"].decode(), item[field]["value"][tags.index(language)]
        found = search(endpoints, gallery, field, value, language, k=5)
        words = value.decode() if field == "text" else f"speech, {number}"
        queries.append({
            "name": f"{language}: {words}",
            "audio": value if field == "audio" else None,
            "found": [(gallery.values[one], f"{gallery.ids[one]}  {cosine:.2f}", gallery.ids[one] == number) for one, cosine in found],
        })  # fmt: skip
    return retrieval_picture(queries, path, f"{len(gallery.ids)} pictures of numbers never seen; tr and spoken fr never stood beside a picture")


def _ask(folder, dataset):
    """Asks the export as a stranger would, with the raw values of one item at other sizes and rates than those of training."""
    endpoints = load(folder)
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    print(f"{folder}: {', '.join(sorted(endpoints))}. The number {item['id'].decode()}, asked in three ways:")
    word = item["text"]["value"][list(item["text"]["language"]).index(b"en")]
    asked = {"text": (word, "en", repr(word.decode())), "image": (item["image"]["value"][0], "", f"a PNG of {len(item['image']['value'][0]):,} bytes")}
    if "audio" in item:
        samples = tf.audio.decode_wav(item["audio"]["value"][0])[0].numpy()[:, 0]
        sound = media.encode_wav(soxr.resample(samples, media.SAMPLE_RATE, 22_050), 22_050)
        asked["audio"] = (sound, item["audio"]["language"][0], f"a WAV of {len(sound):,} bytes at 22,050 Hz")
    vectors = {}
    for field, (value, language, words) in asked.items():
        query = {field: tf.constant([value]), f"{field}_language": tf.constant([language])}
        vectors[field] = endpoints[f"embed_{field}"](**query)["embedding"].numpy()[0]
        print(f"  embed_{field}({words}) -> {np.array2string(vectors[field][:4], precision=3)} ...")
    for a, b in (("text", "image"), ("text", "audio"), ("image", "audio")):
        if a in vectors and b in vectors:
            print(f"  cosine of {a} and {b}: {vectors[a] @ vectors[b]:.3f}")
