import dataclasses
import functools
import json

import numpy as np
import pytest
import tensorflow as tf

from cross_modal import answer_scores, config, decoders, fusion, questions, tasks, testing, towers
from cross_modal.data import batches, ingest, learn_features
from cross_modal.serving import ask

TOWERS = {"image": functools.partial(towers.image.cnn, widths=(4, 8)), "question": towers.text.gru, "context": towers.text.gru}


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    return ingest(questions.write_reading(tmp_path_factory.mktemp("reading"), 60), tmp_path_factory.mktemp("dataset"), progress=False)


@functools.cache
def _features(dataset):
    texts = {"vocab_size": 500, "length": 64}
    options = {"image": {"size": [8, 20]}, "question": texts, "context": texts, "answer": texts}
    options = {name: one for name, one in options.items() if name in dataset.fields and dataset.fields[name].kind != "label"}
    if "context" in options:
        options["question"] = {"like": "context", "length": 24}
    return learn_features(dataset, None, options)


def _task(dataset, **options):
    features, languages = _features(dataset)
    return tasks.QuestionAnswering(features, languages, towers={name: TOWERS[name] for name in features if name in TOWERS}, dim=16, **options)


def _batch(task, dataset, split="train", size=6):
    return next(iter(batches(dataset, split, task.features, task.languages, size, draws=task.draws)))


PICTURE = [{"question": b"is the number even?", "question_language": b"en"}, {"question": b"wie viele Ziffern hat sie?", "question_language": b"xx"}]
TEXT = [
    {"question": b"who has cats?", "question_language": b"en", "context": "Ada hat zwölf Katzen. Ben hat zwei Hüte.".encode(), "context_language": b"de"},
    {"question": b"who has cats?", "context": b"Ben has two."},
    {"question": b"who?"},
]


def test_a_closed_set_keeps_the_contract(question_pictures):
    task = _task(question_pictures)
    image = next(iter(question_pictures.items("test").as_numpy_iterator()))["image"]["value"][0]
    testing.check_task(task, _batch(task, question_pictures), {"answer": [{**row, "image": image} for row in PICTURE]})


def test_an_answer_that_a_run_does_not_know_is_wrong_for_linear_models_too(question_pictures):
    """Without "yes", whoever would say what is said most often, "no", is right less often."""
    task = _task(question_pictures)
    label = task.features["answer"]
    less = dataclasses.replace(task, features={**task.features, "answer": type(label)([name for name in label.names if name != "yes"])})
    with_all, without = (answer_scores.linear_answers(one, question_pictures, "test")["answer_from_question"] for one in (task, less))
    assert with_all["items"] == without["items"] and without["exact"] < 1
    assert without["exact"] <= np.mean([item["answer"]["value"][0] != b"yes" for item in question_pictures.items("test").as_numpy_iterator()])


def test_spans_keep_the_contract(reading):
    task = _task(reading, context="context", no_answer=True)
    testing.check_task(task, _batch(task, reading), {"answer": TEXT})


@pytest.mark.parametrize("clean", [False, True])
def test_spans_are_cut_from_the_text_that_was_given(reading, clean):
    """Wherever a model that learned nothing points to; where the feature folds case, to the text after that."""
    task = _task(reading, context="context", length=64)
    task = dataclasses.replace(task, features={name: type(one)(**{**one.config(), "fold_case": clean}) for name, one in task.features.items()})
    texts = ["Ａｄａ  has\u300012\n cats 🎉", "Ben", "東京は  日本の首都です", "ﬁne"]
    said = ask(task.endpoints(task.build())["answer"], [{"question": "who?", "context": text} for text in texts])
    read = task.features["context"].clean(tf.constant(texts), tf.constant([""] * 4)).numpy()
    assert ([one.decode() for one in read] == texts) != clean
    for text, answer, start, end in zip(read, said["answer"], said["start"], said["end"]):
        assert text.decode()[start:end] == answer.decode() if answer else start == end == -1


def test_written_answers_keep_the_contract(reading):
    task = _task(reading, decoder=functools.partial(decoders.text.gru, depth=1), length=6, beams=2, blind=False)
    rows = [{**row, "target_language": tag} for row, tag in zip(TEXT, (b"en", b"de", b"fr"))]
    testing.check_task(task, _batch(task, reading, size=4), {"answer": rows})


