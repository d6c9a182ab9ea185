import csv
import functools

import keras
import numpy as np
import pytest

from cross_modal import tasks, towers, training
from cross_modal.training import fit


@pytest.fixture(scope="module")
def task(learned):
    features, languages = learned
    features = {name: features[name] for name in ("image", "parity")}
    return tasks.Classification(features, languages, towers={"image": functools.partial(towers.image.cnn, widths=(4,))}, dim=8)


def _history(run):
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))


OPTIONS = {"steps_per_epoch": 2, "batch_size": 8, "epochs": 4, "progress": False}


@pytest.fixture(scope="module")
def whole(task, dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("whole")
    return run, fit(task, dataset, run, **OPTIONS)


def test_a_run_holds_model_history_and_state(whole, task, dataset):
    run, model = whole
    assert [row["epoch"] for row in _history(run)] == ["1", "2", "3", "4"]
    assert {"loss", "val_loss"} <= set(_history(run)[0])
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.weights.h5", "epoch_4.keras", "state.json"]
    loaded = keras.models.load_model(run / "model.keras")
    for a, b in zip(loaded.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_the_best_epoch_is_what_comes_out(whole):
    run, model = whole
    best = keras.models.load_model(next((run / "checkpoints").glob("epoch_*.keras")))
    best.load_weights(run / "checkpoints" / "best.weights.h5")
    for a, b in zip(best.get_weights(), model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_was_cut_off_goes_on_to_the_same_end(task, dataset, whole, tmp_path, monkeypatch):
    def cut(self, logs):
        if logs["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training._Keeper, "_tell", cut)
        with pytest.raises(KeyboardInterrupt):
            fit(task, dataset, tmp_path, **OPTIONS)
    assert not (tmp_path / "model.keras").exists()
    fit(task, dataset, tmp_path, resume=True, **OPTIONS)
    losses = [[float(row["loss"]) for row in _history(run)] for run in (tmp_path, whole[0])]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_a_finished_run_is_not_trained_again(task, dataset, whole):
    run, model = whole
    before = (run / "history.csv").read_text()
    again = fit(task, dataset, run, resume=True, **OPTIONS)
    assert (run / "history.csv").read_text() == before
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_a_folder_with_a_run_is_not_written_over(task, dataset, whole):
    with pytest.raises(FileExistsError, match="--resume"):
        fit(task, dataset, whole[0], **OPTIONS)


def test_patience_ends_a_run(task, dataset, tmp_path):
    fit(task, dataset, tmp_path, **{**OPTIONS, "epochs": 30, "learning_rate": 0.0}, patience=2)
    assert len(_history(tmp_path)) == 3


def test_a_loss_that_is_no_number_stops_the_run(task, dataset, tmp_path):
    with pytest.raises(ValueError, match="loss to be a number.*lower learning rate"):
        fit(task, dataset, tmp_path, **{**OPTIONS, "learning_rate": float("inf")})


def test_the_seed_decides_the_weights(task, dataset, whole, tmp_path):
    same = fit(task, dataset, tmp_path / "same", **OPTIONS)
    other = fit(task, dataset, tmp_path / "other", seed=1, **OPTIONS)
    np.testing.assert_allclose(same.get_weights()[0], whole[1].get_weights()[0], rtol=1e-4, atol=1e-6)
    assert not np.allclose(other.get_weights()[0], whole[1].get_weights()[0], atol=1e-3)


def test_the_learning_rate_rises_and_falls():
    schedule = training._Schedule(1.0, 0.1, steps=10, epochs=10)
    assert schedule.at(0) == pytest.approx(0.1) and schedule.at(9) == pytest.approx(1.0)
    assert schedule.at(55) == pytest.approx(0.5) and schedule.at(99) < 0.001
