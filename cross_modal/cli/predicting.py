"""The verb `predict`: answers for a table of any length."""

import collections
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import sys

from cross_modal.cli.data import add_limits, limits_of
from cross_modal.cli.runs import XLA_HELP, check_language, load_run, model_digest


def add_arguments(verbs):
    """Adds the arguments of the verb here; `verbs` is a dict of name to parser."""
    add = verbs["predict"].add_argument
    add("run", help="folder of the run")
    add("table", help="CSV, JSONL, Parquet or a folder, of any length; media are paths relative to it; rows of one item stand below each other")
    add("--out", metavar="ANSWERS.JSONL", help="write here; a call that was stopped is gone on with")
    add("--to", metavar="LANGUAGE", help="where texts are written, their language; may be left out where there is but one")
    add("--encoding", help="of a text file; found out where it is not given")
    add("--xla", action="store_true", help=XLA_HELP)
    add_limits(add)


def predict(options):
    """Answers item by item; a file of answers that is not finished is gone on with."""
    from tqdm import tqdm

    from cross_modal import serving
    from cross_modal.data import read_examples
    from cross_modal.data.sources import open_source

    if options.out:
        _check_out(pathlib.Path(options.out))
    _, task, model = load_run(options.run, options.xla)
    check_language(task, options.to)
    endpoints = task.endpoints(model)
    kinds = {name: feature.kind for name, feature in task.features.items() if any(name in endpoint.signature for endpoint in endpoints.values())}
    given = dict.fromkeys(["target_language", *(f"{name}_language" for name in getattr(task, "texts", ()))], options.to) if options.to else {}
    source = open_source(options.table, options.encoding)
    part = _part(options, source)
    unusable = collections.deque()

    def seen():
        for example, bad in read_examples(source, kinds, done, **limits_of(options)):
            unusable.append(bad)
            yield example

    count = bad = done = 0
    with _claimed(part, options.out) if part else contextlib.nullcontext(sys.stdout) as file:
        done = _whole_lines(part)
        for answer in tqdm(serving.predict(endpoints, seen(), given=given), desc="predict", unit=" items", initial=done, disable=not (part and sys.stderr.isatty())):
            reasons = unusable.popleft()
            for one in reasons:
                tqdm.write(f"{options.table}, row {one['row']}, field {one['field']}: {one['reason']}: {one['path']}", file=sys.stderr)
            answer |= {"unusable": [{name: one[name] for name in ("row", "field", "reason", "path")} for one in reasons]} if reasons else {}
            file.write(json.dumps(answer, ensure_ascii=False) + "\n")
            file.flush()
            count, bad = count + 1, bad + len(reasons)
        if part:
            os.replace(part, options.out)
    print(f"{done + count:,} items answered{f', {done:,} of them before' if done else ''}; {bad:,} views could not be used", file=sys.stderr)


def _part(options, source):
    """The file that answers stand in until all are there; its name tells of which run and table. None for the terminal."""
    if not options.out:
        return None
    out = pathlib.Path(options.out)
    asked = hashlib.sha256((model_digest(options.run) + source.identity + (options.to or "") + json.dumps(limits_of(options))).encode())
    return out.with_name(f"{out.name}.{asked.hexdigest()[:12]}.part")


def _check_out(out):
    if out.exists():
        raise FileExistsError(f"Expected --out to be a new file. Received: {out}. Give another one, or delete it.")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"Expected --out in a folder that is there. Received: {out}")


@contextlib.contextmanager
def _claimed(part, out):
    """Opens the file of answers for one call at a time; the system lets go of it however the call ends."""
    with part.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileExistsError(f"Expected no other call to write to {out}. Received: one is at work there. Wait for it, stop it, or give another --out.") from error
        if pathlib.Path(out).exists():  # The other call has just ended.
            part.unlink(missing_ok=True)
            _check_out(pathlib.Path(out))
        yield file


def _whole_lines(part):
    """How many whole lines a file has; one that was being written is cut off."""
    if not part:
        return 0
    count = end = 0
    with part.open("r+b") as file:
        for line in file:
            if line.endswith(b"\n"):
                count, end = count + 1, end + len(line)
        file.truncate(end)
    return count
