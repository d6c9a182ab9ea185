"""Pictures of what a model does."""

import base64
import html
import itertools
import random
import textwrap

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure  # Not pyplot: its backend is the user's.

from cross_modal.data import media


def retrieval_picture(queries, path, title=""):
    """Draws each query beside the pictures that it found, the right ones in a green frame and the wrong ones in a red one.

    Args:
        queries: list of dicts of `name`, str; `audio`, WAV bytes of a spoken query or None; and `found`, list of `(picture bytes, caption, right)`.
        path: of the PNG.
        title: above the picture.

    Returns:
        The path.
    """
    columns = 1 + max(len(query["found"]) for query in queries)
    pictures = [[tf.io.decode_image(picture, expand_animations=False).numpy().squeeze() for picture, _, _ in query["found"]] for query in queries]
    wide = 0.95 * float(np.clip(np.median([one.shape[1] / one.shape[0] for some in pictures for one in some]), 1.0, 2.5))  # Inches.
    figure = Figure(figsize=(3.4 + (wide + 0.2) * (columns - 1), 1.1 * len(queries) + 0.5))
    grid = figure.subplots(len(queries), columns, squeeze=False, width_ratios=[3.0] + [wide] * (columns - 1))
    figure.suptitle(title, fontsize=11)
    for row, query, found in zip(grid, queries, pictures):
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
        _draw_query(row[0], query)
        for axis, picture, (_, caption, right) in zip(row[1:], found, query["found"]):
            axis.imshow(picture, cmap="gray")
            axis.set_frame_on(True)
            for spine in axis.spines.values():
                spine.set(color="#2a9d3a" if right else "#c8372d", linewidth=2.5)
            axis.set_xlabel(caption, fontsize=7, labelpad=2)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path


def _draw_query(axis, query):
    lines = textwrap.wrap(query["name"], 38)
    words = "\n".join(lines[:3] if len(lines) < 4 else [*lines[:2], lines[2][:37] + "\u2026"])
    axis.text(0.0, 0.95 if query["audio"] else 0.5, words, fontsize=9, transform=axis.transAxes, va="top" if query["audio"] else "center")
    if query["audio"]:
        samples = tf.audio.decode_wav(query["audio"])[0].numpy()[:, 0]
        ends = np.linspace(0, len(samples), 201).astype(int)
        highest = [np.abs(samples[a:b]).max() if b > a else 0.0 for a, b in zip(ends, ends[1:])]
        axis.fill_between(np.arange(200), np.negative(highest), highest, color="#3c6e9c")
        axis.set_ylim(-1.0, 3.0)


