import csv
import json

import pytest

from cross_modal import cli, config, tuning

QUICK = ["features={text: {vocab_size: 400, length: 16}, parity: {}}", "towers.text.kind=bag", "options.dim=8", "training.epochs=1", "training.steps_per_epoch=2"]


def small(dataset, *more):
    return config.resolve(config.set_keys({"dataset": str(dataset.path), "task": "classification"}, [*QUICK, *more]))


def test_a_search_on_the_command_line_leaves_a_run(dataset, tmp_path, capsys):
    run = tmp_path / "tuned"
    sets = [part for one in QUICK for part in ("--set", one)]
    asked = ["tune", str(dataset.path), "--run", str(run), "--task", "classification", *sets]
    asked += ["--between", "training.learning_rate=[1e-4,1e-1]", "--choose", "towers.text.kind=[bag,gru]"]
    assert cli.main([*asked, "--trials", "2"]) == 0
    said = capsys.readouterr().out
    assert "trial 1/2  learning_rate 0.002, kind bag: " in said and "best on validation: trial" in said
    rows = list(csv.DictReader((run / "tune.csv").read_text().splitlines()))
    assert sorted(row["trial"] for row in rows) == ["1", "2"] and float(rows[0]["merit"]) >= float(rows[1]["merit"])
    assert all(1e-4 <= float(row["training.learning_rate"]) <= 1e-1 for row in rows)
    best = next((run / "trials").glob(f"trial_*{int(rows[0]['trial']) - 1}/run"))
    assert (run / "run.yaml").read_text() == (best / "run.yaml").read_text() and (run / "tune.png").stat().st_size > 5000
    assert config.read_config(run / "run.yaml")["training"]["learning_rate"] == pytest.approx(float(rows[0]["training.learning_rate"]))
    assert cli.main(["evaluate", str(run), "--no-baseline"]) == 0

    capsys.readouterr()
    assert cli.main([*asked, "--trials", "3"]) == 0
    said = capsys.readouterr().out
    assert "trial 3/3" in said and "trial 1/3" not in said, "what was tried is not tried again"
    assert cli.main([*asked[:-1], "options.dim=[8,16]", "--trials", "3"]) == 1
    assert "a folder without another search" in capsys.readouterr().err


def test_no_trial_begins_that_has_no_time(dataset, tmp_path, capsys):
    rows = tuning.tune(small(dataset), tmp_path / "run", minutes=0.0, trials=5)
    assert [row["trial"] for row in rows] == [1], "the first shows how long one takes"
    assert rows[0]["training.learning_rate"] == 2e-3 and rows[0]["options.dim"] == 8
    assert "no more trials" in capsys.readouterr().out
    rows = tuning.tune(small(dataset), tmp_path / "run", minutes=10.0, trials=2)
    assert "trial 1/" not in capsys.readouterr().out
    assert sorted(row["trial"] for row in rows) == [1, 2], "the one that was put off is made now"


def test_a_trial_that_was_stopped_has_taken_what_it_was_worked_at(dataset, tmp_path, untrained, monkeypatch):
    """Not the night between two calls."""
    clock, merit = [0.0], tuning._merit
    monkeypatch.setattr(tuning.time, "monotonic", lambda: clock[0])

    def stopped(full, folder):
        folder.mkdir(parents=True, exist_ok=True)
        clock[0] += 100.0
        raise KeyboardInterrupt

    for _ in range(2):
        monkeypatch.setattr(tuning, "_merit", stopped)
        with pytest.raises(KeyboardInterrupt):
            tuning.tune(small(dataset), tmp_path / "run", minutes=60.0, trials=2)
        clock[0] += 50_000.0
    monkeypatch.setattr(tuning, "_merit", merit)
    tuning.tune(small(dataset), tmp_path / "run", minutes=60.0, trials=2)
    assert [json.loads(path.read_text())["seconds"] for path in sorted((tmp_path / "run").rglob("trial.json"), key=str) if path.parent.name == "run"][0] == 200.0


@pytest.fixture
def untrained(monkeypatch):
    """Trials without a training: the configurations that were asked for, and the merits that they get, or errors."""
    asked, merits = [], []

    def merit(full, folder):
        asked.append(full)
        found = merits.pop(0) if merits else 0.5
        if isinstance(found, Exception):
            raise found
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.yaml").write_text(json.dumps(full))
        (folder / "model.keras").write_text(str(found))
        return found

    monkeypatch.setattr(tuning, "_merit", merit)
    return asked, merits


def test_another_kind_of_tower_has_arguments_of_its_own(dataset, tmp_path, untrained):
    choose = {"towers.text.kind": ["lstm", "bag"], "training.ema": [None, 0.9]}
    rows = tuning.tune(small(dataset, "towers.text={kind: lstm, depth: 2}"), tmp_path / "run", trials=9, choose=choose, progress=False)
    assert len(rows) == 4 and not any(row["failed"] for row in rows), "there is nothing else to try"
    seen = {(json.dumps(full["towers"]["text"]), full["training"]["ema"]) for full in untrained[0]}
    kinds = ('{"kind": "bag", "dropout": 0.1, "adapter": 0}', '{"kind": "lstm", "depth": 2, "dropout": 0.1, "adapter": 0}')
    assert seen == {(kind, ema) for kind in kinds for ema in (None, 0.9)}


