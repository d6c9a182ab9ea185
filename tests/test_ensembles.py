import dataclasses

import numpy as np
import pytest

from cross_modal import ensembles, serving, tasks, towers
from cross_modal.data import batches
from cross_modal.exporting import export_joined, load
from cross_modal.features import Label, Language


@pytest.fixture(scope="module")
def classifiers(learned):
    """Three classifiers that have learned nothing: of texts; of pictures, with the same classes in another order; and of both."""
    features, languages = learned
    digits, kinds = features["digits"], {"text": towers.text.bag, "image": towers.image.mlp}
    turned = Label(digits.names[::-1])

    def made(fields, label):
        task = tasks.Classification({**{name: features[name] for name in fields}, "digits": label}, languages, towers={name: kinds[name] for name in fields}, dim=8)
        return task, task.build()

    return made(["text"], digits), made(["image"], turned), made(["text", "image"], digits)


def _views(dataset, count=5):
    items = list(dataset.items("train").take(count).as_numpy_iterator())
    return [{name: item[name]["value"][0] for name in ("text", "image")} | {"text_language": item["text"]["language"][0]} for item in items]


def test_classes_are_the_mean_of_those_that_see_something(classifiers, dataset, tmp_path):
    (texts, text_model), (pictures, image_model), _ = classifiers
    joined = ensembles.join([(texts, text_model), (pictures, image_model)])["classify"]
    rows = _views(dataset)
    one = serving.ask(texts.endpoints(text_model)["classify"], rows)["digits_probabilities"]
    other = serving.ask(pictures.endpoints(image_model)["classify"], rows)["digits_probabilities"][:, ::-1]  # In the order of the first.
    both = serving.ask(joined, rows)
    np.testing.assert_allclose(both["digits_probabilities"], (one + other) / 2, atol=1e-6)
    names = texts.features["digits"].names
    assert [name.decode() for name in both["digits"]] == [names[place] for place in ((one + other) / 2).argmax(1)]
    for shown, said in ((("text", "text_language"), one), (("image",), other)):
        alone = serving.ask(joined, [{name: row[name] for name in shown} for row in rows])["digits_probabilities"]
        np.testing.assert_allclose(alone, said, atol=1e-6)
    nothing = serving.ask(joined, [{}])["digits_probabilities"]
    np.testing.assert_allclose(nothing.sum(), 1.0, atol=1e-5)
    loaded = load(export_joined([(texts, text_model), (pictures, image_model)], tmp_path / "both"))
    np.testing.assert_allclose(serving.ask(loaded["classify"], rows)["digits_probabilities"], both["digits_probabilities"], atol=1e-6)


def test_the_same_model_twice_has_its_scores(classifiers, dataset):
    task, model = classifiers[2]
    alone = task.score(model, batches(dataset, "train", task.features, task.languages, 6))["digits"]
    twice = ensembles.score_joined([(task, model)] * 2, dataset, "train", batch_size=7)["digits"]
    assert twice["examples"] == alone["examples"] == dataset.splits["train"] and "unknown" not in twice
    for key in ("accuracy", "macro_f1", "average_precision", "calibration_error"):
        assert twice[key] == pytest.approx(alone[key], abs=1e-5)
    assert twice["confusion"] == alone["confusion"] and len(twice["patterns"]) == 3 and set(twice["languages"]) == set(alone["languages"])
    for part in ("patterns", "languages"):
        assert {name: one["accuracy"] for name, one in twice[part].items()} == pytest.approx({name: one["accuracy"] for name, one in alone[part].items()})


def test_items_of_unknown_classes_are_counted(learned, dataset):
    features, languages = learned
    few = Label(features["digits"].names[:-1])
    task = tasks.Classification({"text": features["text"], "digits": few}, languages, towers={"text": towers.text.bag}, dim=8)
    part = task, task.build()
    alone = task.score(part[1], batches(dataset, "train", task.features, task.languages, 6))["digits"]
    twice = ensembles.score_joined([part, part], dataset, "train")["digits"]
    assert twice["unknown"] == alone["unknown"] > 0 and twice["examples"] == alone["examples"]


