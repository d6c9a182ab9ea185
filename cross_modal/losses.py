"""Loss functions on arrays; no loss holds a model."""

import keras
import numpy as np
from keras import ops

ABSENT = -1


@keras.saving.register_keras_serializable("cross_modal")
class InfoNCE(keras.losses.Loss):
    """Pulls the views of an item together and pushes the views of other items in the batch away; also known as NT-Xent or the CLIP loss.

    Each two places of views are one contrast, in both directions. A route (a pair of kinds of view) that is not allowed is not in it at all, neither as the right answer
    nor among the wrong ones. Wrong answers that are right in truth (the same item twice in a batch, or the same content in two items) are left out.

    | inputs | shape |
    |---|---|
    | `y_true`: kind of view (-1 absent), number of the item, number of the content, all below 2**24 (Keras makes them float32) | int `(batch, views, 3)` |
    | `y_pred`: embeddings times the root of the logit scale | float `(batch, views, dim)` |

    Args:
        routes: square of bools, `routes[a][b]`: whether kinds `a` and `b` are trained together; symmetric.

    Returns:
        `call` returns float `(batch,)`, whose mean is the mean cross-entropy over all rows that have a right answer.

    Raises:
        ValueError: if `routes` is not a symmetric square.

    Source:
        van den Oord et al. (2018), "Representation Learning with Contrastive Predictive Coding", equation 4.
    """

    def __init__(self, routes, name="info_nce", **kwargs):
        super().__init__(name=name, **kwargs)
        routes = np.asarray(routes, bool)
        if routes.ndim != 2 or routes.shape[0] != routes.shape[1] or (routes != routes.T).any():
            raise ValueError(f"Expected `routes` to be a symmetric square of bools. Received: an array of shape {routes.shape}")
        self.routes = routes

    def call(self, y_true, y_pred):
        y_true = ops.cast(y_true, "int32")
        views = y_pred.shape[1]
        rows, count = ops.zeros_like(y_pred[:, 0, 0]), 0.0
        for a in range(views):
            for b in range(a + 1, views):
                logits = ops.matmul(y_pred[:, a], ops.transpose(y_pred[:, b]))  # (batch, batch)
                allowed, positive = self._cells(y_true[:, a], y_true[:, b])
                for scores, usable, right in (
                    (logits, allowed, positive),
                    (ops.transpose(logits), ops.transpose(allowed), positive),
                ):
                    rows = rows + _cross_entropy(scores, usable) * right
                    count = count + ops.sum(right)
        return rows * (ops.cast(ops.shape(y_pred)[0], rows.dtype) / ops.maximum(count, 1.0))

    def _cells(self, a, b):
        """Which cells (item i's first view, item j's second) take part, and which rows have their answer on the diagonal."""
        known = (a[:, None, 0] >= 0) & (b[None, :, 0] >= 0)
        table = ops.convert_to_tensor(self.routes.reshape(-1))
        route = ops.maximum(a[:, None, 0], 0) * len(self.routes) + ops.maximum(b[None, :, 0], 0)
        usable = known & ops.take(table, route)
        same_item = a[:, None, 1] == b[None, :, 1]
        # The content of row i's answer stands in column i: any other column with that content is no wrong answer; and the other way round.
        same_content = (b[:, None, 2] == b[None, :, 2]) | (a[:, None, 2] == a[None, :, 2])
        diagonal = ops.eye(ops.shape(a)[0], dtype="bool")
        positive = ops.cast(ops.any(usable & diagonal, axis=1), "float32")
        return usable & (diagonal | ~(same_item | same_content)), positive

    def get_config(self):
        return {**super().get_config(), "routes": self.routes.tolist()}


def _cross_entropy(logits, usable):
    """Cross-entropy of the diagonal among the usable cells of each row, `(batch,)`."""
    logits = ops.cast(logits, "float32")
    masked = ops.where(usable, logits, -1e9)
    return ops.logsumexp(masked, axis=1) - ops.diagonal(logits)
