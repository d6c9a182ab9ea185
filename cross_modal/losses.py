"""Loss functions on arrays; no loss holds a model."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

ABSENT = -1
ABSENT_LOGIT = -1e9  # Of all ids but the blank, at steps that are not there.


@keras.saving.register_keras_serializable("cross_modal")
class Contrastive(keras.losses.Loss):
    """Pulls the views of an item together and pushes the views of other items in the batch away.

    | kind | of each view | use it for |
    |---|---|---|
    | `info_nce` | cross-entropy of the right answer among all in the batch; also known as NT-Xent or the CLIP loss | most things |
    | `sigmoid` | each pair by itself, right or wrong | small batches, several right answers |
    | `triplet` | the nearest wrong answer must be a margin of 0.2 in cosine behind the right one | small data, when the others are tuned out |

    Each two places of views are one contrast, in both directions. A route (a pair of kinds of view) that is not allowed is not in it at all, neither as the right answer
    nor among the wrong ones. Wrong answers that are right in truth (the same item twice in a batch, or the same content in two items) are left out.

    | inputs | shape |
    |---|---|
    | `y_true`: kind of view (-1 absent), number of the item, number of the content, all below 2**24 (Keras makes them float32) | int `(batch, views, 3)` |
    | `y_pred`: embeddings times the root of the logit scale | float `(batch, views, dim)` |

    Args:
        routes: square of weights, `routes[a][b]`: how much the route between kinds `a` and `b` counts, 0 where they are not trained together; symmetric.
        kind: see the table.

    Returns:
        `call` returns float `(batch,)`, whose mean is the weighted mean of the loss over all rows that have a right answer.

    Raises:
        ValueError: if `routes` is not a symmetric square, or there is no such kind.

    Source:
        van den Oord et al. (2018), "Representation Learning with Contrastive Predictive Coding", equation 4; Zhai et al. (2023), "Sigmoid Loss for Language Image Pre-Training",
        section 3.2, with a bias that is not learned; Faghri et al. (2018), "VSE++", equation 6.
    """

    def __init__(self, routes, kind="info_nce", name="contrastive", **kwargs):
        super().__init__(name=name, **kwargs)
        routes = np.asarray(routes, np.float32)
        if routes.ndim != 2 or routes.shape[0] != routes.shape[1] or (routes != routes.T).any():
            raise ValueError(f"Expected `routes` to be a symmetric square. Received: an array of shape {routes.shape}")
        if kind not in LOSSES:
            raise ValueError(f"Expected `kind` to be one of {', '.join(LOSSES)}. Received: kind={kind}")
        self.routes, self.kind = routes, kind

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        views = y_pred.shape[1]
        rows, count = ops.zeros_like(y_pred[:, 0, 0]), 0.0
        for a in range(views):
            for b in range(a + 1, views):
                logits = ops.cast(ops.matmul(y_pred[:, a], ops.transpose(y_pred[:, b])), "float32")  # (batch, batch)
                scale = ops.sqrt(ops.sum(y_pred[:, a] ** 2, axis=-1) * ops.sum(y_pred[:, b] ** 2, axis=-1))
                allowed, weight = self._cells(y_true[:, a], y_true[:, b])
                for scores, usable in ((logits, allowed), (ops.transpose(logits), ops.transpose(allowed))):
                    rows = rows + LOSSES[self.kind](scores, usable, ops.cast(scale, "float32")) * weight
                    count = count + ops.sum(weight)
        return rows * (ops.cast(ops.shape(y_pred)[0], rows.dtype) / ops.maximum(count, 1e-6))

    def _cells(self, a, b):
        """Which cells (item i's first view, item j's second) take part, and how much each row counts; 0 where its answer is not on the diagonal."""
        known = (a[:, None, 0] >= 0) & (b[None, :, 0] >= 0)
        table = ops.convert_to_tensor(self.routes.reshape(-1))
        route = ops.maximum(a[:, None, 0], 0) * len(self.routes) + ops.maximum(b[None, :, 0], 0)
        weights = ops.take(table, route)
        usable = known & (weights > 0)
        same_item = a[:, None, 1] == b[None, :, 1]
        # The content of row i's answer stands in column i: any other column with that content is no wrong answer; and the other way round.
        same_content = (b[:, None, 2] == b[None, :, 2]) | (a[:, None, 2] == a[None, :, 2])
        diagonal = ops.eye(ops.shape(a)[0], dtype="bool")
        weight = ops.sum(ops.where(usable & diagonal, weights, 0.0), axis=1)
        return usable & (diagonal | ~(same_item | same_content)), weight

    def get_config(self):
        return {**super().get_config(), "routes": self.routes.tolist(), "kind": self.kind}


def _info_nce(logits, usable, scale):
    """Cross-entropy of the diagonal among the usable cells of each row, `(batch,)`."""
    masked = ops.where(usable, logits, -1e9)
    return ops.logsumexp(masked, axis=1) - ops.diagonal(logits)


def _sigmoid(logits, usable, scale):
    """Whether each usable cell is right, each by itself. The bias says that one of them is."""
    usable = ops.cast(usable, "float32")
    logits = logits - ops.log(ops.maximum(ops.sum(usable, axis=1, keepdims=True) - 1.0, 1.0))
    sign = 2.0 * ops.eye(ops.shape(logits)[0]) - 1.0
    return ops.sum(ops.softplus(-sign * logits) * usable, axis=1)


def _triplet(logits, usable, scale):
    """How far the nearest wrong answer is from being a margin behind the right one, in cosine."""
    cosines = logits / ops.maximum(scale, 1e-6)[:, None]
    wrong = usable & ~ops.eye(ops.shape(logits)[0], dtype="bool")
    nearest = ops.max(ops.where(wrong, cosines, -2.0), axis=1)
    return ops.relu(0.2 + nearest - ops.diagonal(cosines))


LOSSES = {"info_nce": _info_nce, "sigmoid": _sigmoid, "triplet": _triplet}


@keras.saving.register_keras_serializable("cross_modal")
class SmoothedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of the next id, a share of which is spread over all ids.

    | inputs | shape |
    |---|---|
    | `y_true`: ids below 2**24 (Keras makes them float32) | int `(batch, time)` |
    | `y_pred`: logits | float `(batch, time, vocab)` |

    Args:
        label_smoothing: the share.

    Returns:
        `call` returns float `(batch, time)`, to be weighted by a mask.

    Source:
        Szegedy et al. (2016), "Rethinking the Inception Architecture for Computer Vision", section 7.
    """

    def __init__(self, label_smoothing=0.0, name="cross_entropy", reduction="mean_with_sample_weight", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        logits = ops.cast(y_pred, "float32")
        right = ops.take_along_axis(logits, ops.cast(y_true, "int32")[:, :, None], axis=-1)[:, :, 0]
        return ops.logsumexp(logits, axis=-1) - (1.0 - self.label_smoothing) * right - self.label_smoothing * ops.mean(logits, axis=-1)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


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
        return ctc_cost(y_true, y_pred) / ops.maximum(ops.sum(ops.cast(y_true > 0, "float32"), axis=1), 1.0)


def ctc_cost(y_true, y_pred, compiled=None):
    """What each text costs, in nats.

    Args:
        y_true: see `CTC`, as `y_pred`.
        compiled: whether to make do without TensorFlow's kernel for CPUs, which is 13 times as fast and which XLA has none of; None where there is a GPU.

    Returns:
        float `(batch,)`.
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
    return ops.where(fits, found, 0.0)
