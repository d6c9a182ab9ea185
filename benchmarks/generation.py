"""How good are texts that are written by models trained from scratch? Translations, captions, transcripts.

    python benchmarks/generation.py DATA translation held_out twelve captions digits numbers speech sample [--seeds 1] [--out saved_models/generation]

DATA is a folder with the tables `multi30k`, `flickr8k`, `fsdd` and `stamps`. What is asked is their validation part, never trained on. Runs that are there are not trained again.

    translation  multi30k, one pair of languages a model: Transformers and LSTMs of at most 8 million weights; `short` is for 20 minutes
    held_out     multi30k, one model for ten of the twelve directions of four languages: no Czech text beside a French one; those two directions also by way of English
    twelve       the same model, trained on with all twelve directions for some epochs more
    captions     flickr8k, 6,000 photos with five captions each to train on
    digits       fsdd, one to seven digits by one speaker with gaps between them, asked with other recordings than those trained on; CTC alone, and with a decoder
    numbers      the embedded sample: spoken numbers that are in no training item, by two voices that are in none either
    speech       stamps, names of things read in six languages, asked with a fifth of the things, whose names are never heard in training; beside what the most similar recording
                 of the language says
    sample       the embedded sample: numbers never seen, from pictures, words of nine languages and speech of three to words; from pictures to Turkish, and from French speech to
                 anything but French, is never trained
"""

import collections
import time

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from tables import ask_validation, command, ingest, main, rows_of, score

from cross_modal import baselines, metrics, samples
from cross_modal.data import Dataset, media

