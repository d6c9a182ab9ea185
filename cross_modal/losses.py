"""Loss functions on arrays; no loss holds a model."""

import keras
import numpy as np
from keras import ops

ABSENT = -1


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
    | `y_pred`: embeddings times the root of the logit scale, or of several spaces side by side, divided by the root of their number | float `(batch, views, dim)` |

    Args:
        routes: square of weights, `routes[a][b]`: how much the route between kinds `a` and `b` counts, 0 where they are not trained together; symmetric.
        kind: see the table.
        spaces: number of spaces; the loss is the sum of what it is in each.

    Returns:
        `call` returns float `(batch,)`, whose mean is the weighted mean of the loss over all rows that have a right answer.

    Raises:
        ValueError: if `routes` is not a symmetric square, or there is no such kind.

    Source:
        van den Oord et al. (2018), "Representation Learning with Contrastive Predictive Coding", equation 4; Zhai et al. (2023), "Sigmoid Loss for Language Image Pre-Training",
        section 3.2, with a bias that is not learned; Faghri et al. (2018), "VSE++", equation 6.
    """

    def __init__(self, routes, kind="info_nce", spaces=1, name="contrastive", **kwargs):
        super().__init__(name=name, **kwargs)
        routes = np.asarray(routes, np.float32)
        if routes.ndim != 2 or routes.shape[0] != routes.shape[1] or (routes != routes.T).any():
            raise ValueError(f"Expected `routes` to be a symmetric square. Received: an array of shape {routes.shape}")
        if kind not in LOSSES:
            raise ValueError(f"Expected `kind` to be one of {', '.join(LOSSES)}. Received: kind={kind}")
        self.routes, self.kind, self.spaces = routes, kind, spaces

    def call(self, y_true, y_pred):
        y_true, spaces = ops.cast(y_true, "int32"), ops.split(y_pred, self.spaces, axis=2)
        return sum(self._in_space(y_true, one * self.spaces**0.5) for one in spaces)

    def _in_space(self, y_true, y_pred):
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
        return {**super().get_config(), "routes": self.routes.tolist(), "kind": self.kind, "spaces": self.spaces}


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
class Agreement(keras.losses.Loss):
    """Brings examples of the same item together and pushes those of other items away.

    | inputs | shape |
    |---|---|
    | `y_true`: number of the item below 2**24 (Keras makes them float32), -1 for an example that does not take part | int `(batch, 1)` |
    | `y_pred`: vectors | float `(batch, dim)` |

    Args:
        temperature: what cosines are divided by.

    Returns:
        `call` returns float `(batch,)`, whose mean is that over the examples of which there is another of the same item.

    Source:
        Khosla et al. (2020), "Supervised Contrastive Learning", equation 2.
    """

    def __init__(self, temperature=0.1, name="agreement", **kwargs):
        super().__init__(name=name, **kwargs)
        self.temperature = temperature

    def call(self, y_true, y_pred):
        items, vectors = ops.cast(y_true, "int32")[:, 0], ops.cast(y_pred, "float32")
        vectors = vectors / ops.sqrt(ops.maximum(ops.sum(vectors**2, axis=-1, keepdims=True), 1e-9))
        others = ops.logical_not(ops.eye(ops.shape(vectors)[0], dtype="bool")) & (items[None] >= 0)
        logits = ops.where(others, ops.matmul(vectors, ops.transpose(vectors)) / self.temperature, -1e9)
        right = ops.cast(others & (items[:, None] == items[None]), "float32")
        count = ops.sum(right, axis=1)
        rows = (ops.logsumexp(logits, axis=1) * count - ops.sum(ops.where(right > 0, logits, 0.0), axis=1)) / ops.maximum(count, 1.0)
        there = ops.cast(count > 0, "float32")
        return rows * there * (ops.cast(ops.shape(vectors)[0], "float32") / ops.maximum(ops.sum(there), 1.0))

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


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
        logits, vocab = ops.cast(y_pred, "float32"), y_pred.shape[-1]
        right = ops.one_hot(ops.cast(y_true, "int32"), vocab) * (1.0 - self.label_smoothing) + self.label_smoothing / vocab
        return ops.logsumexp(logits, axis=-1) - ops.sum(right * logits, axis=-1)  # The gradient of a gather takes as long as all of this.

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("cross_modal")
class SquaredError(keras.losses.Loss):
    """Mean squared error of each example; of a sequence over the steps that are there, and the cross-entropy of how long it is.

    | inputs | shape |
    |---|---|
    | `y_true`: values; of a sequence with one channel more, 1 where a step is there | float `(batch, ...)` |
    | `y_pred`: values; of a sequence with one channel more, logits of whether a step is there | float `(batch, ...)` |

    Args:
        steps: whether it is of sequences.

    Returns:
        `call` returns float `(batch,)`.
    """

    def __init__(self, steps=False, name="squared_error", reduction="mean_with_sample_weight", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.steps = steps

    def call(self, y_true, y_pred):
        y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        if not self.steps:
            return ops.mean((y_true - y_pred) ** 2, axis=tuple(range(1, y_pred.ndim)))
        there, logits = y_true[..., -1], y_pred[..., -1]
        each = ops.mean((y_true[..., :-1] - y_pred[..., :-1]) ** 2, axis=-1)  # (batch, time)
        error = ops.sum(each * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)
        return error + ops.mean(ops.softplus(logits) - logits * there, axis=1)

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable("cross_modal")
class Cost(keras.losses.Loss):
    """What a model says that something costs, `y_pred` `(batch,)` or `(batch, 1)`; there is nothing to compare it with."""

    def __init__(self, name="cost", reduction="mean_with_sample_weight", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        return ops.cast(ops.reshape(y_pred, (-1,)), "float32")


def disagreement(alone, there):
    """Returns by how much the fields of an item differ: one minus the cosine of each field's own latent and their mean, on average over the fields that are there.

    Args:
        alone: float `(batch, fields, latent)`.
        there: bool `(batch, fields)`.

    Returns:
        `(batch, 1)`; 0 where there is but one field.
    """
    real = ops.cast(there, alone.dtype)
    count = ops.sum(real, axis=1, keepdims=True)
    alone = alone / ops.sqrt(ops.sum(alone**2, axis=2, keepdims=True) + 1e-6)
    mean = ops.sum(alone * real[:, :, None], axis=1, keepdims=True)
    mean = mean / ops.sqrt(ops.sum(mean**2, axis=2, keepdims=True) + 1e-6)
    each = (1.0 - ops.sum(alone * mean, axis=2)) * real
    return ops.where(count > 1.0, ops.sum(each, axis=1, keepdims=True) / ops.maximum(count, 1.0), 0.0)