def test_what_reads_a_part_does_not_move_the_towers(question_pictures):
    task = _task(question_pictures)
    model, (x, y, _) = task.build(), task.example(_batch(task, question_pictures))
    assert set(y) == {"answer", "answer_from_question", "answer_without_question"}
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(x)
        losses = {name: tf.reduce_sum(value**2) for name, value in outputs.items()}
    kernels = {name: model.get_layer(name).trainable_weights[0].value for name in ("image", "question")}
    for name, kernel in kernels.items():
        assert tape.gradient(losses["answer"], kernel) is not None, name
        assert tape.gradient(losses["answer_from_question"], kernel) is None and tape.gradient(losses["answer_without_question"], kernel) is None
    other = {**x, "image": {**x["image"], "value": x["image"]["value"] + 1.0}}
    assert np.abs(model(other)["answer"] - outputs["answer"]).max() > 1e-4
    assert np.abs(model(other)["answer_from_question"] - outputs["answer_from_question"]).max() == 0


def test_one_tower_reads_question_and_context_of_the_same_subwords(reading):
    features, languages = _features(reading)
    assert features["question"].model == features["context"].model and features["question"].length == 24
    model = _task(reading, context="context").build()
    assert "context" in [layer.name for layer in model.layers] and "question" not in [layer.name for layer in model.layers]


def test_targets_are_where_the_answers_stand(reading):
    """Checked by cutting the answers out again; where there is none, the place before the first."""
    task = _task(reading, context="context", no_answer=True)
    batch = _batch(task, reading, size=40)
    x, y, weight = task.example(batch)
    first, last = (y["answer"].numpy() - 1).T
    pieces = task.features["context"].pieces(tf.where(x["context"]["mask"], x["context"]["value"], 0))
    answers = task.features["answer"].detokenize(tf.reshape(tf.where(batch["answer"]["mask"], batch["answer"]["value"], 0), (160, -1)))
    answers = tf.reshape(answers, (40, 4)).numpy()
    for row in range(40):
        cut = b"".join(pieces.numpy()[row][first[row] : last[row] + 1]).strip()
        wanted = [one for one in answers[row] if one]
        assert any(one in cut and len(cut) < len(one) + 8 for one in wanted) if wanted else first[row] == -1
    assert weight["answer"].numpy().min() == 1.0
    _, _, weight = _task(reading, context="context").example(batch)
    assert weight["answer"].numpy()[:, 0].tolist() == (first >= 0).astype(float).tolist()


def test_what_is_hidden_is_read_and_never_an_answer(reading):
    task = _task(reading, context="context", no_answer=True)
    plain, hidden = (
        next(iter(batches(reading, "train", task.features, task.languages, 40, draws=task.draws, seed=0, modality_dropout=rate, sources=task.sources))) for rate in (0.0, 0.9)
    )
    there = {name: [batch[name]["mask"].numpy().any((1, 2)) for batch in (plain, hidden)] for name in task.features}
    assert (there["answer"][0] == there["answer"][1]).all()
    assert all(before.sum() > after.sum() for before, after in (there["question"], there["context"])) and (there["question"][1] | there["context"][1]).all()


class _Told:
    """A task that answers what it is told."""

    def __init__(self, task, said):
        self.task, self.said = task, said

    def __getattr__(self, name):
        return getattr(self.task, name)

    def respond(self, model, x, language, reader):
        count = tf.shape(x["question"]["value"])[0]
        return {"answer": tf.fill([count], self.said[reader]), "probability": tf.fill([count], 0.5)}


def test_scores_by_kind_and_language(question_pictures):
    task = _Told(_task(question_pictures), {"answer": "yes", "answer_from_question": "1", "answer_without_question": ""})
    scores = answer_scores.score_answers(task, None, batches(question_pictures, "test", task.features, task.languages, 8))
    right = [row["answer"]["value"][0].decode() for row in question_pictures.items("test").as_numpy_iterator()]
    assert scores["answer"]["exact"] == right.count("yes") / len(right) and scores["answer"]["items"] == 4 * len(right)
    assert scores["answer_from_question"]["exact"] == right.count("1") / len(right) and scores["answer_without_question"]["exact"] == 0
    kinds = scores["answer"]["kinds"]
    assert set(kinds) == {"yes/no", "number"} and kinds["number"]["exact"] == 0
    assert kinds["yes/no"]["exact"] == right.count("yes") / (right.count("yes") + right.count("no"))
    assert set(scores["answer"]["languages"]) == {f"question:{tag}" for tag in questions.LANGUAGES}
    row = scores["predictions"][0]
    assert row["source"]["image"] is None and row["hypothesis"] == "yes" and row["route"].startswith("image+question:")
    assert "the question alone" in task.summary(scores) and "yes/no" in task.summary(scores)


