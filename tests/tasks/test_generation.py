import dataclasses
import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from cross_modal import decoders, tasks, testing, towers
from cross_modal.data import batches, ingest, learn_features
from cross_modal.serving import ask

TOWERS = {"image": functools.partial(towers.image.cnn, widths=(4, 8)), "text": towers.text.bag, "audio": functools.partial(towers.audio.crnn, widths=(4, 4))}
ROUTES = ("image->text:en", "text:*->text:*", "audio:fr->text:fr", "image+text:en->text:de", "!text:tr->text:ko")


def made(learned, **options):
    features, languages = learned
    given = {"routes": ROUTES, "dim": 16, "length": 6, "beams": 2, "decoder": functools.partial(decoders.text.transformer, depth=1), **options}
    return tasks.Generation({name: features[name] for name in TOWERS}, languages, towers=TOWERS, **given)


@pytest.fixture(scope="module")
def task(learned):
    return made(learned)


def drawn(task, dataset, count=None):
    """The first batch as it is trained on, or a number of them."""
    made = batches(dataset, "train", task.features, task.languages, 16, draws=task.draws, seed=0, again=task.again, choose=task.choose, raw=True)
    return made.take(count) if count else next(iter(made))


def test_keeps_its_contract(task, dataset):
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    row = {"image": item["image"]["value"][0], "target_language": b"en"}
    french = {"text": b"deux cents", "text_language": b"fr", "target_language": b"de"}
    drawn_ones = [{**french, "seed": "7", "temperature": "0.5", "top_k": "20", "top_p": "0.9"}, {**row, "seed": "8"}]
    asked = {"generate": [row, french, {**french, "target_language": b"xx"}, {"text": "a " * 500, "target_language": "en"}], "score": [{**french, "target": "zwei"}]}
    testing.check_task(task, drawn(task, dataset), {**asked, "sample": [{"seed": "1", **one} for one in drawn_ones]})


def test_xla_writes_the_same(learned, dataset):
    task, made_of = made(learned), []
    model = task.build()
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    rows = [{"image": item["image"]["value"][0]}, {"text": "deux cents", "text_language": "fr"}, {"audio": item["audio"]["value"][0], "audio_language": "fr"}]
    for one in (task, dataclasses.replace(task, jit_compile=True)):
        endpoints = one.endpoints(model)
        asked = [{**row, "target_language": "de", "seed": "3"} for row in rows]
        made_of.append([ask(endpoints["generate"], asked), ask(endpoints["sample"], asked)])
    for a, b in zip(*made_of):
        assert a["text"].tolist() == b["text"].tolist()
        np.testing.assert_allclose(a["score"], b["score"], rtol=1e-4)


def test_examples_are_of_routes_that_are_trained(task, dataset):
    names, seen = task.languages.names, set()
    for batch in drawn(task, dataset, count=12):
        there = {name: batch[name]["mask"].numpy()[:, 0].any(-1) for name in (*TOWERS, "target")}
        assert there["target"].all()
        for row in range(len(batch["id"])):
            sources = [name if name == "image" else f"{name}:{names[batch[name]['language'][row, 0]]}" for name in task.sources if there[name][row]]
            seen.add((tuple(sources), f"text:{names[batch['target']['language'][row, 0]]}"))
    assert {(tuple(sorted(sources)), end) for sources, end in seen} <= {(tuple(sorted(sources)), end) for sources, end in task.trained}
    assert len(seen) > 20 and (("text:tr",), "text:ko") not in task.trained


def test_a_batch_reads_the_same_fields(task, dataset):
    read = set()
    for batch in drawn(task, dataset, count=12):
        there = np.stack([batch[name]["mask"].numpy()[:, 0].any(-1) for name in task.sources])
        assert (there == there[:, :1]).all() and len(batch["id"]) == 16
        read.add(tuple(name for name, one in zip(task.sources, there) if one[0]))
        if not there[task.sources.index("audio")].any():
            assert batch["audio"]["value"].shape[2] == 8, "nothing is as short as can be"
    assert {("image",), ("text",), ("audio",)} <= read


