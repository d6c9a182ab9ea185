import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import cli, report, studies, tasks, towers
from cross_modal.data import ingest, learn_features, learn_labels


@pytest.fixture(scope="module")
def task(dataset):
    features, languages = learn_features(dataset, ["text", "parity"], {"text": {"vocab_size": 400, "length": 16}})
    return tasks.Classification(features, languages, towers={"text": towers.text.bag}, dim=4)


def test_a_part_of_a_dataset_has_some_items_or_languages(dataset):
    ids = [item["id"].decode() for item in dataset.items("train").as_numpy_iterator()]
    part = dataset.only(ids={"train": ids[2:5], "validation": []}, languages={"test": {"text": ["fr", "tr"]}})
    assert part.splits == {"train": 3, "validation": 0, "test": dataset.splits["test"]} and len(list(part.items("validation"))) == 0
    assert [item["id"].decode() for item in part.items("train").as_numpy_iterator()] == ids[2:5]
    tags = [item["text"]["language"].tolist() for item in part.items("test").as_numpy_iterator()]
    assert tags == [[b"fr", b"tr"]] * dataset.splits["test"] and dataset.splits["train"] == len(ids)
    assert dataset.only(languages={"test": {"text": ["xx"]}}).splits["test"] == 0
    with pytest.raises(KeyError, match="Expected splits among .* Received: tset"):
        dataset.only(ids={"tset": []})


def test_the_matrix_has_each_language_against_each(task, dataset, tmp_path, monkeypatch):
    """By hand: a model of one language has 1 in its own and a half in the other, one of all 0.8."""
    fitted = []

    def fit(task, dataset, run, **options):
        fitted.append((run.name, [item["text"]["language"].tolist() for item in dataset.items("train").take(1).as_numpy_iterator()][0]))
        return run.name.partition("-")[0]

    def score(self, model, batches):
        tag = self.languages.names[int(next(iter(batches))["text"]["language"][0, 0])]
        return {"merit": 0.8 if model == "all" else 1.0 if tag == model else 0.5, "parity": {"intervals": {"macro_f1": [0.1, 0.9]}}}

    monkeypatch.setattr(studies.training, "fit", fit)
    monkeypatch.setattr(tasks.Classification, "score", score)
    monkeypatch.setattr(tasks.Classification, "merit", lambda self, scores: scores["merit"])
    rows = studies.language_matrix(task, dataset, tmp_path, "text", ["en", "uk"], progress=False)
    assert fitted == [("en-0", [b"en"]), ("uk-0", [b"uk"]), ("all-0", [b"en", b"uk"])]
    found = {(row["train"], row["test"]): row for row in rows}
    assert found["en", "en"]["merit"] == 1.0 and found["en", "uk"]["merit"] == 0.5 and found["en", "uk"]["gap"] == 0.5 and found["all", "uk"]["gap"] == pytest.approx(0.2)
    assert found["en", "uk"]["unknown"] == 1.0 and found["uk", "uk"]["unknown"] < 1.0 and found["en", "en"]["interval"] == [0.1, 0.9]
    assert found["all", "en"]["unknown"] <= found["en", "en"]["unknown"] and found["en", "en"]["items"] == dataset.splits["test"]
    table = studies.matrix_table(rows)
    assert "in another language than that of training 0.500, 0.500 less than in its own" in table and "100% are in no training text" in table
    assert studies.language_matrix(task, dataset, tmp_path, "text", ["en", "uk"], progress=False) == rows and len(fitted) == 3
    with pytest.raises(ValueError, match=r"one of the same study: .*'en', 'tr', 'uk'.* Received: .*languages=\['en', 'uk'\]"):
        studies.language_matrix(task, dataset, tmp_path, "text", ["en", "uk", "tr"], progress=False)
    assert cv2.imread(str(report.matrix_picture(rows, tmp_path / "m.png"))).size > 10_000
    with pytest.raises(ValueError, match="two languages or more of text: ar, de, .*Received: en"):
        studies.language_matrix(task, dataset, tmp_path, "text", ["en"])


