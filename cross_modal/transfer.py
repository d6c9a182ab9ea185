"""What was learned in one run starts another, and is kept in it."""

import base64
import difflib
import fnmatch
import json
import pathlib
import re

import keras
import numpy as np

from cross_modal.layers import LanguageAdapter, LanguageEmbedding
from cross_modal.word_vectors import WordVectors

_VOCABULARY = "model", "words", "letters"  # In the configuration of a feature, what its ids stand for.


def start_from(model, runs, features=(), languages=()):
    """Copies weights of trained models into a new one, part by part: a tower, the decoder, or whatever layer in it has a name.

    Weights are paired in their order, by name and shape; what has none to pair with stays as it is. Where subwords were added to those of the run, its embedding is copied for the
    others; vectors of languages are copied tag by tag.

    Args:
        model: that a task has built.
        runs: dict of the name of a part to the folder of the run that it comes from; `FOLDER#NAME` where it has another name there. Of a tower for texts also a file of word
            vectors, or a list of such, for its embedding; see `piece_vectors`.
        features: dict of field to `Feature` of the new model, to be compared with the run's: a tower knows the subwords that it learned.
        languages: tags of the new model, in their order.

    Returns:
        List of a dict for each part: `part`, `run`, or the files, `copied`, `reshaped`, of which some rows are copied, and `skipped`, lists of paths of its weights, and
        `numbers`, how many were copied.

    Raises:
        FileNotFoundError: if a folder holds no run.
        ValueError: if there is no such part, it reads other subwords, or no weight is of the same name and shape.
    """
    report, here, features = [], _parts(model), dict(features)
    for name, place in dict(runs).items():
        if isinstance(place, (list, tuple)) or pathlib.Path(str(place)).is_file():
            report.append(_from_words(here, name, list(place) if isinstance(place, (list, tuple)) else [place], features))
            continue
        folder, _, there = str(place).partition("#")
        source = pathlib.Path(folder) / "model.keras"
        if not source.exists():
            raise FileNotFoundError(f"Expected the folder of a run that is done, with model.keras, or a file of word vectors, to start {name} from. Received: {folder}")
        others = _parts(keras.models.load_model(source, compile=False))
        for wanted, known, whose in ((name, here, "the model"), (there or name, others, folder)):
            if wanted not in known:
                some = [part for part, one in known.items() if isinstance(one, keras.Model) or not part[-1].isdigit()]
                raise ValueError(f"Expected a part of {whose}: {', '.join(sorted(some))}. Received: {wanted}")
        saved = pathlib.Path(folder) / "features.json"
        saved = json.loads(saved.read_text(encoding="utf-8")) if saved.exists() else {"features": {}, "languages": []}
        field, sizes = _field_of(name), {one.shape[0] for one in here[name].weights if len(one.shape) == 2}
        if field in features:
            _check_subwords(saved, folder, _field_of(there or name), features[field])
        for read, feature in features.items() if field not in features else ():  # What no field is named after may read those that it has as many rows as subwords for.
            if getattr(feature, "vocab_size", None) in sizes:
                _check_subwords(saved, folder, read, feature)
        report.append({"part": name, "run": str(place), **_copied(here[name], others[there or name], list(languages), saved["languages"])})
        if not report[-1]["copied"] and not report[-1]["reshaped"]:
            own, given = here[name].weights, others[there or name].weights
            raise ValueError(
                f"Expected weights of {there or name} in {folder} of the names and shapes of {name}. Received: none of {len(given)}, such as {given[0].path} {given[0].shape}"
                f" for {own[0].path} {own[0].shape}"
            )
    return report


