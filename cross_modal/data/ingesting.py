"""A table of raw files to a TFDS dataset on disk."""

import collections
import contextlib
import csv
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np
from tqdm import tqdm

from cross_modal.data import index as indexing
from cross_modal.data import schema, splits, staging, summary, writing
from cross_modal.data.dataset import Dataset
from cross_modal.data.media import Limits
from cross_modal.data.running import in_threads
from cross_modal.data.sources import open_source
from cross_modal.data.table import KindGuess, read_items
from cross_modal.data.workplace import workplace

_QUARANTINE = ("row", "field", "reason", "path", "sha256")


@dataclasses.dataclass(frozen=True)
class _Settings:
    """What of the arguments of `ingest` changes the dataset."""

    kinds: dict
    limits: Limits
    fractions: tuple
    seed: int
    together: tuple
    ignored: tuple

    def __post_init__(self):
        if len(self.fractions) != 3 or min(self.fractions) < 0 or not 0.999 < sum(self.fractions) < 1.001:
            raise ValueError(f"Expected `fractions` (--splits) to be three shares that add up to 1. Received: fractions={self.fractions}")
        if set(self.ignored) & {*self.kinds, *self.together}:
            raise ValueError(f"Expected `ignored` fields not to be named elsewhere. Received: ignored={self.ignored}, kinds={self.kinds}, together={self.together}")


def ingest(table, out, kinds=(), fractions=(0.8, 0.1, 0.1), max_bad=0.01, seed=0, together=(), ignored=(), source=(), runner=in_threads, progress=True, **limits):
    """Reads a table once, checks it, and writes a standard TFDS dataset.

    A run that was stopped, at any moment, goes on where it was when it is started again, and ends with the same bytes.

    Args:
        table: path of a CSV, JSONL or Parquet file, or of a folder of class-named subfolders, or `tfds:NAME`; media are paths relative to it, or content in it.
        out: folder of the dataset; `quarantine.csv` there lists what could not be used. Made anew if the table or the settings changed, left as it is if not.
        kinds: dict of field to kind, for fields whose values mislead.
        fractions: shares of train, validation and test, where the table has no split. Where it has, but no validation, that share of the training items becomes validation.
        max_bad: most views that may be unusable, as a share, before the run stops.
        seed: seed of the split.
        together: text fields whose equal texts a drawn split does not part.
        ignored: fields or columns that are passed over.
        source: dict of the other arguments of `sources.open_source`.
        runner: see `running`.
        progress: whether to show progress.
        **limits: see `media.Limits`.

    Returns:
        `Dataset`.

    Raises:
        TableError: if the table cannot be used or has more bad views than `max_bad`; if `out` holds files of somebody else, or another run is writing there.
    """
    out, settings = pathlib.Path(out), _Settings(dict(kinds), Limits(**limits), tuple(fractions), seed, tuple(together), tuple(ignored))
    _check_share(max_bad)
    opened = open_source(table, **dict(source))
    identity = _digest(opened.identity, dataclasses.asdict(settings), writing.VERSION)
    with workplace(out) as work:
        found = None
        with contextlib.suppress(FileNotFoundError):
            found = Dataset(out)
        if found and found.source == identity:  # A table without paths, or one whose files are not newer.
            return _opened(found)
        stage, keys, views = _read(opened, work, settings, True, progress)
        fingerprint = _digest(keys, dataclasses.asdict(settings), writing.VERSION)
        if found and found.fingerprint == fingerprint:
            return _opened(found)
        if found and found.table != opened.name:
            print(f"{out}: the dataset of {found.table} is replaced by that of {opened.name}", file=sys.stderr)
        try:
            _stage(stage, keys, views, max_bad, runner, progress)
        except schema.TableError:
            write_quarantine(out, indexing.build_index(stage, [key for key in keys if staging.staged(stage, key)]).bad)
            raise
        index, fields, said = _examine(stage, keys, views, max_bad, settings, opened, lambda bad: write_quarantine(out, bad))
        shards = writing.plan_shards(index, stage, keys, work / f"shards-{fingerprint[:24]}")
        metadata = {"fingerprint": fingerprint, "source": identity if not _paths(stage) else "", "table": opened.name, "fields": [dataclasses.asdict(field) for field in fields],
                    "settings": dataclasses.asdict(settings), "summary": said}  # fmt: skip
        write_quarantine(shards[0].folder, index.bad)
        del index
        _write(shards, out, work, metadata, runner, progress)
        return _opened(Dataset(out))


