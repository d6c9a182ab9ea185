"""Pictures of what a model does."""

import functools
import textwrap

import numpy as np
import tensorflow as tf
from matplotlib import font_manager
from matplotlib.figure import Figure  # Not pyplot: its backend is the user's.


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
    figure.suptitle(title, fontsize=11, parse_math=False)
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
            axis.set_xlabel(caption, fontsize=7, labelpad=2, parse_math=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path


@functools.cache
def _fonts():
    """Names of fonts for all scripts, of those that are installed: the one that comes with Matplotlib has no letters of many."""
    known = "Noto Sans", "Arial Unicode MS", "Segoe UI", "Nirmala UI", "PingFang", "Hiragino Sans", "Apple SD Gothic", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "WenQuanYi"
    return ["DejaVu Sans", *sorted(name for name in font_manager.get_font_names() if name.startswith(known))]


def _draw_query(axis, query):
    lines = textwrap.wrap(query["name"], 34)
    words = "\n".join(lines[:3] if len(lines) < 4 else [*lines[:2], lines[2][:33] + "\u2026"])
    axis.text(0.0, 0.95 if query["audio"] else 0.5, words, fontsize=9, parse_math=False, family=_fonts(), transform=axis.transAxes, va="top" if query["audio"] else "center")
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
    figure.suptitle(title, fontsize=11, parse_math=False)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    left.set(xlabel="answered", ylabel="is", xticks=range(len(names)), yticks=range(len(names)))
    left.set_xticklabels(names, rotation=90 if len(names) > 4 else 0, fontsize=8, parse_math=False)
    left.set_yticklabels(names, fontsize=8, parse_math=False)
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
    axis.xaxis.get_major_locator().set_params(integer=True)
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


def matrix_picture(rows, path, title=""):
    """Draws how well what is trained on one language does in each.

    Args:
        rows: of `studies.language_matrix`.
        path: of the PNG.
        title: above the picture.

    Returns:
        The path.
    """
    trained, asked = (list(dict.fromkeys(row[key] for row in rows)) for key in ("train", "test"))
    table = np.zeros((len(trained), len(asked)))
    for row in rows:
        table[trained.index(row["train"]), asked.index(row["test"])] = row["merit"]
    figure = Figure(figsize=(1.8 + 0.55 * len(asked), 1.5 + 0.45 * len(trained)))
    axis = figure.subplots()
    axis.imshow(table, cmap="Blues", vmin=table.min() - 0.05, vmax=table.max() + 0.05, aspect="auto")
    axis.set(xlabel="asked in", ylabel="trained on", xticks=range(len(asked)), yticks=range(len(trained)), title=title)
    axis.set_xticklabels(asked)
    axis.set_yticklabels(trained)
    for (row, column), merit in np.ndenumerate(table):
        axis.text(column, row, f"{merit:.2f}", ha="center", va="center", fontsize=8, color="white" if merit > (table.min() + 2 * table.max()) / 3 else "black")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path


def few_shot_picture(rows, path, title=""):
    """Draws how good models of few items are, with transfer and without.

    Args:
        rows: of `studies.few_shot`.
        path: of the PNG.
        title: above the picture.

    Returns:
        The path.
    """
    figure = Figure(figsize=(5, 3.5))
    axis = figure.subplots()
    for transfer, name, colour in ((True, "with transfer", "#3c6e9c"), (False, "without", "#c8772d")):
        some = [row for row in rows if row["transfer"] == transfer]
        sizes, bounds = [row["per_class"] for row in some], [row["interval"] or [row["merit"]] * 2 for row in some]
        axis.plot(sizes, [row["merit"] for row in some], "o-", color=colour, label=name)
        axis.fill_between(sizes, [low for low, _ in bounds], [high for _, high in bounds], color=colour, alpha=0.2)
    axis.set(xscale="log", xlabel="items of each class", ylabel="merit", title=title)
    axis.set_xticks(sizes, [str(size) for size in sizes], minor=False)
    axis.minorticks_off()
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path