def test_scores_of_texts_count_words_and_no_answer(reading):
    task = _Told(_task(reading, context="context", no_answer=True), {"answer": "", "answer_without_question": "Ada"})
    scores = answer_scores.score_answers(task, None, batches(reading, "train", task.features, task.languages, 8))
    items = list(reading.items("train").as_numpy_iterator())
    without = sum(not len(item["answer"]["value"]) for item in items)
    assert scores["answer"]["exact"] == pytest.approx(without / len(items)) and scores["answer"]["items"] == 8 * len(items)
    assert scores["answer"]["kinds"]["none"] == {"exact": 1.0, "f1": 1.0, "items": 8 * without}
    assert {view.partition(":")[0] for view in scores["answer"]["languages"]} == {"question", "context"}
    assert 0 < scores["answer_without_question"]["exact"] < 0.2


@pytest.mark.parametrize("said, kind", [("Yes", "yes/no"), ("nein", "yes/no"), ("3.5", "number"), ("٣", "number"), ("a dog", "other"), (" ", "none")])
def test_kinds_of_answers(said, kind):
    assert answer_scores.kind_of_answer(said) == kind


def test_linear_models_are_a_baseline(question_pictures):
    found = _task(question_pictures).baseline(question_pictures, "test")
    assert set(found) == {"answer", "answer_from_question", "answer_without_question"} and all(0 <= one["exact"] <= 1 for one in found.values())


@pytest.mark.parametrize(
    "options, words",
    [
        ({"question": "image"}, "Expected `question` to be a field of texts: question. Received: question=image"),
        ({"answer": "image"}, "Expected `answer` to be a field of labels or texts: .* Received: answer=image"),
        ({"context": "question"}, "Expected `context` for answers that are texts. Received: context=question, and labels; ingest with --field answer=text"),
    ],
)
def test_what_cannot_be_asked_is_told(question_pictures, options, words):
    with pytest.raises(ValueError, match=words):
        _task(question_pictures, **options)


def test_what_is_read_is_not_called_as_what_is_written(reading):
    task = _task(reading, context="context")
    features = {"question": task.features["question"], "target": task.features["context"], "answer": task.features["answer"]}
    with pytest.raises(ValueError, match="other than .*target, target_language.* Received: 'target'. Rename the column"):
        tasks.QuestionAnswering(features, task.languages, towers={**TOWERS, "target": TOWERS["question"]})
    assert not tasks.QuestionAnswering(features, task.languages, towers={**TOWERS, "target": TOWERS["question"]}, context="target").is_written


def test_spans_are_matched_with_the_question_unless_told_otherwise(reading, question_pictures):
    assert _task(reading, context="context").fusion is fusion.matching and _task(question_pictures).fusion is fusion.attention
    for dataset, options, kind in ((reading, {"context": "context"}, "matching"), (question_pictures, {}, "attention")):
        assert config.resolve({"dataset": str(dataset.path), "task": "question_answering", "options": options})["fusion"]["kind"] == kind


def test_spans_need_steps_to_point_to(reading):
    with pytest.raises(ValueError, match="Expected a fusion that keeps all steps"):
        _task(reading, context="context", fusion=fusion.gated).build()


def test_answers_that_are_not_in_their_context_are_told(reading, tmp_path):
    rows = [{"id": str(n), "split": "train", "question": "what?", "context": f"it is {n}", "answer": "it" if n else "not there"} for n in range(20)]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    kinds = {"question": "text", "context": "text", "answer": "text"}
    dataset = ingest(tmp_path / "items.jsonl", tmp_path / "dataset", kinds, progress=False)
    features, languages = learn_features(dataset, None, {name: {"vocab_size": 300} for name in kinds})
    task = tasks.QuestionAnswering(features, languages, towers=TOWERS, context="context", dim=8)
    with pytest.warns(UserWarning, match=r"1 of \d+ answers do not stand in the first 128 subwords of their context"):
        task.check(dataset)
