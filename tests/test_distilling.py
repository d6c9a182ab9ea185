import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import tasks, towers, training
from cross_modal.config import save_run
from cross_modal.data import batches
from cross_modal.distilling import Teacher, make_teacher
from cross_modal.features import Label, Language

TOWERS = {"image": functools.partial(towers.image.cnn, widths=(4,)), "text": towers.text.bag}


def _task(learned, *fields):
    features, languages = learned
    return tasks.Classification({name: features[name] for name in (*fields, "parity")}, languages, towers={name: TOWERS[name] for name in fields}, dim=8)


@pytest.fixture(scope="module")
def run(learned, tmp_path_factory):
    """A run that reads texts, with languages in another order."""
    folder, task = tmp_path_factory.mktemp("teacher"), _task(learned, "text")
    task = dataclasses.replace(task, languages=Language(["und", *reversed(task.languages.names[1:])]))
    keras.utils.set_random_seed(1)
    task.build().save(folder / "model.keras")
    save_run(folder, {}, task.features, task.languages)
    return folder


def test_a_label_is_mixed_with_what_the_teacher_says(learned, dataset, run):
    """The student reads pictures, the teacher English words of the same items; one item has no label."""
    task = _task(learned, "image")
    teacher = Teacher(run, task, 0.25, 2.0, {"text": ["en"]})
    fields, again = {**task.features, **teacher.features}, teacher.again
    batch = next(iter(batches(dataset, "train", fields, task.languages, 4, draws=task.draws, drawn_first=teacher.drawn_first, again=again, seed=0)))
    assert set(batch["teacher.text"]["language"].numpy().ravel().tolist()) == {task.languages.names.index("en")}
    batch["parity"]["mask"] &= np.arange(4)[:, None, None] > 0
    x, y, weight = task.example(batch)
    _, taught, heavy = teacher.teach(batch, x, y, weight)
    model, names = keras.models.load_model(run / "model.keras"), ["und", *reversed(task.languages.names[1:])]
    seen = {key: value[:, 0] for key, value in batch["teacher.text"].items() if key in ("value", "mask")}
    said = tf.nn.softmax(model({"text": {**seen, "language": tf.fill([4], names.index("en"))}})["parity"] / 2.0).numpy()
    np.testing.assert_allclose(taught["parity"][0], said[0], atol=1e-5)
    np.testing.assert_allclose(taught["parity"][1:], 0.75 * y["parity"].numpy()[1:] + 0.25 * said[1:], atol=1e-5)
    assert heavy["parity"].numpy().tolist() == [0.25, 1.0, 1.0, 1.0] and set(x) == {"image"}


def test_examples_that_stand_twice_are_taught_twice(learned, dataset, run):
    """As those are whose second views are beside the first, see the option parallel."""
    task = dataclasses.replace(_task(learned, "text"), parallel={"text": 1.0})
    teacher = Teacher(run, task, 1.0)
    batch = next(iter(batches(dataset, "train", {**task.features, **teacher.features}, task.languages, 4, draws=task.draws, again=teacher.again, seed=0)))
    _, y, weight = teacher.teach(batch, *task.example(batch))
    assert y["parity"].shape[0] == 8 == weight["parity"].shape[0]
    np.testing.assert_array_equal(y["parity"][:4], y["parity"][4:])


def test_a_run_learns_from_it(learned, dataset, run, tmp_path):
    """Of a teacher alone: the loss is the cross-entropy of its answers, at least their entropy."""
    task = _task(learned, "image")
    training.fit(task, dataset, tmp_path, teacher={"run": str(run), "weight": 1.0}, epochs=1, steps_per_epoch=2, batch_size=8, progress=False)
    assert (tmp_path / "model.keras").exists()


def test_what_cannot_teach_is_told(learned, run, tmp_path):
    task = _task(learned, "image")
    with pytest.raises(FileNotFoundError, match="a run that is done, with model.keras, to learn from. Received: .*nowhere"):
        Teacher(tmp_path / "nowhere", task)
    with pytest.raises(ValueError, match="Expected `weight` above 0 and at most 1, and `temperature` above 0. Received: weight=2, temperature=1.0"):
        Teacher(run, task, 2)
    with pytest.raises(ValueError, match="`languages` of fields that the teacher reads: text. Received: image"):
        Teacher(run, task, languages={"image": ["en"]})
    with pytest.raises(ValueError, match="without the option every_pattern"):
        Teacher(run, dataclasses.replace(_task(learned, "image", "text"), every_pattern=True))
    with pytest.raises(ValueError, match="`teacher` to hold run, weight, temperature and languages. Received: run, weigth"):
        make_teacher(task, {"run": run, "weigth": 1.0})
    wrong = [({"weight": 1.0}, "Received: weight"), (5, "{'run': 5}"), ({"run": run, "weight": "high"}, "{'weight': 'high'}"), ({"run": run, "languages": None}, "None}")]
    for given, words in wrong:
        with pytest.raises(ValueError, match=f"Expected `teacher` to hold .*{words}"):
            make_teacher(task, given)
    assert make_teacher(task, str(run)).weight == 0.5 and make_teacher(task, {"run": run, "languages": {"text": "en"}}).drawn_first == {"teacher.text": ("en",)}
    other = dataclasses.replace(task, features={**task.features, "parity": Label(["a", "b"])})
    with pytest.raises(ValueError, match="Expected the classes a, b of parity. Received: even, odd"):
        Teacher(run, other)
    with pytest.raises(ValueError, match="a run that answers a label that is learned, one class an item. Received: .* which answers parity"):
        Teacher(run, dataclasses.replace(task, features={**{name: one for name, one in task.features.items() if name != "parity"}, "digits": learned[0]["digits"]}))
