"""How good are classifications that are trained from scratch? Digits in pictures, in speech, and in both.

    python benchmarks/classification.py DATA mnist fsdd speakers fusion [--seeds 3] [--out saved_models/classification]

DATA is a folder with the tables `mnist` and `fsdd`. Each seed draws another split and other weights; what is asked is never trained on, nor is anything chosen by it. Runs that are
there already are not trained again.

    mnist     10,000 pictures of digits: 85 % to train on, 5 % to choose the epoch by, 10 % to ask
    fsdd      2,700 spoken digits, by the same six speakers: 80, 10 and 10 %
    speakers  the same, each speaker in turn never heard in training
    fusion    pictures and speech of the same digit, both spoilt by noise: each fusion, with both and with one missing, and models for one alone
"""

import collections

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tables import ingest, main, rows_of, score

from cross_modal.data import media
from cross_modal.features import Audio

PICTURES = {"features.image": {"size": [28, 28], "channels": 1}, "features.label": {}}
AUGMENTED = {"training.augment.image": {"scale": 0.1, "rotation": 12, "shift": 0.1}, "training.batch_size": 64}
STEADY = {"training.ema": 0.99, "options.label_smoothing": 0.1}
SOUNDS = {
    **STEADY,
    "features": {"audio": {"bins": 40, "seconds": 3}, "label": {}},
    "towers.audio": {"kind": "cnn", "widths": [32, 64, 128]},
    "training.epochs": 40,
    "training.augment.audio": {"shift_ms": 100, "speed": 0.15, "noise_db": 15, "time_mask": 0.15, "bin_mask": 0.2},
}
UNHEARD = {
    **SOUNDS,
    "features": {"audio": {"bins": 21, "seconds": 3, "range_db": 45, "trim_db": 20, "steps": 32}, "label": {}},
    "training.mixup": 0.3,
    "training.augment.audio": {"gain": 0.1},
}
FUSIONS = ("concat", "weighted", "multiply", "gated", "attention", "bottleneck")


def linear(scores):
    return max(one["accuracy"] for one in scores["baseline"]["label"].values())


def mnist(data, out, seeds):
    found = collections.defaultdict(list)
    rows = rows_of(data, "mnist")
    plain = {"towers.image": {"kind": "mlp", "widths": [512, 256], "dropout": 0.2}, "training.optimizer": {"name": "sgd", "momentum": 0.9}, "training.learning_rate": 0.1}
    convolutions = {**STEADY, "towers.image": {"kind": "cnn", "dropout": 0.3}, "training.epochs": 25}
    for seed in seeds:
        dataset = ingest(rows, out / f"mnist-{seed}", "--ignore", "split", "--splits", "0.85,0.05,0.1", "--seed", seed)
        for name, keys in (("cnn", convolutions), ("mlp, SGD", {**plain, "training.epochs": 20})):
            scores = score(dataset, out / f"mnist-{seed}" / name.split(",")[0], seed, {**PICTURES, **AUGMENTED, **keys})
            found[name].append(scores["label"]["accuracy"])
        found["linear model on gradients"].append(linear(scores))
    return found


def fsdd(data, out, seeds):
    found = collections.defaultdict(list)
    rows = [{key: row[key] for key in ("id", "audio", "label")} for row in rows_of(data, "fsdd")]
    for seed in seeds:
        dataset = ingest(rows, out / f"fsdd-{seed}", "--seed", seed)
        scores = score(dataset, out / f"fsdd-{seed}" / "cnn", seed, SOUNDS)
        found["cnn"].append(scores["label"]["accuracy"])
        found["linear model on MFCC"].append(linear(scores))
    return found


def speakers(data, out, seeds):
    found = collections.defaultdict(list)
    rows = rows_of(data, "fsdd")
    heard, labels = Audio(**UNHEARD["features"]["audio"]), np.array([row["label"] for row in rows])
    values = np.stack([heard.featurize(row["audio"]).numpy().ravel() for row in rows])
    for speaker in sorted({row["speaker"] for row in rows}):
        parted = [{"id": row["id"], "audio": row["audio"], "label": row["label"], "split": "test" if row["speaker"] == speaker else "train"} for row in rows]
        dataset = ingest(parted, out / f"speaker-{speaker}")
        for seed in seeds:
            scores = score(dataset, out / f"speaker-{speaker}" / f"cnn-{seed}", seed, UNHEARD)
            found[f"cnn, {speaker} never heard"].append(scores["label"]["accuracy"])
        found["linear model on MFCC, mean over the speakers"].append(linear(scores))
        asked = np.array([row["speaker"] == speaker for row in rows])
        vectors = make_pipeline(StandardScaler(), SVC(C=3.0)).fit(values[~asked], labels[~asked])
        found["SVM on what the cnn reads, mean over the speakers"].append(vectors.score(values[asked], labels[asked]))
    each = [values for name, values in found.items() if name.endswith("never heard")]
    return {"cnn, mean over the speakers": [float(np.mean(values)) for values in zip(*each)], **found}


