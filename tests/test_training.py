import csv
import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

from cross_modal import callbacks, tasks, towers, training
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
        patch.setattr(training.Keeper, "_tell", cut)
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
    still = dataclasses.replace(task, towers={"image": functools.partial(towers.image.cnn, widths=(4,), normalization="layer")})  # It keeps no statistics.
    fit(still, dataset, tmp_path, **{**OPTIONS, "epochs": 30, "learning_rate": 0.0}, patience=2)
    assert len(_history(tmp_path)) == 3


def test_a_loss_that_is_no_number_stops_the_run(task, dataset, tmp_path):
    with pytest.raises(ValueError, match="loss to be a number.*lower learning rate"):
        fit(task, dataset, tmp_path, **{**OPTIONS, "learning_rate": float("inf")})


def test_the_seed_decides_the_weights(task, dataset, whole, tmp_path):
    same = fit(task, dataset, tmp_path / "same", **OPTIONS)
    other = fit(task, dataset, tmp_path / "other", seed=1, **OPTIONS)
    np.testing.assert_allclose(same.get_weights()[0], whole[1].get_weights()[0], rtol=1e-4, atol=1e-6)
    assert not np.allclose(other.get_weights()[0], whole[1].get_weights()[0], atol=1e-3)


@pytest.mark.parametrize(
    "name, middle, end",
    [("cosine", 0.5, 0.0), ("linear", 0.5, 0.0), ("exponential", 0.1, 0.01), ("inverse_sqrt", (10 / 56) ** 0.5, 10**-0.5), ("constant", 1.0, 1.0)],
)
def test_the_learning_rate_rises_and_falls(name, middle, end):
    schedule = callbacks.Schedule(1.0, callbacks.SCHEDULES[name], 0.1, steps=10, epochs=10)
    assert schedule.at(0) == pytest.approx(0.1) and schedule.at(9) == pytest.approx(1.0)
    assert schedule.at(55) == pytest.approx(middle, abs=1e-3) and schedule.at(99) == pytest.approx(end, abs=0.015)


@pytest.mark.parametrize(
    "optimizer, kind, momentum",
    [("sgd", "SGD", 0.0), ({"name": "SGD", "momentum": 0.9}, "SGD", 0.9), ("nadam", "Nadam", None), ("rmsprop", "RMSprop", 0.0), ("adadelta", "Adadelta", None)],
)
def test_optimizers_by_their_keras_names(optimizer, kind, momentum):
    made = training._optimizer(optimizer, {"learning_rate": 0.1, "weight_decay": 0.01, "clipnorm": 1.0, "ema_momentum": None})
    config = made.get_config()
    assert type(made).__name__ == kind and config["weight_decay"] == 0.01 and config["clipnorm"] == 1.0 and config.get("momentum") == momentum


def test_no_weight_decay_is_none():
    """Keras' AdamW has one of its own where none is given."""
    found = [training._optimizer(*one).weight_decay for one in (("adamw", {"weight_decay": None}), ("adamw", {"weight_decay": 0.1}), ({"name": "adamw", "weight_decay": 0.2}, {}))]
    assert found == [0.0, 0.1, 0.2] and training._optimizer("adam", {"weight_decay": None}).weight_decay is None


def test_a_validation_loss_that_is_no_number_is_not_the_best(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    keeper = callbacks.Keeper(tmp_path, {"epoch": 0, "best": None, "wait": 0, "stopped": False}, None, 3, 1, False, None)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    keeper.set_model(model)
    for epoch, value in enumerate((float("nan"), 2.0, float("nan"))):
        keeper.on_epoch_end(epoch, {"loss": 1.0, "val_loss": value})
        assert keeper.state["best"] == (None if epoch == 0 else 2.0)


def test_who_asks_for_more_is_told_that_it_had_ended(task, dataset, tmp_path, capsys):
    task.build().save(tmp_path / "model.keras")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / training.STATE).write_text(json.dumps({"epoch": 2, "best": 1.0, "wait": 1, "stopped": True}))
    fit(task, dataset, tmp_path, **{**OPTIONS, "epochs": 9}, resume=True)
    assert "training ended with epoch 2; it does not go on" in capsys.readouterr().out


