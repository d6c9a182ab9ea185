"""The verbs about data, as they are typed."""

import csv
import json

import cv2
import numpy as np
import pytest

from cross_modal import cli
from cross_modal.data import Dataset


@pytest.fixture
def table(tmp_path):
    for i in range(3):
        assert cv2.imwrite(str(tmp_path / f"{i}.png"), np.dstack([np.random.default_rng(i).integers(0, 256, (30, 40, 3), np.uint8), np.full((30, 40), 255 * (i > 0), np.uint8)]))
    rows = [{"id": i, "image": f"{i}.png", "text": ["çay", "süt", "çay"][i], "label": "ab"[i % 2]} for i in range(3)]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path / "t.jsonl"


def run(capsys, *arguments):
    code = cli.main([str(one) for one in arguments])
    out, error = capsys.readouterr()
    return code, out, error


def test_every_setting_reaches_ingest(table, capsys):
    out = table.parent / "out"
    code, said, _ = run(
        capsys, "ingest", table, "--out", out, "--field", "text=text", "--splits", "1,0,0", "--seed", 3, "--together", "text", "--max-bad", 0.5, "--allow", "constant", "--allow",
        "extension", "--ignore", "label", "--image-size", 20, "--max-pixels", 5000, "--max-seconds", 7, "--max-characters", 9, "--background", "10,20,30",
    )  # fmt: skip
    assert code == 0 and "items                    3" in said
    settings = json.loads((out / "items" / "1.0.0" / "metadata.json").read_text())["settings"]
    limits = {"image_size": 20, "max_pixels": 5000, "max_seconds": 7.0, "max_characters": 9, "background": [10, 20, 30], "allow": ["constant", "extension"]}
    assert settings == {"kinds": {"text": "text"}, "limits": limits, "fractions": [1.0, 0.0, 0.0], "seed": 3, "together": ["text"], "ignored": ["label"]}
    pictures = [cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR) for raw, _ in Dataset(out).values("train", "image")]
    assert all(picture.shape == (15, 20, 3) for picture in pictures)
    assert sum((picture == (30, 20, 10)).all() for picture in pictures) == 1  # The one that is transparent.


def test_beam_and_threads_are_runners(table, capsys, monkeypatch):
    from cross_modal.data import running

    given = []
    monkeypatch.setattr(running, "on_beam", lambda options: given.append(options) or running.in_threads)
    assert run(capsys, "ingest", table, "--out", table.parent / "out", "--max-bad", 1, "--beam", "--runner=FlinkRunner --parallelism=4")[0] == 0
    assert given == [["--runner=FlinkRunner", "--parallelism=4"]]


def test_check_only_looks(table, capsys):
    before = sorted(table.parent.iterdir())
    code, said, _ = run(capsys, "ingest", table, "--check")
    assert code == 0 and "quarantined, 1 in all" in said and "image: constant picture: 1" in said
    assert sorted(table.parent.iterdir()) == before
    assert run(capsys, "ingest", table, "--check", "--out", table.parent / "looked")[0] == 0
    assert [path.name for path in (table.parent / "looked").iterdir()] == ["quarantine.csv"]
    (table.parent / "made" / "items").mkdir(parents=True)
    code, _, error = run(capsys, "ingest", table, "--check", "--out", table.parent / "made")
    assert code == 1 and "a folder without a dataset" in error and not (table.parent / "made" / "quarantine.csv").exists()
    with (table.parent / "looked" / "quarantine.csv").open() as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["0.png"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "Expected --out, the folder of the dataset, or --check. Received neither."),
        (["--check", "--splits", "a,b"], "Expected --splits to be three numbers with commas between them. Received: a,b"),
        (["--check", "--field", "text"], "Expected --field NAME=KIND. Received: text"),
        (["--check", "--field", "text=words"], "Expected the kind of text to be one of image, text, audio, label. Received: words"),
        (["--check", "--map", "text="], "Expected --map COLUMN=FEATURE. Received: text="),
        (["--check", "--map", "a=b"], "Expected columns to be mapped for a table tfds:NAME only"),
        (["--check", "--max-seconds", "0"], "Expected `max_seconds` to be more than 0"),
        (["--check", "--max-bad", "0.05"], "Expected at most 5.0% of 9 views to be unusable. Received 1"),
    ],
)
def test_errors_say_what_to_do(table, capsys, arguments, words):
    code, _, error = run(capsys, "ingest", table, *arguments)
    assert code == 1 and words in error and "Traceback" not in error


def test_datasets(table, capsys):
    assert "mnist" in run(capsys, "datasets", "--modality", "image")[1]
    found = run(capsys, "datasets", table.parent)[1]
    assert f"{table}\n  " in found and "columns: id, image, text, label" in found
    assert run(capsys, "datasets", table)[0] == 1
    assert "--modality of tables to be one of image, text, audio, label. Received: foo" in run(capsys, "datasets", table.parent, "--modality", "foo")[2]


def test_files_may_stand_behind_options(capsys):
    assert cli._parsed(["translate", "run", "a.txt", "--to", "de", "b.txt"]).files == ["a.txt", "b.txt"]
    assert cli._parsed(["export", "run", "--out", "both", "more"]).runs == ["run", "more"]
    assert cli._parsed(["similar", "run", "-k", "3", "text:en=a"]).views == ["text:en=a"]
    for arguments in (["translate", "run", "--tp", "de"], ["describe", "run", "more"]):
        with pytest.raises(SystemExit):
            cli._parsed(arguments)
        assert "unrecognized arguments" in capsys.readouterr().err
