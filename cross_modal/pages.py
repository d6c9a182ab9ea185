"""Pages of what a model answers, to look at and listen to."""

import base64
import html
import itertools
import random

import matplotlib
import numpy as np
import tensorflow as tf

from cross_modal.data import media

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
        place = tags.index(tag) if tag in tags else next((place for place, one in enumerate(tags) if f"{name}:{one}" not in row["source"]), 0)  # One that the run does not know.
        raw = item[name]["value"][place] if text is None else None
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