def test_weights_decide_how_often(learned, dataset):
    task = made(learned, weights={"*->*": 0.0, "image+text:en->*": 0.0, "audio:fr->text:fr": 1.0})
    batch = drawn(task, dataset)
    assert batch["audio"]["mask"].numpy().any(-1).all() and not batch["image"]["mask"].numpy().any()


def test_what_weighs_nothing_is_never_trained(learned):
    task = made(learned, routes=("image->text:*",), weights={"image->text:de": 0.0})
    every = made(learned, routes=("image->text:*",))
    assert set(every.trained) - set(task.trained) == {(("image",), "text:de")} and "de" in every.answered and "de" not in task.answered
    for weights, words in (({"*->*": 0}, "a route of `routes` that is drawn"), ({"*->*": -1}, "`weights` to hold numbers of at least 0"), ({"*->*": "a"}, "Received: weights=")):
        with pytest.raises(ValueError, match=words):
            made(learned, routes=("image->text:*",), weights=weights)


def test_fields_are_drawn_alike_however_many_routes_they_have(learned):
    numbers = made(learned, routes=("image->text:en", "text:*->text:en"), weights={"text:de->*": 2.0}).numbers
    shares = {route[0][0]: weight for route, weight in zip(numbers.routes, numbers.weights)}
    assert shares["image"] == 1.0 and shares["text:fr"] == pytest.approx(1 / (len(shares) - 1)) and shares["text:de"] == pytest.approx(2 * shares["text:fr"])
    assert set(made(learned, balance=0.0).numbers.weights) == {1.0}


def test_a_text_from_itself_is_the_same_text(learned, dataset):
    task = made(learned, routes=("text:de->text:de",))
    batch = drawn(task, dataset)
    assert (batch["text"]["key"] == batch["target"]["key"]).numpy().all() and task.sources == ["text"]


def test_what_goes_in_is_what_comes_out_a_step_before(task, learned):
    ids, mask = tf.constant([[7, 8, 9], [5, 0, 0], [0, 0, 0]]), tf.constant([[True] * 3, [True, False, False], [False] * 3])
    x, y, weight = task._taught({}, ids, mask, tf.constant([1, 1, 1]))
    assert x["target"]["value"].numpy().tolist() == [[2, 7, 8, 9], [2, 5, 0, 0], [2, 0, 0, 0]]
    assert y["text"].numpy().tolist() == [[7, 8, 9, 3], [5, 3, 0, 0], [3, 0, 0, 0]]
    assert weight["text"].numpy().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_what_is_spelled_is_the_text_in_the_language_that_is_heard(learned):
    task = made(learned, ctc=0.3)
    french, german = (task.languages.names.index(tag) for tag in ("fr", "de"))
    heard = {"audio": {"mask": tf.constant([[True], [True], [True], [False]]), "language": tf.constant([french, german, 0, french])}}
    ids, mask = tf.constant([[7, 8, 9]] * 4), tf.constant([[True, True, False]] * 4)
    _, y, weight = task._taught(heard, ids, mask, tf.fill([4], french))
    assert set(y) == {"text", "ctc"} and y["ctc"].numpy().tolist() == [[7, 8, 0]] * 4 and weight["ctc"].numpy().tolist() == [2, 0, 2, 0]


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_are_read_off_recordings(learned, dataset, beams):
    task = made(learned, routes=("audio:fr->text:fr",), ctc=1.0, beams=beams)
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    spoken = {"audio": item["audio"]["value"][[tag.decode() for tag in item["audio"]["language"]].index("fr")], "audio_language": b"fr", "target_language": b"fr"}
    testing.check_task(task, drawn(task, dataset), {"generate": [spoken, {**spoken, "target_language": b"xx"}], "score": [{**spoken, "target": "deux"}]})
    model = task.build()
    assert {layer.name for layer in model.layers} & {"decoder", "embedding"} == set()
    rows = [{**spoken, "target": text} for text in ("deux", "deux cents " * 20)] + [{"target": "deux", "target_language": b"fr"}]
    said = task.endpoints(model)["score"].function(**{name: tf.constant([row.get(name, "") for row in rows]) for name in ("audio", "audio_language", "target", "target_language")})
    said = said["log_probability"].numpy()
    assert -1e6 < said[0] < 0 and said[1:].tolist() == [-1e9, -1e9]  # The second is too long for the recording, and the third has none.