TRANSLATION = {
    "features": {"text": {"vocab_size": 6000, "length": 64}},
    "options": {"dim": 128, "dropout": 0.3, "length": 64},
    "training": {"epochs": 30, "learning_rate": 4e-3, "warmup": 0.2, "schedule": "inverse_sqrt", "ema": 0.999, "bucket_by": "target", "batch_tokens": 3072},
}
TRANSFORMER = {"towers.text": {"kind": "transformer", "depth": 4, "mlp_dim": 256, "dropout": 0.3}, "decoder": {"kind": "transformer", "depth": 4, "mlp_dim": 256, "dropout": 0.3}}
_LEFT_OUT = {"options.dropout": 0.15, "towers.text.dropout": 0.15, "decoder.dropout": 0.15}  # Each sentence is seen less often.
MANY = {**TRANSLATION, **TRANSFORMER, **_LEFT_OUT, "training.epochs": 42, "training.warmup": 0.1, "training.schedule": "cosine"}
SHORT = {**TRANSFORMER, "training.epochs": 10, "training.warmup": 0.1, "training.schedule": "cosine", "training.ema": 0.99}
LSTM = {"options.dim": 256, "towers.text": {"kind": "lstm", "depth": 1, "dropout": 0.3}, "decoder": {"kind": "lstm", "depth": 1, "dropout": 0.3}}
LONG = {**LSTM, "training.epochs": 38, "training.warmup": 0.158}
CAPTIONS = {
    "features": {"image": {"size": [64, 64], "fit": "stretch"}, "text": {"length": 32, "vocab_size": 3000, "fold_case": True}},
    "towers.image": {"kind": "resnet", "stem": 2, "depth": 1, "dropout": 0.2},
    "decoder": {"kind": "transformer", "depth": 2, "mlp_dim": 512, "dropout": 0.3},
    "options": {"dim": 256, "dropout": 0.3, "length": 32},
    "training": {"epochs": 120, "batch_size": 128, "learning_rate": 2e-3, "weight_decay": 0.1, "ema": 0.999, "precision": "auto"},
    "training.augment.image": {"crop": 0.35, "rotation": 5, "flip": True, "brightness": 0.2, "contrast": 0.3, "saturation": 0.3, "erase": 0.3},
}
DIGITS = {
    "features": {"audio": {"bins": 40, "hop_ms": 10, "seconds": 10, "range_db": 40}, "text": {"vocab_size": 300, "length": 16}},
    "towers.audio": {"kind": "crnn", "widths": [32, 64]},
    "decoder": {"kind": "gru", "depth": 1},
    "options": {"dim": 192, "length": 16, "beams": 5, "routes": ["audio:en->text:en"]},
    "training": {"epochs": 12, "batch_size": 32, "learning_rate": 3e-3, "ema": 0.99, "bucket_by": "audio"},
    "training.augment.audio": {"speed": 0.15, "time_mask": 0.05, "bin_mask": 0.2, "warp": 0.1, "gain": 0.1},
}
NUMBERS = {
    "features": {"audio": {"bins": 40, "hop_ms": 8, "seconds": 4}, "text": {"units": "characters", "length": 40}},
    "towers.audio": {"kind": "crnn", "widths": [32, 64]},
    "decoder": {"kind": "gru", "depth": 1},
    "options": {"dim": 192, "length": 40, "beams": 4, "ctc": 0.5, "routes": ["audio:en->text:en", "audio:es->text:es", "audio:fr->text:fr"]},
    "training": {"epochs": 15, "steps_per_epoch": 100, "batch_size": 64, "learning_rate": 4e-3, "ema": 0.99, "bucket_by": "audio"},
    "training.augment.audio": {"shift_ms": 250, "speed": 0.1, "time_mask": 0.05, "bin_mask": 0.1},
}
SPEECH = {
    "features": {"audio": {"bins": 40, "hop_ms": 8, "seconds": 4}, "text": {"units": "characters", "vocab_size": 400, "length": 64}},
    "towers.audio": {"kind": "crnn", "widths": [32, 64]},
    "decoder": {"kind": "gru", "depth": 1, "dropout": 0.2},
    "options": {"dim": 192, "length": 64, "beams": 5, "dropout": 0.2},
    "training": {"epochs": 200, "batch_size": 32, "learning_rate": 3e-3, "ema": 0.99, "bucket_by": "audio"},
    "training.augment.audio": {"speed": 0.15, "time_mask": 0.05, "bin_mask": 0.2, "warp": 0.1, "gain": 0.1},
}
SAMPLE = {
    "features": {"image": {"size": [16, 40], "channels": 1}, "text": {"units": "characters", "length": 40}, "audio": {"bins": 40, "seconds": 3}},
    "towers": {"image": {"kind": "cnn"}, "text": {"kind": "gru"}, "audio": {"kind": "crnn"}},
    "decoder": {"kind": "gru", "depth": 1},
    "options": {"dim": 192, "length": 40, "beams": 4, "ctc": 0.3, "routes": ["*->*", "!image->text:tr", "!audio:fr->*", "audio:fr->text:fr"]},
    "training": {"epochs": 20, "steps_per_epoch": 100, "batch_size": 128, "learning_rate": 4e-3},
    "training.augment": {"image": {"rotation": 5, "shift": 0.05, "scale": 0.05}, "audio": {"time_mask": 0.1, "bin_mask": 0.1}},
}


def texts_of(data, languages):
    """The rows of multi30k in some of its languages, with the validation part to be asked."""
    rows = [{key: value for key, value in row.items() if not key.startswith("text:") or key.removeprefix("text:") in languages} for row in rows_of(data, "multi30k")]
    return ask_validation(rows)


def noted(found, name, scores, seconds):
    for row in scores["routes"]:
        said = f"{name}, {row['route']}{'' if row['trained'] else ' (never trained)'}"
        for key in ("bleu", "bleu_lower", "chrf", "cider", "distinct"):
            if key in row:
                found[f"{said}, {key}"].append(row[key])
        if "pivot" in row:
            found[f"{said}, by way of {row['pivot']['by']}, bleu"].append(row["pivot"]["bleu"])
    found[f"{name}, minutes"].append(seconds / 60)


def timed(dataset, run, seed, keys):
    began = time.monotonic()
    return score(dataset, run, seed, keys, "generation"), time.monotonic() - began


def translation(data, out, seeds):
    found = collections.defaultdict(list)
    kinds = {"de": {"transformer": TRANSFORMER, "short": SHORT, "lstm": LSTM}, "fr": {"transformer": TRANSFORMER, "lstm": LONG}}
    for target, ways in kinds.items():
        folder = out / f"en-{target}"
        dataset = ingest(texts_of(data, ("en", target)), folder, "--splits", "1,0,0")
        for kind, keys in ways.items():
            for seed in seeds:
                noted(found, kind, *timed(dataset, folder / f"{kind}-{seed}", seed, {**TRANSLATION, **keys, "options.routes": [f"text:en->text:{target}"]}))
    return found


