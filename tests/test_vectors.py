"""The verbs about vectors, on the command line, as a user runs them."""

import base64
import json

import cv2
import numpy as np
import pytest
import soundfile

from cross_modal import cli
from cross_modal.word_vectors import WordVectors

SETTINGS = [
    "features={image: {size: [8, 20], channels: 1}, text: {vocab_size: 400, length: 16}, audio: {bins: 16, hop_ms: 25, seconds: 3, range_db: 60}}", "towers.image.widths=[4]",
    "towers.audio={kind: cnn, widths: [4]}", "towers.text.kind=bag", "decoders={image: {kind: mlp, widths: [4]}, audio: {widths: [4]}, text: {kind: gru, depth: 1}}",
    "options={dim: 16, latent: 8, length: 8, agreement: 0.1}", "training={epochs: 1, steps_per_epoch: 2, batch_size: 8, weight_decay: 0}",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(dataset, trained):
    return trained(dataset, "autoencoding", SETTINGS)


@pytest.fixture(scope="module")
def picture(dataset, picture_of):
    return picture_of(dataset)


def test_the_run_has_its_scores_and_a_page(run, capsys):
    scores = json.loads((run / "metrics.json").read_text())["validation"]
    assert {row["field"] for row in scores["patterns"]} == {"image", "text", "audio"} and len({row["given"] for row in scores["patterns"]}) == 7
    assert set(scores["loss"]) == {"reconstruction", "regularization", "alpha"} and "examples" not in scores
    page = (run / "examples-validation.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 4 and "data:image/png" in page and "data:audio/wav" in page and "image+text+audio" in page
    assert cli.main(["evaluate", str(run)]) == 0
    assert "share explained of each field (* not given)" in capsys.readouterr().out and (run / "examples-test.html").exists()


def test_encode_writes_lines_or_an_array(run, picture, tmp_path, capsys):
    (tmp_path / "lines.txt").write_text("deux\n\ncent 🎉\n", encoding="utf-8")
    assert cli.main(["encode", str(run), str(tmp_path / "lines.txt"), "--from", "fr"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in rows] == ["deux", "", "cent 🎉"] and all(len(row["vector"]) == 8 for row in rows) and not any(rows[1]["vector"])
    assert cli.main(["encode", str(run), str(picture), str(picture), "--field", "image", "--out", str(tmp_path / "v")]) == 0
    vectors = np.load(tmp_path / "v")
    (tmp_path / "link.png").symlink_to(picture)
    assert cli.main(["encode", str(run), str(tmp_path / "link.png"), "--field", "image", "--out", str(tmp_path / "w")]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "w")[0], vectors[0], atol=1e-6)
    assert vectors.shape == (2, 8) and (vectors[0] == vectors[1]).all()


def test_similarity_is_a_table(run, picture, capsys):
    assert cli.main(["similarity", str(run), "text:en=two", "text:fr=deux", f"image={picture}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and [float(line.split()[-3 + place]) for place, line in enumerate(lines[1:])] == [1.0, 1.0, 1.0]
    assert cli.main(["similarity", str(run), "text:en=two"]) == 1
    assert "two views or more" in capsys.readouterr().err
    assert cli.main(["similarity", str(run), "text:en=two", "text:fr= "]) == 1
    assert "Received: 'text:fr= ', which is empty" in capsys.readouterr().err


def test_mine_finds_the_same_line(run, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("one hundred\ntwo\ntwo\n\nseven\n")
    (tmp_path / "b.txt").write_text("seven\nforty one\none hundred\n")
    assert cli.main(["mine", str(run), str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), "--least", "0"]) == 0
    said = capsys.readouterr()
    pairs = [line.split("\t")[1:] for line in said.out.splitlines()]
    assert ["one hundred", "one hundred"] in pairs and ["seven", "seven"] in pairs and "3 pairs of 3 and 3 sentences" in said.err


def test_probe_tells_both_kinds_of_features(run, capsys):
    assert cli.main(["probe", str(run), "--label", "parity"]) == 0
    out = capsys.readouterr().out
    assert "image+text+audio" in out and "decision tree" in out
    rows = json.loads((run / "probe-parity-test.json").read_text())
    assert len(rows) == 7 * 4 and all(0 <= row["vectors"]["accuracy"] <= 1 for row in rows)
    assert cli.main(["probe", str(run), "--label", "text"]) == 1
    assert "Expected a label of the dataset: " in capsys.readouterr().err


def test_reconstruct_makes_files(run, picture, tmp_path, capsys):
    assert cli.main(["reconstruct", str(run), f"image={picture}", "--to", "text:de", "--to", "audio:fr", "--out", str(tmp_path / "made")]) == 0
    out = capsys.readouterr().out
    assert all(f"{name}: " in out for name in ("image", "text", "audio"))
    assert (tmp_path / "made" / "image.png").read_bytes()[:4] == b"\x89PNG" and (tmp_path / "made" / "text.txt").exists()
    samples, rate = soundfile.read(tmp_path / "made" / "audio.wav")
    assert rate == 16_000 and np.isfinite(samples).all()


def test_predict_answers_with_latents_and_what_is_made(run, picture, tmp_path, capsys):
    (tmp_path / "number.png").write_bytes(picture.read_bytes())
    (tmp_path / "items.jsonl").write_text(json.dumps({"id": "a", "image": "number.png"}) + "\n" + json.dumps({"id": "b", "text:en": "two"}) + "\n")
    assert cli.main(["predict", str(run), str(tmp_path / "items.jsonl")]) == 0
    for row in map(json.loads, capsys.readouterr().out.splitlines()):
        assert len(row["latent"]) == 8 and set(row) == {"id", "latent", "image_bytes", "text", "audio", "audio_frames"}
        assert base64.b64decode(row["image_bytes"]["b64"])[:4] == b"\x89PNG"


def test_what_is_given_in_a_language_that_the_run_does_not_know_is_made_again_all_the_same(run, tmp_path, capsys):
    assert cli.main(["reconstruct", str(run), "text:tlh=wa'", "--out", str(tmp_path / "made")]) == 0
    assert "text: " in capsys.readouterr().out and (tmp_path / "made" / "text.txt").exists()
    assert cv2.imread(str(tmp_path / "made" / "image.png")) is not None
    path = tmp_path / "items.jsonl"
    path.write_text('{"text:en": "two"}')
    assert cli.main(["predict", str(run), str(path), "--to", "tlh"]) == 1
    assert "Expected --to to be a language that the run was taught to write: ar, de" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["video=x"], "a field of the run: image, text, audio. Received: video"),
        (["text"], "FIELD[:LANGUAGE]=VALUE, such as"),
        (["image=none.png"], "the path of a file of image. Received: none.png"),
        (["text:en=a", "--to", "video:de"], "--to for fields that are not given, of image, text, audio. Received: video"),
        (["text:en=a", "--to", "text:de"], "--to for fields that are not given, of image, text, audio. Received: text"),
        (["text:en=a", "--to", "audio:tlh"], "--to to be a language of audio: en, es, fr. Received: audio:tlh"),
        (["text:en=a", "text:de=b"], "one value of each field that is given. Received: two of text"),
        (["text:en="], "one value of each field that is given. Received: an empty one of text"),
    ],
)
def test_what_cannot_be_given_is_told(run, arguments, message, capsys):
    assert cli.main(["reconstruct", str(run), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_vectors_of_words_of_each_language(dataset, tmp_path, capsys):
    arguments = ["vectors", str(dataset.path), "--dim", "8", "--epochs", "1", "--min-count", "1"]
    assert cli.main([*arguments, "--out", str(tmp_path / "words"), "--align", "en"]) == 0
    said = capsys.readouterr().out
    assert "such as" in said and said.count("of 8 numbers") == len(list((tmp_path / "words").glob("*.vec")))
    english = WordVectors.load(tmp_path / "words" / "text.en.vec")
    assert "twenty" in english.places and english.vectors.shape[1] == 8
    assert (tmp_path / "words" / "projector_config.pbtxt").read_text().count("embeddings") == len(list((tmp_path / "words").glob("*.vec")))
    for wrong in ("--epochs", "--dim", "--min-count"):
        assert cli.main([*arguments, "--out", str(tmp_path / "none"), wrong, "0"]) == 1
        assert f"Expected {wrong} of at least 1. Received: 0" in capsys.readouterr().err and not list(tmp_path.glob("none/*.vec"))
    (tmp_path / "pairs.tsv").write_text("fr\tcent\n", encoding="utf-8")
    assert cli.main([*arguments, "--out", str(tmp_path / "x"), "--align", "en", "--dictionary", str(tmp_path / "pairs.tsv")]) == 1
    assert "pairs.tsv, line 1: expected language, word and word with tabs between. Received: 'fr\\tcent'" in capsys.readouterr().err
    (tmp_path / "pairs.tsv").write_text("fr\tVINGT \ttwenty\nde\tzwei\ttwo\nfr\tdeux\ttwo\nfr\tdix mille\tten thousand\n", encoding="utf-8")
    given = [*arguments, "--method", "glove", "--out", str(tmp_path / "more"), "--align", "en", "--dictionary", str(tmp_path / "pairs.tsv")]
    assert cli.main(given) == 0
    said = capsys.readouterr()
    assert "text.fr.vec" in said.out and "words in the space of en" in said.out and "pairs.tsv: 1 lines are left out, where something is not one word" in said.err
    assert "text:es stays in a space of its own: Expected a pair of words that both have vectors. Received: none among 0 pairs" in said.err
    assert " gets no vectors: Expected texts of two words or more" in said.err
    assert cli.main([*arguments, "--out", str(tmp_path / "x"), "--align", "xx"]) == 1
    assert "Expected --align to be a language of text in the training split: " in capsys.readouterr().err
