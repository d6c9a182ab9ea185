"""Training a task on a dataset: stock `compile` and `fit`, with a run folder that can be gone on with."""

import json
import math
import pathlib
import warnings

import keras
import tensorflow as tf

from cross_modal import transfer
from cross_modal.callbacks import BEST, SCHEDULES, STATE, Freeze, Keeper, LateDropout, Schedule, checkpoint, seed_generators
from cross_modal.compiling import precision_for
from cross_modal.data import batches
from cross_modal.distilling import make_teacher
from cross_modal.tasks.task import check_numbers, is_number
from cross_modal.towers.tower import check_patches

_COUNTED = 100  # Batches by which it is estimated how many items one has.


def fit(
    task, dataset, run, *, epochs=20, steps_per_epoch=None, batch_size=64, optimizer="adamw", learning_rate=2e-3, schedule="cosine", warmup=0.1,
    weight_decay=0.01, clipnorm=1.0, ema=None, precision="float32", patience=None, bucket_by=None, batch_tokens=None, cache=True, augment=None, modality_dropout=0.0, mixup=0.0,
    oversample=None, weigh=None, dropout_after=0.0, start_from=None, freeze=None, paces=None, teacher=None, jit_compile="auto", seed=0, resume=False, progress=True,
):  # fmt: skip
    """Trains a task and saves the best model.

    After each epoch `history.csv` gets a row and the folder `checkpoints`
    the state, so that a run that was stopped goes on with `resume`.

    Args:
        task: `Task`.
        dataset: `Dataset` with a split `train`; with `validation` the best epoch is the one of the lowest loss there, without it the last.
        run: folder of the run.
        epochs: number of epochs.
        steps_per_epoch: batches in an epoch; None for as many as the items make.
        batch_size: items in a batch; at most the items of the training split are taken.
        optimizer: name of a Keras optimizer, such as "sgd", "adamw", "nadam"; or a dict of `name` and its other arguments, which count in place of those here.
        learning_rate: at its highest.
        schedule: how it falls, see `callbacks.SCHEDULES`.
        warmup: share of the steps in which it rises, linearly, before.
        weight_decay: of the optimizer.
        clipnorm: largest norm of each weight's gradient, or None.
        ema: momentum of the moving average of the weights (Polyak), such as 0.999, that is validated and saved in their place; None for none.
        precision: Keras dtype policy, or "auto" for "mixed_bfloat16" where the device is fast at it and "float32" elsewhere.
        patience: epochs without a lower validation loss before the end; None for never.
        bucket_by: see `batches`.
        batch_tokens: with `bucket_by`, steps of that field in a batch, padding included, in place of `batch_size`: no batch takes longer than another. An epoch has as many batches
            as the items make on average.
        cache: see `batches`.
        augment: see `batches`, as `modality_dropout`, `mixup` and `oversample`.
        weigh: as `oversample`, but what is rare counts for more in the loss, one on average over a batch.
        dropout_after: share of the epochs in which nothing is dropped, before (late dropout, Liu et al. 2023, "Dropout Reduces Underfitting").
        start_from: dict of the name of a part of the model, such as a tower, to the folder of a run whose weights it starts with, see `transfer.start_from`.
        freeze: dict of the name of a part or layer, in which `*` stands for any letters, to a share of the epochs in which it is left as it is, 1 for all; of those that fit
            the last counts, so that `{"*": 1, "text_head": 0}` trains nothing but that.
        paces: dict of such a name to the share of the learning rate at which it learns.
        teacher: arguments of `distilling.Teacher` but for the task: the folder of a `run` that answers labels, which are learned too, also of items without a label, and
            its `weight`, `temperature` and `languages`.
        jit_compile: XLA; "auto" is what Keras thinks best for the device.
        seed: of weights, dropout, shuffling and draws.
        resume: whether to go on with the run in the folder; otherwise the folder must hold no run.
        progress: whether to show a progress bar (on a terminal) or a line an epoch (elsewhere).

    Returns:
        `keras.Model` with the best weights, also saved as `model.keras` in the run.

    Raises:
        FileExistsError: if the folder holds a run and `resume` is False.
        ValueError: if there are no items to train on, an option has no meaning, or the loss is no longer a number.
    """
    run = pathlib.Path(run)
    if (run / STATE).exists() and not resume:
        raise FileExistsError(f"Expected a folder without a run. Received: {run}. Give another one, go on with resume (--resume), or delete it.")
    if not dataset.splits.get("train"):
        raise ValueError(f"Expected a dataset with a split train. Received: {dataset}")
    if schedule not in SCHEDULES:
        raise ValueError(f"Expected `schedule` to be one of {', '.join(SCHEDULES)}. Received: schedule={schedule}")
    counted = {"steps_per_epoch": steps_per_epoch, "patience": patience, "batch_tokens": batch_tokens}
    _check_counts(epochs=epochs, batch_size=batch_size, **{name: one for name, one in counted.items() if one is not None})
    _refuse("the name of one, or a dict of name and its arguments", {} if isinstance(optimizer, (str, dict)) else {"optimizer": optimizer})
    _refuse("true, false or auto", {} if jit_compile in (True, False, "auto") else {"jit_compile": jit_compile})
    _refuse("a number of at least 0 and below 1", {} if ema is None or is_number(ema) and 0 <= ema < 1 else {"ema": ema})
    check_numbers(mixup=mixup)
    _refuse("a number above 0, or null", {} if clipnorm is None or is_number(clipnorm) and clipnorm > 0 else {"clipnorm": clipnorm})
    _refuse("a dict of the name of a part to a run, such as {text: saved_models/first}", {} if isinstance(start_from or {}, dict) else {"start_from": start_from})
    _check_shares(warmup=warmup, dropout_after=dropout_after, modality_dropout=modality_dropout)
    if teacher and mixup:
        raise ValueError("Expected no `mixup` with a `teacher`, who would be asked about items that are not mixed. Received both")
    _refuse("dicts of field to a value", {name: one for name, one in (("augment", augment), ("oversample", oversample), ("weigh", weigh)) if not isinstance(one or {}, dict)})
    _refuse("dicts of the name of a part to a number of at least 0", {name: one for name, one in (("freeze", freeze), ("paces", paces)) if not _has_numbers(one or {})})
    highest = learning_rate if isinstance(optimizer, str) else optimizer.get("learning_rate", learning_rate)
    if not isinstance(highest, (int, float)):
        raise ValueError(f"Expected `learning_rate` to be a number; how it changes is `schedule` and `warmup`. Received: learning_rate={highest!r}")
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    batch_size = min(batch_size, dataset.splits["train"])

    state = _read_state(run)
    if state["stopped"] and state["epoch"] < epochs:
        print(f"{run}: the loss of the validation split had not fallen for so long that training ended with epoch {state['epoch']}; it does not go on.", flush=True)
    if (state["epoch"] >= epochs or state["stopped"]) and (run / "model.keras").exists():
        return keras.models.load_model(run / "model.keras")
    if not state["epoch"] and not teacher:  # Who is taught learns also from items of which the table says nothing.
        task.check(dataset)  # Reads the split: not once more for a run that is gone on with.
    keras.utils.set_random_seed(seed)
    if state["epoch"]:
        model = keras.models.load_model(checkpoint(run, state["epoch"]))
        for generator, value in zip(seed_generators(model), state["seeds"], strict=True):
            generator.assign(value)
    else:
        model, kept = _build(task, precision_for(precision)), set()
        for part in transfer.start_from(model, start_from or {}, task.features, task.languages.names):
            skipped = f"; not {', '.join(part['skipped'][:5])}{', ...' if len(part['skipped']) > 5 else ''}" if part["skipped"] else ""
            skipped = f"; {', '.join(part['reshaped'])} in part{skipped}" if part["reshaped"] else skipped
            kept.update(part["copied"], part["reshaped"])
            print(f"{part['part']} starts with {len(part['copied'])} weights, {part['numbers']:,} numbers, of {part['run']}{skipped}", flush=True)
        compiled = _optimizer(optimizer, {"learning_rate": highest, "weight_decay": weight_decay, "clipnorm": clipnorm, "use_ema": ema is not None or None, "ema_momentum": ema})
        # Keras would wrap it by itself, but what it saves then comes back without.
        compiled = keras.optimizers.LossScaleOptimizer(compiled) if precision == "mixed_float16" else compiled
        compiled.build(model.trainable_variables)  # Built inside the first step it would have that step traced twice.
        model.compile(optimizer=compiled, jit_compile=jit_compile, **task.objective())

    task.regularize(model)
    taught = make_teacher(task, teacher) if teacher else None

    def data(split, seed, start=0, cache=cache):
        sorted_by = {"bucket_by": bucket_by, "tokens": batch_tokens} if seed is not None else {}
        asked, fields, again, first = taught if seed is not None else None, task.features, task.again, task.drawn_first  # Validation is by labels alone.
        if asked:
            fields, again, first = {**fields, **asked.features}, {**again, **asked.again}, {**first, **asked.drawn_first}
        made = batches(
            dataset, split, fields, task.languages, batch_size, draws=task.draws, drawn_first=first, seed=seed, **sorted_by,
            cache=cache, start=start, augment=augment or {}, modality_dropout=modality_dropout, sources=task.sources, mixup=mixup, oversample=oversample or {},
            weigh=weigh or {}, again=again, choose=task.choose,
        )  # fmt: skip
        return made.map(lambda batch: _weighed(batch, asked.teach(batch, *task.example(batch)) if asked else task.example(batch)))

    steps = steps_per_epoch or math.ceil(dataset.splits["train"] / (_items_of(data("train", seed, cache=False)) if batch_tokens else batch_size))
    if ema is not None and not state["epoch"]:
        kept.update(weight.path for layer, share in transfer.settings_of(model, freeze or {}) if share for weight in layer.weights)
        _average_statistics(model, next(iter(data("train", None, cache=False)))[0], ema, kept)
    if paces or freeze:
        transfer.set_paces(model, paces or {}, {name: math.ceil(share * epochs) * steps for name, share in (freeze or {}).items()})
    averaged = keras.callbacks.SwapEMAWeights() if ema is not None else None
    callbacks = [Schedule(highest, SCHEDULES[schedule], warmup, steps, epochs), Keeper(run, state, patience, epochs, steps, progress, averaged)]
    callbacks += [averaged] if averaged else []
    callbacks = [LateDropout(round(dropout_after * epochs)), *callbacks] if dropout_after else callbacks
    callbacks = [Freeze(freeze, epochs), *callbacks] if freeze else callbacks
    if state["epoch"] < epochs and not state["stopped"]:
        training, validation = data("train", seed, state["epoch"] * steps), data("validation", None) if dataset.splits.get("validation") else None
        if validation is not None and not _is_scored(validation):
            warnings.warn("Nothing of the validation split counts, such as an item with a label: the last epoch is kept, and not the best.", stacklevel=2)
            validation = None
        prepare(model, *tf.nest.map_structure(_nothing, training.element_spec))
        model.fit(
            training, steps_per_epoch=steps, epochs=epochs, initial_epoch=state["epoch"],
            validation_data=validation, callbacks=callbacks, verbose=0, shuffle=False,
        )  # fmt: skip
    elif averaged and not (run / BEST).exists():
        model.optimizer.finalize_variable_values(model.trainable_variables)  # As `fit` had done, had it not been stopped before.
    if (run / BEST).exists():
        model.load_weights(run / BEST)
    model.save(run / "model.keras")
    return model