def confusion_picture(scores, names, path, title=""):
    """Draws which class is taken for which, and how good each pattern of presence is beside a linear model.

    Args:
        scores: of one label, as a task that answers classes gives them: `confusion` and, where there are several inputs, `patterns`; and `baseline` of that label or nothing.
        names: names of the classes.
        path: of the PNG.
        title: above the picture.

    Returns:
        The path.
    """
    table, patterns, plain = np.array(scores["confusion"], float), scores.get("patterns", {}), scores.get("baseline", {})
    size = max(2.5, 0.32 * len(names))
    figure = Figure(figsize=(size + 1.5 + (3.5 if patterns else 0), size + 1.2))
    left, *right = figure.subplots(1, 2 if patterns else 1, squeeze=False, width_ratios=[size, 3.5][: 2 if patterns else 1])[0]
    figure.suptitle(title, fontsize=11)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    left.set(xlabel="answered", ylabel="is", xticks=range(len(names)), yticks=range(len(names)))
    left.set_xticklabels(names, rotation=90 if len(names) > 4 else 0, fontsize=8)
    left.set_yticklabels(names, fontsize=8)
    for (row, column), count in np.ndenumerate(table.astype(int)):
        if count and len(names) <= 30:
            left.text(column, row, count, ha="center", va="center", fontsize=7, color="white" if shares[row, column] > 0.6 else "black")
    for axis in right:
        places = np.arange(len(patterns))
        axis.barh(places, [one["accuracy"] for one in patterns.values()], color="#3c6e9c", label="this model")
        linear = [plain[name]["accuracy"] if name in plain else np.nan for name in patterns]
        axis.plot(linear, places, "D", color="#c8772d", label="linear model")
        axis.set(yticks=places, xlim=(0, 1.02), xlabel="accuracy with only")
        axis.set_yticklabels(patterns)
        axis.invert_yaxis()
        axis.legend(fontsize=7, loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path


def history_picture(history, path):
    """Draws the losses of a run over its epochs.

    Args:
        history: path of `history.csv`.
        path: of the PNG.

    Returns:
        The path.
    """
    columns = np.genfromtxt(history, delimiter=",", names=True)
    figure = Figure(figsize=(6, 3.5))
    axis = figure.subplots()
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        if name in columns.dtype.names:
            axis.plot(np.atleast_1d(columns["epoch"]), np.atleast_1d(columns[name]), label=label)
    axis.set(xlabel="epoch", ylabel="loss")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path


def tuning_picture(rows, path):
    """Draws what each setting of a search gave.

    Args:
        rows: of `tuning.tune`, best first; the first trial is among those that succeeded.
        path: of the PNG.

    Returns:
        The path.
    """
    done = [row for row in rows if row["merit"] is not None]
    given = next(place for place, row in enumerate(done) if row["trial"] == 1)
    keys = [key for key in done[0] if key not in ("trial", "merit", "seconds", "failed")]
    figure = Figure(figsize=(1 + 3 * len(keys), 3.2))
    for axis, key in zip(figure.subplots(1, len(keys), squeeze=False, sharey=True)[0], keys):
        values = [row[key] for row in done]
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 for value in values):
            axis.set_xscale("log")
        else:
            values = [str(value) for value in values]
        axis.scatter(values, [row["merit"] for row in done], color="#3c6e9c")
        axis.scatter(values[:1], [done[0]["merit"]], color="#c8372d", label="best")
        axis.scatter(values[given], done[given]["merit"], facecolors="none", edgecolors="black", s=90, label="as it was")
        axis.set_xlabel(key)
    figure.axes[0].set_ylabel("merit on validation")
    figure.axes[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path


_PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 14px sans-serif; margin: 2em auto; max-width: 75em }} td, th {{ padding: .4em .8em; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd }}
img {{ max-width: 14em; max-height: 14em; min-width: 5em; image-rendering: auto }} small {{ color: #777 }} .said {{ font-weight: bold }}</style>
<h1>{title}</h1><p>{words}</p>{sections}
"""


def predictions_page(predictions, dataset, split, path, count=12, seed=0):
    """Writes a page of the best, the worst and some other texts, with what they were written from: pictures to look at and sounds to hear.

    Args:
        predictions: list of dicts, rows of `predictions-SPLIT.jsonl`.
        dataset: `Dataset`.
        split: that they are of.
        path: of the page, HTML with all in it.
        count: texts of each sort; the routes take turns.
        seed: of the draw.

    Returns:
        The path.
    """
    routes = {}
    for row in predictions:
        routes.setdefault(row["route"], []).append(row)
    chance = random.Random(seed)
    sorts = {
        "Best": [sorted(rows, key=lambda row: -row["chrf"]) for rows in routes.values()],
        "Worst": [sorted(rows, key=lambda row: row["chrf"]) for rows in routes.values()],
        "Drawn": [chance.sample(rows, len(rows)) for rows in routes.values()],
    }
    # Where there are more routes than places.
    sorts["Best"].sort(key=lambda rows: -rows[0]["chrf"])
    sorts["Worst"].sort(key=lambda rows: rows[0]["chrf"])
    chance.shuffle(sorts["Drawn"])
    chosen = {name: [row for turn in itertools.zip_longest(*turns) for row in turn if row][:count] for name, turns in sorts.items()}
    wanted = {row["id"] for rows in chosen.values() for row in rows}
    items = {item["id"].decode(): item for item in dataset.items(split).as_numpy_iterator() if item["id"].decode() in wanted}
    sections = ""
    for name, rows in chosen.items():
        lines = "".join(f"<tr><td>{_route(row)}<td>{_shown(row, items[row['id']], dataset)}<td>{_said(row)}" for row in rows)
        sections += f"<h2>{name}</h2><table><tr><th>route<th>from<th>written, and what it should be{lines}</table>"
    words = f"{len(predictions):,} texts. chrF, 0 to 100, says how near each is to the nearest of those that it should be."
    path.write_text(_PAGE.format(title=html.escape(f"What is written for {split}"), words=words, sections=sections), encoding="utf-8")
    return path


def _route(row):
    return html.escape(row["route"]) + ("" if row["trained"] else "<br><small>never trained</small>")


def _said(row):
    right = "<br>".join(html.escape(text) for text in row["references"])
    return f"<div dir=auto class=said>{html.escape(row['hypothesis']) or '&empty;'}</div><div dir=auto>{right}</div><small>chrF {row['chrf']:.0f}, score {row['score']:.2f}</small>"


def _shown(row, item, dataset):
    """The sources of a text, as HTML."""
    parts = []
    for view, text in row["source"].items():
        name, _, tag = view.partition(":")
        tags = [one.decode() for one in item[name]["language"]]
        raw = item[name]["value"][tags.index(tag or "und")] if text is None else None
        if raw is None:
            parts.append(f"<div dir=auto>{html.escape(text)}</div>")
        elif dataset.fields[name].kind == "image":
            kind = "png" if raw[:4] == b"\x89PNG" else "jpeg"
            parts.append(f'<img src="data:image/{kind};base64,{base64.b64encode(raw).decode()}">')
        else:
            parts.append(_player(raw))
    return "".join(parts) or "<small>nothing</small>"


_HEARD = 3  # Seconds of each sound on the page: making them takes a third of a second each.


def examples_page(items, features, path, title):
    """Writes a page of items, and beside each what was made of it from each part of its fields: pictures, spectrograms, sounds to hear, and texts.

    Args:
        items: list of dicts of `id`, `views`, dict of field to its value, and `made`, dict of what was given to a dict of field to a value. Pictures are float
            `(height, width, channels)`, sounds float `(time, bins)`, texts str.
        features: dict of field to `Feature`; those whose spectrograms can be heard have `sound`.
        path: of the page, HTML with all in it.
        title: above it.

    Returns:
        The path.
    """
    sections = ""
    for item in items:
        lines = "".join(
            f"<tr><td>{html.escape(given) or '<b>what it is</b>'}" + "".join(f"<td>{_made(features[name], made.get(name))}" for name in features)
            for given, made in {"": item["views"], **item["made"]}.items()
        )
        sections += f"<h2>{html.escape(item['id'])}</h2><table><tr><th>made from" + "".join(f"<th>{html.escape(name)}" for name in features) + f"{lines}</table>"
    words = "Each field of some items, made again from what stands at the left; in the first line of each, the item itself."
    path.write_text(_PAGE.format(title=html.escape(title), words=words, sections=sections), encoding="utf-8")
    return path


def _made(feature, value):
    """A value of a field, as HTML."""
    if value is None:
        return "&mdash;"
    if isinstance(value, str):
        return f"<div dir=auto>{html.escape(value) or '&empty;'}</div>"
    if feature.kind != "audio":
        return _picture(np.clip(value, 0.0, 1.0))
    if not len(value):
        return "&empty;"
    low, high = float(np.min(value)), float(np.max(value))
    shown = _picture(matplotlib.colormaps["magma"](np.transpose(value)[::-1] / max(high - low, 1e-6) - low / max(high - low, 1e-6))[:, :, :3])
    heard = value[: round(_HEARD * 1000 / feature.hop_ms)]
    return shown if feature.range_db is None else f"{shown}<br>{_player(media.encode_wav(feature.sound(heard)))}"


def _picture(pixels):
    raw = tf.io.encode_png(np.round(np.asarray(pixels) * 255.0).astype(np.uint8)).numpy()
    return f'<img style="height: 5em; image-rendering: pixelated" src="data:image/png;base64,{base64.b64encode(raw).decode()}">'


def _player(wav):
    return f'<audio controls style="width: 12em" src="data:audio/wav;base64,{base64.b64encode(wav).decode()}"></audio>'
