"""What a dataset holds, what was odd about its table, and both in words."""

import collections
import functools

import langcodes
import numpy as np

from cross_modal.data import schema, splits

_SHOWN = 20  # Classes, reasons and the like; more are counted.
# Scripts that a language is written in beside the one that its tag means, as `script_of` names them.
_PARTS = {"Jpan": {"Hira", "Kana", "Hani"}, "Kore": {"Hang", "Hani"}, "Hans": {"Hani"}, "Hant": {"Hani"}, "Hrkt": {"Hira", "Kana"}}


def summarize(index, kinds, same, notes):
    """Counts what a table holds.

    Args:
        index: `Index` with splits.
        kinds: dict of field to kind.
        same: see `splits.find_same`.
        notes: dict of what is known of the table.

    Returns:
        Dict that JSON can hold: `table`, the notes; `splits`, items; `views`, split and view name to count; `sizes`, field to measure to least, median and most; `labels`, field,
        split and class to count; `quarantined`, reason to count; `lacking`, what a split lacks; `odd`, what one may want to look at; `leaks`, `found` and `prevented`.
    """
    good = index.reason == 0
    there = {split: np.flatnonzero(good & (index.split == place)) for place, split in enumerate(schema.SPLITS) if (good & (index.split == place)).any()}
    views = {split: _count(index, kinds, places) for split, places in there.items()}
    labels = {name: {split: _classes(index, place, places) for split, places in there.items()} for place, (name, kind) in enumerate(kinds.items()) if kind == "label"}
    reasons = collections.Counter(f"{one['field'] or 'row'}: {one['reason']}" for one in index.bad)
    return {
        "table": notes,
        "splits": {split: len(np.unique(index.id[places])) for split, places in there.items()},
        "views": views,
        "sizes": {name: _sizes(index, place, kind, good) for place, (name, kind) in enumerate(kinds.items()) if kind != "label" and (good & (index.field == place)).any()},
        "labels": labels,
        "quarantined": dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        "lacking": _lacking(views, labels),
        "odd": _odd(index, kinds, good, same),
    }


def _count(index, kinds, places):
    pairs, counts = np.unique(np.stack([index.field[places], index.language[places]]), axis=1, return_counts=True)
    names = index.names
    counted = collections.Counter()
    for field, language, count in zip(*pairs, counts):
        name = names["fields"][field]
        counted[view_of(kinds, name, names["languages"][language])] += int(count)
    return dict(sorted(counted.items()))


def view_of(kinds, field, language):
    """Names a kind of view; a label's language is that of its row, and no part of what it is."""
    return field if kinds[field] == "label" else schema.view_name(field, language or schema.UNDETERMINED)


def _classes(index, field, places):
    """How many items have each class, however many rows of them say so."""
    places = places[index.field[places] == field]
    codes, counts = np.unique(np.unique(np.stack([index.id[places], index.label[places]]), axis=1)[1], return_counts=True)
    return {index.names["labels"][code]: int(count) for code, count in sorted(zip(codes, counts), key=lambda pair: index.names["labels"][pair[0]])}


def _sizes(index, field, kind, good):
    places = good & (index.field == field)
    measures = {
        "image": {"height": index.height[places], "width": index.width[places]},
        "audio": {"seconds": index.width[places] / 16_000},
        "text": {"characters": index.width[places]},
    }
    sizes = {name: [round(float(one), 2) for one in np.percentile(values, [0, 50, 100])] for name, values in measures[kind].items()}
    return sizes | ({"hours in all": round(float(index.width[places].sum(dtype=np.int64)) / 16_000 / 3600, 2)} if kind == "audio" else {})


def _lacking(views, labels):
    """What one split has and another lacks: kinds of views, and classes."""
    lines = [f"there is no {split}" for split in schema.SPLITS if split not in views]
    for split in views:
        missing = sorted({name for other in views.values() for name in other} - set(views[split]))
        lines += [f"{split} lacks {_some(missing)}"] if missing else []
        for field, classes in labels.items():
            every = sorted({name for other in classes.values() for name in other})
            missing = [name for name in every if name not in classes[split]]
            if missing and len(missing) < len(every):
                lines.append(f"{split} lacks, of {len(every):,} classes of {field}: {_some(missing)}")
    return lines


