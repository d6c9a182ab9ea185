import pytest
import yaml

from cross_modal import config
from cross_modal.data import ingest


def test_set_keys_takes_yaml_values():
    given = {"training": {"epochs": 3}}
    changed = config.set_keys(given, ["training.epochs=5", "options.routes=['*->*', '!text:tr->*']", "seed=1"])
    assert changed == {"training": {"epochs": 5}, "options": {"routes": ["*->*", "!text:tr->*"]}, "seed": 1}
    assert given == {"training": {"epochs": 3}}


def test_a_key_of_a_feature_leaves_what_is_read_as_it_is(dataset):
    def read(*sets, **given):
        full = config.resolve(config.set_keys({"dataset": str(dataset.path), "task": "classification", **given}, sets))
        return {name: one for name, one in full["features"].items() if name not in ("digits", "parity")}, set(full["features"])

    every = {"image", "text", "audio", "digits", "parity"}
    assert read() == ({"image": {}, "text": {}, "audio": {}}, every)
    assert read("features.text.vocab_size=300", "features.audio.bins=8") == ({"image": {}, "text": {"vocab_size": 300}, "audio": {"bins": 8}}, every)
    assert read(features={"*": {}, "image": {"channels": 1}}) == ({"image": {"channels": 1}, "text": {}, "audio": {}}, every)
    assert read(features=["*"])[1] == every
    for chosen in (["features.text={}", "features.parity={}"], ["features.text.vocab_size=300", "features.parity={}"], ["features=[text, parity]", "features.text.length=9"]):
        assert read(*chosen)[1] == {"text", "parity"}
    assert read("features.image.channels=1", features={"text": {}, "parity": {}})[1] == {"image", "text", "parity"}
    with pytest.raises(config.ConfigError, match=r"features.\*: expected no keys. Received: bins"):
        read(features={"*": {"bins": 8}})


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
    assert full["towers"] == {"image": {"kind": "descriptors", "widths": [], "dropout": 0.75}}
    with pytest.raises(ValueError, match="no options of image but `patches` .*Received: size"):
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
        (["seed=first"], "Expected seed to be a whole number. Received: 'first'"),
        (["towers.image=5"], "Expected towers.image to hold a name, or keys and values. Received: 5"),
        (["towers.image=[]"], "Expected towers.image to hold a name, or keys and values. Received: \\[\\]"),
        (["towers.image=[cnn, {kind: cnm}]"], r"towers.image\[1\].kind to be module:name or one of .*Received: 'cnm'"),
        (["towers.image=[cnn, {width: 3}]"], r"towers.image\[1\]: expected keys among .*Received: width"),
        (["task=classification", "towers.image=[cnn, mlp]"], r"one of towers for image; several .* alignment alone. Received: \['cnn', 'mlp'\]"),
        (["task=autoencoding", "decoders.image=[deconv]"], r"one of decoders for image; .*Received: \['deconv'\]"),
        (["towers=[image]"], r"Expected towers to hold keys and values. Received: \['image'\]"),
        (["towers.image.kind=[cnn]"], r"towers.image.kind to be module:name or one of .*Received: \['cnn'\]"),
        (["features=5"], "Expected features to hold keys and values. Received: 5"),
        (["features.text=ngrams"], "Expected features.text to hold keys and values. Received: 'ngrams'"),
        (["features=[image, [text]]"], r"features: expected keys among .*Received: \['text'\]"),
        (["training=5"], "Expected training to hold keys and values. Received: 5"),
        (["options=[dim]"], r"Expected options to hold keys and values. Received: \['dim'\]"),
        (["options.routes=5"], r"Expected options.routes to be a list of names. Received: \[5\]"),
        (["task=classification", "options.multi_label=[parity, 5]"], r"Expected options.multi_label to be a list of names. Received: \['parity', 5\]"),
        (["options.temperature=abc"], "Expected options.temperature to be a number, or null. Received: 'abc'"),
        (["options.views=2"], "Expected options.views to hold keys and values. Received: 2"),
        (["options.dim=wide"], "Expected options.dim to be a number. Received: 'wide'"),
        (["training.cache=no"], "Expected training.cache to be true or false. Received: 'no'"),
        (["features.text.idf=no"], "Expected features.text.idf to be true or false. Received: 'no'"),
        (["features.text.punctuation=no"], "Expected features.text.punctuation to be true or false. Received: 'no'"),
        (["training.augment.image.flip=Yes"], "Expected training.augment.image.flip to be true or false. Received: 'Yes'"),
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


