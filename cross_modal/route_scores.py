"""How good what is written is, route by route."""

import collections
import functools
import math

import numpy as np
import tensorflow as tf

from cross_modal import metrics
from cross_modal.ctc import IMPOSSIBLE
from cross_modal.routes import route_name

_COLUMNS = {
    "bleu": ("BLEU", ".1f"),
    "chrf": ("chrF", ".1f"),
    "wer": ("WER", ".3f"),
    "cer": ("CER", ".3f"),
    "exact": ("exact", ".3f"),
    "cider": ("CIDEr", ".3f"),
    "perplexity": ("perplexity", ".2f"),
}


def score_routes(task, model, batches):
    """Writes a text for each item by each route that it has, trained or not, and compares it with all texts that the item has in that language.

    A route from a picture and something else is scored once more with the picture of another item, and one that was never trained by way of another language, where trained
    routes lead there and on.

    Args:
        task: `tasks.Generation`.
        model: that it built.
        batches: of `data.batches`, all views, with raw values.

    Returns:
        Dict of `routes`, a dict of scores each, see `metrics.text_scores`; and `predictions`, a dict for each text.
    """
    target, (routes, trained) = next(iter(task.again)), _all_routes(task)
    found = collections.defaultdict(list)
    written = tf.function(functools.partial(task.write_and_weigh, model), reduce_retracing=True)
    pictures = [name for name in task.sources if task.features[name].kind == "image"]
    for batch in batches:
        items, raw = batch["id"].numpy(), batch[target]["raw"].numpy()
        tags = np.where(batch[target]["mask"].numpy().any(-1), batch[target]["language"].numpy(), -1)
        pairs = task.numbers.find(batch, routes)
        for wrong, some in ((False, pairs), (True, _with_others_pictures(pairs, routes, pictures))):
            for start in range(0, len(some), len(items)):
                chunk = some[start : start + len(items)]
                x = {name: _taken(batch[name], chunk[:, -1 if name in pictures else 1], chunk[:, 3 + place]) for place, name in enumerate(task.sources)}
                said = [value.numpy() for value in written(x, _taken(batch[target], chunk[:, 1], chunk[:, 2]))]
                for (route, row, place, *places), text, mark, spent, steps in zip(chunk, *said):
                    references = [one.decode() for one, tag in zip(raw[row], tags[row]) if tag == tags[row, place]]
                    answer = {"id": items[row].decode(), "source": _source(task, batch, routes[route], row, places), "references": references}
                    answer |= {"hypothesis": text.decode(), "score": round(float(mark), 4)}
                    found[routes[route], wrong].append((answer, spent, steps))
    scores, predictions, answers = [], [], {}
    for route in routes:
        if found[route, False]:
            answers[route], *_ = zip(*found[route, False])
            spent, steps = (sum(one) for one in zip((0.0, 0.0), *((spent, steps) for _, spent, steps in found[route, False] if spent < IMPOSSIBLE)))
            said = {"route": route_name(route), "trained": route in trained}
            scores.append({**said, "items": len(answers[route]), **_counted(answers[route], route), "perplexity": math.exp(min(spent / max(steps, 1), 50.0))})
            marks = metrics.sentence_scores([one["references"] for one in answers[route]], [one["hypothesis"] for one in answers[route]])
            predictions += [{**said, **answer, "chrf": round(mark, 1)} for answer, mark in zip(answers[route], marks)]
            if found[route, True]:
                scores[-1]["wrong picture"] = _counted([answer for answer, *_ in found[route, True]], route)
    _score_pivots(task, model, scores, answers)
    return {"routes": scores, "predictions": predictions}


