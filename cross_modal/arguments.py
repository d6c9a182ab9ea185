"""What a configuration gives of the arguments that towers, tasks and the like take."""

import dataclasses
import functools
import inspect

from cross_modal.features.saved import imported


class ConfigError(ValueError):
    """A key or value of run.yaml that cannot be used; the message lists what can."""


def parts_of(module):
    """The towers, fusions or decoders of a module: what takes the arguments of one."""
    public = {name: part for name, part in vars(module).items() if inspect.isfunction(part) and not name.startswith("_")}
    first = {name: list(inspect.signature(part).parameters) for name, part in public.items()}
    return {name: part for name, part in public.items() if first[name][:1] in (["sources"], ["name"]) or first[name][:3] == ["feature", "dim", "name"]}


def configured(given, known, usual, place):
    """A tower or decoder as it is configured, with all keys."""
    part = {"kind": usual, **mapping(given, place, "kind")}
    function = named(part["kind"], known, f"{place}.kind")
    return {"kind": part.pop("kind"), **filled(function, part, place, {"feature", "dim", "name", "languages"})}


def bound(part, known):
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in part.items() if name != "kind"}
    return functools.partial(named(part["kind"], known, "kind"), **arguments)


def named(name, known, place):
    """A part by its name in a namespace, or by `module:name`."""
    if isinstance(name, str) and ":" in name:
        return _imported(name, place)
    if not isinstance(name, str) or name not in known:
        raise ConfigError(f"Expected {place} to be module:name{' or one of ' + ', '.join(sorted(known)) if known else ''}. Received: {name!r}")
    return known[name]


def _imported(name, place):
    try:
        return imported(name, place)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def mapping(value, place, alone=None):
    """Keys and values, none for None; where `alone` is given, a name alone is what stands under that key."""
    if alone and isinstance(value, str):
        return {alone: value}
    if value is not None and not isinstance(value, dict):
        raise ConfigError(f"Expected {place} to hold {'a name, or ' if alone else ''}keys and values. Received: {value!r}")
    return dict(value or {})


def check_switches(given, place):
    """Tells of the words that YAML 1.1 takes for true and false, where nothing else can be meant: they are texts here."""
    for key, value in given.items():
        if isinstance(value, dict):
            check_switches(value, f"{place}.{key}")
        elif isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
            raise ConfigError(f"Expected {place}.{key} to be true or false. Received: {value!r}")


def check_absent(config, key, task):
    if config.get(key):
        raise ConfigError(f"Expected no key {key}: the task {task} has none. Received: {key}={config[key]}")


def check_keys(given, known, place):
    unknown = [key for key in given if key not in known]
    if unknown:
        raise ConfigError(f"{place}: expected {'keys among ' + ', '.join(known) if known else 'no keys'}. Received: {', '.join(map(str, unknown))}")


def filled(function, given, place, reserved):
    """The keyword arguments of a function, those given and the defaults of the others, as YAML can hold them."""
    parameters = {name: one for name, one in inspect.signature(function).parameters.items() if name not in reserved}
    check_keys(given, parameters, place)
    # A dataclass shows a default made by a factory as a marker without a value of its own: an empty dict in all our tasks.
    defaults = {name: one.default if isinstance(one.default, (str, int, float, bool, tuple, type(None))) else {} for name, one in parameters.items()}
    keyed = [one.name for one in dataclasses.fields(function) if one.default_factory is dict] if dataclasses.is_dataclass(function) else []
    given = {
        name: mapping(value, f"{place}.{name}") if name in keyed else _like(value, defaults[name], f"{place}.{name}", parameters[name].annotation) for name, value in given.items()
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in {**defaults, **given}.items()}


def _like(value, default, place, annotation):
    """A value in place of a default, as a list of one where that is a tuple; raises ConfigError where it cannot be meant."""
    if isinstance(default, tuple) and isinstance(value, (str, int, float)):
        value = [value]
    if annotation == tuple[str, ...] and not (isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)):
        raise ConfigError(f"Expected {place} to be a list of names. Received: {value!r}")
    if annotation in (float | None, int | None) and not isinstance(value, (int, float, type(None))):
        raise ConfigError(f"Expected {place} to be a number, or null. Received: {value!r}")
    if isinstance(default, (bool, int, float)) and isinstance(value, (str, list, tuple, dict)):
        raise ConfigError(f"Expected {place} to be {'true or false' if isinstance(default, bool) else 'a number'}. Received: {value!r}")
    return value
