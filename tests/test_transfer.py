"""Weights of one run start another."""

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

from cross_modal import callbacks, decoders, features, layers, tasks, towers, training, transfer, word_vectors


def _made(learned, kind, dim=8, widths=(4,)):
    features, languages = learned
    readers = {"image": functools.partial(towers.image.cnn, widths=widths), "text": towers.text.bag}
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


def test_several_towers_of_a_field_start_each_by_itself(learned, run):
    """Whole spaces, by their names or, as many as the other run has, by the field; never a tower here and its projection there."""
    one = _made(learned, "alignment")
    two = dataclasses.replace(one, towers={"image": (towers.image.mlp, one.towers["image"]), "text": one.towers["text"]})
    theirs = keras.models.load_model(run / "model.keras")
    model = two.build()
    transfer.start_from(model, {"text": run, "image_space_2": f"{run}#image"}, two.features)
    for part, there in (("text_space", "text"), ("image_space_2", "image")):
        for a, b in zip(_weights(model, part), _weights(theirs, there), strict=True):
            np.testing.assert_array_equal(a, b)
    assert (_weights(model, "text_space_2")[0] != _weights(theirs, "text")[0]).any()
    with pytest.raises(ValueError, match="read the same subwords as here"):
        other = {**two.features, "text": features.Text(features.learn_subwords(["quite other texts"] * 3, 300))}
        transfer.start_from(dataclasses.replace(two, features=other).build(), {"text_space_2": f"{run}#text"}, other)


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
    (tmp_path / "features.json").write_text(json.dumps({**saved, "features": {"text": {"config": {**other, "model": "b3RoZXI="}}}}), encoding="utf-8")
    (tmp_path / "model.keras").write_bytes((run / "model.keras").read_bytes())
    with pytest.raises(ValueError, match="to read the same subwords as here. Received: others"):
        transfer.start_from(model, {"text": tmp_path}, task.features)
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="Expected text of .* to read the same subwords as here. Received: others"):
        transfer.start_from(model, {"writer": tmp_path}, task.features)


def test_added_subwords_and_other_languages_leave_the_known_ones_as_they_were(learned, run):
    """The embedding has rows for new subwords behind those of the run; languages stand in another order."""
    import keras

    task, text = _made(learned, "alignment"), learned[0]["text"]
    more = features.Text(features.extend_subwords(text.model, ["дві собаки біжать", "два коти"] * 3, 30), text.length)
    names = ["und", *reversed(task.languages.names[1:]), "xx"]
    other = dataclasses.replace(task, features={**task.features, "text": more}, languages=features.Language(names))
    model, theirs = other.build(), keras.models.load_model(run / "model.keras")
    (row,) = transfer.start_from(model, {"text_tower": str(run)}, other.features, names)
    assert len(row["reshaped"]) == 2 and not row["skipped"]
    for a, b in zip(_weights(model, "text_tower"), _weights(theirs, "text_tower"), strict=True):
        if a.shape[0] == more.vocab_size:
            np.testing.assert_array_equal(a[: text.vocab_size], b)
        elif a.shape[0] == len(names):
            np.testing.assert_array_equal(a[names.index("fr")], b[task.languages.names.index("fr")])
        else:
            np.testing.assert_array_equal(a, b)


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


def test_word_vectors_start_all_towers_of_a_field(learned, tmp_path):
    task = _made(learned, "alignment", dim=16)
    task = dataclasses.replace(task, towers={**task.towers, "text": (towers.text.bag,) * 2})
    given = _vectors(["zwei", "drei", "two", "three"], 16)
    given.save(tmp_path / "words.vec")
    model, plain = task.build(), task.build()
    expected, known = transfer.piece_vectors(task.features["text"], [given])
    transfer.start_from(model, {"text": tmp_path / "words.vec"}, task.features)
    transfer.start_from(plain, {"text_tower_2": tmp_path / "words.vec"}, task.features)
    for one, towers_of in ((model, ("text_tower", "text_tower_2")), (plain, ("text_tower_2",))):
        for tower in towers_of:
            embedding = _weights(one, tower)[0][known]
            cosines = (embedding * expected[known]).sum(1) / np.linalg.norm(embedding, axis=1) / np.linalg.norm(expected[known], axis=1)
            np.testing.assert_allclose(cosines, 1.0, atol=1e-5)


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


def _classifier(learned):
    features, languages = learned
    readers = {"image": functools.partial(towers.image.cnn, widths=(4,)), "text": towers.text.bag}
    return tasks.Classification({name: features[name] for name in ("image", "text", "parity")}, languages, towers=readers, dim=8)


