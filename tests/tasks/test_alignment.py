import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import tasks, testing, towers
from cross_modal.data import batches, ingest, learn_features
from cross_modal.serving import ask

TOWERS = {"image": functools.partial(towers.image.cnn, widths=(4, 8)), "text": towers.text.lstm, "audio": functools.partial(towers.audio.crnn, widths=(4, 4))}


@pytest.fixture(scope="module")
def task(learned):
    features, languages = learned
    features = {name: features[name] for name in TOWERS}
    routes = ("*->*", "!text:tr->*", "text:tr->text:en", "!audio:fr->image")
    return tasks.Alignment(features, languages, towers=TOWERS, views={"text": 2}, routes=routes, dim=16, embedding=8)


@pytest.fixture(scope="module")
def batch(task, dataset):
    return next(iter(batches(dataset, "train", task.features, task.languages, 6, draws=task.draws, seed=0)))


def test_keeps_its_contract(task, batch, dataset):
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    rows = {f"embed_{name}": [{name: value, f"{name}_language": tag} for value, tag in zip(item[name]["value"], item[name]["language"])] for name in TOWERS}
    rows["embed_text"].append({"text": "🎉 never seen, in no language"})
    testing.check_task(task, batch, rows)


def test_routes_in_order_decide(task):
    trained, kinds = task.trained(), task.kinds

    def route(a, b):
        return trained[kinds.index(a), kinds.index(b)]

    assert (trained == trained.T).all()
    assert route("text:tr", "text:en") and route("text:en", "text:tr")
    assert not route("text:tr", "text:de") and not route("text:tr", "image") and not route("text:tr", "audio:en")
    assert not route("audio:fr", "image") and route("audio:en", "image") and route("audio:fr", "text:en")
    assert route("text:de", "text:fr") and not route("audio:en", "audio:es"), "one recording of an item in a batch meets no other"


def test_a_route_that_fits_nothing_is_told(task):
    with pytest.raises(ValueError, match="Received: 'text:xx->image'"):
        tasks.Alignment(task.features, task.languages, towers=TOWERS, routes=("text:xx->image",))
    with pytest.raises(ValueError, match="written source->target.*Received: 'text'"):
        tasks.Alignment(task.features, task.languages, towers=TOWERS, routes=("text",))
    with pytest.raises(ValueError, match="Expected a tower for each of image, text, audio. Received: towers for text"):
        tasks.Alignment(task.features, task.languages, towers={"text": towers.text.lstm})
    with pytest.raises(ValueError, match="views={'video': 1}"):
        tasks.Alignment(task.features, task.languages, towers=TOWERS, views={"video": 1})


def test_weights_learn_nothing_from_a_held_out_route(task, batch):
    """With every route but Turkish-English held out, a batch without Turkish gives no gradient at all."""
    only = tasks.Alignment(task.features, task.languages, towers=TOWERS, views={"text": 2}, routes=("text:tr->text:en",), dim=16, embedding=8)
    x, y, _ = only.example(batch)
    turkish = only.kinds.index("text:tr")
    y = np.where((y.numpy()[:, :, :1] == turkish), -1, y.numpy())
    loss = only.objective()["loss"](y, only.build()(x))
    assert float(loss) == 0.0


def test_embeddings_are_unit_vectors_and_scaled_alike(task, batch):
    model = task.build()
    x, _, _ = task.example(batch)
    vectors = np.asarray(model(x))
    assert vectors.shape == (6, 4, 8)
    np.testing.assert_allclose((vectors**2).sum(-1), 14.3, rtol=1e-3)