def _copied(part, other, languages, theirs):
    """Copies the weights of a part, and tells which, as `start_from` does."""
    own, given, tagged = part.weights, other.weights, _tagged(part)
    keys = [[(one.name, tuple(one.shape)) for one in weights] for weights in (own, given)]
    pairs = [(a + step, b + step) for a, b, size in difflib.SequenceMatcher(None, *keys, autojunk=False).get_matching_blocks() for step in range(size)]
    free = [b for b in range(len(given)) if b not in {b for _, b in pairs}]
    for a in [a for a in range(len(own)) if a not in {a for a, _ in pairs}]:  # Those of which there are more, or fewer, rows.
        alike = [b for b in free if given[b].name == own[a].name and own[a].shape[1:] == given[b].shape[1:]]
        if alike and (id(own[a]) in tagged or (own[a].name == "embeddings" and own[a].shape[0] > given[alike[0]].shape[0])):
            pairs.append((a, alike[0]))
            free.remove(alike[0])
    copied, reshaped, numbers = [], [], 0
    for a, b in sorted(pairs):
        value, whole = keras.ops.convert_to_numpy(given[b]), own[a].shape == given[b].shape
        if id(own[a]) in tagged and languages and theirs and languages != theirs:
            rows, whole = [(languages.index(tag), place) for place, tag in enumerate(theirs) if tag in languages], False
        else:
            rows = [(place, place) for place in range(len(value))] if not whole else []
        if not whole:
            kept = keras.ops.convert_to_numpy(own[a]).copy()
            for here, there in rows:
                kept[here] = value[there]
            value, numbers = kept, numbers + len(rows) * value[0].size
        else:
            numbers += value.size
        own[a].assign(value)
        (copied if whole else reshaped).append(own[a].path)
    return {"copied": copied, "reshaped": reshaped, "skipped": [one.path for one in own if one.path not in {*copied, *reshaped}], "numbers": numbers}


def _tagged(part):
    """The weights of a part that have a row for each language, by identity."""
    layers = [one for one in (part._flatten_layers() if isinstance(part, keras.Model) else [part]) if one.built]
    return {id(one.vectors) for one in layers if isinstance(one, LanguageEmbedding)} | {
        id(weight) for one in layers if isinstance(one, LanguageAdapter) for weight in (one.down, one.up)
    }


def _from_words(parts, name, paths, features):
    """Lets the embedding of a tower begin with word vectors, at the size that its numbers had."""
    feature = features.get(_field_of(name))
    if name not in parts or not hasattr(feature, "ids"):
        known = [part for part in parts if hasattr(features.get(_field_of(part)), "ids")]
        raise ValueError(f"Expected a tower for texts to start from word vectors: {', '.join(known) or 'there is none'}. Received: {name}")
    vectors, known = piece_vectors(feature, [WordVectors.load(path) for path in paths])
    found = [weight for weight in parts[name].weights if tuple(weight.shape) == vectors.shape]
    if not found:
        sizes = sorted({weight.shape[1] for weight in parts[name].weights if len(weight.shape) == 2 and weight.shape[0] == len(vectors)})
        raise ValueError(
            f"Expected word vectors of the size of the embedding of {name}: {', '.join(map(str, sizes)) or 'none'}. Received: {vectors.shape[1]}, of {', '.join(map(str, paths))}"
        )
    for weight in found:  # More than one where a field has several towers.
        start = keras.ops.convert_to_numpy(weight)
        scaled = vectors * (start.std() / max(float(vectors[known].std()), 1e-9)) if known.any() else vectors
        weight.assign(np.where(known[:, None], scaled, start))
    numbers = len(found) * int(known.sum()) * vectors.shape[1]
    return {"part": name, "run": ", ".join(map(str, paths)), "copied": [weight.path for weight in found], "reshaped": [], "skipped": [], "numbers": numbers}


def piece_vectors(feature, given):
    """Makes vectors of subwords from those of words: the mean over the words that a subword is part of, common words and those of few parts counting more.

    Args:
        feature: `Text`.
        given: list of `WordVectors` of one size, in one space.

    Returns:
        Pair of float32 `(vocab, dim)` and bool `(vocab,)`, which are known.

    Raises:
        ValueError: if the sizes differ.
    """
    sizes = {one.vectors.shape[1] for one in given}
    if len(sizes) != 1:
        raise ValueError(f"Expected word vectors of one size. Received: {', '.join(map(str, sorted(sizes)))}")
    sums, weights = np.zeros((feature.vocab_size, sizes.pop())), np.zeros(feature.vocab_size)
    for one in given:
        for place, word in enumerate(one.words):
            ids = feature.ids(word)  # None, where there is nothing to see in it.
            weight = 1.0 / ((1 + place) * max(1, len(ids)) ** 2)  # The most common stand first; how often a word occurs goes as one over its place.
            for piece in ids:
                sums[piece] += weight * one.vectors[place]
                weights[piece] += weight
    return (sums / np.maximum(weights, 1e-12)[:, None]).astype(np.float32), weights > 0


