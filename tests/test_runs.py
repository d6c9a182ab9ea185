"""The verbs about runs, where something was begun before."""

import json
import shutil

import pytest

from cross_modal import cli
from cross_modal.cli import runs
from cross_modal.features import Language

SETTINGS = [
    "features={text: {vocab_size: 400, length: 16}, parity: {}}", "towers.text.kind=bag", "options.dim=4", "training={epochs: 1, steps_per_epoch: 1, batch_size: 8}",
]  # fmt: skip


def asked(dataset, folder, *more):
    sets = [word for key in (*SETTINGS, *more) for word in ("--set", key)]
    return ["train", str(dataset.path), "--run", str(folder), "--task", "classification", *sets]


@pytest.fixture(scope="module")
def run(dataset, trained):
    return trained(dataset, "classification", SETTINGS)


def test_what_is_set_right_is_trained_under_the_same_name(dataset, tmp_path, capsys):
    assert cli.main(asked(dataset, tmp_path / "run", "training.schedule=cosin")) == 1
    assert "Received: schedule=cosin" in capsys.readouterr().err
    assert cli.main(asked(dataset, tmp_path / "run")) == 0


def test_a_folder_with_a_model_is_left_as_it_is(dataset, tmp_path, capsys):
    """As Python makes one, without a run.yaml."""
    (tmp_path / "model.keras").write_bytes(b"a model")
    for verb, words in (("train", "a folder without a run"), ("tune", "Expected a new folder")):
        assert cli.main([verb, *asked(dataset, tmp_path)[1:]]) == 1
        assert words in capsys.readouterr().err and not (tmp_path / "run.yaml").exists()


def test_a_run_goes_on_for_longer_and_with_nothing_else(run, tmp_path, capsys):
    assert cli.main(["train", "--run", str(run), "--resume", "--set", "training.learning_rate=1.0"]) == 1
    assert "nothing beside --resume but --set training.epochs=NUMBER" in capsys.readouterr().err
    before = (run / "run.yaml").read_text()
    assert cli.main(["train", "--run", str(run), "--resume", "--set", "training.epochs=many"]) == 1
    assert "Expected training.epochs to be a number. Received: 'many'" in capsys.readouterr().err and (run / "run.yaml").read_text() == before
    assert cli.main(["train", "--run", str(run), "--resume", "--set", "training.epochs=0"]) == 1
    assert "`epochs` to be whole numbers of at least 1" in capsys.readouterr().err and (run / "run.yaml").read_text() == before
    copy = shutil.copytree(run, tmp_path / "tuned")
    shutil.rmtree(copy / "checkpoints")
    assert cli.main(["train", "--run", str(copy), "--resume", "--set", "training.epochs=2"]) == 1
    assert "a run with its checkpoints to go on from. Received:" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    stale = [run / "metrics.json", run / "predictions-test.jsonl"]
    for path in stale:
        path.write_text('{"test": {}}')
    assert cli.main(["train", "--run", str(run), "--resume", "--no-baseline"]) == 0
    assert all(path.exists() for path in stale), "it is the same model"
    assert cli.main(["train", "--run", str(run), "--resume", "--no-baseline", "--set", "training.epochs=2"]) == 0
    assert "test" not in json.loads((run / "metrics.json").read_text()) and not stale[1].exists()
    assert len((run / "history.csv").read_text().splitlines()) == 3 and "epochs: 2" in (run / "run.yaml").read_text()


def test_scores_of_another_dataset_stand_apart(run, dataset, tmp_path, capsys, monkeypatch):
    assert cli.main(["evaluate", str(run)]) == 0
    before = json.loads((run / "metrics.json").read_text())
    other = tmp_path / "other"
    other.symlink_to(dataset.path)
    assert cli.main(["evaluate", str(run), "--dataset", str(other), "--no-baseline"]) == 0  # Another name of the same.
    assert json.loads((run / "metrics.json").read_text())["test"]["baseline"] == before["test"]["baseline"]
    other.unlink()
    shutil.copytree(dataset.path, other)
    assert cli.main(["evaluate", str(run), "--dataset", str(other), "--split", "train"]) == 0
    (apart,) = (run / "evaluations").iterdir()
    assert apart.name == f"other-{dataset.fingerprint[:8]}" and f"{apart.name}: metrics.json" in capsys.readouterr().out
    assert set(json.loads((apart / "metrics.json").read_text())) == {"train"}
    assert json.loads((run / "metrics.json").read_text()).keys() == before.keys()


