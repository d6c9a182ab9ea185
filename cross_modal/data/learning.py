"""Features that fit a dataset: what is learned is learned from the training split."""

import collections
import itertools

import numpy as np
import tensorflow as tf

from cross_modal.features import (
    Audio,
    Cleaner,
    Descriptors,
    Image,
    Label,
    Language,
    NGrams,
    Text,
    extend_subwords,
    learn_descriptors,
    learn_ngrams,
    learn_patches,
    learn_subwords,
    mark_language,
    weigh_ngrams,
)
from cross_modal.features.label import UNDETERMINED

_LARGEST = 64  # Pixels of the longer side of pictures, where nothing else is asked for: what two cores can train on.
_LOOKED_AT = 100  # Pictures of which all must be grey.


def learn_features(dataset, fields=None, options=()):
    """Makes a feature for each field; what has to be learned is learned from the training split alone.

    Args:
        dataset: `Dataset`.
        fields: names of the fields; None for all.
        options: dict of field to a dict of the keyword arguments of its feature. A picture's `size` is else near the median height and width, a multiple of 8, at most 64, and
            its `channels` are 1 where the first 100 pictures are all grey; `patches` is a number of kinds of patches to learn, for the tower `resnet` with `descriptors`; with
            `units: descriptors` it is a `Descriptors`, of as many `patches` and Gaussians, `fisher`, as are given, else 800 and 64. For text also `vocab_size` and `units`, of
            which `ngrams` makes an `NGrams`, weighed by the label `weigh_by` if it is given or, with `idf`, the more the fewer texts have it, and with `by_language` also of what
            is each language's own; `stop_words` may be a list of languages, or True for those of the field, whose usual words are taken; or `like`, another field of texts, to
            have the same subwords, which are then learned of both, and be cleaned alike. With `known`, a `Feature` of an earlier run is taken as it is, but for what else is
            given; of texts that may be `extend`, most subwords to be added for these texts, see `extend_subwords`.
            `kind` there is a subclass of `Feature` to take instead of the usual one.

    Returns:
        Pair of dict of field to `Feature`, in the order of `fields`, and `Language` of all tags in the dataset.

    Raises:
        KeyError: if the dataset lacks a field.
        ValueError: if there are no stop words for a language, a field is to be `like` what is no other field of texts, or texts in no language that is named `by_language`.
    """
    options = {name: dict(one) for name, one in dict(options).items()}
    fields = list(dataset.fields) if fields is None else list(fields)
    missing = [name for name in (*fields, *options) if name not in dataset.fields]
    if missing:
        raise KeyError(f"Expected fields of the dataset: {', '.join(dataset.fields)}. Received: {', '.join(missing)}")
    like = {name: options[name].pop("like") for name in fields if "like" in options.get(name, {})}
    for name, other in like.items():
        if other not in fields or other in like or {dataset.fields[one].kind for one in (name, other)} != {"text"} or set(options[name]) - {"length"}:
            raise ValueError(f"Expected `like` of {name} to be a field of texts with options of its own, and nothing but `length` beside it. Received: like={other}")
    features = {name: _feature(dataset, name, options.get(name, {}), [one for one in like if like[one] == name]) for name in fields if name not in like}
    features |= {name: type(features[other])(**{**features[other].config(), **options[name]}) for name, other in like.items()}
    features = {name: features[name] for name in fields}
    return features, Language(sorted({tag for name in fields for tag in dataset.fields[name].languages}))


def _feature(dataset, name, options, others=()):
    """The feature of a field; its subwords are learned of the texts of other fields too."""
    kind, options = dataset.fields[name].kind, dict(options)
    if "known" in options:
        return _known(dataset, name, options)
    custom = options.pop("kind", None)
    if custom is not None:
        return custom(**options)
    if kind == "text":
        wanted, given = {key: options.pop(key) for key in ("vocab_size", "units") if key in options}, options.get("stop_words")
        if given and not isinstance(given, dict):
            options["stop_words"] = _stop_words(dataset.fields[name], given)
        cleaner = Cleaner(**{key: options[key] for key in ("fold_case", "punctuation", "stop_words", "romanize") if key in options})
        values = itertools.chain.from_iterable(dataset.values("train", one) for one in (name, *others))
        if wanted.get("units") == "ngrams":
            return _ngrams(dataset, name, cleaner, values, wanted, options)
        return Text(learn_subwords(_cleaned(cleaner, values), **wanted), **options)
    if kind == "label":
        counts = dataset.describe()["labels"].get(name, {}).get("train", {})
        return Label(dataset.fields[name].labels, [counts.get(label, 0) for label in dataset.fields[name].labels], **options)
    if kind == "image":
        pictures = (raw for raw, _ in dataset.values("train", name))
        if (units := options.pop("units", "pixels")) == "descriptors":
            if more := sorted(set(options) - {"patches", "fisher"}):
                raise ValueError(f"Expected no options of {name} but `patches` and `fisher` with `units: descriptors`. Received: {', '.join(more)}")
            return Descriptors(**learn_descriptors(pictures, **options))
        if units != "pixels":
            raise ValueError(f"Expected `units` of {name} to be pixels or descriptors. Received: units={units}")
        if "patches" in options:
            options |= learn_patches(pictures, options.pop("patches"))
        return Image(**{**_seen(dataset, name, options), **options})
    return Audio(**options)


