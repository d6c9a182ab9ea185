import dataclasses
import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import evaluation, fusion, tasks, testing, towers, training
from cross_modal.data import batches, ingest, learn_features
from cross_modal.features import Label

TOWERS = {"image": functools.partial(towers.image.cnn, widths=(4, 8)), "text": towers.text.bag}


def _task(learned, join=fusion.concat, **options):
    features, languages = learned
    features = {name: features[name] for name in ("image", "text", "parity", "digits")}
    return tasks.Classification(features, languages, towers=TOWERS, fusion=join, dim=16, **options)


@pytest.mark.parametrize("join", [fusion.concat, fusion.attention])
def test_keeps_its_contract(join, learned, dataset):
    task = dataclasses.replace(_task(learned, join), towers={**TOWERS, "text": towers.text.lstm if join is fusion.concat else towers.text.bag})
    batch = next(iter(batches(dataset, "train", task.features, task.languages, 6, draws=task.draws)))
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    image, text = item["image"]["value"][0], item["text"]["value"][0]
    language = item["text"]["language"][0]
    rows = [{"image": image, "text": text, "text_language": language}, {"image": image}, {"text": text, "text_language": "xx"}]
    testing.check_task(task, batch, {"classify": rows})


def test_learns_from_every_pattern_at_once(learned, dataset):
    task = _task(learned, every_pattern=True)
    batch = next(iter(batches(dataset, "train", task.features, task.languages, 6, draws=task.draws)))
    batch["image"]["mask"] &= np.arange(6)[:, None, None] > 0  # The first item lacks its picture.
    x, y, weight = task.example(batch)
    assert set(y) == {"parity", "digits", "parity_from_image", "digits_from_image", "parity_from_text", "digits_from_text"}
    assert weight["parity_from_image"].numpy().tolist() == [0, 1, 1, 1, 1, 1] and weight["parity_from_text"].numpy().tolist() == [1] * 6
    model = task.build()
    hidden = {**x, "text": {**x["text"], "mask": x["text"]["mask"] & False}}
    assert model(hidden)["parity"].numpy() == pytest.approx(model(x)["parity_from_image"].numpy(), abs=1e-5)
    assert sum(task.objective()["loss_weights"].values()) == pytest.approx(2.0)
    testing.check_task(task, batch, {"classify": [{"text": b"two", "text_language": b"en"}]})


def _labelled(folder, rows):
    """A dataset of texts and labels, and a task for it."""
    (folder / "items.jsonl").write_text("\n".join(json.dumps({"id": str(number), **row}) for number, row in enumerate(rows)))
    dataset = ingest(folder / "items.jsonl", folder / "dataset", {"text": "text", "label": "label"}, progress=False)
    features, languages = learn_features(dataset, None, {"text": {"vocab_size": 300, "length": 8}})
    return dataset, tasks.Classification(features, languages, towers={"text": towers.text.bag}, dim=4)


def test_what_cannot_be_learned_is_told(tmp_path):
    rows = [{"split": "train", "text": f"text {n}"} for n in range(8)] + [{"split": "test", "text": "a", "label": "x"}, {"split": "train", "label": "y"}]
    dataset, task = _labelled(tmp_path, rows)
    with pytest.raises(ValueError, match="Expected training items with label and text. Received: none among"):
        task.check(dataset)
    (tmp_path / "one").mkdir()
    dataset, task = _labelled(tmp_path / "one", [{"split": "train", "text": f"text {n}", "label": "x"} for n in range(20)])
    with pytest.warns(UserWarning, match="Expected two classes of label or more among the training items. Received: only x"):
        task.check(dataset)


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # Told again from here.
def test_without_anything_to_validate_by_the_last_epoch_is_kept(tmp_path):
    rows = [{"split": "train", "text": f"text {n}", "label": "xy"[n % 2]} for n in range(8)] + [{"split": "validation", "text": f"other {n}"} for n in range(4)]
    dataset, task = _labelled(tmp_path, rows)
    with pytest.warns(UserWarning, match="Nothing of the validation split counts"):
        model = training.fit(task, dataset, tmp_path / "run", epochs=2, steps_per_epoch=1, batch_size=4, progress=False)
    last = keras.models.load_model(tmp_path / "run" / "checkpoints" / "epoch_2.keras")
    assert all((a == b).all() for a, b in zip(model.get_weights(), last.get_weights(), strict=True))
    assert "val_loss" not in (tmp_path / "run" / "history.csv").read_text()


