import json
import os

import pytest

from cross_modal.data import Dataset, TableError, ingest
from cross_modal.data.workplace import workplace

ROWS = [{"id": str(i), "text:en": f"text {i}"} for i in range(20)]


def table(folder, rows=ROWS, name="t.jsonl"):
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_one_run_at_a_time(tmp_path):
    with workplace(tmp_path / "out"), pytest.raises(TableError, match="Expected no other run to write to .*out. Received: one is at work there"):
        ingest(table(tmp_path), tmp_path / "out", progress=False)
    assert sum(ingest(table(tmp_path), tmp_path / "out", progress=False).splits.values()) == 20


def test_a_lock_whose_owner_is_gone_does_not_hold(tmp_path):
    (tmp_path / "out" / ".ingest").mkdir(parents=True)
    (tmp_path / "out" / ".ingest" / "lock").touch()
    assert sum(ingest(table(tmp_path), tmp_path / "out", progress=False).splits.values()) == 20
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["items", "quarantine.csv"]


def test_files_of_somebody_else_stay(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "1.png").write_bytes(b"mine")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").write_text("mine")
    with pytest.raises(TableError, match="where items holds 1.png. Give another one"):
        ingest(table(tmp_path), tmp_path, progress=False)
    os.rename(tmp_path / "items", tmp_path / "pictures")
    ingest(table(tmp_path), tmp_path, progress=False)
    assert (tmp_path / "work" / "thesis.tex").read_text() == (tmp_path / "pictures" / "1.png").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(TableError, match="Received: .*out, which is a file"):
        ingest(table(tmp_path), tmp_path / "out", progress=False)


def test_what_was_being_deleted_when_a_run_was_killed_is_deleted(tmp_path):
    (tmp_path / "out" / ".ingest-trash-7").mkdir(parents=True)
    ingest(table(tmp_path), tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / ".ingest-trash-7").exists()


def test_rows_of_another_table_that_was_being_read_are_not_taken(tmp_path, monkeypatch):
    """Killed in the midst of reading B, with the mark of A still there, A must not go on with rows of B."""
    from cross_modal.data import staging

    one = table(tmp_path, [{"id": str(i), "text": f"A {i}"} for i in range(600)], "a.jsonl")
    two = table(tmp_path, [{"id": str(i), "text": f"B {i}"} for i in range(600)], "b.jsonl")
    stage_chunk, write = staging.stage_chunk, staging._write_parquet

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(staging, "stage_chunk", killed)
    with pytest.raises(KeyboardInterrupt):
        ingest(one, tmp_path / "out", progress=False)
    monkeypatch.setattr(staging, "_write_parquet", lambda made, path: killed() if path.name == "rows-000001.parquet" else write(made, path))
    with pytest.raises(KeyboardInterrupt):
        ingest(two, tmp_path / "out", progress=False)
    monkeypatch.setattr(staging, "stage_chunk", stage_chunk)
    monkeypatch.setattr(staging, "_write_parquet", write)
    dataset = ingest(one, tmp_path / "out", progress=False)
    assert {value[:1] for split in dataset.splits for value, _ in dataset.values(split, "text")} == {b"A"}


@pytest.mark.parametrize("damage", ["shard", "cut", "metadata", "info"])
def test_a_damaged_dataset_is_told_and_made_again(tmp_path, damage):
    path = table(tmp_path)
    out = tmp_path / "out"
    ingest(path, out, progress=False)
    folder = out / "items" / "1.0.0"
    shard = next(folder.glob("*train*"))
    if damage == "shard":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-3])
    else:
        (folder / ("metadata.json" if damage == "metadata" else "dataset_info.json")).write_text("")
    with pytest.raises(FileNotFoundError, match="Expected a whole dataset, as `cross-modal ingest` writes it. Received: .*1.0.0 .*Ingest the table again"):
        Dataset(out)
    dataset = ingest(path, out, progress=False)
    assert sum(dataset.splits.values()) == 20 and sum(1 for split in dataset.splits for _ in dataset.values(split, "text")) == 20


def test_the_list_of_a_run_that_failed_does_not_stay(tmp_path):
    good, bad = table(tmp_path, name="a.jsonl"), table(tmp_path, [{"id": "1", "label": "x"}, {"id": "1", "label": "y"}, *ROWS], "b.jsonl")
    out = tmp_path / "out"
    ingest(good, out, progress=False)
    with pytest.raises(TableError, match="contradicting"):
        ingest(bad, out, progress=False)
    assert "contradicting" in (out / "quarantine.csv").read_text()
    ingest(good, out, progress=False)
    assert "contradicting" not in (out / "quarantine.csv").read_text()
    assert not (out / ".ingest").exists()


def test_the_dataset_that_is_replaced_is_named(tmp_path, capsys):
    ingest(table(tmp_path), tmp_path / "out", progress=False)
    ingest(table(tmp_path, ROWS[:9], "other.jsonl"), tmp_path / "out", progress=False)
    assert "t.jsonl is replaced by that of" in capsys.readouterr().err


def test_a_dataset_is_found_by_its_inner_folder_too(tmp_path):
    ingest(table(tmp_path), tmp_path / "out", progress=False)
    assert Dataset(tmp_path / "out" / "items" / "1.0.0").splits == Dataset(tmp_path / "out").splits
