"""The verb that answers questions, on the command line, as a user runs it."""

import io
import json

import pytest

from cross_modal import cli

SETTINGS = [
    "features={image: {size: [8, 20], channels: 1}, question: {vocab_size: 500, length: 16}, answer: {}}", "towers.image.widths=[4]", "towers.question.kind=bag", "options.dim=8",
    "training={epochs: 1, steps_per_epoch: 2, batch_size: 8}",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(question_pictures, trained):
    return trained(question_pictures, "question_answering", SETTINGS)


@pytest.fixture(scope="module")
def picture(question_pictures, picture_of):
    return picture_of(question_pictures)


def test_the_run_has_its_scores_and_answers(run, capsys):
    scores = json.loads((run / "metrics.json").read_text())["validation"]
    assert set(scores) == {"answer", "answer_from_question", "answer_without_question", "baseline"} and set(scores["baseline"]) == set(scores) - {"baseline"}
    row = json.loads((run / "predictions-validation.jsonl").read_text().splitlines()[0])
    assert set(row["source"]) > {"image"} and isinstance(row["exact"], bool)
    assert "data:image/png" in (run / "predictions-validation.html").read_text(encoding="utf-8")
    assert cli.main(["evaluate", str(run)]) == 0
    said = capsys.readouterr().out
    assert "the question alone" in said and "linear" in said and "question:fr" in said


def test_answers_each_question(run, picture, capsys, monkeypatch):
    asked = ["answer", str(run), f"image={picture}"]
    assert cli.main([*asked, "question:en=is the number even?", "question:fr=combien de chiffres a-t-il ?"]) == 0
    answers = capsys.readouterr().out.splitlines()
    monkeypatch.setattr("sys.stdin", io.StringIO("is the number even?\n\n"))
    assert cli.main([*asked, "--from", "en", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 2 and rows[0]["answer"] == answers[0] == rows[0]["answers"][0] and len(rows[0]["probabilities"]) == 5
    assert rows[0]["question"] == "is the number even?" and 0 < rows[0]["probability"] <= 1 and rows[1]["answer"] == ""


@pytest.mark.parametrize(
    "views, words",
    [
        (["question:en=what?"], "Expected what is asked about: image. Received: questions alone"),
        (["image=none.png"], "the path of a file of image. Received: none.png"),
        (["answer=yes"], "Expected one value of each field that is asked about, image. Received: answer"),
        (["answer="], "asked about, image. Received: answer without one"),
    ],
)
def test_what_cannot_be_asked_is_told(run, views, words, capsys):
    assert cli.main(["answer", str(run), *views]) == 1
    assert words in capsys.readouterr().err


def test_predict_answers_the_questions_of_a_table(run, picture, tmp_path, capsys):
    (tmp_path / "number.png").write_bytes(picture.read_bytes())
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": "a", "image": "number.png", "question:en": "is the number even?"}))
    assert cli.main(["predict", str(run), str(tmp_path / "items.jsonl")]) == 0
    row = json.loads(capsys.readouterr().out)
    assert set(row) == {"id", "answer", "probability", "answers", "probabilities"} and row["answer"] in row["answers"]


def test_other_runs_answer_no_questions(dataset, tmp_path, capsys):
    assert cli.main(["answer", str(tmp_path), "image=x"]) == 1
    assert "Expected the folder of a run" in capsys.readouterr().err
