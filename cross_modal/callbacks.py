"""What happens between the steps and epochs of training."""

import math

import keras

from cross_modal.transfer import settings_of

# How much of the highest learning rate is left: functions of the share of the steps since it was reached, and of the number of steps, then and now.
SCHEDULES = {
    "cosine": lambda share, rise, step: 0.5 * (1 + math.cos(math.pi * share)),
    "linear": lambda share, rise, step: 1 - share,
    "exponential": lambda share, rise, step: 0.01**share,
    "inverse_sqrt": lambda share, rise, step: math.sqrt(rise / (step + 1)),
    "constant": lambda share, rise, step: 1.0,
}


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate of each step: a line up, then down by a schedule.

    A Keras schedule is traced once for each weight, which doubles the time until the first step.

    Args:
        highest: learning rate.
        schedule: of `SCHEDULES`.
        warmup: share of the steps in which it rises.
        steps: in an epoch.
        epochs: number of epochs.
    """

    def __init__(self, highest, schedule, warmup, steps, epochs):
        super().__init__()
        self.highest, self.schedule, self.steps, self.all = highest, schedule, steps, steps * epochs
        self.rise = max(1, round(warmup * self.all))

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate.assign(self.at(self.epoch * self.steps + batch))

    def at(self, step):
        """Returns the learning rate of a step, counted from 0."""
        if step < self.rise:
            return self.highest * (step + 1) / self.rise
        return self.highest * self.schedule((step - self.rise) / max(1, self.all - self.rise), self.rise, step)


class LateDropout(keras.callbacks.Callback):
    """Drops nothing in the first epochs. Between epochs the rates are as they were, as what is saved then is gone on with.

    Args:
        first: number of the first epoch, from 0, that drops.
    """

    def __init__(self, first):
        super().__init__()
        self.first = first

    def on_train_begin(self, logs=None):
        self.rates = [(layer, layer.rate) for layer in self.model._flatten_layers() if isinstance(layer, keras.layers.Dropout)]

    def on_epoch_begin(self, epoch, logs=None):
        if epoch < self.first:
            for layer, _ in self.rates:
                layer.rate = 0.0
        elif epoch == self.first:
            self.model.make_train_function(force=True)  # It was traced without dropout.

    def on_epoch_end(self, epoch, logs=None):
        for layer, rate in self.rates:
            layer.rate = rate


class Freeze(keras.callbacks.Callback):
    """Leaves layers as they are for a share of the epochs, or for all. Between epochs all can be trained, as what is saved then is gone on with.

    Args:
        patterns: dict of a pattern, see `transfer.settings_of`, to a share of the epochs, 1 for all.
        epochs: number of epochs.

    Raises:
        ValueError: when training begins, if a pattern fits no layer, a share is not between 0 and 1, or nothing is left to train.
    """

    def __init__(self, patterns, epochs):
        super().__init__()
        self.patterns, self.epochs = dict(patterns), epochs

    def on_train_begin(self, logs=None):
        if any(not 0 <= share <= 1 for share in self.patterns.values()):
            raise ValueError(f"Expected `freeze` to be a share of the epochs, from 0 to 1, for each part. Received: freeze={self.patterns}")
        # What was built not to be trained, such as a pretrained model, is never thawed.
        self.shares, self.traced = [(layer, share) for layer, share in settings_of(self.model, self.patterns) if layer.trainable], None

    def on_epoch_begin(self, epoch, logs=None):
        wanted = [epoch >= share * self.epochs for _, share in self.shares]
        for (layer, _), free in zip(self.shares, wanted):
            layer.trainable = free
        if not self.model.trainable_variables:
            raise ValueError(f"Expected something to train. Received: freeze={self.patterns}, which leaves nothing in epoch {epoch + 1}")
        if wanted != self.traced:
            self.model.make_train_function(force=True)
        self.traced = wanted

    def on_epoch_end(self, epoch, logs=None):
        for layer, _ in self.shares:
            layer.trainable = True  # A model that is saved frozen comes back with an optimizer that knows nothing of the frozen weights.