def test_a_name_alone_is_a_part_and_a_list_names_fields(dataset):
    sets = ["task=classification", "features=[image, parity]", "towers.image=resnet", "towers.image.depth=3", "fusion=attention", "options.multi_label=parity"]
    full = config.resolve(config.set_keys({"dataset": str(dataset.path)}, [one for one in sets if "depth" not in one]))
    assert full["features"] == {"image": {}, "parity": {}} and full["towers"]["image"]["kind"] == "resnet"
    assert full["fusion"] == config.resolve({**full, "fusion": {"kind": "attention"}})["fusion"] and full["fusion"]["kind"] == "attention"
    assert full["options"]["multi_label"] == ["parity"]
    with pytest.raises(config.ConfigError, match="Expected keys under image. Received: 'towers.image.depth=3', where image is 'resnet'"):
        config.set_keys({}, sets)
    writes = config.resolve({"dataset": str(dataset.path), "task": "generation", "decoder": "lstm", "options": {"routes": "*->*"}, "towers": {"image": {"widths": 4}}})
    assert writes["decoder"]["kind"] == "lstm" and writes["options"]["routes"] == ["*->*"] and writes["towers"]["image"]["widths"] == [4]


def test_several_towers_of_a_field_are_a_list(learned, dataset, tmp_path):
    features, languages = learned
    sets = ["features=[image, text]", "towers.image=[{kind: resnet, widths: [4]}, cnn]", "towers.text=bag"]
    full = config.resolve(config.set_keys({"dataset": str(dataset.path)}, sets))
    assert [one["kind"] for one in full["towers"]["image"]] == ["resnet", "cnn"] and full["towers"]["image"][0]["depth"] == 2 and full["towers"]["text"]["kind"] == "bag"
    config.save_run(tmp_path, full, {name: features[name] for name in ("image", "text")}, languages)
    read, task = config.load_task(tmp_path)
    assert read == full == config.resolve(full) and task.spaces == 2
    names = {layer.name for layer in task.build()._flatten_layers()}
    assert {"image_tower", "image_tower_2", "text_tower", "text_tower_2"} <= names


def test_an_option_of_run_yaml_may_be_one_of_several(learned, dataset):
    """As somebody may write it by hand."""
    features, languages = learned
    full = config.resolve({"dataset": str(dataset.path), "features": ["text"]})
    task = config.make_task({**full, "options": {**full["options"], "routes": "text:en->text:*"}}, {"text": features["text"]}, languages)
    assert task.routes == ("text:en->text:*",)


@pytest.mark.parametrize("value, line", [("[*->*]", "'[*->*]'"), ("!text:tr->*", "'!text:tr->*'"), ("{a: 1", "'{a: 1'"), ("a: b\n\tc: d", "c: d'"), ("\x07", "'.x07'")])
def test_what_is_no_yaml_is_told(value, line, tmp_path):
    words = "Expected YAML. Received: .*{}.*Quote what begins with . or !, as in --set 'options.routes=.\"...."
    with pytest.raises(config.ConfigError, match=words.format(line.replace("*", ".").replace("[", ".").replace("]", "."))):
        config.set_keys({}, [f"options.routes={value}"])
    (tmp_path / "run.yaml").write_text(f"seed: 1\ntask: {value}\n")
    with pytest.raises(config.ConfigError, match="run.yaml: Expected YAML"):
        config.read_config(tmp_path / "run.yaml")


def test_only_true_and_false_are_no_texts(tmp_path, learned):
    """Norwegian is `no`; other readers of YAML see what we write as we do."""
    features, languages = learned
    said = config.parse_value("{languages: [no, on, off, yes, y, No], truth: [true, True, TRUE, false, False, FALSE], no: 1, nothing: null}")
    words = ["no", "on", "off", "yes", "y", "No"]
    assert said == {"languages": words, "truth": [True, True, True, False, False, False], "no": 1, "nothing": None}
    given = {"options": {"always": words, "no": "no", "blind": False, "linear": True}}
    config.save_run(tmp_path, given, {"text": features["text"]}, languages)
    assert config.read_config(tmp_path / "run.yaml") == given == yaml.safe_load((tmp_path / "run.yaml").read_text())


def test_a_field_that_no_model_can_be_made_of_is_told_if_it_is_chosen(tmp_path):
    (tmp_path / "t.csv").write_text("product title,review-text,text,Название,item,kind-of\n" + "".join(f"a {i},b {i},c {i},d {i},e {i},{i % 2}\n" for i in range(8)))
    kinds = {name: "text" for name in ("product title", "review-text", "Название", "item")} | {"kind-of": "label"}
    dataset = ingest(tmp_path / "t.csv", tmp_path / "dataset", kinds, progress=False)
    given = {"dataset": str(dataset.path), "task": "classification"}
    with pytest.raises(ValueError, match="Received: 'product title', 'review-text', 'Название', 'item'. Rename .* leave it out: --set 'features=.text,kind-of.'$"):
        config.resolve(given)
    assert list(config.resolve(config.set_keys(given, ["features=[text,kind-of]"]))["features"]) == ["text", "kind-of"]
    with pytest.raises(ValueError, match="Received: 'review-text'. Rename the column in the table$"):
        config.resolve({**given, "task": "alignment", "features": ["review-text"]})
    only_written = {"features": ["text", "product title"], "options": {"target": "product title"}}
    assert "product title" in config.resolve({**given, "task": "generation", **only_written})["features"]
