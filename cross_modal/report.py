"""Pictures of what a model does."""

import numpy as np
import tensorflow as tf
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
    figure = Figure(figsize=(1.0 + 1.7 * columns, 0.95 * len(queries) + 0.5))
    grid = figure.subplots(len(queries), columns, squeeze=False, width_ratios=[1.8] + [1] * (columns - 1))
    figure.suptitle(title, fontsize=11)
    for row, query in zip(grid, queries):
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
        _draw_query(row[0], query)
        for axis, (picture, caption, right) in zip(row[1:], query["found"]):
            axis.imshow(tf.io.decode_image(picture, expand_animations=False).numpy().squeeze(), cmap="gray", aspect="auto")
            axis.set_frame_on(True)
            for spine in axis.spines.values():
                spine.set(color="#2a9d3a" if right else "#c8372d", linewidth=2.5)
            axis.set_xlabel(caption, fontsize=7, labelpad=2)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    return path


def _draw_query(axis, query):
    axis.set_title(query["name"], fontsize=9, loc="left", y=0.55 if query["audio"] else 0.35)
    if query["audio"]:
        samples = tf.audio.decode_wav(query["audio"])[0].numpy()[:, 0]
        ends = np.linspace(0, len(samples), 201).astype(int)
        highest = [np.abs(samples[a:b]).max() if b > a else 0.0 for a, b in zip(ends, ends[1:])]
        axis.fill_between(np.arange(200), np.negative(highest), highest, color="#3c6e9c")
        axis.set_ylim(-1.0, 3.0)


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
