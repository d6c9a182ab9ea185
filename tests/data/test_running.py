import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import soundfile

from cross_modal.data import TableError, ingest, running


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Twelve hundred rows: pictures, a few of them bad, recordings and texts, so that there are several chunks and shards."""
    folder = tmp_path_factory.mktemp("table")
    rows = ["id,group,image,audio,text:en,text:tr,label"]
    for i in range(1200):
        image = audio = ""
        if i % 10 == 0:
            image = f"{i}.png"
            (folder / image).write_bytes(b"no" if i % 400 == 0 else cv2.imencode(".png", np.random.default_rng(i).integers(0, 256, (16, 24, 3), np.uint8))[1].tobytes())
        if i % 50 == 0:
            audio = f"{i}.flac"
            soundfile.write(folder / audio, np.random.default_rng(i).normal(0, 0.1, 2000), 8000)
        rows.append(f"{i},g{i // 3},{image},{audio},number {i},sayı {i},{i % 7}")
    (folder / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    return folder / "t.csv"


def content(folder):
    """All bytes of a dataset, by file; shards of every size."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def expected(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    ingest(table, out, max_bad=0.1, progress=False)
    found = content(out)
    assert sorted(name for name in found if "tfrecord" not in name) == [
        "items/1.0.0/dataset_info.json",
        "items/1.0.0/features.json",
        "items/1.0.0/metadata.json",
        "items/1.0.0/quarantine.csv",
        "quarantine.csv",
    ]
    return found


def test_tasks_are_done_in_order_and_an_error_ends_them():
    assert list(running.in_threads(lambda task: task**2, range(50))) == [task**2 for task in range(50)]
    with pytest.raises(ZeroDivisionError):
        list(running.in_threads(lambda task: 1 // (task - 3), range(50)))


@pytest.mark.skipif(importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed")
def test_beam_makes_the_same_bytes(table, expected, tmp_path):
    # In a process of its own: Beam leaves threads of gRPC behind, which may abort the process long after.
    code = f"from cross_modal.data import ingest, running; ingest({str(table)!r}, {str(tmp_path / 'out')!r}, max_bad=0.1, runner=running.on_beam())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "out") == expected


def test_without_beam_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(TableError, match=r"Expected Apache Beam\. Install it: pip install 'cross_modal\[beam\]'"):
        running.on_beam()


def counted(counts, fail_after=None):
    def run(runner_function, tasks):
        for result in running.in_threads(runner_function, tasks):
            if fail_after is not None and sum(counts) >= fail_after:
                raise KeyboardInterrupt
            counts.append(1)
            yield result

    return run


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_what_was_done_before_a_stop_is_not_done_again(table, expected, tmp_path, after):
    first, second = [], []
    with pytest.raises(KeyboardInterrupt):
        ingest(table, tmp_path / "out", max_bad=0.1, progress=False, runner=counted(first, after))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / ".ingest").glob("views-*")}
    assert len(before) >= 2 * after
    ingest(table, tmp_path / "out", max_bad=0.1, progress=False, runner=counted(second))
    assert len(second) <= 5 + 3 - after  # Five chunks and three splits in all.
    assert content(tmp_path / "out") == expected


def test_killed_at_any_moment_it_ends_with_the_same_bytes(table, expected, tmp_path):
    """A process of its own, killed without a warning, again and again."""
    code = f"from cross_modal.data import ingest\nprint('go', flush=True)\ningest({str(table)!r}, {str(tmp_path / 'out')!r}, max_bad=0.1, progress=False)"
    for delay in (0.02, 0.15, 0.3, 0.45):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"go\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
    ingest(table, tmp_path / "out", max_bad=0.1, progress=False)
    assert content(tmp_path / "out") == expected


def test_a_mended_file_costs_its_chunk_alone(table, tmp_path):
    """After a stop for too many bad views."""
    out = tmp_path / "out"
    with pytest.raises(TableError, match="What is done is kept"):
        ingest(table, out, max_bad=0.0001, progress=False)
    done = {path.name for path in (out / ".ingest").glob("views-*.parquet")}
    assert done
    (tmp_path / "new").mkdir()
    bad = table.parent / "0.png"
    old, stat = bad.read_bytes(), bad.stat()
    bad.write_bytes((table.parent / "10.png").read_bytes())
    try:
        again = []
        ingest(table, out, max_bad=0.1, progress=False, runner=counted(again))
        assert len(again) == 5 - len(done) + 1 + 3
    finally:
        bad.write_bytes(old)
        os.utime(bad, ns=(stat.st_atime_ns, stat.st_mtime_ns))