def route_table(scores):
    """Writes what `score_routes` returned as a table."""
    if not scores["routes"]:
        return "No item has the views of a route: nothing to score."
    width = max(24, *(len(row["route"]) + 2 for row in scores["routes"]))
    lines = [f"{'route (* never trained)':<{width}}{'items':>8}" + "".join(f"{words:>12}" for words, _ in _COLUMNS.values())]
    for row in scores["routes"]:
        rows = [(row["route"] + ("" if row["trained"] else "*"), row)]
        rows += [("  another's picture", row["wrong picture"])] if "wrong picture" in row else []
        rows += [(f"  by way of {row['pivot']['by']}", row["pivot"])] if "pivot" in row else []
        for words, one in rows:
            lines.append(f"{words:<{width}}{row['items']:>8,}" + "".join(f"{format(one[key], form) if key in one else '':>12}" for key, (_, form) in _COLUMNS.items()))
    return "\n".join([*lines, f"BLEU {scores['routes'][0]['bleu_signature']}; chrF {scores['routes'][0]['chrf_signature']}"])


def _all_routes(task):
    """All routes from one kind of view, after those that are trained; and those."""
    trained = list(task.trained)
    others = [((source,), end) for source in task.kinds_of(task.sources) for end in task.kinds_of([task.target]) if source != end]
    return trained + [route for route in others if route not in trained], set(trained)


def _source(task, batch, route, row, places):
    """What a route starts from: dict of kind of view to the text, or None for what is no text."""
    found = {}
    for kind in route[0]:
        name = kind.partition(":")[0]
        found[kind] = batch[name]["raw"][row, places[task.sources.index(name)]].numpy().decode() if task.features[name].kind == "text" else None
    return found


def _taken(field, rows, places):
    """The views `(rows,)` of a field of a batch; masked where the place is -1."""
    taken = {key: tf.gather_nd(field[key], np.stack([rows, np.maximum(places, 0)], 1)) for key in ("value", "mask", "language")}
    return {**taken, "mask": taken["mask"] & (places >= 0)[:, None]}


def _with_others_pictures(pairs, routes, pictures):
    """What `Routes.find` found of routes from a picture and something else, with the item whose picture is shown in the last place: the next one of the route."""
    found = [np.zeros((0, pairs.shape[1]), pairs.dtype)]
    for number, (sources, _) in enumerate(routes):
        some = pairs[pairs[:, 0] == number]
        if len(sources) > 1 and len(some) > 1 and {kind.partition(":")[0] for kind in sources} & set(pictures):
            found.append(np.concatenate([some[:, :-1], np.roll(some[:, 1:2], 1, axis=0)], 1))
    return np.concatenate(found)


def _counted(answers, route):
    return metrics.text_scores([one["references"] for one in answers], [one["hypothesis"] for one in answers], route[1].partition(":")[2])


def _score_pivots(task, model, scores, answers):
    """Adds to the rows of routes that were never trained what comes out by way of the language that is written best from there and from which the way goes on."""
    rows, trained, endpoint = {row["route"]: row for row in scores}, set(task.trained), None
    for route in [route for route in answers if route not in trained]:
        ways = [(route[0], end) for end in task.kinds_of([task.target]) if (route[0], end) in trained and ((end,), route[1]) in trained and (route[0], end) in answers]
        if not ways:
            continue
        way = max(ways, key=lambda one: rows[route_name(one)]["chrf"])
        said, read, wanted = {answer["id"]: answer["hypothesis"] for answer in answers[way]}, way[1].partition(":")[2], route[1].partition(":")[2]
        some = [answer for answer in answers[route] if answer["id"] in said]
        if not some:
            continue
        endpoint, hypotheses = endpoint or task.endpoints(model)["generate"], []
        for start in range(0, len(some), 64):
            texts = [said[answer["id"]] for answer in some[start : start + 64]]
            given = {task.target: texts, f"{task.target}_language": [read] * len(texts), "target_language": [wanted] * len(texts)}
            hypotheses += endpoint(**{name: tf.constant(given.get(name, [""] * len(texts))) for name in endpoint.signature})["text"].numpy().tolist()
        rows[route_name(route)]["pivot"] = {"by": way[1], **_counted([{**answer, "hypothesis": text.decode()} for answer, text in zip(some, hypotheses)], route)}
