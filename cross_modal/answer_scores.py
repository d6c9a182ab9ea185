"""How good answers to questions are, and how good what sees only part of what is asked about."""

import collections
import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from cross_modal import baselines, metrics
from cross_modal.data.schema import view_name
from cross_modal.features import Label

_PLAIN = 5_000  # Items that the linear models are trained on, and asked, at most.
_YES_NO = frozenset("yes no ja nein oui non sí si não sim ja nee да нет evet hayır نعم لا हाँ नहीं はい いいえ 是 否 不是 tak nie ano ne так ні 네 아니요".split())


def kind_of_answer(answer):
    """Returns what sort of answer one is: "yes/no", "number", "other", or "none" for an empty one."""
    answer = answer.strip().casefold()
    return "none" if not answer else "yes/no" if answer in _YES_NO else "number" if answer.replace(".", "").replace(",", "").isnumeric() else "other"


def score_answers(task, model, batches):
    """Answers each question of each item, in each of its languages, about each context, and with one view of each other field, by all readers.

    Answers that are written are asked for in the language of the question, where the item has one in that, and else in that of its first.

    Args:
        task: `tasks.QuestionAnswering`.
        model: that it built.
        batches: of `data.batches`, all views.

    Returns:
        Dict of reader to a dict of `exact`, the share of right answers; `interval`, between what 95 % of tables of such items have it; of texts `f1`; `items`, how many questions;
        `kinds`, dict of kind of answer (see `kind_of_answer`) to the same; and `languages`, dict of the kinds of view that are texts, such as `question:de`, to the same. And
        `predictions`, list of dicts.
    """
    respond = tf.function(lambda x, language: {name: task.respond(model, x, language, name) for name in task.readers}, reduce_retracing=True)
    marks, items, predictions = {name: collections.defaultdict(list) for name in task.readers}, [], []
    for batch in batches:
        questions, size = list(_asked(task, batch)), len(batch["id"])
        for some in (questions[start : start + size] for start in range(0, len(questions), size)):
            x = {name: {key: tf.gather_nd(batch[name][key], [(one.row, one.places[name]) for one in some]) for key in ("value", "mask", "language")} for name in task.sources}
            answers = respond(x, tf.constant([one.language for one in some], tf.int32))
            items += [one.item for one in some]
            for name, said in answers.items():
                texts = [text.decode() for text in said["answer"].numpy()]
                for one, text in zip(some, texts):
                    mark = _mark(task, one, text)
                    for group in one.groups:
                        marks[name][group].append(mark)
                if name == "answer":
                    predictions += [_row(task, *each) for each in zip(some, texts, said["probability"].numpy())]
    for row, mark in zip(predictions, metrics.sentence_scores([row["references"] or [""] for row in predictions], [row["hypothesis"] for row in predictions])):
        row["chrf"] = round(mark, 1)
    return {**{name: _counted(task, groups, items) for name, groups in marks.items()}, "predictions": predictions}


@dataclasses.dataclass(frozen=True)
class _Question:
    """A question as it is asked: its item and row, the place of a view of each source, the right answers, the language of the answer, and kinds of view with their texts."""

    item: str
    row: int
    places: dict
    right: list
    language: int
    views: dict

    @property
    def groups(self):
        """What its marks count for: everything, its kind, and the views that are texts."""
        return ["", ("kind", kind_of_answer(self.right[0] if self.right else "")), *(("view", view) for view, text in self.views.items() if text is not None)]


def _asked(task, batch):
    there = {name: batch[name]["mask"].numpy().any(-1) for name in task.features}
    tags = {name: batch[name]["language"].numpy() for name in task.features}
    texts = {name: _texts(task, name, batch[name]) for name in task.features}
    each = [name for name in (task.question, task.context) if name]
    for row, turn in enumerate(batch["item"].numpy()):
        answers = [(texts[task.answer][row][place], tags[task.answer][row, place]) for place in np.flatnonzero(there[task.answer][row])]
        if not answers and not task.no_answer:
            continue
        rest = {name: turn % max(1, there[name][row].sum()) for name in task.sources if name not in each}
        for chosen in itertools.product(*(np.flatnonzero(there[name][row]) for name in each)):
            places = {**rest, **dict(zip(each, chosen))}
            language = tags[each[-1]][row, chosen[-1]]
            if answers and language not in {tag for _, tag in answers}:
                language = answers[0][1]
            views = {
                view_name(name, task.languages.names[tags[name][row, places[name]]]): texts[name][row][places[name]] if texts[name] else None
                for name in task.sources
                if there[name][row, places[name]]
            }
            yield _Question(batch["id"].numpy()[row].decode(), row, places, [text for text, tag in answers if tag == language], language, views)