def spoilt(data, seed, snr_db=-11.5, sigma=1.3):
    """Items of a picture and a recording of the same digit, both with noise; no picture or recording stands in two splits."""
    import cv2

    chance = np.random.default_rng(seed)
    pictures, sounds = (collections.defaultdict(list) for _ in range(2))
    for row in rows_of(data, "mnist"):
        pictures[row["label"]].append(row["image"])
    for row in rows_of(data, "fsdd"):
        sounds[row["label"]].append(row["audio"])
    rows = []
    for label in sorted(pictures):
        chance.shuffle(pictures[label])
        chance.shuffle(sounds[label])
        bounds = [0, int(0.8 * len(sounds[label])), int(0.9 * len(sounds[label])), len(sounds[label])]
        start = 0
        for place, (split, count) in enumerate((("train", 600), ("validation", 120), ("test", 100))):
            some = sounds[label][bounds[place] : bounds[place + 1]]
            for number in range(count):
                pixels = media.decode_image(pictures[label][start], media.Limits()).astype(np.float32).mean(axis=2)
                samples = media.decode_audio(some[number % len(some)], media.Limits()).astype(np.float32)
                start += 1
                noisy = np.clip(0.5 + (pixels / 255.0 - 0.5) * 0.4 + chance.normal(0, 0.4 * sigma, pixels.shape), 0, 1)
                samples = samples + np.sqrt(np.mean(samples**2) * 10 ** (-snr_db / 10)) * chance.normal(size=len(samples))
                samples = (0.3 * samples / np.abs(samples).max()).astype(np.float32)
                image = cv2.imencode(".png", (255 * noisy).astype(np.uint8))[1].tobytes()
                rows.append({"id": f"{label}-{split}-{number}", "split": split, "image": image, "audio": media.encode_wav(samples), "label": label})
    return rows


def fusion(data, out, seeds):
    found = collections.defaultdict(list)
    widths = [24, 48, 96]
    sounds = {"features.audio": {"bins": 40, "hop_ms": 20, "seconds": 3}, "towers.audio": {"kind": "cnn", "widths": widths}}
    pictures = {**PICTURES, "towers.image": {"kind": "cnn", "widths": widths}}
    augmented = {"training.augment.image": {"shift": 0.1, "rotation": 10}, "training.augment.audio": {"time_mask": 0.1, "bin_mask": 0.15}}
    common = {**STEADY, "options.dim": 128, "training.batch_size": 64, "training.epochs": 12, "features.label": {}}
    for seed in seeds:
        dataset = ingest(spoilt(data, seed), out / f"fusion-{seed}", "--max-bad", 0.1)
        folder = out / f"fusion-{seed}"
        for name, keys, own in (("image", pictures, "training.augment.image"), ("audio", sounds, "training.augment.audio")):
            scores = score(dataset, folder / name, seed, {**common, **keys, own: augmented[own]}, baseline=False)
            found[f"model for {name} alone"].append(scores["label"]["accuracy"])
        for name in FUSIONS:
            keys = {**common, **pictures, **sounds, **augmented, "fusion.kind": name, "options.every_pattern": True}
            patterns = score(dataset, folder / name, seed, keys, baseline=False)["label"]["patterns"]
            for shown in ("image+audio", "image", "audio"):
                found[f"{name}, asked with {shown}"].append(patterns[shown]["accuracy"])
                if "+" not in shown:
                    found[f"{name}, asked with {shown}, above the model for it alone"].append(patterns[shown]["accuracy"] - found[f"model for {shown} alone"][-1])
            found[f"{name}, both above the better one"].append(patterns["image+audio"]["accuracy"] - max(found[f"model for {one} alone"][-1] for one in ("image", "audio")))
    return found


if __name__ == "__main__":
    main(__doc__, {function.__name__: function for function in (mnist, fsdd, speakers, fusion)}, "classification", 3)
