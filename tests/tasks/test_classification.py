import functools

import numpy as np
import pytest

from cross_modal import fusion, tasks, testing, towers
from cross_modal.data import batches, ingest, learn_features

TOWERS = {"image": functools.partial(towers.image.cnn, widths=(4, 8)), "text": towers.text.lstm}


def _task(learned, join=fusion.concat, **options):
    features, languages = learned
    features = {name: features[name] for name in ("image", "text", "parity", "digits")}
    return tasks.Classification(features, languages, towers=TOWERS, fusion=join, dim=16, **options)


@pytest.mark.parametrize("join", [fusion.concat, fusion.attention])
def test_keeps_its_contract(join, learned, dataset):
    task = _task(learned, join)
    batch = next(iter(batches(dataset, "train", task.features, task.languages, 6, draws=task.draws)))
    item = next(iter(dataset.items("test").as_numpy_iterator()))
    image, text = item["image"]["value"][0], item["text"]["value"][0]
    language = item["text"]["language"][0]
    rows = [{"image": image, "text": text, "text_language": language}, {"image": image}, {"text": text, "text_language": "xx"}]
    testing.check_task(task, batch, {"classify": rows})


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
    task = tasks.Classification(features, languages, towers={"text": towers.text.lstm}, dim=8)
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
