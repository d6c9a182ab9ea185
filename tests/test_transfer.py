"""Weights of one run start another."""

import functools
import json

import numpy as np
import pytest

from cross_modal import decoders, tasks, towers, training, transfer, word_vectors


def _made(learned, kind, dim=8, widths=(4,)):
    features, languages = learned
    readers = {"image": functools.partial(towers.image.cnn, widths=widths), "text": towers.text.lstm}
    if kind == "alignment":
        return tasks.Alignment({name: features[name] for name in readers}, languages, towers=readers, dim=dim, embedding=8)
    options = {"routes": ("image->text:en", "text:en->text:de"), "dim": dim, "length": 6, "beams": 2, "decoder": functools.partial(decoders.text.gru, depth=1)}
    return tasks.Generation({name: features[name] for name in readers}, languages, towers=readers, **options)


@pytest.fixture(scope="module")
def run(learned, tmp_path_factory):
    """A run of another task with towers of the same names."""
    folder, task = tmp_path_factory.mktemp("run"), _made(learned, "alignment")
    task.build().save(folder / "model.keras")
    saved = {name: {"class": "-", "config": feature.config()} for name, feature in task.features.items()}
    (folder / "features.json").write_text(json.dumps({"languages": task.languages.names, "features": saved}), encoding="utf-8")
    return folder


def _weights(model, part):
    return transfer._parts(model)[part].get_weights()


def test_towers_of_one_task_start_another(learned, run):
    import keras

    task = _made(learned, "generation")
    model, theirs = task.build(), keras.models.load_model(run / "model.keras")
    before = _weights(model, "decoder")
    report = transfer.start_from(model, {"image": run, "text": f"{run}#text"}, task.features)
    for part in ("image", "text"):
        for a, b in zip(_weights(model, part), _weights(theirs, f"{part}_tower"), strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(before, _weights(model, "decoder"), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [(row["part"], len(row["copied"]), row["skipped"]) for row in report] == [(name, len(_weights(model, name)), []) for name in ("image", "text")]
    assert report[0]["numbers"] == sum(one.size for one in _weights(model, "image"))


def test_what_has_another_shape_stays_and_is_told(learned, run):
    task = _made(learned, "generation", widths=(4, 6))
    model = task.build()
    before = _weights(model, "image")
    (row,) = transfer.start_from(model, {"image": run})
    assert row["copied"] and row["skipped"] and len(row["copied"]) + len(row["skipped"]) == len(before)
    changed = [bool((a != b).any()) for a, b in zip(before, _weights(model, "image"), strict=True)]
    assert 0 < sum(changed) < len(before)


def test_a_run_starts_with_them(learned, dataset, run, tmp_path, capsys):
    import keras

    task = _made(learned, "generation")
    model = training.fit(
        task, dataset, tmp_path, start_from={"image": str(run)}, learning_rate=0.0, weight_decay=0.0, steps_per_epoch=1, epochs=1, batch_size=4, progress=False
    )  # fmt: skip
    trained = [one.numpy() for one in transfer._parts(model)["image"].trainable_weights]
    for a, b in zip(trained, transfer._parts(keras.models.load_model(run / "model.keras"))["image_tower"].trainable_weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert f"image starts with {len(_weights(model, 'image'))} weights, " in capsys.readouterr().out


def test_what_cannot_be_is_told(learned, run, tmp_path):
    task = _made(learned, "generation")
    model = task.build()
    for runs, words in (({"sound": run}, "a part of the model: .*image.*Received: sound"), ({"image": f"{run}#pictures"}, "Received: pictures")):
        with pytest.raises(ValueError, match=words):
            transfer.start_from(model, runs)
    with pytest.raises(FileNotFoundError, match="a run that is done, with model.keras, or a file of word vectors, to start image from. Received: .*nowhere"):
        transfer.start_from(model, {"image": tmp_path / "nowhere"})
    with pytest.raises(ValueError, match="of the names and shapes of decoder. Received: none of"):
        transfer.start_from(model, {"decoder": f"{run}#logit_scale"})
    other = task.features["text"].config()
    saved = json.loads((run / "features.json").read_text(encoding="utf-8"))
    (tmp_path / "features.json").write_text(json.dumps({**saved, "features": {"text": {"config": {**other, "model": "other"}}}}), encoding="utf-8")
    (tmp_path / "model.keras").write_bytes((run / "model.keras").read_bytes())
    with pytest.raises(ValueError, match="to read the same subwords as here. Received: others"):
        transfer.start_from(model, {"text": tmp_path}, task.features)


def _vectors(words, dim, seed=0):
    return word_vectors.WordVectors(words, np.random.default_rng(seed).normal(size=(len(words), dim)).astype("float32"), np.zeros(len(words), int))


def test_word_vectors_start_an_embedding(learned, tmp_path):
    """What words consist of begins with their vectors, at the size that its numbers had; the rest stays as it is."""
    task = _made(learned, "alignment", dim=6)
    model, feature = task.build(), task.features["text"]
    for number, words in enumerate((["two", "hundred"], ["zwei"])):
        _vectors(words, 6, number).save(tmp_path / f"{number}.vec")
    before = next(one for one in _weights(model, "text_tower") if one.shape[0] == feature.vocab_size)
    (row,) = transfer.start_from(model, {"text_tower": [str(tmp_path / "0.vec"), str(tmp_path / "1.vec")]}, task.features)
    after = next(one for one in _weights(model, "text_tower") if one.shape[0] == feature.vocab_size)
    pieces = {piece for word in ("two", "hundred", "zwei") for piece in feature.ids(word)}
    changed = np.flatnonzero((before != after).any(axis=1))
    assert set(changed.tolist()) == pieces and row["numbers"] == 6 * len(pieces) and row["copied"]
    assert after[changed].std() == pytest.approx(before.std(), rel=0.01)


def test_pieces_of_words_by_hand(learned):
    feature = learned[0]["text"]
    vectors = _vectors(["two", "hundred"], 4)
    found, known = transfer.piece_vectors(feature, [vectors])
    sums, weights = {}, {}
    for place, word in enumerate(vectors.words):
        ids = feature.ids(word)
        for piece in ids:
            weight = 1 / ((1 + place) * len(ids) ** 2)
            sums[piece], weights[piece] = sums.get(piece, 0) + weight * vectors.vectors[place], weights.get(piece, 0) + weight
    assert set(np.flatnonzero(known).tolist()) == set(sums)
    for piece, total in sums.items():
        np.testing.assert_allclose(found[piece], total / weights[piece], rtol=1e-5)


def test_word_vectors_that_do_not_fit_are_told(learned, tmp_path):
    task = _made(learned, "alignment", dim=6)
    model = task.build()
    _vectors(["two"], 5).save(tmp_path / "5.vec")
    with pytest.raises(ValueError, match="word vectors of the size of the embedding of text_tower: 6. Received: 5"):
        transfer.start_from(model, {"text_tower": str(tmp_path / "5.vec")}, task.features)
    with pytest.raises(ValueError, match="a tower for texts to start from word vectors: .*text_tower.* Received: image_tower"):
        transfer.start_from(model, {"image_tower": str(tmp_path / "5.vec")}, task.features)
    with pytest.raises(ValueError, match="word vectors of one size. Received: 4, 5"):
        transfer.piece_vectors(task.features["text"], [_vectors(["two"], 4), _vectors(["two"], 5)])
