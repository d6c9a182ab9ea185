"""What the vectors of a model are worth as features: simple classifiers on them, and on plain features of the same views."""

import itertools

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from cross_modal import metrics
from cross_modal.baselines import plain_features
from cross_modal.serving import ask, first_views

CLASSIFIERS = {  # Functions of the seed and the number of items to train on.
    "linear": lambda seed, count: LogisticRegression(max_iter=2000),
    "k-NN": lambda seed, count: KNeighborsClassifier(min(5, count)),
    "SVM": lambda seed, count: SVC(random_state=seed),
    "decision tree": lambda seed, count: DecisionTreeClassifier(random_state=seed),
}


def probe(endpoints, dataset, label, split="test", most=5000, per_class=None, seed=0):
    """Trains simple classifiers on frozen vectors of the training split, and on plain features, and asks them about another split.

    Args:
        endpoints: dict of name to `Endpoint`, with `encode`, or `embed_` and a field.
        dataset: `Dataset`, with a label.
        label: name of the label; the first of an item counts.
        split: that is asked.
        most: most items of the training split, drawn by chance.
        per_class: most items of a class to train on, drawn by chance; None for all.
        seed: of the draws.

    Returns:
        List of dicts of `given`, fields joined by "+"; `classifier`; `vectors` and `plain`, dicts of `accuracy` and `macro_f1`; `train` and `items`, numbers of items.

    Raises:
        ValueError: if there is no such label, or less than two classes of it, or no vectors.
    """
    dataset.check_label(label)
    asked = {tuple(name for name in one.signature if not name.endswith("_language")): one for key, one in endpoints.items() if key == "encode" or key.startswith("embed_")}
    if not asked:
        raise ValueError("Expected a model with vectors, of an alignment or an autoencoding. Received: one without")
    rows = []
    items = {part: [item for item in dataset.items(part).as_numpy_iterator() if len(item[label]["value"])] for part in ("train", split)}
    if not any(set(fields) & set(dataset.fields) for fields in asked):
        raise ValueError(f"Expected a dataset with a field that the model has vectors for: {', '.join(sorted({name for one in asked for name in one}))}. Received: {dataset}")
    for fields, endpoint in asked.items():
        fields = [name for name in fields if name in dataset.fields]
        for given in (some for count in range(1, len(fields) + 1) for some in itertools.combinations(fields, count)):
            there = {part: [item for item in some if all(len(item[name]["value"]) for name in given)] for part, some in items.items()}
            there["train"] = _chosen(there["train"], label, most, per_class, np.random.default_rng(seed))
            answers = {part: [item[label]["value"][0].decode() for item in some] for part, some in there.items()}
            if len(set(answers["train"])) < 2 or not answers[split]:
                continue
            vectors = [next(iter(ask(endpoint, [first_views(item, given) for item in there[part]]).values())) for part in ("train", split)]
            raws = [{name: [item[name]["value"][0] for item in there[part]] for name in given} for part in ("train", split)]
            plain = plain_features({name: dataset.fields[name].kind for name in given}, *raws)
            counts = {"train": len(answers["train"]), "items": len(answers[split])}
            for name, make in CLASSIFIERS.items():
                scores = {
                    kind: _scored(make_pipeline(scaler, make(seed, counts["train"])), parts, answers["train"], answers[split])
                    for kind, parts, scaler in (("vectors", vectors, StandardScaler()), ("plain", plain, MaxAbsScaler()))
                }
                rows.append({"given": "+".join(given), "classifier": name, **scores, **counts})
    if not rows:
        raise ValueError(f"Expected items of at least two classes of {label} to train on, and some to ask about. Received: none with the fields of the model")
    return rows


def _chosen(items, label, most, per_class, chance):
    """Some of the items, by chance."""
    items = [items[place] for place in chance.permutation(len(items))]
    counts, chosen = {}, []
    for item in items:
        name = item[label]["value"][0]
        counts[name] = counts.get(name, 0) + 1
        if per_class is None or counts[name] <= per_class:
            chosen.append(item)
    return chosen[:most]


def _scored(model, parts, known, asked):
    said = model.fit(parts[0], known).predict(parts[1])
    return {"accuracy": metrics.accuracy(asked, said), "macro_f1": metrics.macro_f1(asked, said)}


def probe_table(rows):
    """Says rows of `probe` to a person: accuracies, of the model's vectors and of plain features."""
    width = max(len("given"), *(len(row["given"]) for row in rows)) + 1
    lines = [f"accuracy on vectors of the model, and on plain features\n{'given':<{width}}" + "".join(f"{name:>20}" for name in CLASSIFIERS) + f"{'items':>8}"]
    for given in dict.fromkeys(row["given"] for row in rows):
        some = {row["classifier"]: row for row in rows if row["given"] == given}
        cells = [f"{some[name]['vectors']['accuracy']:.3f} ({some[name]['plain']['accuracy']:.3f})" for name in CLASSIFIERS]
        lines.append(f"{given:<{width}}" + "".join(f"{cell:>20}" for cell in cells) + f"{some['linear']['items']:>8,}")
    return "\n".join(lines)
