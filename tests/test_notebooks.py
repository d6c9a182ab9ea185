"""The notebooks run from top to bottom, on a small sample, and have the same headings."""

import json
import pathlib

import pytest

import cross_modal

NOTEBOOKS = sorted((pathlib.Path(cross_modal.__file__).parent.parent / "notebooks").glob("*.ipynb"))


def _cells(path, kind):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def test_there_is_a_notebook():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_headings_are_the_same_in_each(path):
    headings = [line for cell in _cells(path, "markdown") for line in cell.splitlines() if line.startswith("## ")]
    assert headings == [f"## {name}" for name in ("Data", "Task", "Fit", "Scores", "Look", "Export", "Serve")]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(_cells(path, "code"))
    for large, small in (("numbers=1000", "numbers=40"), ("epochs=6", "epochs=1"), ("steps_per_epoch=100", "steps_per_epoch=2")):
        assert large in code
        code = code.replace(large, small)
    shorter = ('"length": 40', '"length": 8'), ("length=40", "length=8")
    for large, small in (*shorter, ("texts=2000", "texts=40"), ("epochs=8", "epochs=1"), ("(10, 50), seeds=3", "(10,), seeds=1"), ('("de", "en", "uk")', '("de", "en")')):
        code = code.replace(large, small)
    for large, small in (("image.cnn", "image.mlp"), ("text.gru", "text.bag"), ("text.lstm", "text.bag")):
        code = code.replace(f"towers.{large}", f"towers.{small}")  # Towers have tests of their own; here they only take long.
    code = code.replace("decoders.image.unet", "decoders.image.mlp")
    if "ctc" not in code:  # It needs a tower with as many steps as there are letters.
        code = code.replace("towers.audio.crnn", "towers.audio.cnn")
    exec(compile(code, path.name, "exec"), {})
    said = capsys.readouterr().out
    assert any(words in said for words in ("recall@1", "accuracy with only", "route (* never trained)", "share explained", "the question alone"))
    assert list(tmp_path.glob("*.png"))