def _parts(model):
    """The layers in a model that have weights, by name; of several the outermost."""
    return {one.name: one for one in reversed(list(model._flatten_layers())) if one.weights}


def _field_of(part):
    """The field whose tower, or one of whose towers or spaces, a part of a model is named to be."""
    return re.sub(r"_(tower|space)(_\d+)?$", "", part)


def _check_subwords(saved, folder, name, feature):
    theirs, ours = ({key: config[key] for key in _VOCABULARY if config.get(key)} for config in (saved["features"].get(name, {}).get("config", {}), feature.config()))
    if not ours or not theirs or ours == theirs:
        return
    if not (hasattr(feature, "pieces") and "model" in theirs and feature.model.startswith(base64.b64decode(theirs["model"]))):  # Subwords that were added stand behind the others.
        raise ValueError(
            f"Expected {name} of {folder} to read the same subwords as here. Received: others, so that what its embeddings mean is something else."
            f" Take them over: features.{name}.from={folder}"
        )


def leaves(model):
    """Returns the innermost layers of a model that have weights, pairs of a tuple of names, from the outermost part, and the layer."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += [((layer.name, *path), one) for path, one in leaves(layer)]
        elif layer.weights:
            found.append(((layer.name,), layer))
    return found


def settings_of(model, patterns):
    """Returns what patterns say of the layers of a model.

    Args:
        model: `keras.Model`.
        patterns: dict of a name of a layer, or of a part that layers are in, to a value; `*` stands for any letters. Of those that fit a layer the last counts.

    Returns:
        List of pairs of a layer, see `leaves`, and its value; layers that no pattern fits are left out.

    Raises:
        ValueError: if a pattern fits none, with the names that there are.
    """
    parts = leaves(model)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for path, _ in parts for name in path):
            known = sorted({name for path, _ in parts for name in path if len(path) > 1 or not name[-1].isdigit()})
            raise ValueError(f"Expected the name of a part or layer: {', '.join(known)}. Received: {pattern}")
    found = [(layer, [value for pattern, value in patterns.items() if any(fnmatch.fnmatchcase(name, pattern) for name in path)]) for path, layer in parts]
    return [(layer, values[-1]) for layer, values in found if values]


def set_paces(model, patterns, frozen=()):
    """Lets layers learn at a share of the learning rate, and those that are frozen at first begin as gently as the others did.

    Args:
        model: compiled `keras.Model`.
        patterns: dict of a pattern, see `settings_of`, to the share, which is also that of the optimizer's weight decay.
        frozen: dict of a pattern to the number of steps before the first one that its layers learn by.

    Raises:
        ValueError: if a pattern fits no layer.
    """
    shares, befores = ({id(one.value): value for layer, value in settings_of(model, dict(given)) for one in layer.trainable_weights} for given in (patterns, frozen))
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # With mixed_float16 it is wrapped.
    step, decay, whole = type(optimizer).update_step, type(optimizer)._apply_weight_decay, optimizer.weight_decay

    def update_step(gradient, variable, learning_rate):
        step(optimizer, gradient, variable, learning_rate * shares.get(id(variable), 1.0) * _as_new(optimizer, befores.get(id(variable), 0)))

    def apply_weight_decay(variables):
        groups = {}
        for variable in variables:
            groups.setdefault(shares.get(id(variable.value), 1.0), []).append(variable)
        for share, some in groups.items():
            optimizer.weight_decay = whole * share
            decay(optimizer, some)
        optimizer.weight_decay = whole

    optimizer.update_step = update_step  # A wrapper would have to be saved with the run, under a name of its own.
    if whole is not None:
        optimizer._apply_weight_decay = apply_weight_decay


def _as_new(optimizer, before):
    """By how much Adam is to step less where its averages began some steps later: it takes them for as old as all others, and small ones of squares for small squares."""
    if not before or not isinstance(optimizer, (keras.optimizers.Adam, keras.optimizers.Nadam)):
        return 1.0

    def corrected(step):
        return keras.ops.sqrt(1.0 - optimizer.beta_2**step) / (1.0 - optimizer.beta_1**step)

    # Steps are counted that were made: several batches may make one, and one whose gradients are no numbers makes none.
    step, before = keras.ops.cast(optimizer.iterations + 1, "float32"), before // (optimizer.gradient_accumulation_steps or 1)
    return corrected(keras.ops.maximum(step - before, 1.0)) / corrected(step)
