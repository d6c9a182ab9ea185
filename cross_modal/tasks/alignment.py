"""Views of one item into one space."""

import collections
import dataclasses
import fnmatch
import itertools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from cross_modal import retrieval
from cross_modal.data import schema
from cross_modal.features import featurize_batch
from cross_modal.features.label import UNDETERMINED
from cross_modal.layers import AttentionPooling, FoldViews, LogitScale, UnfoldViews
from cross_modal.losses import ABSENT, LOSSES, Contrastive
from cross_modal.serving import ask
from cross_modal.tasks.task import STRING, Endpoint, Task, check_numbers


@dataclasses.dataclass(frozen=True)
class Alignment(Task):
    """Learns one space in which the views of an item are near each other, whatever their modality and language.

    A **route** is a pair of kinds of view, such as `text:tr->image`; it is trained in both directions. A pattern such as `text:tr->*` names many, and `!` before it
    takes them out. Routes that are out are never trained on, not even as wrong answers, and are scored as never-trained.

    Args:
        features: dict of field to `Feature`.
        languages: `Language`.
        towers: dict of field to tower, a function `(feature, dim, name, languages) -> keras.Model`; or to several, of which the first of each field learn a space of their own, and
            the second, and so on, and a vector is what it is in all of these, side by side: what each knows counts the same. A field of one tower has one like it in each space
            (one that wraps a `keras.Model`: the same). What spaces share is the scale, where it is learned.
        views: dict of field to the number of views of an item in a batch; 1 where it is not named.
        always: kinds of view, such as `text:en`, that are drawn before others of their field. Pictures that are to learn from their English names alone, among
            names in ninety languages, would else hardly ever see one.
        loss: "info_nce", "sigmoid" or "triplet", see `losses.Contrastive`.
        temperature: what cosines are divided by in the loss; None to learn it, from 0.07. A higher one, such as 0.125, keeps a small table from being learned by heart.
        weights: dict of pattern to the weight of the routes that fit it in the loss; of those that fit a route the last counts, 1 where none does.
        routes: patterns in order; of those that fit a route the last one decides whether it is trained.
            `("*->*", "!text:tr->*", "text:tr->text:en")` trains all routes but those of Turkish, and of those the one to English.
        dim: size of a state.
        embedding: size of a space.
        dropout: share dropped before the projection.

    Raises:
        ValueError: if a field has no tower, another number of them than another, or a name that no model can have, or a pattern fits no route.
    """

    towers: dict[str, Callable | tuple[Callable, ...]] = dataclasses.field(kw_only=True)
    views: dict[str, int] = dataclasses.field(default_factory=dict)
    always: tuple[str, ...] = ()
    routes: tuple[str, ...] = ("*->*",)
    weights: dict[str, float] = dataclasses.field(default_factory=dict)
    loss: str = "info_nce"
    temperature: float | None = None
    dim: int = 128
    embedding: int = 128
    dropout: float = 0.1

    def __post_init__(self):
        schema.check_names(self.features)
        if set(self.features) != set(self.towers):
            raise ValueError(f"Expected a tower for each of {', '.join(self.features)}. Received: towers for {', '.join(self.towers)}")
        for name, towers in self.towers.items():
            if isinstance(towers, (list, tuple)) and len(towers) not in (1, self.spaces):
                raise ValueError(f"Expected as many towers for each field, or one, which then is in each of the {self.spaces} spaces. Received: {len(towers)} for {name}")
        unknown = set(self.views) - set(self.features)
        if unknown or not all(type(count) is int and count > 0 for count in self.views.values()):
            raise ValueError(f"Expected `views` to give a whole number of at least 1 for fields among {', '.join(self.features)}. Received: views={self.views}")
        if self.loss not in LOSSES:
            raise ValueError(f"Expected `loss` to be one of {', '.join(LOSSES)}. Received: loss={self.loss}")
        if self.temperature is not None and (self.temperature < 0.01 or self.loss == "triplet"):
            raise ValueError(f"Expected `temperature` of at least 0.01, and none with the loss triplet. Received: temperature={self.temperature}, loss={self.loss}")
        check_numbers(weights=self.weights)
        if not set(self.always) <= set(self.kinds):
            raise ValueError(f"Expected `always` to name kinds of view: {', '.join(self.kinds)}. Received: always={self.always}")
        for pattern in (*self.routes, *self.weights):
            if not _fitting(self.kinds, pattern).any():
                raise ValueError(f"Expected a route between kinds of view, such as {self.kinds[0]}->{self.kinds[-1]} or text:*->image. Received: {pattern!r}")

    @property
    def kinds(self):
        """Names of the kinds of view: each field, and each field in each language, field by field in the order of `languages`."""
        return [name if tag == UNDETERMINED else f"{name}:{tag}" for name in self.features for tag in self.languages.names]

    @property
    def draws(self):
        return {name: self.views.get(name, 1) for name in self.features}

    @property
    def spaces(self):
        """Number of spaces that towers learn, each for itself."""
        return max([1, *(len(one) for one in self.towers.values() if isinstance(one, (list, tuple)))])

    @property
    def drawn_first(self):
        return {name: tuple(kind.partition(":")[2] or UNDETERMINED for kind in self.always if kind.partition(":")[0] == name) for name in self.features}

    def trained(self):
        """Returns which kinds of view are trained together: bool `(kinds, kinds)`, symmetric.

        Two views of one field are together only where `views` puts two of it in a batch; what weighs nothing is not trained.
        """
        return self.rates() > 0

    def rates(self):
        """Returns what each trained route weighs in the loss, `(kinds, kinds)`; 0 for those that are not trained."""
        drawn = np.zeros((len(self.kinds), len(self.kinds)), bool)
        for pattern in self.routes:
            drawn[_fitting(self.kinds, pattern)] = not pattern.startswith("!")
        field = np.array([kind.partition(":")[0] for kind in self.kinds])
        single = np.array([self.draws[name] == 1 for name in field])
        drawn &= ~((field[:, None] == field[None]) & single[:, None])
        rates = drawn.astype(float)
        for pattern, weight in self.weights.items():
            rates[_fitting(self.kinds, pattern) & drawn] = weight
        return rates

    def check(self, dataset):
        wanted, seen = self.trained(), dict.fromkeys(self.kinds, 0)
        fields = [name for name in self.features if name in dataset.fields]
        for item in dataset.items("train").map(lambda item: {name: item[name]["language"] for name in fields}).as_numpy_iterator():
            views = [name if (tag := one.decode()) not in self.languages.names[1:] else f"{name}:{tag}" for name, tags in item.items() for one in tags]
            places = [self.kinds.index(kind) for kind in views]
            if wanted[np.ix_(places, places)][~np.eye(len(places), dtype=bool)].any():
                return
            seen |= {kind: seen[kind] + 1 for kind in set(views)}
        there = ", ".join(f"{kind} ({items:,} items)" for kind, items in seen.items() if items)
        weights = f", weights={self.weights}" if self.weights else ""
        raise ValueError(
            f"Expected training items with both views of a trained route. Received: routes={list(self.routes)}{weights}, which fit no two views of any of "
            f"{dataset.splits['train']:,} items, with {there}. Set options.routes, or options.views for two of one field"
        )

    def build(self):
        # --- inputs ---
        draws, inputs, embedded = self.draws, {}, []
        for name, feature in self.features.items():
            encoder = self._encoder(name, feature)
            inputs[name] = {key: keras.Input((draws[name], *value.shape[1:]), dtype=value.dtype, name=f"{name}_{key}") for key, value in encoder.input.items()}

            # --- body ---
            folded = {key: FoldViews(name=f"fold_{name}_{key}")(value) for key, value in inputs[name].items()}
            embedded.append(UnfoldViews(draws[name], name=f"unfold_{name}")(encoder(folded)))  # (batch, views, embedding)

        # --- model ---
        views = layers.Concatenate(axis=1)(embedded) if len(embedded) > 1 else embedded[0]
        scale = LogitScale(name="logit_scale") if self.temperature is None else LogitScale(1 / self.temperature, name="logit_scale", trainable=False)
        return keras.Model(inputs, scale(views), name="alignment")

    def _encoder(self, name, feature):
        """One field to unit vectors `(batch, spaces * embedding)`, those of all spaces side by side."""
        given = self.towers[name] if isinstance(self.towers[name], (list, tuple)) else (self.towers[name],)
        if self.spaces == 1:
            return self._projected(given[0], feature, f"{name}_tower", name)
        given = given * self.spaces if len(given) == 1 else given
        spaces = [self._projected(make, feature, _numbered(f"{name}_tower", space), _numbered(f"{name}_space", space)) for space, make in enumerate(given)]
        inputs = {key: keras.Input(value.shape[1:], dtype=value.dtype, name=key) for key, value in spaces[0].input.items()}
        return keras.Model(inputs, ops.concatenate([space(inputs) for space in spaces], axis=1) / self.spaces**0.5, name=name)

    def _projected(self, make, feature, tower, name):
        """A tower with pooling and projection, to unit vectors `(batch, embedding)`."""
        tower = make(feature, self.dim, tower, languages=len(self.languages.names))
        inputs = {key: keras.Input(value.shape[1:], dtype=value.dtype, name=key) for key, value in tower.input.items()}
        outputs = tower(inputs)
        x = AttentionPooling()(outputs["states"], outputs["mask"])
        x = layers.LayerNormalization()(layers.Dropout(self.dropout)(x))
        return keras.Model(inputs, layers.UnitNormalization(dtype="float32")(layers.Dense(self.embedding)(x)), name=name)

    def example(self, batch):
        x = {name: {key: batch[name][key] for key in ("value", "mask", "language")} for name in self.features}
        y = []
        for place, name in enumerate(self.features):
            field = batch[name]
            present = tf.reduce_any(field["mask"], -1)  # (batch, views)
            kind = field["language"] + place * len(self.languages.names)
            item = tf.broadcast_to(batch["item"][:, None], tf.shape(kind))
            y.append(tf.stack([tf.cast(tf.where(present, kind, ABSENT), tf.int64), item, field["key"]], -1))
        y = tf.concat(y, 1)  # (batch, views, 3)
        dense = [tf.reshape(tf.unique(tf.reshape(y[:, :, place], [-1])).idx, tf.shape(y)[:2]) for place in (1, 2)]
        return x, tf.stack([tf.cast(y[:, :, 0], tf.int32), *dense], -1), tf.ones_like(batch["item"], tf.float32)

    def objective(self):
        return {"loss": Contrastive(self.rates().tolist(), self.loss, self.spaces)}

    def score(self, model, batches):
        """Embeds all views and measures retrieval from each kind of view to each other, over all views."""
        return self._score(self._embed_all(model, batches), self._trained_pairs())

    def _trained_pairs(self):
        return {(self.kinds[a], self.kinds[b]) for a, b in np.argwhere(self.trained())}

    def _score(self, vectors, trained):
        """Scores vectors, dict of kind of view to `retrieval.Embedded`; `trained` is a set of pairs of kinds."""
        rows = []
        for source in self.kinds:
            for target in self.kinds:
                if source != target and source in vectors and target in vectors:
                    row = retrieval.retrieve(vectors[source], vectors[target])
                    if row:
                        rows.append({"source": source, "target": target, "trained": (source, target) in trained, **row})
        scores = {"routes": rows}
        for name, chosen in (("trained", True), ("never_trained", False)):
            some = [row for row in rows if row["trained"] == chosen]
            if some:
                means = {key: float(np.mean([row[key] for row in some])) for key in ("recall@1", "recall@5", "recall@10", "mrr", "median_rank", "hubness")}
                scores[name] = {**means, "lowest recall@1": float(np.min([row["recall@1"] for row in some])), "routes": len(some)}
        return scores

    def _embed_all(self, model, batches):
        """Returns a dict of kind of view to `Embedded`."""
        encoders = {name: model.get_layer(name) for name in self.features}
        found = {}
        for batch in batches:
            for place, name in enumerate(self.features):
                field = batch[name]
                folded = {key: tf.reshape(field[key], (-1, *field[key].shape[2:])) for key in ("value", "mask", "language")}
                embedded = np.asarray(encoders[name](folded, training=False)).reshape(*field["key"].shape, -1)
                present = tf.reduce_any(field["mask"], -1).numpy()
                item, kind = np.broadcast_to(batch["item"].numpy()[:, None], present.shape), field["language"].numpy() + place * len(self.languages.names)
                for code in np.unique(kind[present]):
                    some = present & (kind == code)
                    parts = found.setdefault(self.kinds[code], ([], [], []))
                    for part, values in zip(parts, (embedded, item, field["key"].numpy())):
                        part.append(values[some])
        return {kind: retrieval.Embedded(*map(np.concatenate, parts)) for kind, parts in found.items()}

    def merit(self, scores):
        """Mean reciprocal rank, mean over the trained routes."""
        if "trained" not in scores:
            raise ValueError("Expected at least two items with views of a trained route to compare by. Received: none")
        return scores["trained"]["mrr"]

    def summary(self, scores):
        rows = {(row["source"], row["target"]): row for row in scores["routes"]}
        kinds = [kind for kind in self.kinds if any(kind in pair for pair in rows)]
        if not rows:
            return "No item has two views: no route to score."
        width = max(8, *(len(kind) for kind in kinds)) + 1
        lines = []
        for k in (1, 10):
            lines.append(f"recall@{k}, from the row to the column, over {max(row['candidates'] for row in scores['routes']):,} views (* never trained)")
            lines.append(" " * width + "".join(f"{kind:>{width}}" for kind in kinds))
            for source in kinds:
                cells = [_cell(rows.get((source, target)), k) for target in kinds]
                lines.append(f"{source:<{width}}" + "".join(f"{cell:>{width}}" for cell in cells))
            chance = np.mean([row[f"chance@{k}"] for row in scores["routes"]])
            lines.append(f"chance: {chance:.3f}\n")
        for name, words in (("trained", "trained"), ("never_trained", "never-trained")):
            if name in scores:
                one = scores[name]
                lines.append(f"{one['routes']} {words} routes: recall@1 {one['recall@1']:.3f} on average, {one['lowest recall@1']:.3f} at the lowest")
                lines.append(
                    f"  recall@5 {one['recall@5']:.3f}, recall@10 {one['recall@10']:.3f}, median rank {one['median_rank']:g}, MRR {one['mrr']:.3f}, hubness {one['hubness']:.1f}"
                )
        return "\n".join(lines)

    def endpoints(self, model):
        return {f"embed_{name}": self._endpoint(model, name) for name in self.features}

    def _endpoint(self, model, name):
        encoder, feature = model.get_layer(name), self.features[name]

        def embed(**raw):
            x = featurize_batch(feature, raw[name], raw[f"{name}_language"])
            vectors = encoder({**x, "language": self.languages.featurize(raw[f"{name}_language"])}, training=False)
            return {"embedding": tf.where(tf.reduce_any(x["mask"], 1, keepdims=True), vectors, 0.0)}  # What is absent is like nothing.

        return Endpoint(embed, {name: STRING, f"{name}_language": STRING})

    @classmethod
    def join(cls, parts):
        """A vector is what each says, side by side, so that a cosine is the mean of theirs; of the fields that all of them align."""
        models = [task.endpoints(model) for task, model in parts]
        names = [name for name in models[0] if all(name in one for one in models)]
        if not names:
            raise ValueError(f"Expected runs that align a field in common. Received: {'; '.join(', '.join(task.features) for task, _ in parts)}")

        def joined(name):
            def embed(**raw):
                return {"embedding": tf.concat([one[name].function(**raw)["embedding"] for one in models], 1) / len(models) ** 0.5}

            return Endpoint(embed, models[0][name].signature)

        return {name: joined(name) for name in names}

    def score_joined(self, parts, chunks):
        """Routes that any of them was trained on are trained."""
        return self._score(self._embed_asked(self.join(parts), chunks), set.union(*(task._trained_pairs() for task, _ in parts)))

    def _embed_asked(self, endpoints, chunks):
        """As `_embed_all`, by asking endpoints for the vectors of all raw views."""
        found, items, contents = collections.defaultdict(lambda: ([], [], [])), itertools.count(), collections.defaultdict(itertools.count().__next__)
        for chunk in chunks:
            numbers = [next(items) for _ in chunk]
            for name in (name.removeprefix("embed_") for name in endpoints):
                views = [(number, value, tag.decode()) for number, item in zip(numbers, chunk) for value, tag in zip(item[name]["value"], item[name]["language"])]
                answers = ask(endpoints[f"embed_{name}"], [{name: value, f"{name}_language": tag} for _, value, tag in views])
                for (number, value, tag), vector in zip(views, answers.get("embedding", ())):
                    if vector.any():  # Others hold nothing that is read.
                        for part, one in zip(found[f"{name}:{tag}" if tag in self.languages.names[1:] else name], (vector, number, contents[hash(value)])):
                            part.append(one)
        return {kind: retrieval.Embedded(*map(np.array, parts)) for kind, parts in found.items()}


def _numbered(name, space):
    return f"{name}_{space + 1}" if space else name


def _fitting(kinds, pattern):
    """Which pairs of kinds fit a pattern, in either direction."""
    source, arrow, target = pattern.removeprefix("!").replace("→", "->").partition("->")
    if not arrow:
        raise ValueError(f"Expected a route written source->target, such as text:tr->image. Received: {pattern!r}")
    a, b = ([fnmatch.fnmatchcase(kind, side.strip()) for kind in kinds] for side in (source, target))
    return np.outer(a, b) | np.outer(b, a)


def _cell(row, k):
    return "" if row is None else f"{row[f'recall@{k}']:.2f}{' ' if row['trained'] else '*'}"