def _some(names):
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _odd(index, kinds, good, same):
    """What one may want to look at."""
    lines, names = [], index.names
    for field, (name, kind) in enumerate(kinds.items()):
        places = np.flatnonzero(good & (index.field == field))
        if kind == "text":
            lines += _other_scripts(index, name, places)
        if kind == "text" and (index.label[good] > 0).any():
            lines += _two_labels(index, kinds, name, index.hash, places, "texts", good)
        if kind in ("image", "audio") and (index.label[good] > 0).any():
            lines += _two_labels(index, kinds, name, same, places, "pictures" if kind == "image" else "recordings", good)
        keys = np.stack([index.id[places], index.language[places], index.hash[places].astype(np.int64)])
        again = len(places) - np.unique(keys, axis=1).shape[1]
        if again:
            lines.append(f"{name}: views that are in their item twice: {again:,}")
    for name, kind in kinds.items():
        if kind == "label":
            counts = collections.Counter(names["labels"][code] for code in index.label[good & (index.field == names["fields"].index(name))])
            once = sorted(label for label, count in counts.items() if count == 1)
            lines += [f"{name}: classes seen once: {_some(once)}"] if once else []
    return lines


def _other_scripts(index, name, places):
    found = collections.defaultdict(list)
    pairs = np.stack([index.language[places], index.script[places]])
    for language, script in np.unique(pairs, axis=1).T:
        tag, code = index.names["languages"][language], index.names["scripts"][script]
        if tag and tag != schema.UNDETERMINED and code and code not in _scripts(tag) | {"Zyyy", "Zinh"}:
            rows = index.row[places[(pairs[0] == language) & (pairs[1] == script)]]
            found[tag].append(f"{len(rows):,} in {code} (row {rows[0]})")
    lines = [f"{name}:{tag}: another script than the language's: {', '.join(said)}" for tag, said in sorted(found.items())]
    return lines[:_SHOWN] + ([f"{name}: and {len(lines) - _SHOWN} more languages with texts in another script"] if len(lines) > _SHOWN else [])


@functools.lru_cache
def _scripts(tag):
    script = langcodes.Language.get(tag).maximize().script or ""
    return _PARTS.get(script, {script})


def _two_labels(index, kinds, name, key, places, what, good):
    """Counts equal views of different items whose labels are not the same."""
    lines = []
    for label in (field for field, kind in kinds.items() if kind == "label"):
        code = np.full(len(index.names["ids"]), -1, np.int64)
        labelled = np.flatnonzero(good & (index.field == index.names["fields"].index(label)))
        code[index.id[labelled]] = index.label[labelled]
        some = places[code[index.id[places]] >= 0]
        _, inverse = np.unique(key[some], return_inverse=True)
        own = code[index.id[some]]
        low, high = np.full(inverse.max(initial=-1) + 1, np.iinfo(np.int64).max), np.full(inverse.max(initial=-1) + 1, -1)
        np.minimum.at(low, inverse, own)
        np.maximum.at(high, inverse, own)
        if (low < high).any():
            first = some[low[inverse] < high[inverse]][0]
            lines.append(f"{name}: {what} that stand with different {label}: {int((low < high).sum()):,} (first: row {index.row[first]})")
    return lines