def _texts(task, name, field):
    """The texts of all views of a field of texts or labels, a list for each item; None for another kind."""
    feature, value = task.features[name], field["value"]
    if isinstance(feature, Label):
        return [[feature.names[place] if place >= 0 else "" for place in row] for row in value.numpy()]
    if not hasattr(feature, "detokenize"):
        return None
    ids = tf.reshape(tf.where(field["mask"], value, 0), (-1, tf.shape(value)[2]))
    return [[text.decode() for text in row] for row in tf.reshape(feature.detokenize(ids), tf.shape(value)[:2]).numpy()]


def _row(task, question, said, probability):
    return {
        "route": f"{'+'.join(question.views)}->{task.answer}", "trained": True, "id": question.item, "source": question.views, "references": question.right, "hypothesis": said,
        "score": round(float(probability), 4), "exact": bool(_mark(task, question, said)[0]),
    }  # fmt: skip


def _mark(task, question, said):
    """Whether an answer is right, and F1 of its words."""
    if task.is_closed:
        return float(said in question.right), float(said in question.right)
    return tuple(float(one[0]) for one in metrics.answer_marks([question.right], [said], [task.languages.names[question.language]]))


def _counted(task, groups, items):
    def one(marks):
        exact, f1 = np.array(marks).T
        return {"exact": float(exact.mean()), **({} if task.is_closed else {"f1": float(f1.mean())}), "items": len(marks)}

    if not groups:
        return {"items": 0}
    exact, f1 = np.array(groups[""]).T
    found = {**one(groups[""]), "interval": metrics.bootstrap_mean(exact, items), **({} if task.is_closed else {"f1_interval": metrics.bootstrap_mean(f1, items)})}
    parts = {part: {name: one(marks) for (sort, name), marks in ((key, value) for key, value in groups.items() if key) if sort == part} for part in ("kind", "view")}
    return {**found, "kinds": parts["kind"], "languages": parts["view"]}


def linear_answers(task, dataset, split):
    """What costs nothing: linear models on plain features of the question alone, of the rest, and of all, on the first items.

    Args:
        task: `tasks.QuestionAnswering` with a closed set of answers.
        dataset: `data.Dataset`.
        split: that is asked.

    Returns:
        Dict of reader to a dict of `exact` and `items`; empty where nothing is to be learned or asked.
    """
    parts, places = {}, {name: place for place, name in enumerate(task.features[task.answer].names)}
    for part in ("train", split):
        items = [item for item in dataset.items(part).take(_PLAIN).as_numpy_iterator() if len(item[task.answer]["value"])]
        views = {name: [item[name]["value"][0] if len(item[name]["value"]) else None for item in items] for name in task.sources}
        parts[part] = views, np.array([places.get(item[task.answer]["value"][0].decode(), -1) for item in items])
    (train, labels), (asked, right) = parts["train"], parts[split]
    train, labels = {name: [one for one, place in zip(values, labels) if place >= 0] for name, values in train.items()}, labels[labels >= 0]
    found = {}
    for reader, fields in task.readers.items() if len(labels) and len(right) else ():
        said = baselines.linear_baseline({name: task.features[name].kind for name in fields}, train, labels, asked)
        found[reader] = {"exact": float((said == right).mean()), "items": len(right)}
    return found


def answer_table(scores):
    """Writes what `score_answers` returned as a table."""
    scores, plain = dict(scores), scores.get("baseline", {})
    readers = {name: one for name, one in scores.items() if name.startswith("answer") and one["items"]}
    if "answer" not in readers:
        return "No item has a question and an answer: nothing to score."
    whole, key = readers["answer"], "f1" if "f1" in readers["answer"] else "exact"
    titles = {"answer": "all fields", "answer_from_question": "the question alone", "answer_without_question": "all but the question"}
    columns = ["all", *sorted(whole["kinds"])]
    lines = [f"{'right answers, read from':<28}" + "".join(f"{name:>10}" for name in columns) + (f"{'F1':>10}" if key == "f1" else "") + (f"{'linear':>10}" if plain else "")]
    for name, one in readers.items():
        cells = [f"{one['exact']:.3f}", *(f"{one['kinds'][kind]['exact']:.3f}" if kind in one["kinds"] else "" for kind in columns[1:])]
        cells += [f"{one['f1']:.3f}"] if key == "f1" else []
        cells += [f"{plain[name]['exact']:.3f}" if name in plain else ""] if plain else []
        lines.append(f"{titles.get(name, name):<28}" + "".join(f"{cell:>10}" for cell in cells))
    low, high = whole["interval"]
    lines.append(f"{'questions':<28}" + "".join(f"{count:>10,}" for count in (whole["items"], *(whole["kinds"][kind]["items"] for kind in columns[1:]))))
    lines.append(f"95 % of tables like this have {low:.3f} to {high:.3f} of all right")
    if len(whole["languages"]) > 1:
        lines += ["", f"{'with':<28}{'right':>10}" + (f"{'F1':>10}" if key == "f1" else "")]
        lines += [f"{view:<28}{one['exact']:>10.3f}" + (f"{one['f1']:>10.3f}" if key == "f1" else "") for view, one in sorted(whole["languages"].items())]
    return "\n".join(lines)