def test_several_runs_are_scored_as_one(run, dataset, trained, tmp_path, capsys):
    other = trained(dataset, "classification", [*SETTINGS, "seed=1"])
    capsys.readouterr()
    assert cli.main(["evaluate", str(run), str(other), "--out", str(tmp_path / "both")]) == 0
    assert "macro-F1" in capsys.readouterr().out
    kept = json.loads((tmp_path / "both" / "metrics.json").read_text())["test"]["parity"]
    assert kept["examples"] == dataset.splits["test"]
    assert cli.main(["evaluate", str(run), str(other), "--out", str(tmp_path / "both"), "--split", "validation"]) == 0
    assert set(json.loads((tmp_path / "both" / "metrics.json").read_text())) == {"test", "validation"}
    assert cli.main(["evaluate", str(run), str(other), "--out", str(other)]) == 1
    assert "Expected --out to be another folder than that of a run" in capsys.readouterr().err
    assert cli.main(["export", str(run), str(other), "--out", str(tmp_path / "both" / "export")]) == 0
    assert "classify(text, text_language)" in capsys.readouterr().out
    assert cli.main(["evaluate", str(run), "--out", str(tmp_path / "both")]) == 1
    assert "Expected --out for several runs" in capsys.readouterr().err
    saved = json.loads((other / "features.json").read_text())
    (other / "features.json").write_text(json.dumps({**saved, "dataset": "0" * 64}))
    assert cli.main(["evaluate", str(run), str(other)]) == 1
    assert f"so that what is asked was not learned, or --dataset. Received: {other}" in capsys.readouterr().err


def test_a_dataset_that_was_made_anew_is_another(run, dataset, tmp_path, capsys):
    """Its test split may hold what was trained on."""
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluations"))
    saved = json.loads((copy / "features.json").read_text())
    assert saved["dataset"] == dataset.fingerprint
    (copy / "features.json").write_text(json.dumps({**saved, "dataset": "0" * 64}))
    (copy / "metrics.json").unlink()
    assert cli.main(["train", "--run", str(copy), "--resume", "--set", "training.epochs=3"]) == 1
    assert "Expected the dataset that the run was begun with" in capsys.readouterr().err
    assert cli.main(["evaluate", str(copy), "--no-baseline"]) == 0
    assert "was made anew since the run was trained on it" in capsys.readouterr().out
    assert not (copy / "metrics.json").exists() and len(list(copy.glob("evaluations/*/metrics.json"))) == 1


def test_languages_that_cannot_be_written_are_told(run, tmp_path, capsys):
    (tmp_path / "table.jsonl").write_text('{"id": "a", "text:en": "one"}\n')
    assert cli.main(["predict", str(run), str(tmp_path / "table.jsonl"), "--to", "de"]) == 1
    assert "no --to, as Classification writes no texts. Received: de" in capsys.readouterr().err

    class Writer:
        answered = ("de", "en")

    class Answers:  # Of questions.
        is_written, languages = True, Language(["de", "en"])

    runs.check_language(Writer, "de")
    runs.check_language(Answers, "de")
    runs.check_language(Answers, None)
    with pytest.raises(ValueError, match="taught to write: de, en. Received: fr"):
        runs.check_language(Answers, "fr")
    for to, words in ((None, "Expected --to, one of de, en. Received: none"), ("fr", "taught to write: de, en. Received: fr")):
        with pytest.raises(ValueError, match=words):
            runs.check_language(Writer, to)
