import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import decoders, fusion, tasks, testing, towers, training
from cross_modal.data import batches
from cross_modal.features import Descriptors, learn_descriptors
from cross_modal.losses import disagreement
from cross_modal.serving import ask


def drawn(task, dataset, count=8):
    return next(iter(batches(dataset, "train", task.features, task.languages, count, draws=task.draws)))


def test_keeps_its_contract(autoencoding, dataset):
    task = autoencoding(("image", "text"), variational=0.01, agreement=0.1, fusion=fusion.concat)
    image = next(iter(dataset.items("test").as_numpy_iterator()))["image"]["value"][0]
    rows = [{"image": image, "text_language": "fr"}, {"text": "deux", "text_language": "fr"}]
    testing.check_task(task, drawn(task, dataset), {"encode": rows, "reconstruct": rows})


def test_makes_every_field_of_any(autoencoding, dataset):
    task = autoencoding()
    endpoint = task.endpoints(task.build())["reconstruct"]
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    answers = ask(endpoint, [{"image": item["image"]["value"][0]}, {"audio": item["audio"]["value"][0], "audio_language": "fr"}, {}])
    assert tf.io.decode_png(answers["image_bytes"][0]).shape == (8, 20, 1) and answers["image_bytes"][2] == b"" == answers["text"][2]
    frames = task.features["audio"].frames
    assert answers["audio"].shape == (3, frames, 16) and 0 <= answers["audio_frames"][0] <= frames and answers["audio_frames"][2] == 0
    assert not answers["audio"][2].any() and isinstance(answers["text"][1].decode(), str)


def test_what_is_hidden_is_still_to_be_made(autoencoding, dataset):
    """With all but one field hidden the targets are those of all fields."""
    task = autoencoding(hidden=1.0)
    x, y, weight = task.example(drawn(task, dataset))
    assert set(y) == {"image", "text", "audio"} and weight["image"].numpy().all() and weight["text"].numpy()[:, 0].all()
    model = task.build()
    shown = keras.Model(model.input, model.get_layer("hide_sources").output)(x, training=True).numpy()
    assert (shown.sum(axis=1) == 1).all() and shown.any(axis=0).sum() > 1
    outputs = model(x, training=True)
    assert outputs["image"].shape == y["image"].shape and outputs["audio"].shape == y["audio"].shape


def test_frames_are_filled_up_and_told_apart(autoencoding, dataset):
    task = autoencoding(("audio",))
    batch = drawn(task, dataset)
    _, y, _ = task.example(batch)
    assert y["audio"].shape == (8, task.features["audio"].frames, 17)
    assert y["audio"].numpy()[:, :, -1].sum(axis=1).tolist() == batch["audio"]["mask"].numpy()[:, 0].sum(axis=1).tolist()


def test_disagreement_by_hand():
    alone = np.array([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 0.0], [5.0, 0.0]], [[1.0, 0.0], [0.0, 9.0]]], "float32")
    there = np.array([[True, True], [True, True], [True, False]])
    found = np.asarray(disagreement(keras.ops.convert_to_tensor(alone), there))[:, 0]
    assert found == pytest.approx([1 - np.sqrt(0.5), 0.0, 0.0], abs=1e-5)


def test_loss_is_what_it_says(autoencoding, dataset):
    """alpha * reconstruction + (1 - alpha) * squared weights, and both are told."""
    task = autoencoding(("image",), alpha=0.9, hidden=0.0, dropout=0.0)
    model = task.build()
    task.regularize(model)
    model.compile(optimizer="sgd", **task.objective())
    x, y, weight = task.example(drawn(task, dataset))
    loss = model.test_on_batch(x, y, weight, return_dict=True)["loss"]
    error = float(np.mean((y["image"].numpy() - model(x, training=False)["image"].numpy()) ** 2))
    squares = sum(float((one.numpy() ** 2).sum()) for one in model.trainable_variables if len(one.shape) > 1)
    assert loss == pytest.approx(0.9 * error + 0.1 * squares, rel=1e-4)
    scores = task.score(model, batches(dataset, "test", task.features, task.languages, 8))
    assert scores["loss"]["regularization"] == pytest.approx(squares, rel=1e-5) and scores["loss"]["reconstruction"]["image"] > 0


def test_goes_on_with_its_regularization(autoencoding, dataset, tmp_path):
    task = autoencoding(("image",), alpha=0.999)
    training.fit(task, dataset, tmp_path, epochs=1, steps_per_epoch=2, batch_size=8, progress=False)
    training.fit(task, dataset, tmp_path, epochs=2, steps_per_epoch=2, batch_size=8, progress=False, resume=True)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    names = lines[0].split(",")
    assert len(lines) == 3 and all(float(dict(zip(names, line.split(",")))["regularization"]) > 0 for line in lines[1:])


def test_learns_to_cross(dataset, autoencoding):
    """Trained on a few items long enough, words are written from pictures, and pictures drawn from words better than by their mean."""
    task = autoencoding(("image", "text"), alpha=1.0, dropout=0.0, weights={"image": 5.0})
    # Without batch normalisation, whose statistics lag behind so few steps.
    task = dataclasses.replace(task, towers={**task.towers, "image": towers.image.mlp}, decoders={**task.decoders, "image": decoders.image.mlp}, length=32)
    keras.utils.set_random_seed(0)
    model = task.build()
    model.compile(optimizer=keras.optimizers.Adam(1e-2), **task.objective())
    batch = drawn(task, dataset)
    x, y, weight = task.example(batch)
    for _ in range(300):
        model.train_on_batch(x, y, weight)
    scores = task.score(model, [batch])
    found = {(row["given"], row["field"]): row for row in scores["patterns"]}
    assert found["text", "image"]["explained"] > 0.3 and found["image", "text"]["exact"] > 0.25  # Chance: one of eight.
    assert json.dumps(scores["patterns"]) and "*" in task.summary(scores)


def test_what_cannot_be_is_told(autoencoding, learned):
    features, languages = learned
    readers = {"image": towers.image.cnn, "text": towers.text.lstm}
    with pytest.raises(ValueError, match="a decoder for each of image, text. Received: decoders for image"):
        tasks.Autoencoding({name: features[name] for name in readers}, languages, towers=readers, decoders={"image": decoders.image.deconv})
    with pytest.raises(ValueError, match="`alpha` above 0 and at most 1, and `hidden` from 0 to 1. Received: alpha=0"):
        autoencoding(alpha=0.0)
    with pytest.raises(ValueError, match="`weights` for fields among image. Received: text"):
        autoencoding(("image",), weights={"text": 1.0})
    with pytest.raises(ValueError, match="Received: 'a picture'. Rename the column"):
        tasks.Autoencoding({"a picture": features["image"]}, languages, towers={"a picture": towers.image.cnn}, decoders={"a picture": decoders.image.deconv})
    described = Descriptors(
        **learn_descriptors([image.numpy() for image in map(tf.io.encode_png, np.random.default_rng(0).integers(0, 255, (4, 8, 8, 3), np.uint8))], patches=2, fisher=0)
    )
    with pytest.raises(ValueError, match="Expected pictures as pixels, which can be made again. Received: descriptors of image. Set features.image.units=pixels"):
        tasks.Autoencoding({"image": described}, languages, towers={"image": towers.image.descriptors}, decoders={"image": decoders.image.deconv})
    with pytest.raises(ValueError, match="`variational` and `agreement` of at least 0"):
        autoencoding(("image",), agreement=-1)