def test_score_of_a_model_that_knows_the_answer(dataset, learned):
    """Texts of one language against themselves in another, by a task whose encoders give the number of the item."""
    features, languages = learned
    task = tasks.Alignment({"text": features["text"]}, languages, towers={"text": towers.text.lstm}, views={"text": 2}, dim=8, embedding=2)

    class Oracle:
        def get_layer(self, name):
            def encode(folded, training):
                views = len(languages.names) - 1
                angles = np.repeat(np.arange(len(folded["value"]) // views), views) * 0.05
                return keras.ops.convert_to_tensor(np.stack([np.cos(angles), np.sin(angles)], -1))

            return encode

    scores = task.score(Oracle(), batches(dataset, "test", task.features, languages, 8))
    assert len(scores["routes"]) == 9 * 8
    assert scores["trained"]["recall@1"] == 1.0
    assert "never_trained" not in scores
    assert scores["routes"][0]["chance@1"] == pytest.approx(1 / 8)
    assert "text:tr" in task.summary(scores)


def test_score_of_a_model_that_says_always_the_same(dataset, learned):
    features, languages = learned
    task = tasks.Alignment({"text": features["text"]}, languages, towers={"text": towers.text.lstm}, views={"text": 2}, dim=8, embedding=2)

    class Constant:
        def get_layer(self, name):
            return lambda folded, training: keras.ops.ones((len(folded["value"]), 2))

    scores = task.score(Constant(), batches(dataset, "test", task.features, languages, 8))
    assert scores["trained"]["recall@1"] == 0.0


@pytest.fixture(scope="module")
def spaces(task):
    """Of pictures two towers, of texts one that is in both spaces."""
    features = {name: task.features[name] for name in ("image", "text")}
    return dataclasses.replace(task, features=features, towers={"image": (TOWERS["image"], towers.image.mlp), "text": towers.text.bag}, routes=("*->*",))


def test_towers_of_several_spaces_keep_the_contract(spaces, batch, dataset):
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    testing.check_task(spaces, batch, {f"embed_{name}": [{name: value} for value in item[name]["value"]] for name in spaces.features})


def test_vectors_of_several_spaces_stand_side_by_side(spaces, batch):
    """Each half is one space: of unit length but for the root of 2, and what one of them gets wrong teaches the other nothing."""
    model = spaces.build()
    x, y, _ = spaces.example(batch)
    before = np.asarray(model(x))
    assert spaces.spaces == 2 and before.shape == (6, 3, 16)
    for half in (before[..., :8], before[..., 8:]):
        np.testing.assert_allclose((half**2).sum(-1), 14.3 / 2, rtol=1e-3)
    parts = {part: model.get_layer(name).get_layer(part) for name in spaces.features for part in (f"{name}_space", f"{name}_space_2")}
    learn = {part: one.trainable_weights[0].value for part, one in parts.items()}
    with tf.GradientTape() as tape:
        loss = spaces.objective()["loss"](y, tf.concat([model(x)[..., :8], tf.stop_gradient(before[..., 8:])], 2))
    moved = {part for part, one in tape.gradient(loss, learn).items() if one is not None and np.abs(tf.convert_to_tensor(one)).max() > 1e-6}
    assert moved == {"image_space", "text_space"}


def test_another_number_of_towers_is_told(task):
    mixed = {"image": (TOWERS["image"],) * 3, "text": (towers.text.bag,) * 2, "audio": TOWERS["audio"]}
    with pytest.raises(ValueError, match="as many towers for each field, or one, which then is in each of the 3 spaces. Received: 2 for text"):
        dataclasses.replace(task, towers=mixed)
    with pytest.raises(ValueError, match="Received: 0 for text"):
        dataclasses.replace(task, towers={**mixed, "text": ()})


def test_what_is_absent_is_like_nothing(task):
    vectors = ask(task.endpoints(task.build())["embed_text"], [{"text": "two", "text_language": "en"}, {"text": ""}, {"text": "  "}])["embedding"]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0], atol=1e-5)