def test_a_decoder_and_what_is_spelled_learn_together(learned, dataset):
    task = made(learned, ctc=0.3)
    model, (x, y, weight) = task.build(), task.example(drawn(task, dataset))
    model.compile(optimizer="adam", **task.objective())
    scores = model.test_on_batch(x, y, weight, return_dict=True)
    assert scores["loss"] == pytest.approx(0.7 * scores["text_loss"] + 0.3 * scores["ctc_loss"], rel=1e-3) and scores["ctc_loss"] > 1
    assert {"states", "mask", "ctc"} == set(model.get_layer("encoder").output)


def test_a_language_model_has_no_source(learned, dataset):
    task = made(learned, routes=("->text:en",), beams=1)
    assert task.sources == [] and task.answered == ["en"]
    model = task.build()
    x, y, weight = task.example(drawn(task, dataset))
    assert model(x)["text"].shape[:2] == y["text"].shape and np.isfinite(model(x)["text"]).all()
    said = task.endpoints(model)["generate"](target_language=tf.constant(["", "en", "fr"]))
    assert said["text"][0] == said["text"][1] and said["text"][2] == b"" and said["score"][2] < -1e8
    given = {name: tf.constant([""] * 64) for name in ("target_language", "temperature", "top_k", "top_p")}
    texts = task.endpoints(model)["sample"](**given, seed=tf.constant(["1", "1"] + [""] * 62))["text"].numpy().tolist()
    assert texts[0] == texts[1] and len(set(texts)) > 40
    likeliest = task.endpoints(model)["sample"](**{**given, "top_k": tf.constant(["1"] * 64)}, seed=tf.constant([""] * 64))
    assert set(likeliest["text"].numpy()) == {said["text"][0].numpy()} and likeliest["score"].numpy()[0] == pytest.approx(said["score"].numpy()[0], abs=1e-4)


def test_scores_say_how_good_each_route_is(task, dataset, monkeypatch):
    """With a model that writes what it should, whatever it is asked."""
    batch = next(iter(batches(dataset, "test", task.features, task.languages, 4, again=task.again, raw=True)))
    german = {item["id"]: item["text"]["value"][[tag.decode() for tag in item["text"]["language"]].index("de")] for item in dataset.items("test").as_numpy_iterator()}
    first = german[batch["id"][0].numpy()].decode()
    monkeypatch.setattr("cross_modal.tasks.generation.texts_of", lambda feature, ids: tf.fill(tf.shape(ids)[:2], first))
    scores = task.score(task.build(), [batch])
    rows = {row["route"]: row for row in scores["routes"]}
    assert rows["text:en->text:de"]["items"] == 4 and rows["text:en->text:de"]["exact"] == 0.25 and rows["text:en->text:de"]["trained"]
    assert not rows["audio:es->text:de"]["trained"] and rows["audio:es->text:de"]["exact"] == 0.25
    assert rows["text:en->text:fr"]["exact"] == 0.0 and rows["image+text:en->text:de"]["items"] == 4
    assert 1 < rows["text:en->text:de"]["perplexity"] < math.e**12
    one = next(row for row in scores["predictions"] if row["route"] == "image->text:de" and row["id"] == batch["id"][0].numpy().decode())
    assert one["hypothesis"] == first and one["references"] == [first] and not one["trained"] and one["source"] == {"image": None} and one["chrf"] == 100
    two = next(row for row in scores["predictions"] if row["route"] == "image+text:en->text:de")
    assert set(two["source"]) == {"image", "text:en"} and two["source"]["text:en"] and two["source"]["image"] is None
    assert set(rows["image+text:en->text:de"]["wrong picture"]) >= {"chrf", "exact"} and "wrong picture" not in rows["image->text:en"]
    assert rows["image->text:de"]["pivot"]["by"] == "text:en" and rows["image->text:de"]["pivot"]["exact"] == 0.25 and "pivot" not in rows["image->text:en"]
    said = task.summary(scores)
    assert "  another's picture" in said and "  by way of text:en" in said
    assert "text:tr->text:ko*" in said and 0 < task.merit(scores) < 100