def test_alignments_stand_side_by_side(learned, dataset):
    features, languages = learned
    kinds = {"text": towers.text.bag, "image": towers.image.mlp}
    made = [tasks.Alignment({name: features[name] for name in kinds}, languages, towers=kinds, embedding=size, dim=16, views={"text": 2}) for size in (8, 12)]
    parts = [(task, task.build()) for task in made]
    rows = _views(dataset)
    joined = serving.ask(ensembles.join(parts)["embed_text"], rows)["embedding"]
    one, other = (serving.ask(task.endpoints(model)["embed_text"], rows)["embedding"] for task, model in parts)
    np.testing.assert_allclose(joined, np.concatenate([one, other], 1) / 2**0.5, atol=1e-6)
    np.testing.assert_allclose(joined @ joined.T, (one @ one.T + other @ other.T) / 2, atol=1e-5)
    task, model = parts[0]
    alone = task.score(model, batches(dataset, "train", task.features, task.languages, 6))
    twice = ensembles.score_joined(parts[:1] * 2, dataset, "train")
    assert [(row["source"], row["target"], row["queries"], row["candidates"], row["trained"]) for row in twice["routes"]] == [
        (row["source"], row["target"], row["queries"], row["candidates"], row["trained"]) for row in alone["routes"]
    ]
    assert twice["trained"]["mrr"] == pytest.approx(alone["trained"]["mrr"], abs=0.01)  # Vectors that are nearly alike may change places.


def test_the_order_of_models_does_not_matter_to_their_scores(learned, dataset):
    """One knows Turkish and German, the other Turkish alone: German texts are scored as German by both."""
    features, _ = learned
    kinds = {"text": towers.text.bag, "image": towers.image.mlp}
    parts = []
    for tags in (["de", "tr"], ["tr"]):
        task = tasks.Alignment({name: features[name] for name in kinds}, Language(tags), towers=kinds, embedding=8, dim=16, views={"text": 2})
        parts.append((task, task.build()))
    one, other = (ensembles.score_joined(some, dataset, "train")["routes"] for some in (parts, parts[::-1]))
    routes = [{(row["source"], row["target"]): row["trained"] for row in some} for some in (one, other)]
    assert routes[0] == routes[1] and ("text:de", "image") in routes[0] and routes[0]["text:de", "text:tr"]


def test_what_cannot_be_joined_is_told(classifiers, learned, autoencoding, dataset):
    text, *_ = classifiers
    features, languages = learned
    with pytest.raises(ValueError, match="two runs or more of one task to be joined. Received: 1, of Classification"):
        ensembles.join([text])
    aligned = [tasks.Alignment({name: features[name]}, languages, towers={name: kind}, dim=8) for name, kind in (("text", towers.text.bag), ("image", towers.image.mlp))]
    with pytest.raises(ValueError, match="Received: 2, of Alignment, Classification"):
        ensembles.join([text, (aligned[0], None)])
    with pytest.raises(ValueError, match="Expected runs that align, or that classify, to be joined. Received: 2 of Autoencoding"):
        ensembles.join([(autoencoding(), None)] * 2)
    with pytest.raises(ValueError, match="to be joined. Received: 2 of Autoencoding"):
        ensembles.score_joined([(autoencoding(), None)] * 2, dataset)
    with pytest.raises(ValueError, match="that align a field in common. Received: text; image"):
        ensembles.join([(task, task.build()) for task in aligned])
    parity = dataclasses.replace(text[0], features={"text": features["text"], "parity": features["parity"]})
    with pytest.raises(ValueError, match="the same classes of digits: .* Received: one of parity"):
        ensembles.join([text, (parity, parity.build())])
    fewer = dataclasses.replace(text[0], features={"text": features["text"], "digits": Label(features["digits"].names[:1])})
    with pytest.raises(ValueError, match="the same classes of digits: .* Received: "):
        ensembles.join([text, (fewer, fewer.build())])
