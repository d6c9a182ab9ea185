"""Which views are turned into which."""

import fnmatch
import itertools


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
