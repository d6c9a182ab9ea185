"""What a trained model answers, as what another is to learn."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from cross_modal.features.saved import load_features

_NAME = "teacher.{}"  # In a batch, a field as the teacher reads it.
_KINDS = {"run": (str, pathlib.Path), "weight": (int, float), "temperature": (int, float), "languages": dict}


def make_teacher(task, given):
    """Returns the `Teacher` of a task that `training.teacher` of run.yaml describes; raises ValueError as that does, and where it describes none."""
    given = given if isinstance(given, dict) else {"run": given}
    if "run" not in given or not set(given) <= set(_KINDS):
        raise ValueError(f"Expected `teacher` to hold run, weight, temperature and languages. Received: {', '.join(map(str, given))}")
    wrong = {key: one for key, one in given.items() if not isinstance(one, _KINDS[key])}
    if wrong:
        raise ValueError(f"Expected `teacher` to hold the folder of a run, numbers for weight and temperature, and under languages tags of fields. Received: {wrong}")
    return Teacher(task=task, **given)


class Teacher:
    """A run that answers labels, whose probabilities another learns beside the labels, and in their place where there are none.

    It reads views of its own of each item: other fields than the one it teaches, or a text in another language.

    Args:
        run: its folder.
        task: `Task` that is taught, with labels of the same classes.
        weight: how much its probabilities count beside a label, from 0 to 1.
        temperature: what its logits are divided by: above 1 it says more of what it takes for likely too.
        languages: dict of a field to the tags of the views that it reads, where an item has such.

    Raises:
        FileNotFoundError: if the folder holds no run that is done.
        ValueError: if it answers none of the labels, has other classes, or an option has no meaning.

    Source:
        Hinton et al. (2015), "Distilling the Knowledge in a Neural Network", section 2, with soft targets mixed with the labels.
    """

    def __init__(self, run, task, weight=0.5, temperature=1.0, languages=()):
        if not 0 < weight <= 1 or temperature <= 0:
            raise ValueError(f"Expected `weight` above 0 and at most 1, and `temperature` above 0. Received: weight={weight}, temperature={temperature}")
        if getattr(task, "every_pattern", False):
            raise ValueError("Expected `teacher` without the option every_pattern: it answers by all that it reads. Received: every_pattern=True")
        path = pathlib.Path(run) / "model.keras"
        if not path.exists():
            raise FileNotFoundError(f"Expected the folder of a run that is done, with model.keras, to learn from. Received: {run}")
        self.weight, self.temperature, self.model = weight, temperature, keras.models.load_model(path, compile=False)
        features, self.languages = load_features(run)
        several = getattr(task, "multi_label", ())
        self.labels = [name for name, one in task.features.items() if one.kind == "label" and name in features and name in self.model.output and name not in several]
        if not self.labels:
            known = [name for name, one in features.items() if one.kind == "label"]
            raise ValueError(f"Expected a run that answers a label that is learned, one class an item. Received: {run}, which answers {', '.join(known) or 'none'}")
        for name in self.labels:
            if features[name].names != task.features[name].names:
                raise ValueError(f"Expected the classes {', '.join(task.features[name].names[:5])} of {name}. Received: {', '.join(features[name].names[:5])} of {run}")
        self.fields = list(self.model.input)
        self.features = {_NAME.format(name): features[name] for name in self.fields}
        self.again = {_NAME.format(name): name for name in self.fields}
        unknown = set(dict(languages)) - set(self.fields)
        if unknown:
            raise ValueError(f"Expected `languages` of fields that the teacher reads: {', '.join(self.fields)}. Received: {', '.join(sorted(unknown))}")
        self.drawn_first = {_NAME.format(name): (tags,) if isinstance(tags, str) else tuple(tags) for name, tags in dict(languages).items()}
        places = [self.languages.names.index(tag) if tag in self.languages.names else 0 for tag in task.languages.names]
        self._places = np.array(places, np.int32)  # Of the languages of the task among those of the teacher.

    def teach(self, batch, x, y, weight):
        """Mixes what it answers into an example, as TensorFlow graph code.

        Args:
            batch: of `data.batches`, with the fields of `again`.
            x: of the task's example, as `y` and `weight`.

        Returns:
            The example.
        """
        seen = {name: {key: batch[_NAME.format(name)][key][:, 0] for key in ("value", "mask", "language")} for name in self.fields}
        seen = {name: {**one, "language": tf.gather(self._places, one["language"])} for name, one in seen.items()}
        there = tf.reduce_any([tf.reduce_any(one["mask"], 1) for one in seen.values()], 0)
        said = self.model(seen, training=False)
        y, weight = dict(y), dict(weight)
        for name in self.labels:
            times = tf.shape(y[name])[0] // tf.shape(there)[0]  # Items may stand in it several times, one time below the other.
            answers, seen = tf.tile(tf.nn.softmax(tf.cast(said[name], tf.float32) / self.temperature), [times, 1]), tf.tile(there, [times])
            known = weight[name] > 0
            share = tf.where(seen, tf.where(known, self.weight, 1.0), 0.0)[:, None]
            y[name] = (1.0 - share) * y[name] + share * answers
            weight[name] = tf.where(known, weight[name], tf.where(seen, self.weight, 0.0))
        return x, y, weight
