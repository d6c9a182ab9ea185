"""Who is in which split, so that nothing stands on both sides of one."""

import collections
import hashlib

import numpy as np

from cross_modal.data import prints, schema
from cross_modal.data.index import NO_SPLIT

TRAIN, VALIDATION, TEST = range(3)
CONTRADICTION = "contradicting labels under one id"
_PLURAL = {"image": "pictures", "audio": "recordings"}


def find_contradictions(index, kinds):
    """Quarantines the labels of an item whose rows do not agree; a list in one row is several labels, not a contradiction."""
    disagreeing = []
    for field in (place for place, kind in enumerate(kinds.values()) if kind == "label"):
        views = np.flatnonzero((index.field == field) & (index.reason == 0))
        views = views[np.argsort(index.id[views], kind="stable")]
        bounds = np.flatnonzero(np.diff(index.id[views])) + 1
        for group in np.split(views, bounds):
            if len(group) > 1 and (index.label[group] != index.label[group[0]]).any():
                rows = collections.defaultdict(set)
                for place in group:
                    rows[index.row[place]].add(index.label[place])
                if len({frozenset(labels) for labels in rows.values()}) > 1:
                    disagreeing += group.tolist()
    index.quarantine(disagreeing, CONTRADICTION)


def find_same(index, kinds):
    """Finds views that are the same picture or recording.

    Args:
        index: `Index`.
        kinds: dict of field to kind.

    Returns:
        Pair of int `(views,)`, equal for views that are the same, -1 for those that are no media; and dict of kind to `sets`, `views` in them, and `near`, those of the
        views whose bytes are of their own.
    """
    same, counts = np.full(len(index), -1, np.int64), {}
    for kind in ("image", "audio"):
        fields = [place for place, one in enumerate(kinds.values()) if one == kind]
        views = np.flatnonzero(np.isin(index.field, fields) & (index.reason == 0))
        if not len(views):
            continue
        _, first, inverse = np.unique(index.hash[views], return_index=True, return_inverse=True)
        pictures = views[first]  # One view for each different file.
        pairs = prints.near_pairs(kind, index.bits[pictures], _Rows(index.thumbs, index.thumb[pictures]), index.length[pictures])
        roots = join(len(pictures), pairs)
        same[views] = views[first[roots[inverse]]]
        _, sizes = np.unique(same[views], return_counts=True)
        files = np.bincount(roots)  # Different files in each set.
        counts[kind] = {"sets": int((sizes > 1).sum()), "views": int(sizes[sizes > 1].sum()), "near": int(files[files > 1].sum())}
    return same, counts


class _Rows:
    """Rows of an array on disk, read when they are asked for."""

    def __init__(self, array, places):
        self.array, self.places = array, places

    def __getitem__(self, rows):
        return self.array[self.places[rows]]


def join(count, pairs):
    """Joins places that are linked by pairs.

    Args:
        count: number of places.
        pairs: int `(pairs, 2)`.

    Returns:
        int `(count,)`, the smallest place of each one's set.
    """
    roots = np.arange(count)
    pairs = np.asarray(pairs, np.int64).reshape(-1, 2)
    while len(pairs):
        low, high = np.minimum(roots[pairs[:, 0]], roots[pairs[:, 1]]), np.maximum(roots[pairs[:, 0]], roots[pairs[:, 1]])
        if (low == high).all():
            break
        np.minimum.at(roots, high, low)
        while (roots[roots] != roots).any():
            roots = roots[roots]
    return roots


def components(index, same, kinds, together):
    """Returns, for each id, the smallest id that it must not be parted from: by `group`, by media, and by equal texts of the fields `together`."""
    links = []
    keys = [(index.group, index.group > 0), (same, same >= 0)]
    keys += [(index.hash, (index.field == list(kinds).index(field)) & (index.reason == 0)) for field in together]
    for key, there in keys:
        places = np.flatnonzero(there)
        order = places[np.argsort(key[places], kind="stable")]
        equal = key[order[1:]] == key[order[:-1]]
        links.append(np.stack([index.id[order[:-1]][equal], index.id[order[1:]][equal]], axis=1))
    return join(len(index.names["ids"]), np.concatenate(links))