def check_table(table, kinds=(), fractions=(0.8, 0.1, 0.1), max_bad=1.0, seed=0, together=(), ignored=(), source=(), runner=in_threads, progress=True, **limits):
    """Reads a table as `ingest` does, and only says what it found.

    Args:
        table: see `ingest`, as all other arguments.

    Returns:
        Triple of dict, see `summary.summarize`; list of `Field`; and list of dicts of `row field reason path sha256`, what could not be used.
    """
    settings = _Settings(dict(kinds), Limits(**limits), tuple(fractions), seed, tuple(together), tuple(ignored))
    _check_share(max_bad)
    with tempfile.TemporaryDirectory(prefix="cross-modal-") as work:
        opened = open_source(table, **dict(source))
        stage, keys, views = _read(opened, pathlib.Path(work), settings, False, progress)
        _stage(stage, keys, views, max_bad, runner, progress)
        bad = []
        _, fields, said = _examine(stage, keys, views, max_bad, settings, opened, bad.extend)
        return said, fields, bad


def _opened(dataset):
    """A dataset as it is, with its own list of what could not be used; a run that failed may have left another."""
    own = sorted(dataset.path.glob("items/*/quarantine.csv"))
    if own:
        shutil.copyfile(own[-1], dataset.path / "quarantine.csv.part")
        os.replace(dataset.path / "quarantine.csv.part", dataset.path / "quarantine.csv")
    return dataset


def _check_share(max_bad):
    if not 0.0 <= max_bad <= 1.0:
        raise ValueError(f"Expected `max_bad` (--max-bad) between 0 and 1. Received: max_bad={max_bad}")


def _read(source, work, settings, keep, progress):
    """Cuts a table into chunks of rows, unless that is done, and names the result that each will have."""
    mark, identity = work / "read.json", _digest(source.identity, settings.kinds, settings.ignored)
    done = json.loads(mark.read_text()) if mark.exists() else {}
    if done.get("identity") != identity:
        mark.unlink(missing_ok=True)  # It speaks of rows that are now written over.
        guess = KindGuess()
        rows = tqdm(read_items(source, settings.ignored), desc="read", unit=" rows", total=source.total, disable=not progress, mininterval=1.0)
        chunks, views = staging.write_chunks(rows, work, guess.see)
        done = {"identity": identity, "chunks": chunks, "views": views, "kinds": guess.kinds(settings.kinds)}
        _write_text(mark, json.dumps(done))
    missing = [field for field in settings.together if done["kinds"].get(field) != "text"]
    if missing:
        raise schema.TableError(f"Expected fields of texts to keep together. Received: {', '.join(missing)}")
    stage = staging.Stage(work, source.folder, done["kinds"], settings.limits, keep)
    keys = list(in_threads(functools.partial(staging.chunk_key, stage), range(done["chunks"])))
    return stage, keys, done["views"]


def _paths(stage):
    return any(kind in ("image", "audio") for kind in stage.kinds.values())


def _stage(stage, keys, views, max_bad, runner, progress):
    """Checks the views of all chunks that are not done, and stops when too many cannot be used."""
    there = [staging.staged(stage, key) for key in keys]
    done, left = ([task for task, whole in zip(enumerate(keys), there) if whole == wanted] for wanted in (True, False))
    reasons, seen = collections.Counter(), 0
    function = functools.partial(_stage_task, stage)
    with tqdm(total=views, desc="check", unit=" views", disable=not progress, mininterval=1.0) as bar:
        for count, bad in itertools.chain(map(function, done), runner(function, left)):
            bar.update(count)
            seen += count
            reasons.update(bad)
            _check_bad(stage, reasons, seen, views, max_bad)


def _stage_task(stage, task):
    return staging.stage_chunk(stage, *task)


