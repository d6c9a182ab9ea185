"""run.yaml to objects and back."""

import copy
import inspect
import json
import math
import pathlib
import re

import yaml

from cross_modal import decoders, fusion, tasks, towers, training
from cross_modal.arguments import ConfigError, bound, check_absent, check_keys, check_switches, configured, filled, mapping, named, parts_of
from cross_modal.data import Dataset, learn_features, schema
from cross_modal.features.saved import load_features

_KEYS = ("task", "dataset", "seed", "features", "towers", "decoders", "fusion", "decoder", "options", "training")
_TASKS = {
    "alignment": tasks.Alignment,
    "autoencoding": tasks.Autoencoding,
    "classification": tasks.Classification,
    "generation": tasks.Generation,
    "question_answering": tasks.QuestionAnswering,
}
_TOWERS = {"image": "cnn", "text": "lstm", "audio": "crnn"}
_FIELDS = {"towers": (towers, _TOWERS), "decoders": (decoders, {"image": "deconv", "text": "gru", "audio": "deconv"})}  # Parts of each field, and those taken where none is named.
_INPUTS = tuple(_TOWERS)
_UNORDERED = "ngrams", "descriptors"  # Units of a feature that have a tower of their own, of the same name.
_MODULES = {"fusion": (fusion, "concat"), "decoder": (decoders.text, "transformer")}  # And the part that is taken where a task of the user's names none of it.
_RESERVED = {"features", "languages", *_FIELDS, *_MODULES}  # Of the arguments of a task those that are no options.
_SWITCHES = "fold_case", "punctuation", "romanize", "by_language", "idf"  # Of a feature of texts.
_OTHERS = "*"  # Among features: those that are read where none is chosen.
_BOOL = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-3 for a text, and yes, no, on and off, such as the tag of Norwegian, for true and false; nobody else does."""


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads, and others too: a text that looks like such a number, or a word that YAML 1.1 knows, stands in quotes."""


for _one in (_Loader, _Dumper):
    _one.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789."))