def test_the_learning_rate_of_an_optimizer_is_what_it_learns_at(task, dataset, tmp_path):
    options = {**OPTIONS, "epochs": 1, "schedule": "constant", "warmup": 0.0}
    model = fit(task, dataset, tmp_path, **{**options, "optimizer": {"name": "sgd", "momentum": 0.9, "learning_rate": 0.125}, "learning_rate": 1e-3})
    assert float(model.optimizer.learning_rate.numpy()) == 0.125


@pytest.mark.parametrize(
    "options, words",
    [
        ({"optimizer": {"name": "sgd", "learning_rate": {"class_name": "CosineDecay"}}}, "`learning_rate` to be a number; .* `schedule`"),
        ({"optimizer": "adamm"}, "`optimizer` to be one of .*AdamW, .*Received: optimizer='adamm'"),
        ({"optimizer": {"name": "sgd", "momentom": 1}}, "Received: optimizer={'name': 'sgd', 'momentom': 1}"),
        ({"schedule": "cosin"}, "`schedule` to be one of cosine, linear, .*Received: schedule=cosin"),
        ({"augment": {"image": {"rotate": 1}}}, "keys among crop, scale, .*Received: rotate"),
        ({"augment": {"image": 0.5}}, "`augment` of image to be a dict of what is done to how much. Received: 0.5"),
        ({"augment": {"image": {"rotation": "much"}}}, "`augment` of image to have a number for rotation. Received: 'much'"),
        ({"mixup": 0.2, "teacher": {"run": "x"}}, "no `mixup` with a `teacher`"),
        ({"oversample": {"topic": 1.0}}, "Received: topic"),
        ({"dropout_after": 1.5}, "`dropout_after` to be shares between 0 and 1.*Received: dropout_after=1.5"),
    ],
)
def test_options_without_a_meaning_are_told(task, dataset, tmp_path, options, words):
    with pytest.raises((ValueError, KeyError), match=words):
        fit(task, dataset, tmp_path, **{**OPTIONS, **options})


@pytest.mark.parametrize("weight", [np.float32([1, 1, 1, 0]), None])
def test_rare_items_count_for_more(weight):
    """Twice in the example, as views of two languages are."""
    y = {"label": np.zeros((4, 2), "float32"), "tokens": np.zeros((4, 3), "int32")}
    weights = None if weight is None else {"label": weight, "tokens": np.ones((4, 3), "float32")}
    *_, found = training._weighed({"weigh": np.float32([1, 3])}, (None, y, weights) if weights else (None, y))
    np.testing.assert_allclose(found["label"], [0.5, 1.5, 0.5, 1.5] * (weight if weights else 1))
    np.testing.assert_allclose(found["tokens"], np.array([0.5, 1.5, 0.5, 1.5])[:, None] * np.ones((1, 3)) if weights else [0.5, 1.5, 0.5, 1.5])
    assert training._weighed({}, (1, 2)) == (1, 2)


def test_averaged_weights_are_what_is_validated_and_saved(task, dataset, tmp_path):
    """With a momentum of nearly one the average stays where the first step left it."""
    model = fit(
        task,
        dataset,
        tmp_path,
        **OPTIONS,
        learning_rate=0.1,
        ema=0.99999,
        augment={"image": {"shift": 0.1, "rotation": 10.0}},
        modality_dropout=0.5,
        mixup=0.3,
        oversample={"parity": 1.0},
        weigh={"parity*image": 1.0},
    )
    raw = keras.models.load_model(tmp_path / "checkpoints" / "epoch_4.keras")
    x = {"image": {"value": np.random.default_rng(0).uniform(size=(4, 8, 20, 1)), "mask": np.ones((4, 1), bool), "language": np.zeros(4, "int32")}}
    assert not np.allclose(model(x)["parity"], raw(x)["parity"], atol=1e-2)
    losses = [float(row["val_loss"]) for row in _history(tmp_path)]
    assert max(losses) - min(losses) < 0.01
    assert np.array_equal(fit(task, dataset, tmp_path, **OPTIONS, resume=True).get_weights()[0], model.get_weights()[0])


