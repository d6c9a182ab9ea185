"""The verbs that write texts, on the command line, as a user runs them."""

import argparse
import io
import json

import cv2
import numpy as np
import pytest
import soundfile

from cross_modal import cli
from cross_modal.cli import runs, texts

SETTINGS = [
    "features={image: {size: [8, 20], channels: 1}, text: {vocab_size: 400, length: 16}, audio: {bins: 16, hop_ms: 25, seconds: 3}}", "towers.image.widths=[4]",
    "towers.audio.widths=[4]", "towers.text.kind=bag", "decoder={kind: gru, depth: 1}",
    "options={dim: 16, length: 8, beams: 2, routes: [image->text:en, audio:fr->text:fr, 'text:*->text:*'], kinds: [image, text:de, text:en, text:fr, audio:fr]}",
    "training={epochs: 1, steps_per_epoch: 2, batch_size: 8}",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(dataset, trained):
    return trained(dataset, "generation", SETTINGS)


def test_lines_begin_after_a_byte_order_mark(tmp_path):
    (tmp_path / "lines.txt").write_text("\ufeffone\n\ufefftwo\n", encoding="utf-8")
    assert list(texts.lines_of([tmp_path / "lines.txt"])) == ["one", "\ufefftwo"]


def test_the_run_has_its_scores_and_answers(run, dataset):
    scores = json.loads((run / "metrics.json").read_text())["validation"]
    assert {row["trained"] for row in scores["routes"]} == {True, False} and "predictions" not in scores
    rows = [json.loads(line) for line in (run / "predictions-validation.jsonl").read_text().splitlines()]
    assert {"route", "trained", "id", "source", "references", "hypothesis", "score", "chrf"} == set(rows[0]) and len(rows) == sum(row["items"] for row in scores["routes"])


def test_translate_answers_line_by_line(run, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\nnumber " * 3 + "x" * 300 + "\n🎉 عشرة\n"))
    assert cli.main(["translate", str(run), "--to", "de"]) == 0
    said = capsys.readouterr()
    assert len(said.out.split("\n")) == 9 and said.out.split("\n")[1] == "" and "subwords, of which the first 16 are read" in said.err
    (tmp_path / "lines.txt").write_text("one\ntwo\n", encoding="utf-8")
    asked, said = ["translate", str(run), str(tmp_path / "lines.txt"), "--from", "en", "--to", "de", "--n-best", "2"], []
    for more in ([], ["--xla"]):
        assert cli.main([*asked, *more]) == 0
        said.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    rows = said[0]
    assert [row["texts"] for row in said[1]] == [row["texts"] for row in rows]
    assert [len(row["texts"]) for row in rows] == [2, 2] and all(row["scores"] == sorted(row["scores"], reverse=True) for row in rows)


def test_texts_are_drawn_with_a_seed(run, capsys, tmp_path):
    (tmp_path / "lines.txt").write_text("one\ntwo\n", encoding="utf-8")
    asked, said = ["translate", str(run), str(tmp_path / "lines.txt"), "--to", "de", "--sample", "--n-best", "3"], []
    for more in (["--seed", "1"], ["--seed", "1"], ["--seed", "9"]):
        assert cli.main([*asked, *more]) == 0
        said.append(capsys.readouterr().out)
    rows = [json.loads(line) for line in said[0].splitlines()]
    assert said[0] == said[1] != said[2] and [len(row["texts"]) for row in rows] == [3, 3] and len({text for row in rows for text in row["texts"]}) == 6
    assert cli.main([*asked, "--temperature", "0"]) == 1
    assert "Expected --temperature above 0" in capsys.readouterr().err


def test_xla_is_for_what_writes():
    with pytest.raises(ValueError, match="Expected a run that writes texts for --xla.*Received: one of int"):
        runs.with_xla(7)


def test_an_answer_is_one_line(capsys):
    texts._say(argparse.Namespace(n_best=None), [("a\nb\r\u2028c", -1.0)])
    assert capsys.readouterr().out == "a b  c\n"


def test_caption_and_transcribe_take_files(run, capsys, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8))
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    assert cli.main(["caption", str(run), str(tmp_path / "a.png"), str(tmp_path / "b.jpg"), str(tmp_path / "none.png"), "--to", "en"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3 and "b.jpg: unreadable" in said.err and "none.png: " in said.err
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.png").symlink_to(tmp_path / "a.png")
    assert cli.main(["caption", str(run), str(tmp_path / "links" / "a.png"), "--to", "en"]) == 0
    linked = capsys.readouterr()
    assert linked.err == "" and linked.out.splitlines() == said.out.splitlines()[:1]
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write(tmp_path / "long.wav", np.concatenate([noise, noise * 0, noise, noise * 0, noise]), 16_000)
    soundfile.write(tmp_path / "short.wav", noise, 16_000)
    assert cli.main(["transcribe", str(run), str(tmp_path / "long.wav"), str(tmp_path / "short.wav"), "--to", "fr"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert cli.main(["transcribe", str(run), str(tmp_path / "long.wav"), "--to", "fr", "--times"]) == 0
    times = [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()]
    assert len(times) >= 2 and times[0][0] == "0.00" and float(times[-1][1]) == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["translate"], "Expected --to, one of de, en, fr. Received: none"),
        (["translate", "--to", "xx"], "taught to write: de, en, fr. Received: xx"),
        (["translate", "--to", "de", "--from", "xx"], "taught to read: de, en, fr. Received: xx"),
        (["translate", "--to", "de", "--field", "image"], "a field of text that the run reads: text. Received: image"),
        (["translate", "--to", "de", "--n-best", "7"], "between 1 and the 2 beams of the run. Received: 7"),
    ],
)
def test_what_it_cannot_do_is_told(run, capsys, arguments, words):
    assert cli.main([arguments[0], str(run), *arguments[1:]]) == 1
    assert words in capsys.readouterr().err