def test_a_temperature_that_is_given_stays(task, batch):
    given = tasks.Alignment({"text": task.features["text"]}, task.languages, towers={"text": towers.text.bag}, views={"text": 2}, dim=16, embedding=8, temperature=0.125)
    model = given.build()
    x, y, _ = given.example(batch)
    np.testing.assert_allclose(np.linalg.norm(model(x), axis=-1) ** 2, 8.0, rtol=1e-4)
    model.compile(optimizer=keras.optimizers.Adam(0.1), **given.objective())
    model.train_on_batch(x, y)
    np.testing.assert_allclose(np.linalg.norm(model(x), axis=-1) ** 2, 8.0, rtol=1e-4)
    assert [weight.name for weight in task.build().trainable_weights].count("logit_scale") == 1
    with pytest.raises(ValueError, match="at least 0.01, and none with.*Received: temperature=0"):
        tasks.Alignment(task.features, task.languages, towers=TOWERS, temperature=0)
    with pytest.raises(ValueError, match="loss=triplet"):
        tasks.Alignment(task.features, task.languages, towers=TOWERS, temperature=0.1, loss="triplet")


def test_a_kind_that_is_always_drawn_must_exist(task):
    always = tasks.Alignment(task.features, task.languages, towers=TOWERS, always=("text:tr", "text:en", "image"))
    assert always.drawn_first == {"image": ("und",), "text": ("tr", "en"), "audio": ()}
    with pytest.raises(ValueError, match="`always` to name kinds of view: image, .*Received: always=.'text:xx',"):
        tasks.Alignment(task.features, task.languages, towers=TOWERS, always=("text:xx",))


def test_of_the_weights_that_fit_a_route_the_last_counts(task):
    made, kinds = dataclasses.replace(task, weights={"*->*": 0, "text:*->image": 2, "text:en->image": 0.5}), task.kinds
    rates = made.rates()
    assert rates[kinds.index("text:de"), kinds.index("image")] == rates[kinds.index("image"), kinds.index("text:de")] == 2
    assert rates[kinds.index("text:en"), kinds.index("image")] == 0.5 and rates[kinds.index("text:en"), kinds.index("text:de")] == 0
    assert {("text:en", "image"), ("text:de", "image")} < made._trained_pairs() and ("text:en", "text:de") not in made._trained_pairs()
    assert (rates[~task.trained()] == 0).all() and (np.array(made.objective()["loss"].routes) == rates).all()


@pytest.mark.parametrize(
    "options", [{"weights": {"*->*": -1}}, {"weights": {"*->*": "high"}}, {"weights": {"*->*": True}}, {"views": {"text": 2.5}}, {"views": {"text": "a"}}, {"views": {"text": 0}}]
)
def test_numbers_that_cannot_be_are_told(task, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"Expected `{name}` to .* number.* of at least .*Received: {name}="):
        dataclasses.replace(task, **options)


def test_routes_of_which_no_item_has_both_views_are_told(tmp_path):
    (tmp_path / "t.csv").write_text(
        "split,text:en,text:de,title\nvalidation,word,Wort,name\n" + "".join(f"train,word {i},,{f'name {i}' if i else ''}\ntrain,,Wort {i},\n" for i in range(4))
    )
    dataset = ingest(tmp_path / "t.csv", tmp_path / "dataset", {"text": "text", "title": "text"}, progress=False)
    features, languages = learn_features(dataset, None, {"text": {"vocab_size": 300}, "title": {"vocab_size": 300}})

    def check(**options):
        tasks.Alignment(features, languages, towers=dict.fromkeys(features, towers.text.bag), dim=8, **options).check(dataset)

    check()
    check(routes=("text:en->title",))
    there = r"fit no two views of any of 8 items, with text:de \(4 items\), text:en \(4 items\), title \(3 items\). Set options.routes"
    for options in ({"routes": ("text:de->title",)}, {"routes": ("text:en->text:de",), "views": {"text": 2}}, {"routes": ("text:*->text:*",)}):
        with pytest.raises(ValueError, match=r"both views of a trained route. Received: routes=\['text:.*\], which " + there):
            check(**options)
    with pytest.raises(ValueError, match=r"weights={'text:\*->title': 0}, which " + there):
        check(weights={"text:*->title": 0})


def test_a_name_that_no_layer_can_have_is_told(task):
    with pytest.raises(ValueError, match="Received: 'the text'. Rename the column"):
        tasks.Alignment({"the text": task.features["text"]}, task.languages, towers={"the text": towers.text.bag})