_Loader.yaml_implicit_resolvers = {first: [one for one in some if one[0] != _BOOL] for first, some in _Loader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(_BOOL, re.compile("(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def read_config(path):
    """Reads a run.yaml.

    Args:
        path: of the file.

    Returns:
        Dict of keys to values.

    Raises:
        ConfigError: if it is no YAML, no mapping, or has unknown keys.
    """
    try:
        config = parse_value(pathlib.Path(path).read_text(encoding="utf-8")) or {}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: expected keys and values. Received: {type(config).__name__}")
    check_keys(config, _KEYS, str(path))
    return config


def parse_value(text):
    """Reads a value of run.yaml: YAML, with numbers such as 1e-3; raises ConfigError if it is none."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        lines, mark = text.splitlines(), getattr(error, "problem_mark", None)
        line = lines[mark.line] if mark and mark.line < len(lines) else text[:100]
        why = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
        raise ConfigError(
            f"Expected YAML. Received: {line.strip()!r} ({why}). Quote what begins with * or !, as in "
            """--set 'options.routes=["*->*", "!text:tr->*"]'"""
        ) from error


def set_keys(config, assignments):
    """Sets keys of a configuration. `features=` and `features.FIELD=` choose what is read, `features.FIELD.KEY=` alone leaves that as it is.

    Args:
        config: dict, left as it is.
        assignments: strings `a.b=value`; the value is YAML.

    Returns:
        A new dict.

    Raises:
        ConfigError: if an assignment has no `=`, goes through a value that has no keys, or is no YAML.
    """
    config = copy.deepcopy(config)
    named = [path for path in (one.partition("=")[0].split(".") for one in assignments) if path[0] == "features"]
    if named and not config.get("features") and all(len(path) > 2 for path in named):
        config["features"] = {_OTHERS: {}}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"Expected key=value, such as training.epochs=20. Received: {assignment!r}")
        *outer, last = path.split(".")
        if outer[:1] == ["features"] and "features" in config:
            config["features"] = _by_field(config["features"])
        place = config
        for key in outer:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise ConfigError(f"Expected keys under {key}. Received: {assignment!r}, where {key} is {place!r}")
        place[last] = parse_value(value)
    return config


def resolve(config):
    """Fills in every key that is missing, with the defaults of what it configures.

    A name alone may stand for a part, and a list of names for features, among which `*` stands for all that are read where none is named.

    Args:
        config: dict with at least `dataset`.

    Returns:
        A new dict with all keys.

    Raises:
        ConfigError: for an unknown key or name, listing the known ones, or a value of a wrong type.
        ValueError: for a field whose name no model can have, see `schema.check_names`.
    """
    check_keys(config, _KEYS, "run.yaml")
    if not config.get("dataset"):
        raise ConfigError("Expected the folder of a dataset under the key dataset. Received: none. Make one with `cross-modal ingest`.")
    dataset = Dataset(str(config["dataset"]))
    task, seed = config.get("task", "alignment"), config.get("seed", 0)
    if not isinstance(seed, int):
        raise ConfigError(f"Expected seed to be a whole number. Received: {seed!r}")
    kind = named(task, _TASKS, "task")
    asked = mapping(config.get("options"), "options")
    wanted = _INPUTS + (("label",) if kind is tasks.Classification else ())
    answer = asked.get("answer", "answer") if kind is tasks.QuestionAnswering else None
    given = config.get("features")
    given = mapping(_by_field(_OTHERS if given is None else given), "features")
    chosen = list(given)
    if _OTHERS in chosen:
        usual = [name for name, field in dataset.fields.items() if field.kind in wanted or name == answer]
        chosen = usual + [name for name in chosen if name not in (*usual, _OTHERS)]
        check_keys(mapping(given[_OTHERS], f"features.{_OTHERS}"), (), f"features.{_OTHERS}")
    check_keys(dict.fromkeys(chosen), dataset.fields, "features")
    schema.check_names({name: dataset.fields[name] for name in chosen}, [answer, asked.get("target") if kind is tasks.Generation else None])
    features = {name: mapping(given.get(name), f"features.{name}") for name in chosen}
    for name, one in features.items():
        check_switches({key: one[key] for key in _SWITCHES if key in one}, f"features.{name}")
    inputs = [name for name in chosen if dataset.fields[name].kind != "label"]
    if "decoders" in inspect.signature(kind).parameters:  # Frames are made for the longest recording.
        for name in inputs:
            if dataset.fields[name].kind == "audio" and "kind" not in features[name]:
                features[name].setdefault("seconds", math.ceil(10 * dataset.describe()["sizes"].get(name, {"seconds": [0, 0, 1]})["seconds"][2]) / 10)
    full = {"task": task, "dataset": str(config["dataset"]), "seed": seed, "features": features}
    for group, (module, usual) in _FIELDS.items():
        if group not in inspect.signature(kind).parameters:
            check_absent(config, group, task)
            continue
        full[group], parts = {}, mapping(config.get(group), group)
        check_keys(parts, inputs, group)
        for name in inputs:
            field, units = dataset.fields[name].kind, features[name].get("units") if group == "towers" else None
            known, own = parts_of(getattr(module, field)), units if units in _UNORDERED else usual[field]
            if isinstance(parts.get(name), (list, tuple)) and parts[name]:
                if group != "towers" or not hasattr(kind, "spaces"):
                    raise ConfigError(f"Expected one of {group} for {name}; several towers are for the task alignment alone. Received: {list(parts[name])}")
                full[group][name] = [configured(one, known, own, f"{group}.{name}[{place}]") for place, one in enumerate(parts[name])]
            else:
                full[group][name] = configured(parts.get(name), known, own, f"{group}.{name}")
    for key, (module, usual) in _MODULES.items():
        if key in inspect.signature(kind).parameters:
            part = mapping(config.get(key), key, "kind")
            default = getattr(inspect.signature(kind).parameters[key].default, "__name__", usual)
            own = kind.usual_parts(asked).get(key, default)
            function = named(part.setdefault("kind", own if own in parts_of(module) else usual), parts_of(module), f"{key}.kind")
            full[key] = {"kind": part.pop("kind"), **filled(function, part, key, {"sources", "name"})}
        else:
            check_absent(config, key, task)
    full["options"] = filled(kind, asked, "options", _RESERVED)
    if "kinds" in full["options"] and not full["options"]["kinds"]:
        full["options"]["kinds"] = [kind for kind in dataset.kinds if kind.partition(":")[0] in chosen]
    full["training"] = filled(training.fit, mapping(config.get("training"), "training"), "training", {"task", "dataset", "run", "seed", "resume", "progress"})
    check_switches({key: full["training"][key] for key in ("augment", "optimizer") if isinstance(full["training"][key], dict)}, "training")
    return full


def _by_field(given):
    """Features by their fields, where a list of names, or one alone, may stand for those without keys."""
    return {str(name): {} for name in ([given] if isinstance(given, str) else given)} if isinstance(given, (str, list, tuple)) else given


def make_features(config):
    """Learns the features that a resolved configuration names; see `learn_features`."""
    dataset = Dataset(config["dataset"])
    options = {}
    for name, one in config["features"].items():
        one = dict(one)
        if "kind" in one:
            one["kind"] = named(one["kind"], {}, f"features.{name}.kind")
        if "from" in one:
            run, _, field = str(one.pop("from")).partition("#")
            known = load_features(run)[0]
            check_keys({field or name: None}, known, f"features.{name}.from")
            one["known"] = known[field or name]
        options[name] = one
    try:
        return learn_features(dataset, list(config["features"]), options)
    except TypeError as error:
        raise ConfigError(f"Expected features.<field> to hold arguments of its feature. Received: {config['features']}: {error}") from error


def make_task(config, features, languages):
    """Makes the task that a resolved configuration describes.

    Args:
        config: from `resolve`.
        features: dict of field to `Feature`.
        languages: `Language`.

    Returns:
        `Task`.
    """
    kind = named(config["task"], _TASKS, "task")
    # run.yaml may have been changed by hand, or be of another version.
    options = filled(kind, config["options"], "options of run.yaml", _RESERVED)
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    arguments |= {key: bound(config[key], parts_of(module)) for key, (module, _) in _MODULES.items() if key in config}
    for group, (module, _) in _FIELDS.items():
        if group in config:
            known = {name: parts_of(getattr(module, features[name].kind)) for name in config[group]}
            arguments[group] = {
                name: tuple(bound(one, known[name]) for one in part) if isinstance(part, list) else bound(part, known[name]) for name, part in config[group].items()
            }
    return kind(features, languages, **arguments)


def save_run(run, config, features, languages, dataset=None):
    """Writes `run.yaml` and `features.json` into the folder of a run, with what the `Dataset` is known by, if it is given."""
    run = pathlib.Path(run)
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.yaml").write_text(yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True), encoding="utf-8")
    saved = {name: {"class": f"{type(one).__module__}:{type(one).__name__}", "config": one.config()} for name, one in features.items()}
    (run / "features.json").write_text(json.dumps({"dataset": dataset.fingerprint if dataset else "", "languages": languages.names, "features": saved}), encoding="utf-8")


def load_task(run):
    """Makes the task of a run from its folder alone.

    Args:
        run: folder of the run.

    Returns:
        Pair of the configuration and `Task`.

    Raises:
        FileNotFoundError: if the folder holds no run.
    """
    run = pathlib.Path(run)
    features, languages = load_features(run)
    config = read_config(run / "run.yaml")
    return config, make_task(config, features, languages)
