import pytest
import yaml

from cross_modal import config


def test_set_keys_takes_yaml_values():
    given = {"training": {"epochs": 3}}
    changed = config.set_keys(given, ["training.epochs=5", "options.routes=['*->*', '!text:tr->*']", "seed=1"])
    assert changed == {"training": {"epochs": 5}, "options": {"routes": ["*->*", "!text:tr->*"]}, "seed": 1}
    assert given == {"training": {"epochs": 3}}


def test_resolve_fills_every_key(dataset):
    full = config.resolve({"dataset": str(dataset.path), "task": "classification", "features": {"text": {"vocab_size": 400}, "parity": None}})
    assert list(full["features"]) == ["text", "parity"]
    assert full["towers"] == {"text": {"kind": "lstm", "depth": 1, "dropout": 0.1, "adapter": 0}}
    assert full["fusion"] == {"kind": "concat"}
    assert full["training"]["epochs"] == 20 and full["options"]["dim"] == 128
    assert config.resolve(full) == full
    assert yaml.safe_load(yaml.safe_dump(full)) == full


def test_n_grams_have_a_tower_of_their_own(dataset):
    full = config.resolve({"dataset": str(dataset.path), "task": "classification", "features": {"text": {"units": "ngrams"}, "parity": None}})
    assert full["towers"] == {"text": {"kind": "ngrams", "l2": 1e-4, "dropout": 0.0}}
    assert type(config.make_features(full)[0]["text"]).__name__ == "NGrams"


def test_descriptors_have_a_tower_of_their_own(dataset):
    full = config.resolve({"dataset": str(dataset.path), "task": "classification", "features": {"image": {"units": "descriptors", "patches": 4}, "parity": None}})
    assert full["towers"] == {"image": {"kind": "descriptors", "widths": [512], "dropout": 0.2}}
    with pytest.raises(config.ConfigError, match="size"):
        config.make_features(config.set_keys(full, ["features.image.size=[8, 8]"]))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["trainig.epochs=3"], "keys among task, dataset, seed.*Received: trainig"),
        (["training.epoch=3"], "training: expected keys among epochs, steps_per_epoch.*Received: epoch$"),
        (["towers.text.kind=lstn"], "towers.text.kind to be module:name or one of bag, gru, lstm, ngrams, pretrained, transformer. Received: 'lstn'"),
        (["towers.text.width=3"], "towers.text: expected keys among depth, dropout, adapter. Received: width"),
        (["towers.video.kind=cnn"], "towers: expected keys among image, text, audio. Received: video"),
        (["features.video.size=3"], "features: expected keys among .*image.* Received: video"),
        (["task=alignement"], "task to be module:name or one of alignment, autoencoding, classification, generation, question_answering. Received: 'alignement'"),
        (["task=no_such_module:Task"], "something that can be imported. Received: 'no_such_module:Task'"),
        (["options.dimension=3"], "options: expected keys among .*dim.*Received: dimension"),
        (["fusion.kind=concat"], "no key fusion: the task alignment has none"),
        (["seed"], "key=value, such as training.epochs=20. Received: 'seed'"),
        (["seed.a.b=1"], "Received: 'seed.a.b=1'"),
    ],
)
def test_what_is_unknown_is_told_with_what_is_known(dataset, keys, message):
    with pytest.raises(config.ConfigError, match=message):
        config.resolve(config.set_keys({"dataset": str(dataset.path), "seed": 0}, keys))


def test_a_task_comes_back_from_its_run(dataset, tmp_path):
    full = config.resolve({"dataset": str(dataset.path), "features": {"text": {"vocab_size": 400}}, "options": {"dim": 8, "routes": ["text:en->text:*"]}})
    features, languages = config.make_features(full)
    task = config.make_task(full, features, languages)
    config.save_run(tmp_path, full, features, languages)
    again_config, again = config.load_task(tmp_path)
    assert again_config == full
    assert again.languages.names == languages.names and again.features["text"].model == features["text"].model
    assert (again.dim, again.routes, again.kinds) == (task.dim, task.routes, task.kinds)


def test_a_wrong_argument_of_a_feature_is_told(dataset):
    full = config.resolve({"dataset": str(dataset.path), "features": {"image": {"sise": 3}}})
    with pytest.raises(config.ConfigError, match="features.<field>.*sise"):
        config.make_features(full)


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="cross-modal train"):
        config.load_task(tmp_path)


def test_numbers_as_everybody_writes_them():
    changed = config.set_keys({}, ["training.learning_rate=1e-3", "a=[-2E4, .5e1, 1., e5, 1e]", "b=2e-3x"])
    assert changed == {"training": {"learning_rate": 0.001}, "a": [-20000.0, 5.0, 1.0, "e5", "1e"], "b": "2e-3x"}


def test_a_text_that_looks_like_a_number_stays_one(tmp_path, learned):
    features, languages = learned
    config.save_run(tmp_path, {"dataset": "12e5", "seed": 3, "training": {"learning_rate": 1e-05}}, {"text": features["text"]}, languages)
    assert config.read_config(tmp_path / "run.yaml") == {"dataset": "12e5", "seed": 3, "training": {"learning_rate": 1e-05}}


def test_features_of_another_run_are_taken_over(dataset, learned, tmp_path):
    """As they are, or with more subwords behind them."""
    features, languages = learned
    config.save_run(tmp_path, {}, {"text": features["text"]}, languages)
    given = {"dataset": str(dataset.path), "features": {"text": {"from": str(tmp_path), "length": 9}}}
    same = config.make_features(config.resolve(given))[0]["text"]
    assert same.model == features["text"].model and same.length == 9
    given["features"]["text"]["extend"] = 5
    more = config.make_features(config.resolve(given))[0]["text"]
    assert more.model.startswith(same.model) and same.vocab_size < more.vocab_size <= same.vocab_size + 5
    with pytest.raises(config.ConfigError, match="features.text.from: expected keys among text. Received: words"):
        config.make_features(config.resolve({**given, "features": {"text": {"from": f"{tmp_path}#words"}}}))


def test_an_option_that_the_task_of_a_run_does_not_have_is_told(dataset, tmp_path):
    full = config.resolve({"dataset": str(dataset.path), "task": "classification", "features": {"parity": None, "text": {"vocab_size": 400}}})
    features, languages = config.make_features(full)
    config.save_run(tmp_path, {**full, "options": {**full["options"], "deep": True}}, features, languages)
    with pytest.raises(config.ConfigError, match="options of run.yaml: expected keys among .*dim.*Received: deep"):
        config.load_task(tmp_path)
