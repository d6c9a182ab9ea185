"""Features whose vocabularies are learned from the training split."""

from cross_modal.features import Audio, Image, Label, Language, Text, learn_subwords

_PLAIN = {"image": Image, "audio": Audio}


def learn_features(dataset, fields=None, options=()):
    """Makes a feature for each field; what has to be learned is learned from the training split alone.

    Args:
        dataset: `Dataset`.
        fields: names of the fields; None for all.
        options: dict of field to a dict of the keyword arguments of its feature; for text also `vocab_size`. `kind` there is a subclass of `Feature` to
            take instead of the usual one.

    Returns:
        Pair of dict of field to `Feature`, in the order of `fields`, and `Language` of all tags in the dataset.

    Raises:
        KeyError: if the dataset lacks a field.
    """
    options = dict(options)
    fields = list(dataset.fields) if fields is None else list(fields)
    missing = [name for name in (*fields, *options) if name not in dataset.fields]
    if missing:
        raise KeyError(f"Expected fields of the dataset: {', '.join(dataset.fields)}. Received: {', '.join(missing)}")
    features = {name: _feature(dataset, name, dict(options.get(name, {}))) for name in fields}
    return features, Language(sorted({tag for name in fields for tag in dataset.fields[name].languages}))


def _feature(dataset, name, options):
    kind = dataset.fields[name].kind
    custom = options.pop("kind", None)
    if custom is not None:
        return custom(**options)
    if kind == "text":
        vocab_size = options.pop("vocab_size", 8000)
        return Text(learn_subwords((raw.decode() for raw, _ in dataset.values("train", name)), vocab_size), **options)
    if kind == "label":
        counts = dataset.describe()["labels"].get(name, {}).get("train", {})
        return Label(dataset.fields[name].labels, [counts.get(label, 0) for label in dataset.fields[name].labels], **options)
    return _PLAIN[kind](**options)