def prepare(model, x, y, weight=None):
    """Makes the variables of a compiled model's losses and metrics: made inside the first step they would have that step traced twice.

    Args:
        model: compiled `keras.Model`.
        x: of an example, as `y` and `weight`; what is in it does not matter.
    """
    said = model(x, training=False)
    model.compute_loss(x, y, said, weight, training=False)
    model.compute_metrics(x, y, said, weight)
    model.reset_metrics()


def _check_counts(**counts):
    _refuse("whole numbers of at least 1", {name: one for name, one in counts.items() if not isinstance(one, int) or one < 1})


def _check_shares(**shares):
    _refuse("shares between 0 and 1", {name: one for name, one in shares.items() if not isinstance(one, (int, float)) or not 0 <= one <= 1})


def _has_numbers(given):
    return isinstance(given, dict) and all(is_number(one) and one >= 0 for one in given.values())


def _refuse(wanted, wrong):
    if wrong:
        names, given = " and ".join(f"`{name}`" for name in wrong), ", ".join(f"{name}={one!r}" for name, one in wrong.items())
        raise ValueError(f"Expected {names} to be {wanted}. Received: {given}")


def _is_scored(data):
    """Whether anything counts in examples, all of which are looked at, so that they are cached; a loss of nothing would be 0, and the best there is."""
    weights = [keras.utils.unpack_x_y_sample_weight(example)[2] for example in data]
    return any(one is None or any(tf.reduce_any(part > 0) for part in tf.nest.flatten(one)) for one in weights)