def test_languages_without_training_texts_are_asked_all_the_same(task, tmp_path, monkeypatch):
    rows = [{"id": f"{split} {place}", "split": split, "parity": ["even", "odd"][place % 2], "text:en": f"{split} {place}"} for split in ("train", "test") for place in range(4)]
    rows = [{**row, **({"text:uk": f"тест {row['id']}", "text:tr": "deneme"} if row["split"] == "test" else {})} for row in rows]
    (tmp_path / "table.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    part = ingest(tmp_path / "table.jsonl", tmp_path / "dataset", {"parity": "label"}, progress=False)
    monkeypatch.setattr(studies, "_fitted", lambda *_: None)
    monkeypatch.setattr(studies.evaluation, "evaluate", lambda *_, **__: {"merit": 0.5})
    monkeypatch.setattr(tasks.Classification, "merit", lambda self, scores: scores["merit"])
    rows = studies.language_matrix(task, part, tmp_path / "a", "text", ["en", "uk"], progress=False)
    assert [(row["train"], row["test"], row["gap"]) for row in rows] == [("en", "en", 0.0), ("en", "uk", None), ("all", "en", 0.0), ("all", "uk", None)]
    assert "training 0.500\n" in studies.matrix_table(rows)
    with pytest.raises(ValueError, match="views of text in uk, tr in the splits train and test. Received: none in train"):
        studies.language_matrix(task, part, tmp_path / "b", "text", ["uk", "tr"], progress=False)


def test_few_shots_have_as_many_of_each_class_with_and_without(task, dataset, tmp_path, monkeypatch):
    fitted = []

    def fit(task, dataset, run, seed, resume, progress, **options):
        parities = [item["parity"]["value"][0] for item in dataset.items("train").as_numpy_iterator()]
        fitted.append((run.name, parities.count(b"odd"), parities.count(b"even"), dataset.splits["validation"], options))
        return len(fitted)

    monkeypatch.setattr(studies.training, "fit", fit)
    monkeypatch.setattr(tasks.Classification, "score", lambda self, model, batches: {"merit": model / 100})
    monkeypatch.setattr(tasks.Classification, "merit", lambda self, scores: scores["merit"])
    rows = studies.few_shot(task, dataset, tmp_path, "parity", {"text": "somewhere"}, (1, 3), seeds=2, progress=False, freeze={"text": 1}, epochs=3)
    assert [one[:4] for one in fitted] == [(f"{size}-{name}-{seed}", size, size, 0) for size in (1, 3) for seed in (0, 1) for name in ("without", "with")]
    assert fitted[0][4] == {"freeze": None, "paces": None, "epochs": 3} and fitted[1][4] == {"freeze": {"text": 1}, "start_from": {"text": "somewhere"}, "epochs": 3}
    assert [(row["per_class"], row["transfer"]) for row in rows] == [(1, False), (1, True), (3, False), (3, True)]
    assert [row["merit"] for row in rows] == pytest.approx([0.02, 0.03, 0.06, 0.07])
    low, high = rows[0]["interval"]
    assert low == 0.0 and high - 0.02 == pytest.approx(12.706 * 0.01 / np.sqrt(1), rel=1e-3)  # Student's t for two, times the standard error; nothing is below 0.
    assert "1                 0.020" in studies.few_shot_table(rows)
    assert studies.few_shot(task, dataset, tmp_path, "parity", {"text": "somewhere"}, (1, 3), seeds=2, progress=False) == rows and len(fitted) == 8
    assert json.loads((tmp_path / "few-shot.json").read_text())
    assert cv2.imread(str(report.few_shot_picture(rows, tmp_path / "f.png"))).size > 10_000
    with pytest.warns(UserWarning, match="classes of parity with 900 training items. Received: .* Sizes above are left out"):
        assert studies.few_shot(task, dataset, tmp_path, "parity", {"text": "somewhere"}, (1, 3, 900), seeds=2, progress=False) == rows
    with pytest.raises(ValueError, match="900 training items or more of a class of parity that have text. Received: "):
        studies.few_shot(task, dataset, tmp_path, "parity", {"text": "x"}, (900,))
    with pytest.raises(ValueError, match="a label of the dataset: parity, digits. Received: text"):
        studies.few_shot(task, dataset, tmp_path, "text", {"text": "x"})
    with pytest.raises(ValueError, match="Expected `start_from`"):
        studies.few_shot(task, dataset, tmp_path, "parity", {})


def test_a_model_that_is_shown_few_knows_no_label_of_others(tmp_path, monkeypatch):
    """By hand: of the words that tell the moods those of the one item of each that is shown have a weight, and the others none."""
    words = {"glad": ["sun", "song", "cake", "gift"], "sad": ["rain", "grey", "lost", "cold"]}
    rows = [{"id": f"{word}-{end}", "text": f"{word} {end}", "mood": mood, "split": "train"} for mood, some in words.items() for word in some for end in ("a", "b")]
    rows += [
        {"id": "asked", "text": "sun c", "mood": "glad", "split": "test"},
        {"id": "unlabelled", "text": "sun d", "split": "train"},
        {"id": "bare", "mood": "sad", "split": "train"},
        {"id": "v", "text": "sun e", "mood": "glad", "split": "validation"},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    dataset = ingest(tmp_path / "t.jsonl", tmp_path / "data", {"text": "text", "mood": "label"}, progress=False)
    features, languages = learn_features(dataset, None, {"text": {"units": "ngrams", "weigh_by": "mood"}})
    task, shown = tasks.Classification(features, languages, towers={"text": towers.text.ngrams}, dim=4), []

    def fit(task, dataset, run, **_):
        shown.append((task.features, [item["text"]["value"][0].decode().split()[0] for item in dataset.items("train").as_numpy_iterator()]))

    monkeypatch.setattr(studies.training, "fit", fit)
    monkeypatch.setattr(tasks.Classification, "score", lambda self, model, batches: {})
    monkeypatch.setattr(tasks.Classification, "merit", lambda self, scores: 0.5)
    studies.few_shot(task, dataset, tmp_path / "few", "mood", {"text": "somewhere"}, (1,), seeds=1, progress=False)
    feature, texts = shown[0][0]["text"], shown[0][1]
    assert len(texts) == 2 and shown[0][0]["mood"].counts == [1, 1] and features["mood"].counts == [8, 9]
    for some in words.values():
        for word in some:
            (place,) = set(feature.featurize(tf.constant(word)).numpy().tolist()) & set(range(feature.firsts[0], feature.firsts[1]))
            assert (feature.weights[place] > 0) == (word in texts), word
            assert features["text"].weights[place] > 0
    again, _ = learn_features(dataset, ["text"], {"text": {"known": feature}})
    assert learn_labels(again, dataset)["text"] is again["text"], "what an earlier run learned stays"


def test_the_interval_is_of_the_merit():
    assert studies._interval({"answer": {"f1": 0.9, "interval": [0.1, 0.2], "f1_interval": [0.8, 1.0]}}) == [0.8, 1.0]
    assert studies._interval({"answer": {"interval": [0.1, 0.2]}}) == [0.1, 0.2] and studies._interval({"items": 3}) is None


def test_no_seed_is_none(task, dataset, tmp_path):
    with pytest.raises(ValueError, match="`seeds` of at least 1. Received: seeds=0"):
        studies.language_matrix(task, dataset, tmp_path, seeds=0)
    with pytest.raises(ValueError, match="`seeds` of at least 1. Received: seeds=-1"):
        studies.few_shot(task, dataset, tmp_path, "parity", {"text": "somewhere"}, seeds=-1)


def test_both_on_the_command_line(dataset, trained, tmp_path, capsys):
    keys = ["features={text: {vocab_size: 400, length: 16}, parity: {}}", "towers.text.kind=bag", "options.dim=4", "training={epochs: 1, steps_per_epoch: 1, batch_size: 8}"]
    sets = [word for key in keys for word in ("--set", key)]
    asked = [str(dataset.path), "--task", "classification"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studies, "_fitted", lambda task, *_: task.build())
        assert cli.main(["transfer", *asked, "--run", str(tmp_path / "a"), "--languages", "en,uk", *sets]) == 0
    said = capsys.readouterr().out
    assert "trained on" in said and "all" in said and (tmp_path / "a" / "languages.png").exists()
    run = trained(dataset, "classification", keys)
    capsys.readouterr()
    start = ["--set", f"training.start_from.text={run}", "--set", f"features.text.from={run}"]
    few = ["few-shot", *asked, "--run", str(tmp_path / "b"), "--label", "parity", "--sizes", "2", "--seeds", "1", *sets[2:], *start, "--set", "features.parity={}"]
    for wrong, words in ((["--sizes", "2,a"], "Expected --sizes to be whole numbers"), (["--set", "training.batch_size=0"], "`batch_size` to be whole numbers of at least 1")):
        assert cli.main([*few, *wrong]) == 1
        assert words in capsys.readouterr().err and not (tmp_path / "b" / "run.yaml").exists()
    assert cli.main(few) == 0
    assert "items a class" in capsys.readouterr().out and (tmp_path / "b" / "few-shot.png").exists()
    assert cli.main([*few, "--set", "seed=3"]) == 1
    assert "one that was begun with the same settings" in capsys.readouterr().err
