"""The line from end to end, on the command line, as a user runs it."""

import json
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from cross_modal import cli, exporting
from cross_modal.cli import predicting

SETTINGS = [
    "features.image.size=[8,20]", "features.image.channels=1", "features.text.vocab_size=400", "features.audio.bins=16", "features.audio.hop_ms=25",
    "towers.image.widths=[4,8]", "towers.audio.widths=[4,4]", "options.dim=16", "options.embedding=8", "options.views.text=2",
    "options.routes=['*->*','!text:tr->*','text:tr->text:en']", "training.epochs=2", "training.steps_per_epoch=2", "training.batch_size=8",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(dataset, trained):
    return trained(dataset, "alignment", SETTINGS)


@pytest.fixture(scope="module")
def classifier(dataset, trained):
    keys = ["features={'image': {'size': [8, 20], 'channels': 1}, 'text': {'vocab_size': 400}, 'parity': {}}", "towers.image.widths=[4]", "options.dim=8"]
    return trained(dataset, "classification", [*keys, *SETTINGS[-3:]])


def test_train_leaves_a_run(run, capsys):
    names = {path.name for path in run.iterdir()}
    assert {"run.yaml", "features.json", "model.keras", "history.csv", "history.png", "metrics.json", "checkpoints"} <= names
    assert cli.main(["describe", str(run)]) == 0
    said = capsys.readouterr().out
    assert "learning_rate: 0.002" in said and "text:tr" in said


def test_train_again_or_on_is_told(run, dataset, capsys):
    assert cli.main(["train", str(dataset.path), "--run", str(run)]) == 1
    assert "--resume" in capsys.readouterr().err
    assert cli.main(["train", "--run", str(run), "--resume"]) == 0
    assert "recall@1" in capsys.readouterr().out


def test_evaluate_prints_the_route_matrix(run, capsys):
    assert cli.main(["evaluate", str(run), "--split", "test"]) == 0
    said = capsys.readouterr().out
    assert "recall@10, from the row to the column, over 8 views" in said and "never-trained routes" in said
    scores = json.loads((run / "metrics.json").read_text())["test"]
    assert all(0 <= row["recall@1"] <= row["recall@10"] <= 1 for row in scores["routes"])
    assert cli.main(["evaluate", str(run), "--split", "tset"]) == 1
    assert "one of the splits train, validation, test" in capsys.readouterr().err


def test_search_finds_over_kinds_of_view(run, table, capsys):
    assert cli.main(["search", str(run), "text:tr=yedi", "--target", "image", "-k", "3"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 4
    sound = table.parent / "audio" / "7_fr_0.flac"
    assert cli.main(["search", str(run), f"audio:fr={sound}", "--target", "text", "--language", "de", "-k", "2"]) == 0
    said = capsys.readouterr().out
    assert said.count("(de)") == 2 and said.count("(") == 2
    assert cli.main(["search", str(run), "video=x", "--target", "text"]) == 1
    assert "a field of the run: image, text, audio. Received: video" in capsys.readouterr().err
    assert cli.main(["search", str(run), "image=no_such.png"]) == 1
    assert "no_such.png, which is missing" in capsys.readouterr().err
    assert cli.main(["search", str(run), "seven"]) == 1
    assert "text:tr=yüz" in capsys.readouterr().err


def test_similar_items_of_a_mix_of_views(run, table, capsys):
    asked = ["similar", str(run), "-k", "3"]
    assert cli.main([*asked, "text:tr=yedi", f"image={table.parent / 'image' / '7_0.png'}", "--diversity", "0.5"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    turkish = {row["text:tr"] for row in map(json.loads, table.read_text().splitlines()) if "text:tr" in row}
    assert len(lines) == 4 and all(line.split("  ")[-1].strip() in turkish for line in lines[1:])  # In the language that was asked in.
    assert cli.main([*asked, "--score", "parity", "--fields", "text,image", "--diversity", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["diversity 0.0", "diversity 0.5"] and all("recall" in line and line.endswith(" items") for line in lines)
    for arguments, words in (
        ([], "Expected views, or --id, or --score"),
        (["--id", "none"], "Expected --id to be an item of test, such as"),
        (["--score", "x"], "Expected a label of the dataset: parity, digits. Received: x"),
        (["--score", "image"], "Expected a label of the dataset: parity, digits. Received: image"),
    ):
        assert cli.main([*asked, *arguments]) == 1
        assert words in capsys.readouterr().err


def test_predict_answers_each_item(classifier, table, tmp_path, capsys):
    shutil.copytree(table.parent / "image", tmp_path / "image")
    lines = [
        {"id": "both", "image": "image/3_0.png", "text:en": "three"},
        {"id": "word", "text:he": "\u200fמאה 🎉"},
        {"id": "gone", "image": "image/none.png", "text:en": "one"},
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert cli.main(["predict", str(classifier), str(path)]) == 0
    said = capsys.readouterr()
    answers = [json.loads(line) for line in said.out.strip().splitlines()]
    assert [answer["id"] for answer in answers] == ["both", "word", "gone"]
    assert all(answer["parity"] in ("even", "odd") and abs(sum(answer["parity_probabilities"]) - 1) < 1e-5 for answer in answers)
    assert "row 3, field image: missing: image/none.png" in said.err


def test_predict_goes_on_where_it_was(classifier, table, tmp_path, capsys):
    lines = [{"id": str(number), "text:en": text} for number, text in enumerate(["one", "two", " ", "three", "four"] * 30)]
    path, out, whole = tmp_path / "items.jsonl", tmp_path / "answers.jsonl", tmp_path / "whole.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert cli.main(["predict", str(classifier), str(path), "--out", str(whole)]) == 0
    assert "150 items answered; 30 views could not be used" in capsys.readouterr().err
    answers = [json.loads(line) for line in whole.read_text().splitlines()]
    assert [answer["id"] for answer in answers] == [line["id"] for line in lines]
    assert answers[2] == {"id": "2", "unusable": [{"row": 3, "field": "text", "reason": "empty text", "path": " "}]}
    killed = subprocess.Popen([sys.executable, "-m", "cross_modal", "predict", str(classifier), str(path), "--out", str(out)], stderr=subprocess.PIPE)
    while not (parts := list(tmp_path.glob("answers.jsonl.*.part"))) or not parts[0].stat().st_size:
        assert killed.poll() is None, killed.stderr.read()
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    killed.stderr.close()
    content = whole.read_bytes()
    parts[0].write_bytes(content[: content.index(b'{"id": "97"') + 20])  # In the middle of a line.
    assert cli.main(["predict", str(classifier), str(path), "--out", str(out)]) == 0
    assert "150 items answered, 97 of them before; 11 views" in capsys.readouterr().err
    again = [json.loads(line) for line in out.read_text().splitlines()]
    assert [sorted(one) for one in again] == [sorted(one) for one in answers] and [one["id"] for one in again] == [one["id"] for one in answers]
    assert [one.get("parity") for one in again] == [one.get("parity") for one in answers]
    assert not list(tmp_path.glob("*.part"))


def test_predict_overwrites_nothing_and_mixes_nothing(classifier, tmp_path, capsys):
    path, other = tmp_path / "items.jsonl", tmp_path / "other.json"
    path.write_text('{"id": "a", "text:en": "one"}\n{"id": "b", "text:en": "two"}')
    for content in ('{"precious": 1}', '{"id": "a"}\n', ""):
        other.write_text(content)
        assert cli.main(["predict", str(classifier), str(path), "--out", str(other)]) == 1
        assert "--out to be a new file" in capsys.readouterr().err and other.read_text() == content
    assert cli.main(["predict", str(classifier), str(path), "--out", str(path)]) == 1
    out = tmp_path / "answers.jsonl"
    part = tmp_path / "answers.jsonl.000000000000.part"  # Of another run or table.
    part.write_text('{"id": "a"}\n')
    assert cli.main(["predict", str(classifier), str(path), "--out", str(out)]) == 0
    assert "2 items answered; 0" in capsys.readouterr().err and part.exists() and len(out.read_text().splitlines()) == 2
    out.unlink()
    with predicting._claimed(tmp_path / f"{out.name}.one.part", out), pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicting, "_part", lambda *_: tmp_path / f"{out.name}.one.part")
        assert cli.main(["predict", str(classifier), str(path), "--out", str(out)]) == 1
        assert "Expected no other call to write to" in capsys.readouterr().err and not out.exists()
    assert cli.main(["predict", str(classifier), str(path), "--out", str(tmp_path / "none" / "answers.jsonl")]) == 1
    assert "Expected --out in a folder that is there" in capsys.readouterr().err


def test_predict_of_texts_that_are_none(classifier, tmp_path, capsys):
    path = tmp_path / "items.jsonl"
    path.write_text('{"id": "a", "text:en": "one"}\n{"id": "b", "text:en": "x\\ud800"}\n{"id": "c", "text:en": "two"}\n')
    assert cli.main(["predict", str(classifier), str(path), "--out", str(tmp_path / "answers.jsonl")]) == 0
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [one["id"] for one in answers] == ["a", "b", "c"] and answers[1]["unusable"][0]["path"] == "x\ufffd"
    path.write_text('{"id": "a", "words": "one"}\n')
    assert cli.main(["predict", str(classifier), str(path)]) == 1
    assert "expected at least one of the fields image, text. Received: words" in capsys.readouterr().err
    path.write_text('{"words": "one"}\n' * 1500 + '{"text:en": "one"}\n')
    capsys.readouterr()
    assert cli.main(["predict", str(classifier), str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1501


def test_predict_of_an_alignment_embeds_what_is_there(run, table, capsys):
    assert cli.main(["predict", str(run), str(table)]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert set(first) == {"id", "image_embedding", "text_embedding", "audio_embedding"}
    assert np.linalg.norm(first["text_embedding"]) == pytest.approx(1.0, abs=1e-4)


ASK = """
import importlib.abc, json, sys
class No(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("cross_modal", "keras"):
            raise ModuleNotFoundError(name)
import tensorflow as tf, tensorflow_text
sys.meta_path.insert(0, No())
for name in [name for name in sys.modules if name.split(".")[0] in ("cross_modal", "keras")]:
    del sys.modules[name]
folder, image, sound = sys.argv[1:]
loaded = tf.saved_model.load(folder)
ask = loaded.signatures
out = {
    "text": ask["embed_text"](text=tf.constant(["one hundred", "", "yüz"]), text_language=tf.constant(["en", "", "tr"]))["embedding"],
    "image": ask["embed_image"](image=tf.constant([open(image, "rb").read()]), image_language=tf.constant([""]))["embedding"],
    "audio": ask["embed_audio"](audio=tf.constant([open(sound, "rb").read()]), audio_language=tf.constant(["fr"]))["embedding"],
}
print(json.dumps({name: value.numpy().tolist() for name, value in out.items()}))
"""


def test_the_export_runs_without_the_package_and_equals_memory(run, table, dataset, tmp_path, capsys):
    import keras
    import tensorflow as tf

    from cross_modal.config import load_task
    from cross_modal.data import media

    assert cli.main(["export", str(run)]) == 0
    assert "embed_audio(audio, audio_language) -> embedding float32" in capsys.readouterr().out
    image, sound = table.parent / "image" / "5_0.png", tmp_path / "sound.wav"
    sound.write_bytes(media.canonical_audio((table.parent / "audio" / "5_fr_0.flac").read_bytes()))
    done = subprocess.run([sys.executable, "-c", ASK, str(run / "export"), str(image), str(sound)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    served = json.loads(done.stdout)
    _, task = load_task(run)
    endpoints = task.endpoints(keras.models.load_model(run / "model.keras"))
    memory = {
        "text": endpoints["embed_text"](text=tf.constant(["one hundred", "", "yüz"]), text_language=tf.constant(["en", "", "tr"])),
        "image": endpoints["embed_image"](image=tf.constant([image.read_bytes()]), image_language=tf.constant([""])),
        "audio": endpoints["embed_audio"](audio=tf.constant([sound.read_bytes()]), audio_language=tf.constant(["fr"])),
    }
    for name, answer in memory.items():
        np.testing.assert_allclose(served[name], answer["embedding"].numpy(), atol=1e-5)
    assert cli.main(["describe", str(run / "export")]) == 0
    capsys.readouterr()
    assert cli.main(["export", str(run), str(run)]) == 1
    assert "Expected --out, the folder of the SavedModel of 2 runs" in capsys.readouterr().err
    assert cli.main(["export", str(run), str(run), "--out", str(tmp_path / "both")]) == 0
    twice = exporting.load(tmp_path / "both")["embed_text"](text=tf.constant(["one hundred", "", "yüz"]), text_language=tf.constant(["en", "", "tr"]))["embedding"]
    np.testing.assert_allclose(twice, np.concatenate([served["text"]] * 2, 1) / 2**0.5, atol=1e-5)


def test_ingest_and_describe_say_what_is_there(table, tmp_path, capsys):
    assert cli.main(["ingest", str(table), "--out", str(tmp_path / "dataset")]) == 0
    said = capsys.readouterr().out
    assert "text:ko" in said and "parity: 2 classes" in said
    assert cli.main(["describe", str(tmp_path / "dataset")]) == 0
    assert capsys.readouterr().out == said
    assert cli.main(["describe", str(tmp_path / "nothing")]) == 1
    assert "cross-modal ingest" in capsys.readouterr().err
    assert cli.main(["ingest", str(tmp_path / "no.csv"), "--out", str(tmp_path / "d")]) == 1
    assert "no.csv" in capsys.readouterr().err


@pytest.mark.parametrize("verb", list(cli._VERBS))
def test_each_verb_has_help_with_an_example(verb, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0
    assert f"example:\n  cross-modal {verb}" in capsys.readouterr().out


def test_python_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    readme = (pathlib.Path(cli.__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = readme.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("numbers=1000", "numbers=30").replace("epochs=20", "epochs=1"), "README.md", "exec"), {})
    assert "recall@1" in capsys.readouterr().out
    assert (tmp_path / "saved_models" / "by_hand" / "export" / "saved_model.pb").exists()


def test_the_demo_runs(tmp_path, capsys):
    from cross_modal.demo import demo

    scores = demo(tmp_path, quick=True)
    said = capsys.readouterr().out
    assert "[4/4]" in said and "cosine of text and audio" in said
    assert set(scores) == {"alignment", "classification"}
    assert (tmp_path / "retrieval.png").stat().st_size > 10_000
    assert (tmp_path / "alignment" / "export" / "saved_model.pb").exists()