def test_what_features_are_made_of_can_be_chosen(dataset, tmp_path, untrained):
    rows = tuning.tune(small(dataset), tmp_path / "run", trials=5, choose={"features.text.fold_case": [True]})
    assert sorted(str(row["features.text.fold_case"]) for row in rows) == ["None", "True"]
    assert [full["features"]["text"].get("fold_case") for full in untrained[0]] == [None, True]


def test_a_merit_may_be_negative_and_an_error_of_any_kind(dataset, tmp_path, untrained):
    untrained[1].extend([-3.1, KeyError("gone"), -2.5, float("nan")])
    rows = tuning.tune(small(dataset), tmp_path / "run", trials=4, progress=False)
    assert [row["merit"] for row in rows] == [-2.5, -3.1, None, None] and (tmp_path / "run" / "model.keras").read_text() == "-2.5"
    (tmp_path / "run" / "metrics.json").write_text('{"test": 1}')
    assert tuning.tune(small(dataset), tmp_path / "run", trials=4, progress=False) == rows and len(untrained[0]) == 4
    assert (tmp_path / "run" / "metrics.json").exists(), "the best trial is still the same"
    untrained[1].append(1.5)
    assert tuning.tune(small(dataset), tmp_path / "run", trials=5, progress=False)[0]["merit"] == 1.5
    assert not (tmp_path / "run" / "metrics.json").exists() and (tmp_path / "run" / "model.keras").read_text() == "1.5"
    with pytest.raises(ValueError, match="at least one trial. Received: trials=0"):
        tuning.tune(small(dataset), tmp_path / "other", trials=0)


def test_a_trial_that_fails_is_told_and_the_search_goes_on(dataset, tmp_path, capsys):
    rows = tuning.tune(small(dataset, "towers.text.kind=lstm"), tmp_path / "run", trials=2, choose={"options.dim": [8, 9]})
    assert [row["options.dim"] for row in rows if row["failed"]] == [9] and rows[-1]["merit"] is None
    assert "half for each direction. Received: dim=9" in rows[-1]["failed"]
    assert "dim 9: failed: Expected an even `dim`" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "tune.json").read_text())["choose"] == {"options.dim": [8, 9]}


def test_a_folder_in_which_something_is_is_left_as_it_is(dataset, tmp_path, untrained):
    """Such as that of all runs: what is not of the best trial would be thrown away."""
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="Expected a new folder. Received: .*, in which something is"):
        tuning.tune(small(dataset), tmp_path, trials=1)
    assert [path.name for path in tmp_path.iterdir()] == ["other"] and not untrained[0]


def test_the_learning_rate_that_counts_is_searched(dataset, tmp_path, untrained):
    config = small(dataset, "training.optimizer={name: sgd, learning_rate: 0.1}")
    rows = tuning.tune(config, tmp_path / "run", trials=2, progress=False)
    assert len({row["training.optimizer.learning_rate"] for row in rows}) == 2 and "training.learning_rate" not in rows[0]
    with pytest.raises(ValueError, match="Expected training.optimizer.learning_rate, which counts in place of training.learning_rate"):
        tuning.tune(config, tmp_path / "other", between={"training.learning_rate": [1e-4, 1e-1]})
    with pytest.raises(ValueError, match="training.learning_rate to be a number to search around. Received: None"):
        tuning.tune(small(dataset, "training.learning_rate=null"), tmp_path / "other")


def test_a_configuration_that_fails_leaves_nothing(dataset, tmp_path):
    with pytest.raises(ValueError, match="Received: dim=9"):
        tuning.tune(small(dataset, "towers.text.kind=lstm", "options.dim=9"), tmp_path / "run", trials=3, progress=False)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    "between, choose, words",
    [
        ({"training.rate": [1, 2]}, {}, "a key of the configuration, such as training.learning_rate. Received: training.rate"),
        ({"training.learning_rate": [1e-2, 1e-3]}, {}, "two positive numbers for training.learning_rate, the lower one first"),
        ({"training.learning_rate": [1e-2, 1e-1]}, {}, "around its own value"),
        ({"training.learning_rate": "fast"}, {}, "Received: 'fast'"),
        ({}, {"options.dim": 8}, "a list of values for options.dim. Received: 8"),
        ({}, {"towers.text.kind": ["lstn"]}, "one of bag, gru, lstm"),
    ],
)
def test_what_cannot_be_searched_is_told_before_anything_is_trained(dataset, tmp_path, between, choose, words):
    with pytest.raises(ValueError, match=words):
        tuning.tune(small(dataset), tmp_path / "run", between=between, choose=choose)
    assert not (tmp_path / "run").exists()