def held_out(data, out, seeds):
    found = collections.defaultdict(list)
    dataset = ingest(texts_of(data, ("en", "de", "fr", "cs")), out / "twelve", "--splits", "1,0,0")
    keys = {**MANY, "options.routes": ["text:*->text:*", "!text:cs->text:fr", "!text:fr->text:cs"]}
    for seed in seeds:
        noted(found, "ten of twelve", *timed(dataset, out / "twelve" / f"held-out-{seed}", seed, keys))
    return found


def twelve(data, out, seeds):
    found = collections.defaultdict(list)
    held_out(data, out, seeds)
    for seed in seeds:
        ten = str(out / "twelve" / f"held-out-{seed}")
        keys = {**MANY, "training.epochs": 8, "training.learning_rate": 2e-3, "training.start_from": {"encoder": ten, "writer": ten}, "features": {"text": {"from": ten}}}
        noted(found, "twelve", *timed(out / "twelve" / "dataset", out / "twelve" / f"run-{seed}", seed, keys))
    return found


def captions(data, out, seeds):
    found = collections.defaultdict(list)
    rows = ask_validation(rows_of(data, "flickr8k"))
    dataset = ingest(rows, out / "flickr8k", "--splits", "1,0,0")
    for seed in seeds:
        noted(found, "captions", *timed(dataset, out / "flickr8k" / f"run-{seed}", seed, {**CAPTIONS, "options.routes": ["image->text:en"]}))
    return found


def split_of_take(row):
    """The split of a recording of `fsdd`."""
    take = int(row["id"].split("_")[-1])
    return "test" if take < 10 else "validation" if take < 13 else "train"


def spoken_digits(data, seed, counts):
    """Strings of one to seven digits by one speaker, of recordings of one split alone, with gaps of 0.05 to 0.4 seconds."""
    chance, sounds, rows = np.random.default_rng(seed), collections.defaultdict(list), []
    for row in rows_of(data, "fsdd"):
        sounds[split_of_take(row), row["speaker"]].append((row["text:en"], media.decode_audio(row["audio"], media.Limits())))
    speakers = sorted({speaker for _, speaker in sounds})
    for split, count in counts.items():
        for number in range(count):
            some = sounds[split, chance.choice(speakers)]
            chosen = [some[place] for place in chance.choice(len(some), chance.integers(1, 8), replace=False)]
            gaps = [np.zeros(round(media.SAMPLE_RATE * chance.uniform(0.05, 0.4)), np.float32) for _ in chosen]
            samples = np.concatenate([part for (_, sound), gap in zip(chosen, gaps) for part in (gap, sound)])
            rows.append({"id": f"{split}-{number}", "split": split, "audio:en": media.encode_wav(samples), "text:en": " ".join(word for word, _ in chosen)})
    return rows


def digits(data, out, seeds):
    found = collections.defaultdict(list)
    for seed in seeds:
        dataset = ingest(spoken_digits(data, seed, {"train": 4000, "validation": 200, "test": 1000}), out / f"digits-{seed}", "--max-bad", 0.1)
        for name, share in (("CTC", 1.0), ("decoder and CTC", 0.3)):
            scores, seconds = timed(dataset, out / f"digits-{seed}" / f"ctc-{share}", seed, {**DIGITS, "options.ctc": share})
            for row in scores["routes"]:
                for key in ("wer", "cer", "exact"):
                    found[f"{name}, {key}"].append(row[key])
            found[f"{name}, minutes"].append(seconds / 60)
    return found


