"""The contract of what is learned: all that training, scoring, serving and export know of a task."""

import abc
import dataclasses
import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from cross_modal.features import Feature, Language

STRING = tf.TensorSpec((None,), tf.string)  # Of an argument of an endpoint.


def is_number(one):
    return isinstance(one, (int, float)) and not isinstance(one, bool)


def check_numbers(**options):
    """Raises a ValueError that names an option, if it is no number of at least 0, or no dict to such."""
    for name, given in options.items():
        numbers = given.values() if isinstance(given, dict) else [given]
        if not all(is_number(one) and one >= 0 for one in numbers):
            raise ValueError(f"Expected `{name}` {'to hold numbers' if isinstance(given, dict) else 'to be a number'} of at least 0. Received: {name}={given}")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One way to ask a model, from raw values to answers. Call it with string tensors `(batch,)` by keyword.

    Args:
        function: TensorFlow graph code, from keyword arguments to a dict of tensors.
        signature: dict of argument to `tf.TensorSpec`; strings `(batch,)`. An empty string is an absent value.
    """

    function: Callable
    signature: dict[str, tf.TensorSpec]

    @functools.cached_property
    def compiled(self):
        """The function as one graph for any batch."""
        specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in self.signature.items()}
        return tf.function(self.function).get_concrete_function(**specs)

    def __call__(self, **raw):
        return self.compiled(**raw)


@dataclasses.dataclass(frozen=True)
class Task(abc.ABC):
    """What is read, built, optimised, scored and served. A task makes a plain `keras.Model`; it holds none.

    Subclasses are final frozen dataclasses; each has the fields below.

    Args:
        features: dict of field to `Feature`; what is read of an item.
        languages: `Language`, for the tags of the views.
    """

    features: dict[str, Feature]
    languages: Language

    @property
    @abc.abstractmethod
    def draws(self) -> dict[str, int]:
        """How many views of each field are drawn from an item in training."""

    @property
    def sources(self) -> list[str]:
        """Names of the fields that are read; by default all that are no label."""
        return [name for name, feature in self.features.items() if feature.kind != "label"]

    @property
    def drawn_first(self) -> dict[str, tuple[str, ...]]:
        """Languages of a field whose views are drawn before others; by default none are."""
        return {}

    @property
    def again(self) -> dict[str, str]:
        """Further names in a batch, each with the field whose views are drawn once more under it, such as what is written beside what is read."""
        return {}

    @classmethod
    def usual_parts(cls, options) -> dict[str, str]:
        """Dict of `fusion` or `decoder` to the name of that which is taken where none is named, if it depends on the options."""
        return {}

    choose = None  # Where views are not drawn by chance: see `choose` of `data.batches`.

    def check(self, dataset):  # noqa: B027  Most tasks learn from whatever is there.
        """Called before training; raises ValueError where the training split of a dataset has nothing to learn from, and warns of what will not be learned."""

    @abc.abstractmethod
    def build(self) -> keras.Model:
        """Builds the model, not compiled, from what `example` calls `x` to what it calls `y`."""

    def regularize(self, model):  # noqa: B027  Most tasks leave it to the optimizer's weight decay.
        """Called before training, also when it is gone on with; sets the regularizers of weights."""

    @abc.abstractmethod
    def example(self, batch):
        """Turns a batch of `data.batches` into `(x, y, weight)`, as TensorFlow graph code."""

    @abc.abstractmethod
    def objective(self) -> dict:
        """Returns what `model.compile` needs besides the optimizer: loss, loss weights, metrics."""

    @abc.abstractmethod
    def score(self, model, batches) -> dict:
        """Measures the model on batches of all views, one pass; returns plain values that JSON can hold. Under `predictions` may stand a list of dicts, a
        row for each answer; under `examples`, items for `pages.examples_page`."""

    @abc.abstractmethod
    def merit(self, scores) -> float:
        """The one number of a `score` by which runs of this task are compared; higher is better."""

    @abc.abstractmethod
    def summary(self, scores) -> str:
        """Says the result of `score`, with that of `baseline` under the key `baseline` or without, to a person, in a few lines."""

    def baseline(self, dataset, split) -> dict:
        """Scores on a split what costs nothing to train, in the form of `score`, for `summary` to set beside it; empty where there is no such thing."""
        return {}

    @abc.abstractmethod
    def endpoints(self, model) -> dict[str, Endpoint]:
        """Returns what the exported model offers, by name; the first is the default."""

    @classmethod
    def join(cls, parts) -> dict[str, Endpoint]:
        """Returns the endpoints of several models of this task, pairs of task and model, as one; raises ValueError where there is no such thing."""
        raise ValueError(f"Expected runs that align, or that classify, to be joined. Received: {len(parts)} of {cls.__name__}")

    def score_joined(self, parts, chunks) -> dict:
        """Scores what `join` answers, in the form of `score`, by a task that knows the languages of all parts; `chunks` are lists of items of a `Dataset`. Raises as `join`."""
        return self.join(parts)  # Which there is none of.