def test_routes_that_no_item_has_are_told(tmp_path):
    (tmp_path / "items.csv").write_text("id,split,text:en,text:de,text:fr\n1,train,one,eins,\n2,train,two,,\n3,train,three,,trois\n")
    dataset = ingest(tmp_path / "items.csv", tmp_path / "dataset", progress=False)
    features, languages = learn_features(dataset, None, {"text": {"vocab_size": 320}})
    options = {"towers": {"text": towers.text.bag}, "dim": 8}
    tasks.Generation(features, languages, routes=("text:en->text:de",), **options).check(dataset)
    with pytest.warns(UserWarning, match="No training item has the views of text:fr->text:de: not learned."):
        tasks.Generation(features, languages, routes=("text:en->text:de", "text:fr->text:de"), **options).check(dataset)
    with pytest.raises(ValueError, match="such as text:fr->text:de. Received: none among 3 items"):
        tasks.Generation(features, languages, routes=("text:fr->text:de",), **options).check(dataset)


def test_speech_too_fast_for_its_steps_is_told(learned, dataset):
    task = made(learned, routes=("audio:fr->text:fr",), ctc=1.0)
    dataclasses.replace(task, towers={**TOWERS, "audio": functools.partial(towers.audio.crnn, widths=(4,))}).check(dataset)
    with pytest.warns(UserWarning, match="[0-9]+ of 252 recordings have fewer steps, 10 a second, than their texts have ids"):
        task.check(dataset)


def test_what_cannot_be_is_told(learned):
    features, languages = learned
    with pytest.raises(ValueError, match="a field of texts: text. Received: target=image"):
        made(learned, target="image")
    with pytest.raises(ValueError, match="Received: none for image"):
        tasks.Generation({name: features[name] for name in ("image", "text")}, languages, towers={"text": towers.text.bag})
    with pytest.raises(ValueError, match="Received: 'image->text:xx'"):
        made(learned, routes=("image->text:xx",))
    with pytest.raises(ValueError, match="Received: beams=0, length=6"):
        made(learned, beams=0)
    with pytest.raises(ValueError, match="Received: ctc=1.0 with 1 such routes of 2"):
        made(learned, ctc=1.0, routes=("audio:fr->text:fr", "text:de->text:fr"))
    with pytest.raises(ValueError, match="a decoder for XLA to compile. Received: jit_compile=True with ctc=1"):
        made(learned, routes=("audio:fr->text:fr",), ctc=1.0, jit_compile=True)
    with pytest.raises(ValueError, match="Received: ctc=0.3 with 0 such routes"):
        made(learned, ctc=0.3, routes=("audio:fr->text:de", "text:de->text:fr"))


def test_a_field_called_target_is_written_or_is_told(learned):
    features, languages = learned
    text = {"dim": 16, "towers": dict.fromkeys(("source", "text", "target"), towers.text.bag)}
    both, all_three = ({name: features["text"] for name in names} for names in (("source", "target"), ("source", "target", "text")))
    assert tasks.Generation(both, languages, target="target", routes=("source:*->target:*",), **text).sources == ["source"]
    with pytest.raises(ValueError, match=r"Received: target=target, and routes from source, target. Set options.routes=\[source\*->target\*\], or rename the column"):
        tasks.Generation(both, languages, target="target", **text)
    with pytest.raises(ValueError, match="Received: target=text, and routes from source. Leave target out of the features, or rename"):
        tasks.Generation(all_three, languages, target="text", routes=("source:*->text:*",), **text)


def test_a_name_that_no_layer_can_have_is_told_where_it_is_read(learned):
    features, languages = learned
    named, text = {"the source": features["text"], "the target": features["text"]}, {"dim": 16, "target": "the target"}
    with pytest.raises(ValueError, match="Received: 'the source'. Rename the column"):
        tasks.Generation(named, languages, towers={"the source": towers.text.bag}, routes=("the source:*->*",), **text)
    named = {"text": features["text"], "the target": features["text"]}
    assert tasks.Generation(named, languages, towers={"text": towers.text.bag}, routes=("text:*->*",), **text).build()
    named = {"seed": features["text"], "the target": features["text"]}
    with pytest.raises(ValueError, match="other than .*temperature, top_k, top_p, seed.* Received: 'seed'. Rename the column"):
        tasks.Generation(named, languages, towers={"seed": towers.text.bag}, routes=("seed:*->*",), **text)