def _ngrams(dataset, name, cleaner, values, wanted, options):
    label, by_language, idf = options.pop("weigh_by", None), options.pop("by_language", False), options.pop("idf", False)
    if idf and label is not None:
        raise ValueError(f"Expected n-grams of {name} to be weighed by a label or by their inverse document frequency. Received: weigh_by={label}, idf={idf}")
    if by_language and not dataset.fields[name].languages:
        raise ValueError(f"Expected {name} to be in languages that are named, such as {name}:en, for `by_language`. Received: none")

    def clean(raw, language):
        return mark_language(cleaner(raw, language), language if by_language else tf.zeros_like(language))

    if label is not None:
        dataset.check_label(label)
    feature = NGrams(**learn_ngrams(_cleaned(clean, values), wanted.get("vocab_size"), idf), weigh_by=label, **options)
    return learn_labels({name: feature}, dataset)[name]


def learn_labels(features, dataset):
    """Learns anew what features know of labels, for a model that is shown a part of a dataset alone: it would else know something of labels that it was never shown.

    Args:
        features: dict of field to `Feature`, from `learn_features`. What an earlier run learned stays as it is.
        dataset: `Dataset`, whose training items are shown.

    Returns:
        Dict of field to `Feature`.
    """
    found = dict(features)
    for name, feature in features.items():
        if isinstance(feature, NGrams) and feature.weigh_by:
            values = _cleaned(feature.clean, dataset.values("train", name))
            config = feature.config()
            found[name] = type(feature)(**{**config, "weights": weigh_ngrams(config, values, _labels_beside(dataset, name, feature.weigh_by))})
        elif isinstance(feature, Label) and feature.counts:
            given = dataset.items("train").map(lambda item, name=name: item[name]["value"]).prefetch(4).as_numpy_iterator()
            counts = collections.Counter(value.decode() for values in given for value in set(values))
            found[name] = type(feature)(**{**feature.config(), "counts": [counts[label] for label in feature.names]})
    return found


def _labels_beside(dataset, name, label):
    """The labels of the item of each view of a field in the training split."""
    for item in dataset.items("train").map(lambda item: (tf.size(item[name]["value"]), item[label]["value"])).prefetch(4).as_numpy_iterator():
        yield from [set(item[1])] * item[0]


def _known(dataset, name, options):
    feature, more = options.pop("known"), options.pop("extend", None)
    if feature.kind != dataset.fields[name].kind or (more is not None and not hasattr(feature, "pieces")):
        raise ValueError(
            f"Expected a feature of {dataset.fields[name].kind} to know {name} by{'' if more is None else ', and one of subwords to extend'}. Received: {feature.kind}"
        )
    config = {**feature.config(), **({"weigh_by": None} if isinstance(feature, NGrams) else {}), **options}
    if more is not None:
        config["model"] = extend_subwords(feature.model, _cleaned(feature.cleaner, dataset.values("train", name)), more)
    return type(feature)(**config)


def _seen(dataset, name, options):
    """Size and channels, where they are not given, of what the pictures are like."""
    found = {}
    if "size" not in options:
        if name not in dataset.describe()["sizes"]:
            raise ValueError(f"Expected pictures of {name} to learn from. Received: none, see `describe`. Leave the field out of the features, or give its `size`")
        sides = [dataset.describe()["sizes"][name][side][1] for side in ("height", "width")]
        share = min(1.0, _LARGEST / max(sides))
        found["size"] = [max(8, 8 * round(side * share / 8)) for side in sides]
    if "channels" not in options:
        first = [tf.io.decode_image(raw, channels=3, expand_animations=False).numpy() for raw, _ in itertools.islice(dataset.values("train", name), _LOOKED_AT)]
        found["channels"] = 1 if first and all(np.ptp(pixels, axis=2).max() == 0 for pixels in first) else 3
    return found


def _stop_words(field, given):
    """The stop words of languages that are asked for, or of those of a field. Where its texts have no language, they are for all of them."""
    languages = field.languages if given is True else [given] if isinstance(given, str) else given
    if not languages:
        raise ValueError(f"Expected {field.name} to be in languages that are named, such as {field.name}:en. Received: none. Name them: stop_words: [en]")
    found = stop_words(languages)
    return found if field.languages else {UNDETERMINED: sorted({word for words in found.values() for word in words})}


def stop_words(languages):
    """Returns a dict of language to its usual stop words, those of Stopwords ISO.

    Args:
        languages: tags, such as `["en", "pt-BR"]`.

    Raises:
        ValueError: for a language that has none.
    """
    import stopwordsiso

    found = {tag.partition("-")[0]: sorted(stopwordsiso.stopwords(tag.partition("-")[0])) for tag in languages}
    without = [tag for tag, words in found.items() if not words]
    if without:
        raise ValueError(
            f"Expected languages with stop words: {', '.join(sorted(stopwordsiso.langs()))}. Received: {', '.join(without)}. Give a dict of language to list of words."
        )
    return found


def _cleaned(cleaner, values):
    while some := list(itertools.islice(values, 1024)):
        raw, languages = zip(*some)
        for text in cleaner(tf.constant(raw), tf.constant(languages)).numpy():
            yield text.decode()
