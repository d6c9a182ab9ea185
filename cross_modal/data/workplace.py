"""The folder beside a dataset that is being made."""

import contextlib
import fcntl
import os
import shutil

from cross_modal.data import schema

_WORK, _TRASH = ".ingest", ".ingest-trash-"


@contextlib.contextmanager
def workplace(out):
    """Makes the folder for what is written on the way to a dataset, for one run at a time. It stays where a run is stopped, for the next to go on with.

    Args:
        out: path of the folder of the dataset; it is made.

    Yields:
        Path of the folder.

    Raises:
        TableError: if `out` is no folder, holds files of somebody else where the dataset goes, or another run is writing there.
    """
    if out.exists() and not out.is_dir():
        raise schema.TableError(f"Expected a folder for the dataset. Received: {out}, which is a file.")
    strangers = [path.name for path in out.glob("items/*") if not (path / "dataset_info.json").exists()]
    if strangers:
        raise schema.TableError(f"Expected a folder that is new, or holds a dataset. Received: {out}, where items holds {', '.join(sorted(strangers)[:3])}. Give another one.")
    out.mkdir(parents=True, exist_ok=True)
    work, lock = out / _WORK, _lock(out)
    with lock:
        for trash in out.glob(f"{_TRASH}*"):
            shutil.rmtree(trash, ignore_errors=True)
        try:
            yield work
        except schema.TableError:
            if not any(work.glob("views-*.parquet")):  # Nothing that is worth keeping.
                _discard(work)
                with contextlib.suppress(OSError):
                    out.rmdir()
            raise
        _discard(work)


def _lock(out):
    """Opens the file that says that a run is writing; the system lets go of it however the run ends."""
    path = out / _WORK / "lock"
    while True:
        path.parent.mkdir(exist_ok=True)
        with contextlib.ExitStack() as stack, contextlib.suppress(FileNotFoundError):  # The other run has just ended, and taken the folder away.
            file = stack.enter_context(path.open("a"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise schema.TableError(f"Expected no other run to write to {out}. Received: one is at work there. Wait for it, stop it, or give another --out.") from error
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                stack.pop_all()
                return file


def _discard(work):
    """Takes the folder away at once, so that no half of it is ever taken for a whole, and then deletes it."""
    trash = work.with_name(f"{_TRASH}{os.getpid()}")
    os.replace(work, trash)
    shutil.rmtree(trash, ignore_errors=True)