def _state(model):
    """Pairs of the part that each layer is in and its weights."""
    return [(path[0], layer.get_weights()) for path, layer in transfer.leaves(model)]


def _steps(before, after):
    """Pairs of the part and how far its numbers moved, statistics of normalisation left out."""
    return [(part, b - a) for (part, old), (_, new) in zip(before, after, strict=True) for a, b in list(zip(old, new))[:2] if a.dtype == np.float32]


def _fitted(task, dataset, folder, **options):
    """The model after some steps, and how far its layers moved."""
    import keras

    keras.utils.set_random_seed(0)
    before = _state(task.build())
    options = {"steps_per_epoch": 2, "epochs": 1, "batch_size": 8, "weight_decay": 0.0, **options}
    model = training.fit(task, dataset, folder, progress=False, **options)
    return model, _steps(before, _state(model))


def test_what_is_frozen_stays_as_it_is(learned, dataset, tmp_path):
    model, steps = _fitted(_classifier(learned), dataset, tmp_path, freeze={"*": 1, "joined": 0})
    assert {part for part, _ in steps} == {"image", "text", "joined"} and {part for part, step in steps if step.any()} == {"joined"}
    assert all(layer.trainable for _, layer in transfer.leaves(model))


def test_what_was_built_not_to_be_trained_is_never_thawed(learned, dataset, tmp_path):
    """A pretrained model in a tower; with averaged weights, of which there would be none for it."""
    inputs = keras.Input((8, 20, 1))
    known = keras.Model(inputs, keras.layers.Conv2D(3, 3, name="known")(inputs))
    task = _classifier(learned)
    task = dataclasses.replace(task, towers={**task.towers, "image": functools.partial(towers.image.pretrained, model=known)})
    model, steps = _fitted(task, dataset, tmp_path, freeze={"image": 0.5}, epochs=2, ema=0.9)
    assert not any(layer.trainable for layer in model._flatten_layers() if layer.name == "known")
    assert {part for part, step in steps if step.any()} == {"image", "text", "joined"}


def test_adapters_go_to_their_languages():
    """Whether there are as many languages or not: Turkish is new, German is gone."""
    ours, states, tags = ["und", "en", "tr"], np.zeros((1, 2, 3), "float32"), ["und", "de", "en"]
    for theirs in (tags, [*tags, "fr"]):
        old, new = (layers.LanguageAdapter(len(names), 2) for names in (theirs, ours))
        for one in (old, new):
            one(states, np.zeros(1, "int32"))
        rows = np.arange(1.0, 1 + len(theirs))
        old.up.assign(np.broadcast_to(rows[:, None, None], old.up.shape))
        report = transfer._copied(new, old, ours, theirs)
        assert new.up.numpy()[:, 0, 0].tolist() == [1.0, 3.0, 0.0] and len(report["reshaped"]) == 2
        assert report["numbers"] == 2 * 2 * 6 + 6


def test_statistics_that_are_kept_are_not_those_of_a_batch():
    x = np.random.default_rng(0).normal(3.0, 1.0, (64, 2)).astype("float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization(), keras.layers.BatchNormalization()])
    first, second = model.layers
    first.moving_mean.assign([5.0, 6.0])
    training._average_statistics(model, x, 0.98, {first.moving_mean.path})
    assert first.moving_mean.numpy().tolist() == [5.0, 6.0] and np.abs(second.moving_mean).max() < 0.1 < np.abs(second.moving_mean - 1).max()
    assert first.momentum == second.momentum == 0.99
    training._average_statistics(model, x, 0.98, set())
    assert first.moving_mean.numpy() == pytest.approx(x.mean(0), abs=1e-5)


def _two_layers(optimizer):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="body"), keras.layers.Dense(1, name="head")])
    model.compile(optimizer)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_what_was_frozen_begins_as_gently_as_what_was_not(name):
    """Steps by the same gradients are the same, whether they are the first of all or come after twenty of another layer."""
    new, thawed = (_two_layers({"class_name": name, "config": {"learning_rate": 0.01}}) for _ in range(2))
    transfer.set_paces(thawed, {}, {"body": 20})
    ones = [keras.ops.ones_like(one) for one in new.trainable_variables]
    for step in range(24):
        if step < 20:
            thawed.optimizer.apply(ones[2:], thawed.layers[1].trainable_variables)
        else:
            for model in (new, thawed):
                model.optimizer.apply([(1 + step % 2) * one for one in ones], model.trainable_variables)
    np.testing.assert_allclose(thawed.layers[0].kernel, new.layers[0].kernel, atol=1e-5)