def test_layers_keep_the_precision_and_outputs_are_whole(task, dataset, tmp_path):
    model = fit(task, dataset, tmp_path, **{**OPTIONS, "epochs": 1}, precision="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert model.get_layer("image").get_layer(index=3).dtype_policy.name == "mixed_bfloat16" and model.output["parity"].dtype == "float32"
    assert np.isfinite(float(_history(tmp_path)[0]["loss"]))


def test_a_scaled_loss_goes_on_as_it_was(task, dataset, tmp_path):
    fit(task, dataset, tmp_path, **{**OPTIONS, "epochs": 1}, precision="mixed_float16", ema=0.9)
    saved = keras.models.load_model(tmp_path / "checkpoints" / "epoch_1.keras").optimizer
    assert isinstance(saved, keras.optimizers.LossScaleOptimizer) and int(saved.inner_optimizer.iterations) == OPTIONS["steps_per_epoch"]
    assert max(np.abs(one.numpy()).max() for one in saved.inner_optimizer._momentums) > 0


@pytest.mark.parametrize(
    "options, words",
    [
        ({"epochs": 0}, "`epochs` to be whole numbers of at least 1. Received: epochs=0"),
        ({"batch_size": 2.5, "patience": "x"}, "`batch_size` and `patience` to be whole numbers of at least 1. Received: batch_size=2.5, patience='x'"),
        ({"steps_per_epoch": 0}, "Received: steps_per_epoch=0"),
        ({"warmup": 2, "modality_dropout": -1}, "`warmup` and `modality_dropout` to be shares between 0 and 1. Received: warmup=2, modality_dropout=-1"),
        (
            {"freeze": 0.5, "paces": {"text": "half"}},
            "`freeze` and `paces` to be dicts .* to a number of at least 0. Received: freeze=0.5, paces={'text': 'half'}",
        ),
        ({"paces": {"image": -1}}, "a number of at least 0. Received: paces={'image': -1}"),
        ({"optimizer": ["adam"]}, "`optimizer` to be the name of one, or a dict of name and its arguments. Received: optimizer=\\['adam'\\]"),
        ({"jit_compile": "maybe"}, "`jit_compile` to be true, false or auto. Received: jit_compile='maybe'"),
        ({"ema": 1.0}, "`ema` to be a number of at least 0 and below 1. Received: ema=1.0"),
        ({"batch_tokens": "None"}, "Received: batch_tokens='None'"),
        ({"weigh": "label"}, "`weigh` to be dicts of field to a value. Received: weigh='label'"),
    ],
)
def test_numbers_that_mean_nothing_are_told(task, dataset, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        fit(task, dataset, tmp_path, **{**OPTIONS, **options})
    assert not list(tmp_path.iterdir())


def test_statistics_are_averaged_as_the_weights_are(task, dataset, tmp_path):
    """From those of a batch on, not from what they are before any."""
    model = fit(task, dataset, tmp_path, **{**OPTIONS, "epochs": 1}, ema=0.999)
    found = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    assert found and all(layer.momentum == 0.999 for layer in found)
    assert all(np.abs(layer.moving_mean.numpy()).max() > 0.01 for layer in found)


def test_late_dropout_drops_nothing_before(learned, dataset, tmp_path):
    features, languages = learned
    tower = functools.partial(towers.image.mlp, widths=(64,), dropout=0.9)
    task = tasks.Classification({name: features[name] for name in ("image", "parity")}, languages, towers={"image": tower}, dim=8, dropout=0.0)
    model = fit(task, dataset, tmp_path, **OPTIONS, dropout_after=0.5)
    (draws,) = [variable.numpy()[1] for variable in model.variables if variable.path.endswith("seed_generator_state")]
    assert draws == 4  # One a step of the last two epochs.
    assert {layer.rate for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)} == {0.9, 0.0}


def test_an_epoch_of_batches_by_tokens_has_all_items(learned, dataset, tmp_path, monkeypatch):
    features, languages = learned
    task = tasks.Classification({name: features[name] for name in ("text", "parity")}, languages, towers={"text": towers.text.bag}, dim=8)
    model = fit(task, dataset, tmp_path, epochs=1, bucket_by="text", batch_tokens=80, progress=False)
    assert 80 // 16 <= dataset.splits["train"] / int(model.optimizer.iterations) <= 80 // 8  # Texts of 8 to 16 subwords.
    with pytest.raises(ValueError, match="Received: tokens=80, bucket_by=None"):
        fit(task, dataset, tmp_path / "other", epochs=1, batch_tokens=80, progress=False)