def assign_splits(index, same, kinds, fractions, seed, together=()):
    """Gives each view a split. A split that a row names stays; what must not be parted from it follows it; the rest is drawn.

    Args:
        index: `Index`; its `split` is filled in.
        same: see `find_same`.
        kinds: dict of field to kind.
        fractions: shares of train, validation and test.
        seed: seed of the draw.
        together: text fields whose equal texts are kept together.
    """
    roots = components(index, same, kinds, together)
    given = {int(split) for split in np.unique(index.split)} - {NO_SPLIT}
    own = np.full(len(roots), 3, np.int8)  # The first of the splits that an id's own rows name.
    np.minimum.at(own, index.id[index.split >= 0], index.split[index.split >= 0])
    others = np.full(len(roots), NO_SPLIT, np.int8)  # The last of those that its component's rows name.
    np.maximum.at(others, roots[index.id], index.split)
    others = others[roots]
    if not given:
        free, shares = np.ones(len(roots), bool), fractions
    elif VALIDATION in given or not fractions[VALIDATION]:
        free, shares = others == NO_SPLIT, (1.0, 0.0, 0.0)
    else:
        free, shares = others <= TRAIN, (1 - fractions[VALIDATION], fractions[VALIDATION], 0.0)
    drawn = np.where(own < 3, own, others)
    drawn[free] = _draw(index, kinds, roots, free, shares, seed)[free]
    stays = (index.split >= 0) & ~free[index.id]
    index.columns["split"] = np.where(stays, index.split, drawn[index.id]).astype(np.int8)


def _draw(index, kinds, roots, free, shares, seed):
    """Draws a split for each component of ids, so that classes and languages are shared out as the whole is."""
    ids = index.names["ids"]
    place = np.fromiter((int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") for name in ids), np.uint64, len(ids))
    lowest = np.full(len(ids), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest, roots, place)
    sizes = np.bincount(roots, minlength=len(ids))
    label = _first(index, roots, [name for name, kind in kinds.items() if kind == "label"][:1], "label")
    language = _first(index, roots, [name for name, kind in kinds.items() if kind in ("text", "audio")], "language")
    heads = np.flatnonzero((roots == np.arange(len(ids))) & free)
    order = sorted(heads, key=lambda head: (label[head], language[head], lowest[head]))
    rare = len({label[head] for head in heads}) <= shares[TRAIN] * len(heads) / 2  # Otherwise classes are too many to be shared out.
    drawn, counts, seen = np.full(len(ids), NO_SPLIT, np.int8), np.zeros(3), set()
    shares = np.array(shares)
    for head in order:
        if rare and label[head] not in seen and shares[TRAIN]:
            split = TRAIN  # A class that is seen once can only be learned there.
            seen.add(label[head])
        else:
            split = int(np.argmax(np.where(shares > 0, shares * (counts.sum() + sizes[head]) - counts, -np.inf)))
        drawn[head] = split
        counts[split] += sizes[head]
    return drawn[roots]


def _first(index, roots, fields, column):
    """For each component the first of the values, in the order of the alphabet, that its views have in a column."""
    fields = [index.names["fields"].index(field) for field in fields]
    views = np.isin(index.field, fields) & (index.reason == 0)
    names = index.names[f"{column}s"]
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    lowest = np.full(len(roots), len(names), np.int64)
    np.minimum.at(lowest, roots[index.id[views]], rank[index.columns[column][views]])
    return lowest


def part_leaks(index, same, kinds):
    """Takes out media that the table itself puts on both sides of a split: the view that is nearer to training goes. Views of one id may stand on both sides, on purpose.

    Returns:
        Dict of kind to number of views taken out.
    """
    views = np.flatnonzero((same >= 0) & (index.reason == 0))
    views = views[np.argsort(same[views], kind="stable")]
    leaks, taken = {VALIDATION: [], TEST: []}, collections.Counter()
    for group in np.split(views, np.flatnonzero(np.diff(same[views])) + 1) if len(views) else ():
        splits = index.split[group]
        if (splits == splits[0]).all():
            continue
        for other in (TEST, VALIDATION):
            ids = np.unique(index.id[group[splits == other]])
            # Whose id is not the only one on the other side.
            leaking = group[(splits < other) & (len(ids) > 1 or index.id[group] != ids[0])] if len(ids) else group[:0]
            leaks[other] += leaking.tolist()
    for other, places in leaks.items():
        taken.update(_PLURAL[kinds[index.names["fields"][index.field[place]]]] for place in places if not index.reason[place])
        index.quarantine(places, f"leak: also in {schema.SPLITS[other]}")
    return dict(taken)