@pytest.mark.parametrize("every, skipped", [(2, 0), (None, 3)])
def test_steps_are_counted_that_are_made(every, skipped):
    """Of several batches there is one, and none of a batch whose gradients are no numbers."""
    model = _two_layers({"class_name": "adam", "config": {"learning_rate": 0.01, "gradient_accumulation_steps": every}})
    transfer.set_paces(model, {}, {"body": 6})
    ones = [keras.ops.ones_like(one) for one in model.trainable_variables]
    for step in range(skipped, 20):
        model.optimizer.apply(ones if step >= 6 else ones[2:], model.trainable_variables if step >= 6 else model.layers[1].trainable_variables)
        assert all(np.isfinite(weight).all() for weight in model.get_weights()), step


def test_what_does_not_learn_does_not_fade():
    model = _two_layers(keras.optimizers.AdamW(0.1, weight_decay=0.5))
    transfer.set_paces(model, {"body": 0.0, "head": 0.5})
    before = [one.numpy() for one in model.trainable_variables]
    model.optimizer.apply([keras.ops.zeros_like(one) for one in model.trainable_variables])
    for share, old, new in zip((0.0, 0.0, 0.5, 0.5), before, model.trainable_variables):
        np.testing.assert_allclose(new, old * (1 - 0.1 * 0.5 * share), rtol=1e-5)
    assert model.optimizer.weight_decay == 0.5


def test_paces_count_behind_a_loss_that_is_scaled(learned):
    model = _classifier(learned).build()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)), **_classifier(learned).objective())
    transfer.set_paces(model, {"text": 0.0})
    before = _state(model)
    model.optimizer.inner_optimizer.build(model.trainable_variables)
    model.optimizer.inner_optimizer.apply([keras.ops.ones_like(one) for one in model.trainable_variables])
    assert {part for part, step in _steps(before, _state(model)) if step.any()} == {"image", "joined"}


def test_a_part_is_freed_after_a_share_of_the_epochs(learned, dataset, tmp_path):
    states = []

    class Look(callbacks.Freeze):
        def on_epoch_end(self, epoch, logs=None):
            states.append({path[0]: layer.trainable for path, layer in transfer.leaves(self.model)})
            super().on_epoch_end(epoch, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Freeze", Look)
        _, steps = _fitted(_classifier(learned), dataset, tmp_path, freeze={"text": 0.5}, epochs=4)
    assert [one["text"] for one in states] == [False, False, True, True] and all(one["image"] for one in states)
    assert "text" in {part for part, step in steps if step.any()}


def test_a_frozen_run_that_was_cut_off_goes_on_to_the_same_end(learned, dataset, tmp_path):
    task, options = _classifier(learned), {"freeze": {"text": 0.75}, "epochs": 4}
    whole, _ = _fitted(task, dataset, tmp_path / "whole", **options)

    def cut(self, logs):
        if logs["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training.Keeper, "_tell", cut)
        _fitted(task, dataset, tmp_path / "cut", **options)
    model, _ = _fitted(task, dataset, tmp_path / "cut", resume=True, **options)
    for a, b in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_parts_learn_at_their_pace(learned, dataset, tmp_path):
    """By plain gradient descent, a step at half the rate is half the step."""
    options = {"optimizer": "sgd", "steps_per_epoch": 1, "learning_rate": 0.1, "warmup": 0.0, "clipnorm": None, "schedule": "constant"}
    _, whole = _fitted(_classifier(learned), dataset, tmp_path / "a", **options)
    _, slower = _fitted(_classifier(learned), dataset, tmp_path / "b", paces={"text": 0.5, "image": 0.0}, **options)
    shares = {"image": 0.0, "text": 0.5, "joined": 1.0}
    for (part, a), (_, b) in zip(whole, slower, strict=True):
        np.testing.assert_allclose(b, a * shares[part], atol=2e-6)
    assert {part for part, step in whole if step.any()} == set(shares)


def test_what_cannot_be_frozen_is_told(learned, dataset, tmp_path):
    task, options = _classifier(learned), {"steps_per_epoch": 1, "epochs": 1, "batch_size": 4, "progress": False}
    unknown = "the name of a part or layer: .*image.*text.*Received: sound"
    for number, (freeze, words) in enumerate((({"sound": 1}, unknown), ({"text": 2}, "a share of the epochs, from 0 to 1"), ({"*": 1}, "something to train"))):
        with pytest.raises(ValueError, match=words):
            training.fit(task, dataset, tmp_path / str(number), freeze=freeze, **options)
    with pytest.raises(ValueError, match=unknown):
        training.fit(task, dataset, tmp_path / "paces", paces={"sound": 1}, **options)
