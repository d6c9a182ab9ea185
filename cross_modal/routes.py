"""Which views are turned into which."""

import dataclasses
import fnmatch
import functools
import itertools
import math

import numpy as np
import tensorflow as tf

from cross_modal.features.label import UNDETERMINED


def split_route(pattern):
    """Splits `a+b->c` into its sources and its target.

    Args:
        pattern: `source->target`, where source may be several patterns of kinds of view joined by `+`, or empty; `→` is as good an arrow. A `!` before it is passed over.

    Returns:
        Pair of a tuple of patterns and a pattern.

    Raises:
        ValueError: if there is no arrow.
    """
    sources, arrow, target = pattern.removeprefix("!").replace("→", "->").partition("->")
    if not arrow or not target.strip():
        raise ValueError(f"Expected a route written source->target, such as image->text:en, text:*->text:* or image+text:en->text:de. Received: {pattern!r}")
    return tuple(part.strip() for part in sources.split("+") if part.strip()), target.strip()


def expand_routes(patterns, sources, targets):
    """Lists the routes that patterns name.

    Args:
        patterns: in order; of those that fit a route the last one decides, and `!` before it takes the route out.
        sources: kinds of view to start from, such as `image`, `text:en`.
        targets: kinds of view to end at.

    Returns:
        List of pairs of a tuple of sources and a target, in the order of the patterns, `sources` and `targets`. A kind of view is its own source only where a pattern without `*`
        says so.

    Raises:
        ValueError: if a pattern fits no route.
    """
    found = {}
    for pattern in patterns:
        wanted, end = split_route(pattern)
        ends = [kind for kind in targets if fnmatch.fnmatchcase(kind, end)]
        fitting = [[kind for kind in sources if fnmatch.fnmatchcase(kind, one)] for one in wanted]
        itself = "*" not in pattern
        some = [
            (joined, target)
            for joined in itertools.product(*fitting)
            for target in ends
            if len({kind.partition(":")[0] for kind in joined}) == len(joined) and (itself or target not in joined)
        ]
        if not some:
            raise ValueError(f"Expected a route from {', '.join(sources)} to {', '.join(targets)}. Received: {pattern!r}")
        for route in some:
            found.pop(route, None)
            if not pattern.startswith("!"):
                found[route] = None
    return list(found)


def route_name(route):
    """Writes a route: `image+text:en->text:de`."""
    return f"{'+'.join(route[0])}->{route[1]}"


@dataclasses.dataclass(frozen=True)
class Routes:
    """Routes in numbers: which an item has, and which views they take.

    Args:
        routes: pairs of a tuple of sources and a target, from `expand_routes`.
        sources: fields that they start from.
        target: name, in a batch, of the field that they end at.
        languages: tags, `und` first.
        weights: how often each is drawn, beside the others.
    """

    routes: list
    sources: list
    target: str
    languages: list
    weights: list

    def tag(self, kind):
        """Returns the number of the language of a kind of view."""
        return self.languages.index(kind.partition(":")[2] or UNDETERMINED)

    @functools.cached_property
    def _codes(self):
        """The kinds that each needs, `(routes, sources * languages)`, the languages of its sources, -1 for none, and of its target."""
        needs = np.zeros((len(self.routes), len(self.sources), len(self.languages)), np.int32)
        ends = np.array([self.tag(end) for _, end in self.routes], np.int32)
        for place, (sources, _) in enumerate(self.routes):
            for kind in sources:
                needs[place, self.sources.index(kind.partition(":")[0]), self.tag(kind)] = 1
        tags = {name: np.where(needs[:, place].any(1), needs[:, place].argmax(1), -1).astype(np.int32) for place, name in enumerate(self.sources)}
        return needs.reshape(len(self.routes), -1), tags, ends

    def choose(self, tags, seed):
        """Draws a route among those that an item has, and a view for each of its kinds; see `choose` of `data.batches`."""
        needs, sources, ends = self._codes
        size, weights = len(self.languages), np.asarray(self.weights, np.float32)
        has = [tf.math.bincount(tags[name], minlength=size, maxlength=size) for name in (*self.sources, self.target)]
        there = tf.reduce_all(needs <= tf.concat([*has[:-1], tf.zeros([0], tf.int32)], 0), 1) & (tf.gather(has[-1], ends) > 0) & (weights > 0)
        seed = tf.cast(tf.stack(seed), tf.int64)
        noise = tf.random.stateless_uniform([len(self.routes)], seed, 1e-9, 1.0)
        drawn = tf.argmax(tf.where(there, np.log(np.maximum(weights, 1e-30)) - tf.math.log(-tf.math.log(noise)), -math.inf))
        wanted = {**dict.fromkeys(tags, -1), **{name: tf.gather(codes, drawn) for name, codes in sources.items()}, self.target: tf.gather(ends, drawn)}
        places = {}
        for name, code in wanted.items():
            # By the same numbers for source and target: a text that is its own source is the same one.
            order = tf.random.stateless_uniform(tf.shape(tags[name]), seed + [1, 0])
            fits = tf.reduce_any(there) & (tags[name] == code)
            best = tf.argsort(tf.where(fits, order, -1.0), direction="DESCENDING")[:1]
            places[name] = tf.boolean_mask(best, tf.gather(fits, best))
        return places

    def find(self, batch, routes):
        """Finds the routes that the items of a batch of all views have, trained or not.

        Args:
            batch: of `data.batches`.
            routes: pairs of a tuple of sources and a target.

        Returns:
            int `(found, 4 + sources)`: number of the route, item, the first view that is its target, the first of each source, -1 for none, and the item once more.
        """
        first = {}
        for name in (*self.sources, self.target):
            there = batch[name]["mask"].numpy().any(-1)[:, :, None] & (batch[name]["language"].numpy()[:, :, None] == np.arange(len(self.languages)))
            first[name] = np.where(there.any(1), there.argmax(1), -1)  # (batch, languages)
        found = []
        for number, (sources, end) in enumerate(routes):
            places = {kind.partition(":")[0]: first[kind.partition(":")[0]][:, self.tag(kind)] for kind in sources}
            written = first[self.target][:, self.tag(end)]
            rows = np.flatnonzero(np.min([written, *places.values()], axis=0) >= 0)
            absent = np.full(len(written), -1)
            found.append(np.stack([np.full(len(rows), number), rows, written[rows], *(places.get(name, absent)[rows] for name in self.sources), rows], 1))
        return np.concatenate(found)