def _nothing(spec):
    """Zeros such as a spec allows, two of them."""
    return tf.zeros([2, *(8 if size is None else size for size in spec.shape[1:])], spec.dtype)


def _weighed(batch, example):
    """The example with the weights of its items, if they have some; items may stand in it several times, one time below the other."""
    if "weigh" not in batch:
        return example
    x, y, weight = keras.utils.unpack_x_y_sample_weight(example)
    rates = batch["weigh"] / tf.reduce_mean(batch["weigh"])

    def rated(given):
        own = tf.tile(rates, [tf.shape(given)[0] // tf.size(rates)])
        return tf.reshape(own, [-1, *[1] * (len(given.shape) - 1)]) * tf.cast(given, tf.float32)

    weight = tf.nest.map_structure(lambda one: tf.ones(tf.shape(one)[:1]), y) if weight is None else weight
    return x, y, tf.nest.map_structure(rated, weight)


def _items_of(data):
    """Items in a batch, mean over the first ones."""
    return sum(len(next(iter(tf.nest.flatten(x)))) for x, *_ in data.take(_COUNTED)) / _COUNTED


def _build(task, precision):
    """Builds the model under a dtype policy, which its layers keep."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = task.build()
    finally:
        keras.config.set_dtype_policy(before)
    check_patches(model, task.features)
    return model


def _average_statistics(model, x, ema, kept):
    """Lets batch normalisation average over as many steps as the weights, beginning with the statistics of a batch, but for the weights of some paths, which have better ones.

    Averaged weights are worth little with the statistics of the last steps alone while the model learns fast, and with what the statistics are before the first one for long.
    """
    found = [(layer, layer.momentum) for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    for layer, _ in found:
        layer.momentum = 1.0 if layer.moving_mean.path in kept else 0.0
    if found:
        model(x, training=True)
    for layer, momentum in found:
        layer.momentum = max(momentum, ema)


def _optimizer(given, settings):
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = options.pop("name", "adamw")
    config = {**{key: value for key, value in settings.items() if value is not None}, **options}
    if name.lower() == "adamw":
        config = {"weight_decay": 0.0, **config}  # Keras has one of its own where none is given.
    try:
        return keras.optimizers.get({"class_name": name, "config": config})
    except (ValueError, TypeError) as error:
        known = sorted(key for key, one in vars(keras.optimizers).items() if isinstance(one, type) and issubclass(one, keras.optimizers.Optimizer) and key != "Optimizer")
        raise ValueError(f"Expected `optimizer` to be one of {', '.join(known)}, or a dict of name and its arguments. Received: optimizer={given!r} ({error})") from error


def _read_state(run):
    path = run / STATE
    if path.exists():
        return json.loads(path.read_text())
    return {"epoch": 0, "best": None, "wait": 0, "stopped": False}