def find_leaks(index, kinds, same, counts, given, taken):
    """Says what would have stood on both sides of a split, and what still does because the table says so.

    Args:
        index: `Index` with splits.
        kinds: dict of field to kind.
        same: see `splits.find_same`.
        counts: see `splits.find_same`.
        given: whether the table names splits.
        taken: see `splits.part_leaks`.

    Returns:
        Dict of `prevented` and `found` to lists of lines.
    """
    prevented, found = [], []
    for kind, what in (("image", "pictures"), ("audio", "recordings")):
        if counts.get(kind, {}).get("sets"):
            count = counts[kind]
            near = f", {count['near']:,} of them only nearly" if count["near"] else ""
            prevented.append(f"same {what}: {count['views']:,} in {count['sets']:,} sets{near}; a drawn split parts none")
        if taken.get(what):
            prevented.append(f"{what} that the table has in two splits under two ids: {taken[what]:,} taken out of the one that is nearer to training")
    good = np.flatnonzero((index.reason == 0) & (index.split >= 0))
    for field, (name, kind) in enumerate(kinds.items()):
        places = good[index.field[good] == field]
        if kind == "text" and len(places):
            _, inverse = np.unique(index.hash[places], return_inverse=True)
            seen = np.zeros(inverse.max() + 1, np.int64)
            np.bitwise_or.at(seen, inverse, 1 << index.split[places].astype(np.int64))
            both = np.isin(seen, (3, 5, 6, 7))
            if both.any():
                held = (index.split[places] > splits.TRAIN) & (seen[inverse] & 1 > 0)
                found.append(f"texts of {name} in several splits: {int(both.sum()):,}; views of validation and test with a text that train has: {int(held.sum()):,}")
    for column, what in (("id", "ids"), ("group", "groups")):
        places = good if column == "id" else good[index.group[good] > 0]
        pairs = np.unique(np.stack([index.columns[column][places], index.split[places]]), axis=1)
        several = (np.bincount(pairs[0]) > 1).sum() if pairs.size else 0
        if several and given:
            found.append(f"{what} in several splits, as the table says: {int(several):,}")
    return {"prevented": prevented, "found": found}


def described(summary, fields):
    """Says a summary in words.

    Args:
        summary: see `summarize`, with `leaks`.
        fields: list of `Field`.

    Returns:
        str of several lines.
    """
    lines = [", ".join(f"{name}: {_shown(value)}" for name, value in summary["table"].items()), ""] if summary["table"] else []
    lines += [f"{'field':<12} {'kind':<6} languages"]
    lines += [f"{one.name:<12} {one.kind:<6} {', '.join(one.languages)}" for one in fields]
    names = sorted({name for views in summary["views"].values() for name in views})
    width = max(14, *(len(name) + 2 for name in names))
    lines += ["", f"{'':<{width}}" + "".join(f"{split:>12}" for split in summary["splits"])]
    lines += [f"{'items':<{width}}" + "".join(f"{count:>12,}" for count in summary["splits"].values())]
    lines += [f"{name:<{width}}" + "".join(f"{summary['views'][split].get(name, 0):>12,}" for split in summary["splits"]) for name in names]
    lines += ["", f"{'sizes':<{width}}{'least':>12}{'median':>12}{'most':>12}"] if summary["sizes"] else []
    for name, sizes in summary["sizes"].items():
        lines += [f"{name + ', ' + measure:<{width}}" + "".join(f"{one:>12,g}" for one in (of if isinstance(of, list) else [of])) for measure, of in sizes.items()]
    for field, parts in summary["labels"].items():
        classes = sorted({name for counts in parts.values() for name in counts})
        wide = max([width, *(len(name) + 4 for name in classes[:_SHOWN])])
        lines += ["", f"{field}: {len(classes):,} classes"]
        lines += [f"  {name:<{wide - 2}}" + "".join(f"{parts[split].get(name, 0):>12,}" for split in summary["splits"]) for name in classes[:_SHOWN]]
        lines += [f"  and {len(classes) - _SHOWN:,} more"] if len(classes) > _SHOWN else []
    lines += _section("lacking", summary["lacking"]) + _section("odd", summary["odd"])
    lines += _section("leaks prevented", summary["leaks"]["prevented"]) + _section("leaks found", summary["leaks"]["found"])
    reasons = [f"{reason}: {count:,}" for reason, count in summary["quarantined"].items()]
    lines += _section(f"quarantined, {sum(summary['quarantined'].values()):,} in all, see quarantine.csv", reasons[:_SHOWN])
    return "\n".join(lines)


def _shown(value):
    return ", ".join(f"{count} {name}" for name, count in value.items()) if isinstance(value, dict) else {"\t": "tab", "\x1f": "none"}.get(value, value)


def _section(title, lines):
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []
