"""The public names and the levels between modules."""

import ast
import pathlib
import subprocess
import sys

import pytest

import cross_modal

PACKAGE = pathlib.Path(cross_modal.__file__).parent
LEVELS = [
    {"features", "layers", "metrics", "losses", "ctc", "baselines", "retrieval", "routes", "decoding", "compiling", "words"},
    {"data", "towers", "fusion", "decoders"},
    {"tasks", "route_scores", "text_endpoints", "writer", "reconstruction", "spans", "answer_scores", "class_scores", "serving"},
    {
        "training",
        "callbacks",
        "distilling",
        "evaluation",
        "pages",
        "report",
        "studies",
        "recommending",
        "ensembles",
        "exporting",
        "galleries",
        "server",
        "transfer",
        "word_vectors",
        "lexicons",
        "encoding",
        "probing",
    },
    {"arguments", "config", "cli", "samples", "questions", "testing", "tuning", "demo", "__main__", "__init__"},
]


def _level(part):
    return next(level for level, parts in enumerate(LEVELS) if part in parts)


def _imports(path):
    """Parts of the package that a file imports, and all modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "cross_modal":
            yield from (f"cross_modal.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_levels(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in _imports(path):
        if module.startswith("cross_modal."):
            other = module.split(".")[1]
            assert _level(other) <= _level(part), f"{part} imports {other} from a higher level"
        if part == "data":
            assert not module.startswith("keras"), "data never imports keras"
        if part in ("layers", "towers", "fusion", "losses", "decoders", "decoding"):
            assert not module.startswith("tensorflow"), "model code uses keras.ops alone, to train on other backends too"


def test_tasks_do_not_know_each_other():
    for path in (PACKAGE / "tasks").glob("*.py"):
        if path.stem != "__init__":
            assert {module for module in _imports(path) if module.startswith("cross_modal.tasks")} <= {"cross_modal.tasks.task"}


def test_what_works_on_tasks_knows_only_their_contract():
    for part in LEVELS[3]:
        source = (PACKAGE / f"{part}.py").read_text(encoding="utf-8")
        assert not any(task in source for task in ("Alignment", "Autoencoding", "Classification", "Generation")), part


def test_public_names_exist_and_are_sorted():
    assert cross_modal.__all__ == sorted(cross_modal.__all__)
    for name in cross_modal.__all__:
        assert getattr(cross_modal, name) is not None
    from cross_modal.exporting import export

    assert cross_modal.export is export


def test_help_does_not_wait_for_tensorflow():
    code = "import sys; from cross_modal import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'numpy')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "predict" in done.stdout


def test_modules_and_functions_stay_small():
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 330, f"{path.name} has {len(lines)} lines"
