"""Layers that let one tower see all views of all items at once."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cross_modal")
class FoldViews(keras.layers.Layer):
    """Joins the axes of items and views: `(batch, views, ...)` to `(batch * views, ...)`."""

    def call(self, value):
        return ops.reshape(value, (-1, *ops.shape(value)[2:]))

    def compute_output_shape(self, input_shape):
        batch, views = input_shape[:2]
        return (None if batch is None or views is None else batch * views, *input_shape[2:])


@keras.saving.register_keras_serializable("cross_modal")
class UnfoldViews(keras.layers.Layer):
    """Parts the axes of items and views again: `(batch * views, ...)` to `(batch, views, ...)`.

    Args:
        views: number of views of an item.
    """

    def __init__(self, views, **kwargs):
        super().__init__(**kwargs)
        self.views = views

    def call(self, value):
        return ops.reshape(value, (-1, self.views, *ops.shape(value)[1:]))

    def compute_output_shape(self, input_shape):
        batch = input_shape[0]
        return (None if batch is None else batch // self.views, self.views, *input_shape[1:])

    def get_config(self):
        return {**super().get_config(), "views": self.views}