def test_classes_that_the_model_does_not_know_are_told(tmp_path):
    rows = [{"split": split, "text": f"text {n}", "label": "xyz"[n % 3]} for n in range(9) for split in ("train", "test")]
    dataset, task = _labelled(tmp_path, rows)
    task = dataclasses.replace(task, features={**task.features, "label": Label(["x", "y"])})
    scores = evaluation.evaluate(task, task.build(), dataset, baseline=False)
    assert scores["label"]["unknown"] == 3 and scores["label"]["examples"] == 6
    wrong = scores["label"]["accuracy"] * 6 / 9
    assert f"3 more items are of other classes of label than the model knows; with them the accuracy is {wrong:.3f}" in task.summary(scores)


def test_parallel_views_are_brought_together(learned, dataset):
    """Each item stands twice in an example, with another of its texts; a text has the same pooled states as where it stands alone."""
    task = _task(learned, parallel={"text": 0.5})
    batch = next(iter(batches(dataset, "train", task.features, task.languages, 6, draws=task.draws, seed=0)))
    x, y, weight = task.example(batch)
    assert y["text_parallel"].numpy()[:, 0].tolist() == [*range(6), *range(6)] and (x["image"]["value"].numpy()[:6] == x["image"]["value"].numpy()[6:]).all()
    assert (x["text"]["language"].numpy()[:6] != x["text"]["language"].numpy()[6:]).any() and weight["parity"].shape == (12,)
    assert task.objective()["loss_weights"] == {"parity": 1.0, "digits": 1.0, "text_parallel": 0.5}
    testing.check_task(task, batch, {"classify": [{"text": b"two", "text_language": b"en"}]})
    with pytest.raises(ValueError, match="`parallel` for fields of texts or recordings among image, text. Received: image"):
        _task(learned, parallel={"image": 1.0})


def test_items_without_a_second_view_are_learned_from_once(learned, dataset):
    """One text alone, none at all, and a picture beside none: whatever is absent is no example, and makes nothing that is no number."""
    task = _task(learned, parallel={"text": 0.5})
    batch = next(iter(batches(dataset, "train", task.features, task.languages, 4, draws=task.draws, seed=0)))
    there = batch["text"]["mask"].numpy()
    there[0, 1], there[1] = False, False
    batch["text"]["mask"] = tf.constant(there)
    batch["image"]["mask"] = tf.constant(np.arange(4)[:, None, None] >= 2)
    x, y, weight = task.example(batch)
    assert weight["parity"].numpy().tolist() == [1, 0, 1, 1, 0, 0, 1, 1]
    model = task.build()
    model.compile("adam", run_eagerly=True, **task.objective())
    assert np.isfinite([model.train_on_batch(x, y, weight, return_dict=True)["loss"] for _ in range(2)]).all()
    assert all(np.isfinite(one).all() for one in model.get_weights())


def test_shares_that_mean_nothing_are_told(learned):
    with pytest.raises(ValueError, match="`dropout` and `label_smoothing` of at least 0 and below 1. Received: {'dropout': 1, 'label_smoothing': 2}"):
        _task(learned, dropout=1, label_smoothing=2)


def test_answers_are_classes_and_probabilities(learned):
    task = _task(learned)
    answers = task.endpoints(task.build())["classify"](image=[b""], image_language=[""], text=["seven"], text_language=["en"])
    assert answers["parity"].numpy()[0] in (b"even", b"odd")
    probabilities = answers["digits_probabilities"].numpy()[0]
    assert probabilities.shape == (2,) and probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert answers["digits"].numpy()[0].decode() == task.features["digits"].names[probabilities.argmax()]


def test_an_absent_label_has_no_weight(tmp_path):
    (tmp_path / "items.csv").write_text("id,text,label,split\n1,one two,a,train\n2,three,,train\n3,four,b,train\n")
    dataset = ingest(tmp_path / "items.csv", tmp_path / "dataset", {"text": "text"}, progress=False)
    features, languages = learn_features(dataset, None, {"text": {"vocab_size": 300}})
    task = tasks.Classification(features, languages, towers={"text": towers.text.bag}, dim=8)
    batch = next(iter(batches(dataset, "train", features, languages, 3, draws=task.draws)))
    _, y, weight = task.example(batch)
    by_id = dict(zip(batch["id"].numpy().tolist(), weight["label"].numpy().tolist()))
    assert by_id == {b"1": 1.0, b"2": 0.0, b"3": 1.0}
    assert y["label"].numpy().min() >= 0


def test_score_counts_by_hand(learned, dataset):
    """A model that answers always the second class is right as often as that class occurs."""
    task = _task(learned)

    def always_second(x, training):
        rows = len(x["text"]["value"])
        return {name: np.tile([[0.0, 1.0]], (rows, 1)) for name in task.heads}

    scores = task.score(always_second, batches(dataset, "test", task.features, task.languages, 8))
    odd = [int(item["id"]) % 2 for item in dataset.items("test").as_numpy_iterator()]
    assert scores["parity"]["accuracy"] == pytest.approx(np.mean(odd))
    assert scores["parity"]["examples"] == len(odd)
    assert "parity" in task.summary(scores)


