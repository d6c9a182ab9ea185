"""Texts that are spelled by the steps of a recording (connectionist temporal classification)."""

import warnings

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from cross_modal.features.audio import SAMPLE_RATE

ABSENT_LOGIT = -1e9  # Of all ids but the blank, at steps that are not there.
IMPOSSIBLE = 1e9  # Nats that a text costs which cannot be.


@keras.saving.register_keras_serializable("cross_modal")
class CTC(keras.losses.Loss):
    """What it costs that the steps of a recording, read one after another, name an id, the same once more, or nothing, and so spell the text.

    | inputs | shape |
    |---|---|
    | `y_true`: ids below 2**24 (Keras makes them float32), 0 after the last | int `(batch, time)` |
    | `y_pred`: logits, id 0 for nothing (blank); where a step is not there, -1e9 for all other ids | float `(batch, steps, vocab)` |

    Returns:
        `call` returns nats for an id of the text, float `(batch,)`, to be weighted by how many it has; 0 for a text that has more ids than there are steps for.

    Source:
        Graves et al. (2006), "Connectionist Temporal Classification", section 4.
    """

    def __init__(self, name="ctc", reduction="mean_with_sample_weight", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        cost = ctc_cost(y_true, y_pred)
        return ops.where(cost < IMPOSSIBLE, cost, 0.0) / ops.maximum(ops.sum(ops.cast(y_true > 0, "float32"), axis=1), 1.0)


def ctc_cost(y_true, y_pred, compiled=None):
    """What each text costs, in nats.

    Args:
        y_true: see `CTC`, as `y_pred`.
        compiled: whether to make do without TensorFlow's kernel for CPUs, which is several times as fast and which XLA has none of; None where there is a GPU.

    Returns:
        float `(batch,)`; `IMPOSSIBLE` for a text that has more ids than there are steps for, and 0 for one that has none.
    """
    ids, logits = ops.cast(y_true, "int32"), ops.cast(y_pred, "float32")
    lengths, steps = ops.sum(ops.cast(ids > 0, "int32"), axis=1), ops.sum(ops.cast(logits[:, :, 1] > ABSENT_LOGIT / 2, "int32"), axis=1)
    twice = ops.sum(ops.cast((ids[:, 1:] == ids[:, :-1]) & (ids[:, 1:] > 0), "int32"), axis=1)  # Between equal ids stands a blank.
    fits = (lengths > 0) & (lengths + twice <= steps)
    # No kernel takes what cannot be: something else stands there, and does not count.
    ids, logits = ops.where(fits[:, None], ids, ops.cast(ops.arange(ops.shape(ids)[1]) == 0, "int32")), ops.where(fits[:, None, None], logits, 0.0)
    every, compiled = ops.full_like(lengths, ops.shape(logits)[1]), bool(tf.config.list_physical_devices("GPU")) if compiled is None else compiled
    labels = ids if compiled else tf.sparse.from_dense(ids)
    found = tf.nn.ctc_loss(labels, logits, ops.where(fits, lengths, 1), every, logits_time_major=False, blank_index=0)
    return ops.where(fits, found, ops.where(lengths > 0, IMPOSSIBLE, 0.0))


def warn_of_fast_speech(task, dataset):
    """Warns where recordings have fewer steps than their texts have ids: those are not learned.

    Args:
        task: `tasks.Generation`.
        dataset: `data.Dataset`, of whose training items the first thousand are looked at.
    """
    audio, text = task.features[task.spoken], task.features[task.target]
    frames = round(1000 * audio.seconds / audio.hop_ms)
    tower = task.towers[task.spoken](audio, task.dim, "heard", languages=len(task.languages.names))
    x = {"value": np.zeros((1, frames, audio.bins), "float32"), "mask": np.ones((1, frames), bool), "language": np.zeros(1, "int32")}
    rate = float(ops.sum(ops.cast(tower(x)["mask"], "float32"))) / audio.seconds
    pairs = [
        (rate * len(raw) / 2 / SAMPLE_RATE, min(text.count(said.decode()), text.length))
        for item in dataset.items("train").take(1000).as_numpy_iterator()
        for raw, tag in zip(item[task.spoken]["value"], item[task.spoken]["language"])
        for said, own in zip(item[task.target]["value"], item[task.target]["language"])
        if tag == own
    ]
    short = sum(steps < ids for steps, ids in pairs)
    if short * 100 > len(pairs):
        warnings.warn(
            f"{short:,} of {len(pairs):,} recordings have fewer steps, {rate:.0f} a second, than their texts have ids, so that CTC does not learn from them."
            " A smaller `hop_ms` of the recordings, fewer stages in their tower or a larger `vocab_size` of the texts helps.",
            stacklevel=4,
        )