def _check_bad(stage, reasons, seen, views, max_bad):
    if reasons.total() > max_bad * views:
        grouped = "; ".join(f"{field or 'row'}: {reason} ({count:,})" for (field, reason), count in reasons.most_common(8))
        kinds = ", ".join(f"{field} {kind}" for field, kind in stage.kinds.items() if any(field == bad for bad, _ in reasons))
        raise schema.TableError(
            f"Expected at most {max_bad:.1%} of {views:,} views to be unusable. Received {reasons.total():,} after {seen:,} views: {grouped}. "
            + (f"Kinds: {kinds}; --field NAME=KIND gives another, --ignore NAME passes a field over. " if kinds else "")
            + ("See quarantine.csv; mend them, or raise --max-bad to go on without them. What is done is kept." if stage.keep else "")
        )


def _examine(stage, keys, views, max_bad, settings, source, told):
    """Looks at all views at once: contradictions, what is the same, splits, leaks, and the summary.

    Args:
        told: called with the list of what cannot be used.

    Returns:
        Triple of `Index`, list of `Field`, and dict of the summary.
    """
    kinds = stage.kinds
    index = indexing.build_index(stage, keys)
    named, given = index.split.copy(), bool((index.split >= 0).any())
    splits.find_contradictions(index, kinds)
    told_bad = list(index.bad)
    same, counts = splits.find_same(index, kinds)
    splits.assign_splits(index, same, kinds, settings.fractions, settings.seed, settings.together)
    taken = splits.part_leaks(index, same, kinds)
    index.bad.sort(key=lambda one: one["row"])
    told(index.bad)
    _check_bad(stage, collections.Counter((one["field"], one["reason"]) for one in told_bad), views, views, max_bad)  # Leaks are not the table's mistakes.
    if not (index.reason == 0).any():
        reasons = collections.Counter(f"{one['field'] or 'row'}: {one['reason']}" for one in index.bad).most_common(8)
        raise schema.TableError(
            f"{source.name}: expected a view that can be used. Received {views:,} that cannot: {'; '.join(f'{reason} ({count:,})' for reason, count in reasons)}."
            + (" See quarantine.csv." if stage.keep else "")
        )
    notes = source.notes | ({"drawn": drawn} if (drawn := _drawn(index, named)) else {})
    said = summary.summarize(index, kinds, same, notes)
    said["leaks"] = summary.find_leaks(index, kinds, same, counts, given, taken)
    return index, _fields(index, kinds), said


def _drawn(index, named):
    """What the table's own splits were changed by: the validation that it lacks is drawn from its training items."""
    moved = (named == splits.TRAIN) & (index.split == splits.VALIDATION) & (index.reason == 0)
    count = len(np.unique(index.id[moved]))
    return f"{count:,} of the table's training items for the validation that it lacks; --splits 1,0,0 leaves them" if count else ""


def _fields(index, kinds):
    good = index.reason == 0
    fields = []
    for place, (name, kind) in enumerate(kinds.items()):
        views = good & (index.field == place)
        languages = {index.names["languages"][code] for code in set(index.language[views].tolist())} - {"", schema.UNDETERMINED}
        labels = {index.names["labels"][code] for code in set(index.label[views].tolist())} - {""}
        fields.append(schema.Field(name, kind, tuple(sorted(languages)), tuple(sorted(labels))))
    return fields


def _write(shards, out, work, metadata, runner, progress):
    folder = shards[0].folder
    left = [shard for shard in shards if not shard.path.exists()]
    with tqdm(total=sum(shard.items for shard in shards), desc="write", unit=" items", disable=not progress, mininterval=1.0) as bar:
        bar.update(sum(shard.items for shard in shards) - sum(shard.items for shard in left))
        for shard, _ in zip(left, runner(writing.write_shard, left)):
            bar.update(shard.items)
    for leftover in (*folder.glob("plan-*"), *folder.glob("part-*")):
        leftover.unlink()
    writing.write_metadata(folder, shards, [shard.path.stat().st_size for shard in shards], metadata)
    if (out / "items").exists():
        os.replace(out / "items", work / f"old-{folder.name}-{os.getpid()}")  # At once, as the next line: there is a whole dataset or none.
    shutil.rmtree(work / "items", ignore_errors=True)
    (work / "items").mkdir()
    os.replace(folder, work / "items" / writing.VERSION)
    os.replace(work / "items", out / "items")


def write_quarantine(out, rows):
    """Writes the list of what could not be used."""
    part = out / "quarantine.csv.part"
    with part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, _QUARANTINE)
        writer.writeheader()
        writer.writerows(rows)
    os.replace(part, out / "quarantine.csv")


def _write_text(path, text):
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def _digest(*values):
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
