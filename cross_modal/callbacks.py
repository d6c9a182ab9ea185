"""What happens between the steps and epochs of training."""

import csv
import json
import math
import sys
import time

import keras
from tqdm import tqdm

from cross_modal.transfer import settings_of

STATE = "checkpoints/state.json"  # In a run: what it goes on from.
BEST = "checkpoints/best.weights.h5"

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


def checkpoint(run, epoch):
    """Where the model of an epoch is kept."""
    return run / f"checkpoints/epoch_{epoch}.keras"


def seed_generators(model):
    """The states of dropout and the like, which Keras does not save with a model."""
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]


class Keeper(keras.callbacks.Callback):
    """Keeps the history, the best weights, the state to go on from, and the user informed; stops when nothing gets better.

    Stock callbacks forget the best value and the patience over a restart; here all of it is in `state.json`.
    """

    def __init__(self, run, state, patience, epochs, steps, progress, averaged):
        super().__init__()
        self.averaged = averaged
        self.run, self.state, self.patience, self.epochs = run, state, patience, epochs
        self.show, self.bar = progress, None
        if progress and sys.stderr.isatty():
            self.bar = tqdm(total=epochs * steps, initial=state["epoch"] * steps, desc="train", unit="step", mininterval=0.5)

    def on_train_begin(self, logs=None):
        self.began, self.first = time.monotonic(), self.state["epoch"]
        path = self.run / "history.csv"
        if path.exists():  # Rows after the epoch that the state is from were not finished.
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(lines[: 1 + self.state["epoch"]]))

    def on_train_batch_end(self, batch, logs=None):
        if self.bar:
            self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        logs = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        if not math.isfinite(logs["loss"]):
            raise ValueError(
                f"Expected the loss to be a number. Received: {logs['loss']} in epoch {epoch + 1}. A lower learning rate may help"
                f"{f'; the best weights up to here are in {self.run / BEST}' if (self.run / BEST).exists() else ''}."
            )
        if squared := [weight for weight in self.model.trainable_variables if weight.regularizer is not None]:
            logs["regularization"] = sum(float(weight.regularizer(weight)) for weight in squared)  # As it is in the loss.
        self._add_row(logs)
        value = logs.get("val_loss")
        better = value is not None and math.isfinite(value) and (self.state["best"] is None or value < self.state["best"])
        if better:
            self._save_best()
        wait = 0 if better else self.state["wait"] + 1
        stopped = self.patience is not None and value is not None and wait >= self.patience
        seeds = [generator.numpy().tolist() for generator in seed_generators(self.model)]
        self.state = {"epoch": epoch + 1, "best": value if better else self.state["best"], "wait": wait, "stopped": stopped, "seeds": seeds}
        self._save_state()
        self.model.stop_training = stopped
        self._tell(logs)

    def on_train_end(self, logs=None):
        if self.bar:
            self.bar.close()

    def _save_best(self):
        if self.averaged:
            self.averaged.on_test_begin()  # Takes the moving average in.
        self.model.save_weights(self.run / BEST)
        if self.averaged:
            self.averaged.on_test_end()

    def _save_state(self):
        """Saves so that a run killed at any moment has a state and the model that it is of."""
        epoch = self.state["epoch"]
        self.model.save(checkpoint(self.run, epoch))
        draft = self.run / f"{STATE}.draft"
        draft.write_text(json.dumps(self.state))
        draft.replace(self.run / STATE)
        checkpoint(self.run, epoch - 1).unlink(missing_ok=True)

    def _add_row(self, logs):
        path = self.run / "history.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(logs))
            if new:
                writer.writeheader()
            writer.writerow(logs)

    def _tell(self, logs):
        words = " ".join(f"{name} {value:.3f}" for name, value in logs.items() if name.endswith("loss") or name.endswith("accuracy"))
        if self.bar:
            self.bar.set_postfix_str(words)
        elif self.show:
            spent = time.monotonic() - self.began
            left = spent / (logs["epoch"] - self.first) * (self.epochs - logs["epoch"])
            print(f"epoch {logs['epoch']}/{self.epochs}  {words}  ({spent:.0f} s, about {left:.0f} s left)", flush=True)