def numbers(data, out, seeds):
    found = collections.defaultdict(list)
    table = out / "numbers" / "items.jsonl"
    if not table.exists():
        samples.write_sample(table.parent, unheard=("m7", "f4"))
    ignored = [f"--ignore=text:{tag}" for tag in samples.TEXT_LANGUAGES if tag not in samples.SPEECH_LANGUAGES]
    command("ingest", table, "--out", out / "numbers" / "dataset", "--ignore=image", *ignored, "--max-bad", 0.02)
    for seed in seeds:
        scores, seconds = timed(out / "numbers" / "dataset", out / "numbers" / f"run-{seed}", seed, NUMBERS)
        for row in scores["routes"]:
            if row["trained"]:
                found[f"{row['route']}, cer"].append(row["cer"])
                found[f"{row['route']}, exact"].append(row["exact"])
        found["minutes"].append(seconds / 60)
    return found


def speech(data, out, seeds):
    found, rows = collections.defaultdict(list), rows_of(data, "stamps")
    languages = sorted({key.partition(":")[2] for row in rows for key in row if key.startswith("audio:")})
    kept = [f"{kind}:{tag}" for kind in ("audio", "text") for tag in languages]
    rows = [
        {"id": row["id"], "group": row["group"]} | {key: row[key].casefold().strip(" .!?") if key.startswith("text:") else row[key] for key in kept if key in row} for row in rows
    ]
    dataset = ingest(rows, out / "speech", "--max-bad", 0.05, "--splits", "0.7,0.1,0.2")
    similar = nearest(Dataset(dataset), languages)
    for name, share in (("CTC", 1.0), ("decoder and CTC", 0.5)):
        for seed in seeds:
            keys = {**SPEECH, "options.ctc": share, "options.routes": [f"audio:{tag}->text:{tag}" for tag in languages]}
            scores, seconds = timed(dataset, out / "speech" / f"ctc-{share}-{seed}", seed, keys)
            for row in scores["routes"]:
                if row["trained"]:
                    found[f"{name}, {row['route']}, CER"].append(row["cer"])
            found[f"{name}, minutes"].append(seconds / 60)
    return found | {f"what the most similar recording says, {tag}, CER": [cer] for tag, cer in similar.items()}


def nearest(dataset, languages):
    """Character error rate, by language, of answering with the text of the recording of the training split that is most similar in its plain features."""
    found, heard = {}, {split: [(item["audio"], item["text"]) for item in dataset.items(split).as_numpy_iterator()] for split in ("train", "test")}
    for tag in languages:
        parts = {}
        for split, items in heard.items():
            pairs = [
                (sound["value"][list(sound["language"]).index(tag.encode())], text["value"][list(text["language"]).index(tag.encode())])
                for sound, text in items
                if tag.encode() in sound["language"] and tag.encode() in text["language"]
            ]
            parts[split] = np.stack([baselines.audio_features(sound) for sound, _ in pairs]), [text.decode() for _, text in pairs]
        scaler = StandardScaler().fit(parts["train"][0])
        places = NearestNeighbors(n_neighbors=1).fit(scaler.transform(parts["train"][0])).kneighbors(scaler.transform(parts["test"][0]), return_distance=False)[:, 0]
        said = [parts["train"][1][place] for place in places]
        found[tag] = metrics.text_scores([[text] for text in parts["test"][1]], said, tag)["cer"]
    return found


def sample(data, out, seeds):
    found = collections.defaultdict(list)
    table = out / "sample" / "items.jsonl"
    if not table.exists():
        samples.write_sample(table.parent)
    command("ingest", table, "--out", out / "sample" / "dataset")
    for seed in seeds:
        scores, seconds = timed(out / "sample" / "dataset", out / "sample" / f"run-{seed}", seed, SAMPLE)
        for name in ("image", "text", "audio"):
            for trained in (True, False):
                some = [row["exact"] for row in scores["routes"] if row["trained"] == trained and row["route"].startswith(name)]
                if some:
                    found[f"from {name}, {len(some)} routes {'trained' if trained else 'never trained'}: exact"].append(sum(some) / len(some))
                    found[f"from {name}, {'trained' if trained else 'never trained'}: lowest"].append(min(some))
        found["minutes"].append(seconds / 60)
    return found


if __name__ == "__main__":
    main(__doc__, {function.__name__: function for function in (translation, held_out, twelve, captions, digits, numbers, speech, sample)}, "generation", 1)
