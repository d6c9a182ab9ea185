"""A search for better settings in a given time."""

import csv
import json
import math
import pathlib
import shutil
import time

import keras_tuner

from cross_modal import config as configuring
from cross_modal import evaluation, report, training
from cross_modal.data import Dataset

_MARK, _TABLE, _TRIALS = "tune.json", "tune.csv", "trials"
_DRAWS = 100  # Of values that may all have been tried.
_Status = keras_tuner.engine.trial.TrialStatus


def tune(config, run, minutes=30.0, trials=20, between=(), choose=(), progress=True):
    """Trains with other settings again and again, keeps what is best on the validation split, and tells all that was tried.

    The first trial is the configuration as it is. Later ones are drawn at random, and then by Bayesian optimisation. No trial begins that is likely to end after the
    time; a search that was stopped goes on when it is started again, with a time of its own. The test split is never looked at.

    Args:
        config: from `config.resolve`.
        run: folder; becomes the run of the best trial, with `tune.csv`, `tune.png` and all trials in `trials` besides.
        minutes: time for all of it.
        trials: most trials, with those of earlier calls.
        between: dict of key, such as `training.learning_rate`, to its lowest and highest value; numbers are drawn evenly in their logarithm.
        choose: dict of key to a list of values. Where neither is given: the learning rate from a tenth to three times its own, and `options.dim` of half, once and twice its own.
        progress: whether to tell each trial.

    Returns:
        List of dicts of `trial`, the keys, `merit` (see `Task.merit`; None for a trial that failed), `seconds` and `failed`, best first.

    Raises:
        ValueError: if the dataset has no validation split, a key or value cannot be used, the first trial fails, or the folder holds another search or a run.

    Source:
        Snoek et al. (2012), "Practical Bayesian Optimization of Machine Learning Algorithms", section 2; O'Malley et al. (2019), "KerasTuner".
    """
    run, between, choose = pathlib.Path(run), dict(between), dict(choose)
    if not (between or choose):
        key = _learning_rate(config)
        rate, dim = _value(config, key), config["options"].get("dim")
        if not isinstance(rate, (int, float)):
            raise ValueError(f"Expected {key} to be a number to search around. Received: {rate!r}")
        between, choose = {key: [rate / 10, rate * 3]}, {"options.dim": [dim // 2, dim, dim * 2]} if dim else {}
    if (dead := "training.learning_rate") in {**between, **choose} and _learning_rate(config) != dead:
        raise ValueError(f"Expected {_learning_rate(config)}, which counts in place of {dead}. Received: {dead}")
    if trials < 1:
        raise ValueError(f"Expected at least one trial. Received: trials={trials}")
    dataset = Dataset(config["dataset"])
    if not dataset.splits.get("validation"):
        raise ValueError(f"Expected a dataset with a split validation to compare on. Received: {config['dataset']}, which has {', '.join(dataset.splits)}")
    space = _space(config, between, choose)
    _claim(run, {"config": config, "dataset": dataset.fingerprint, "between": between, "choose": choose})
    # KerasTuner takes a seed of 0 for none.
    oracle = _Oracle(keras_tuner.Objective("merit", "max"), max_trials=trials, hyperparameters=space, seed=config["seed"] + 1, max_consecutive_failed_trials=10**6)
    tuner = keras_tuner.engine.base_tuner.BaseTuner(oracle, directory=str(run), project_name=_TRIALS, overwrite=False)  # Takes up what was tried.
    tuner.save()  # It takes up nothing where it finds no file of its own.
    oracle.verbose = 0
    deadline, longest = time.monotonic() + 60 * minutes, max((one.get("seconds", 0.0) for one in map(_note, _folders(tuner).values())), default=0.0)
    while (trial := oracle.create_trial("one")).status == _Status.RUNNING:
        began = time.monotonic()
        if longest and began + longest > deadline:
            if progress:
                print(f"A trial takes up to {longest:.0f} s, and {max(0, deadline - began):.0f} s are left: no more trials.", flush=True)
            break
        longest = max(longest, _try(trial, tuner, config, progress))
    return _conclude(run, tuner)


class _Oracle(keras_tuner.oracles.BayesianOptimizationOracle):
    """Begins with the configuration as it is, as a search that does not know its start cannot say what it gained; and tries nothing twice."""

    def populate_space(self, trial_id):
        if not self.trials:
            return {"status": _Status.RUNNING, "values": {one.name: one.default for one in self.hyperparameters.space}}
        tried = [trial.hyperparameters.values for trial in self.trials.values()]
        found = super().populate_space(trial_id)
        for draw in range(_DRAWS):
            if found["status"] != _Status.RUNNING or found["values"] not in tried:
                return found
            found = {"status": _Status.RUNNING, "values": {one.name: one.random_sample(_DRAWS * len(tried) + draw) for one in self.hyperparameters.space}}
        return {"status": _Status.STOPPED}


def _folders(tuner):
    """The run of each trial, by the trial's name."""
    return {name: pathlib.Path(tuner.get_trial_dir(name)) / "run" for name in tuner.oracle.trials}


def _try(trial, tuner, config, progress):
    """Trains and scores with the values of a trial; one that fails is noted as such. Returns the seconds that it took."""
    oracle, folder, values, began = tuner.oracle, _folders(tuner)[trial.trial_id], trial.hyperparameters.values, time.monotonic()
    words = ", ".join(f"{key.rpartition('.')[2]} {_short(value)}" for key, value in values.items())
    spent = folder / "spent.json"  # By earlier calls that were stopped.
    began -= json.loads(spent.read_text()) if spent.exists() else 0.0
    try:
        merit = _merit(_changed(config, values), folder)
        seconds = time.monotonic() - began
        if not math.isfinite(merit):
            raise ValueError(f"Expected the merit to be a number. Received: {merit}")
        (folder / "trial.json").write_text(json.dumps({"merit": merit, "seconds": seconds}))
        oracle.update_trial(trial.trial_id, {"merit": merit})
        trial.status, said = _Status.COMPLETED, f"{merit:.4f} ({seconds:.0f} s)"
    except KeyboardInterrupt:
        if folder.exists():
            spent.write_text(json.dumps(time.monotonic() - began))
        raise
    except Exception as error:  # Whatever it is, the other trials go on.
        trial.status, trial.message = _Status.FAILED, str(error) or repr(error)
        seconds, said = 0.0, f"failed: {trial.message}"
        if not any(map(_note, _folders(tuner).values())):  # It is the configuration itself that cannot be used.
            shutil.rmtree(folder.parents[1])
            (folder.parents[2] / _MARK).unlink()
            raise
    oracle.end_trial(trial)
    oracle.save()  # It has saved itself before it took the trial from those that are under way.
    if progress:
        print(f"trial {int(trial.trial_id) + 1}/{oracle.max_trials}  {words}: {said}", flush=True)
    return seconds


def _merit(full, folder):
    dataset = Dataset(full["dataset"])
    if (folder / "run.yaml").exists():
        task = configuring.load_task(folder)[1]
    else:
        features, languages = configuring.make_features(full)
        task = configuring.make_task(full, features, languages)
        configuring.save_run(folder, full, features, languages, dataset)
    model = training.fit(task, dataset, folder, seed=full["seed"], resume=True, progress=False, **full["training"])
    merit = task.merit(evaluation.evaluate(task, model, dataset, "validation", run=folder, baseline=False))
    shutil.rmtree(folder / "checkpoints")
    return merit


def _space(config, between, choose):
    space = keras_tuner.HyperParameters()
    for key, bounds in between.items():
        value = _value(config, key)
        if not (isinstance(bounds, (list, tuple)) and len(bounds) == 2 and all(isinstance(one, (int, float)) for one in bounds) and 0 < bounds[0] < bounds[1]):
            raise ValueError(f"Expected two positive numbers for {key}, the lower one first. Received: {bounds!r}")
        if not (isinstance(value, (int, float)) and bounds[0] <= value <= bounds[1]):
            raise ValueError(f"Expected bounds of {key} around its own value. Received: {bounds!r} around {value!r}")
        kind = space.Int if isinstance(value, int) and all(isinstance(one, int) for one in bounds) else space.Float
        kind(key, *bounds, sampling="log", default=value)
    for key, values in choose.items():
        value = _value(config, key)
        if not isinstance(values, (list, tuple)) or not values:
            raise ValueError(f"Expected a list of values for {key}. Received: {values!r}")
        for one in values:
            _changed(config, {key: json.dumps(one)})
        # KerasTuner takes numbers, booleans and strings alone.
        coded = list(dict.fromkeys(json.dumps(one) for one in [value, *values]))
        space.Choice(key, coded, default=coded[0], ordered=False)
    return space


def _learning_rate(config):
    """The key of the learning rate that counts."""
    optimizer = config["training"]["optimizer"]
    return "training.optimizer.learning_rate" if isinstance(optimizer, dict) and "learning_rate" in optimizer else "training.learning_rate"


def _value(config, key):
    """The value of a key; None for one of a feature that is not given."""
    *outer, last = key.split(".")
    place = config
    for part in outer:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or (last not in place and outer[:1] != ["features"]):
        raise ValueError(f"Expected a key of the configuration, such as training.learning_rate. Received: {key}")
    return place.get(last)


def _changed(config, values):
    """The configuration with other values; those of choices are JSON. Another kind of tower or fusion has arguments of its own."""
    values = {key: json.loads(value) if isinstance(value, str) else value for key, value in values.items()}
    for key in sorted(values, key=lambda key: not key.endswith(".kind")):
        if key.endswith(".kind") and values[key] != _value(config, key):
            config = configuring.set_keys(config, [f"{key.removesuffix('.kind')}={{}}"])
        if not (key.startswith("features.") and values[key] is None):
            config = configuring.set_keys(config, [f"{key}={json.dumps(values[key])}"])
    return configuring.resolve(config)


def _claim(run, search):
    """Makes sure that the folder is for this search."""
    mark, words = run / _MARK, json.dumps(search)
    if mark.exists() and mark.read_text(encoding="utf-8") != words:
        raise ValueError(f"Expected a folder without another search. Received: {run}, of other keys, settings or data. Give another --run, or delete it.")
    if not mark.exists() and run.exists() and any(run.iterdir()):  # What is in it would be taken for what an earlier trial made.
        raise ValueError(f"Expected a new folder. Received: {run}, in which something is. Give another --run.")
    run.mkdir(parents=True, exist_ok=True)
    mark.write_text(words, encoding="utf-8")


def _note(folder):
    path = folder / "trial.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value).strip('"')


def _conclude(run, tuner):
    """Writes what was tried, and makes the best trial the run."""
    rows, folders = [], _folders(tuner)
    for name, trial in tuner.oracle.trials.items():
        note = _note(folders[name])
        if note or trial.message:
            values = {key: json.loads(value) if isinstance(value, str) else value for key, value in trial.hyperparameters.values.items()}
            rows.append({"trial": int(name) + 1, **values, "merit": note.get("merit"), "seconds": note.get("seconds"), "failed": "" if note else trial.message})
    rows.sort(key=lambda row: (row["merit"] is not None, row["merit"], -row["trial"]), reverse=True)
    with (run / _TABLE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    report.tuning_picture(rows, run / "tune.png")
    best = next(folder for name, folder in folders.items() if int(name) + 1 == rows[0]["trial"])
    if not (run / "model.keras").exists() or (run / "run.yaml").read_bytes() != (best / "run.yaml").read_bytes():
        for old in run.iterdir():  # Of the best trial until now: scores, exports and pictures are not those of this one.
            if old.name not in (_MARK, _TABLE, _TRIALS, "tune.png"):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        shutil.copytree(best, run, dirs_exist_ok=True)
        (run / "trial.json").unlink()
    return rows