def test_what_does_not_fit_is_told(learned):
    features, languages = learned
    with pytest.raises(ValueError, match="at least one label and one other field. Received: text"):
        tasks.Classification({"text": features["text"]}, languages, towers={"text": towers.text.lstm})
    with pytest.raises(ValueError, match="tower for each of text. Received: towers for image"):
        tasks.Classification({"text": features["text"], "parity": features["parity"]}, languages, towers={"image": towers.image.cnn})
    with pytest.raises(ValueError, match="`loss_weights` for labels among parity, digits. Received: text"):
        _task(learned, loss_weights={"text": 2.0})


@pytest.fixture
def topics(tmp_path):
    """Texts of one or both of two topics, and a class that is rare."""
    rows = []
    for i in range(12):
        rows.append(
            {
                "id": str(i),
                "split": "train" if i < 8 else "test",
                "text:en" if i % 3 else "text:de": f"text {i}",
                "topics": [["x"], ["y"], ["x", "y"]][i % 3],
                "rare": "ab"[i % 4 == 0],
            }
        )
    (tmp_path / "items.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    dataset = ingest(tmp_path / "items.jsonl", tmp_path / "dataset", {"text": "text", "topics": "label", "rare": "label"}, progress=False, fractions=(1.0, 0.0, 0.0))
    return dataset, *learn_features(dataset, ["text", "topics", "rare"], {"text": {"vocab_size": 300}})


def _topics(topics, **options):
    return tasks.Classification(topics[1], topics[2], towers={"text": towers.text.bag}, dim=8, multi_label=("topics",), **options)


def test_several_labels_of_an_item(topics):
    dataset, features, languages = topics
    task = _topics(topics)
    (batch,) = batches(dataset, "train", features, languages, 8, draws=task.draws)
    _, y, weight = task.example(batch)
    by_id = {item.decode(): row.tolist() for item, row in zip(batch["id"].numpy(), y["topics"].numpy())}
    assert by_id["0"] == [1, 0] and by_id["1"] == [0, 1] and by_id["2"] == [1, 1] and weight["topics"].numpy().tolist() == [1.0] * 8
    testing.check_task(task, batch, {"classify": [{"text": "text 1", "text_language": "en"}, {"text": "text 2"}]})


def test_answers_with_several_labels(topics):
    task = _topics(topics)
    model = task.build()
    model.get_layer("joined").get_layer("topics").bias.assign([5.0, 5.0])
    answers = task.endpoints(model)["classify"](text=["a"], text_language=["en"])
    assert answers["topics"].numpy()[0] == b"x\ny" and (answers["topics_probabilities"].numpy() > 0.9).all()
    model.get_layer("joined").get_layer("topics").bias.assign([-5.0, 5.0])
    assert task.endpoints(model)["classify"](text=["a"], text_language=["en"])["topics"].numpy()[0] == b"y"


def test_scores_of_several_labels_by_hand(topics):
    """Always x and never y, over items 8 to 11: x y, x, y, x y."""
    dataset, features, languages = topics
    task = _topics(topics)

    def always_x(x, training):
        rows = len(x["text"]["value"])
        return {"topics": np.tile([[9.0, -9.0]], (rows, 1)).astype("float32"), "rare": np.zeros((rows, 2), "float32")}

    scores = task.score(always_x, batches(dataset, "test", features, languages, 8))["topics"]
    assert scores["accuracy"] == 0.25 and scores["macro_f1"] == pytest.approx((2 * 3 / (4 + 3) + 0) / 2)
    assert scores["classes"]["x"] == {"precision": 0.75, "recall": 1.0, "f1": pytest.approx(6 / 7), "average_precision": pytest.approx(0.75), "examples": 3}
    assert set(scores["languages"]) == {"text:de", "text:en"} and scores["languages"]["text:de"]["examples"] == 1
    assert "text:de" in task.summary({"topics": scores})


def test_balance_weighs_classes_alike(topics):
    dataset, features, languages = topics
    assert features["rare"].names == ["a", "b"] and features["rare"].counts == [6, 2]
    task = _topics(topics, balance=1.0)
    (batch,) = batches(dataset, "train", features, languages, 8, draws=task.draws)
    _, y, weight = task.example(batch)
    totals = (y["rare"].numpy() * weight["rare"].numpy()[:, None]).sum(axis=0)
    assert totals == pytest.approx([4.0, 4.0])
    assert _topics(topics).example(batch)[2]["rare"].numpy().tolist() == [1.0] * 8


def test_loss_options_by_hand(topics):
    logits, target = np.log([[0.8, 0.2]]).astype("float32"), np.array([[1.0, 0.0]], "float32")

    def loss(**options):
        return float(_topics(topics, **options).objective()["loss"]["rare"](target, logits))

    assert loss() == pytest.approx(-np.log(0.8), abs=1e-5)
    assert loss(label_smoothing=0.1) == pytest.approx(-0.95 * np.log(0.8) - 0.05 * np.log(0.2), abs=1e-5)
    assert loss(focal=2.0) == pytest.approx(-(0.2**2) * np.log(0.8), abs=1e-4)


def test_each_pattern_of_presence_is_scored(learned, dataset):
    """A model that is right with text and wrong without."""
    task = _task(learned)
    truth = {int(item["id"]): int(item["id"]) % 2 for item in dataset.items("test").as_numpy_iterator()}

    made = batches(dataset, "test", task.features, task.languages, len(truth))
    (batch,) = made
    ids = [int(one) for one in batch["id"].numpy()]
    names = task.features["parity"].names
    right = np.array([[float(names[c] == ("odd" if truth[i] else "even")) for c in range(2)] for i in ids], "float32")

    def model(x, training):
        reads = np.asarray(x["text"]["mask"]).any(axis=1)[:, None]
        return {"parity": np.where(reads, right, 1 - right), "digits": np.zeros((len(ids), 2), "float32")}

    scores = task.score(model, [batch])["parity"]
    assert {pattern: one["accuracy"] for pattern, one in scores["patterns"].items()} == {"image": 0.0, "text": 1.0, "image+text": 1.0}
    assert scores["accuracy"] == 1.0 and "image+text" in task.summary({"parity": scores})
    assert np.trace(scores["confusion"]) == len(ids)


def test_mixed_items_have_mixed_targets(learned, dataset):
    features, languages = learned
    task = tasks.Classification({name: features[name] for name in ("image", "parity")}, languages, towers={"image": TOWERS["image"]}, dim=16)
    batch = next(iter(batches(dataset, "train", task.features, languages, 6, draws=task.draws, seed=1, mixup=0.4)))
    _, y, weight = task.example(batch)
    assert y["parity"].numpy().sum(axis=1) == pytest.approx(1.0) and (y["parity"].numpy().max(axis=1) < 0.999).any()
    assert weight["parity"].numpy().tolist() == [1.0] * 6


def test_what_has_no_label_is_mixed_as_it_is(learned):
    """By hand, of four items: one of two tags with one of one, and back; one with one that has none, and back."""
    features, languages = learned
    task = tasks.Classification({"text": features["text"], "digits": Label(list("abcdef"))}, languages, towers={"text": TOWERS["text"]}, multi_label=("digits",), dim=8)
    value, order = np.array([[1, 2], [3, 0], [4, 5], [0, 0]], np.int32), [1, 0, 3, 2]
    mask = np.array([[1, 1], [1, 0], [1, 1], [0, 0]], bool)[:, :, None]
    text = {"value": np.zeros((4, 1, 2), np.int32), "mask": np.ones((4, 1, 2), bool), "language": np.zeros((4, 1), np.int32)}
    digits = {"value": value, "mask": mask, "other": value[order], "other_mask": mask[order], "share": np.full(4, 0.75, np.float32)}
    _, y, weight = task.example(tf.nest.map_structure(tf.constant, {"text": text, "digits": digits}))
    expected = np.zeros(y["digits"].shape)
    expected[0, [1, 2, 3]], expected[1, [1, 2, 3]], expected[2, [4, 5]] = [0.75, 0.75, 0.25], [0.25, 0.25, 0.75], 1.0
    np.testing.assert_allclose(y["digits"], expected, atol=1e-6)
    assert weight["digits"].numpy().tolist() == [1.0, 1.0, 1.0, 0.0]


def test_n_grams_with_linear_heads_are_a_linear_model(dataset):
    features, languages = learn_features(dataset, ["text", "parity"], {"text": {"units": "ngrams", "fold_case": True}})
    task = tasks.Classification(features, languages, towers={"text": towers.text.ngrams}, dim=4, dropout=0.0, linear=True)
    batch = next(iter(batches(dataset, "train", features, languages, 6, draws=task.draws)))
    testing.check_task(task, batch, {"classify": [{"text": b"two", "text_language": b"en"}, {"text": b"deux"}]})
    model = task.build()
    weights, x = next(one for one in model.get_layer("text").layers if hasattr(one, "embeddings")), task.example(batch)[0]
    assert tuple(weights.embeddings.shape) == (features["text"].vocab_size, 4)
    drawn, logits = np.random.default_rng(0).normal(size=weights.embeddings.shape), []
    for times in (0, 1, 2):
        weights.embeddings.assign(times * drawn)
        logits.append(model(x)["parity"].numpy())
    np.testing.assert_allclose(logits[2] - logits[0], 2 * (logits[1] - logits[0]), rtol=1e-3, atol=1e-4)
    assert np.abs(logits[1] - logits[0]).max() > 0.1
