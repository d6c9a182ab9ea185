"""What can be searched: embedded views and an index of them."""

import dataclasses
import json
import math
import pathlib

import faiss
import numpy as np
import pyarrow
import pyarrow.parquet

from cross_modal.features.label import UNDETERMINED
from cross_modal.serving import ask

_CHUNK = 1024  # Views embedded, and rows written, at once.
_EXACT = 50_000  # Candidates up to which every one is looked at.


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Embedded views to search in.

    Args:
        field: the field they are of.
        ids: list of the items' ids.
        languages: list of the views' languages.
        values: list of the raw values, bytes.
        index: `faiss.Index` of their vectors, unit length, by inner product.
        model: which model they are embedded by, such as the digest of its file; vectors of another are of another space. None where that is not known.
    """

    field: str
    ids: list[str]
    languages: list[str]
    values: list[bytes]
    index: faiss.Index
    model: str | None = None

    def save(self, folder):
        """Writes the gallery to a folder, for `load_gallery`; returns its path."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        schema = pyarrow.schema({"id": pyarrow.string(), "language": pyarrow.string(), "value": pyarrow.binary()})
        with pyarrow.parquet.ParquetWriter(folder / "views.parquet", schema, compression="zstd") as writer:
            for start in range(0, len(self.ids), _CHUNK):
                part = slice(start, start + _CHUNK)
                writer.write_table(pyarrow.table([self.ids[part], self.languages[part], self.values[part]], schema=schema))
        faiss.write_index(self.index, str(folder / "index.faiss"))
        (folder / "gallery.json").write_text(json.dumps({"field": self.field, "views": len(self.ids), "model": self.model}), encoding="utf-8")
        return folder


def load_gallery(folder, model=None):
    """Reads the gallery that `Gallery.save` wrote.

    Args:
        folder: its folder.
        model: which model it is to be of, see `Gallery`; None for any.

    Returns:
        `Gallery`.

    Raises:
        FileNotFoundError: if the folder holds no gallery.
        ValueError: if it is of another model.
    """
    folder = pathlib.Path(folder)
    if not (folder / "gallery.json").exists():
        raise FileNotFoundError(f"Expected the folder of a gallery. Received: {folder}. Make one with `cross-modal search --gallery`, or Gallery.save.")
    about = json.loads((folder / "gallery.json").read_text(encoding="utf-8"))
    if model and about.get("model") not in (None, model):
        raise ValueError(f"Expected a gallery that this model embedded. Received: {folder}, of another one. Give another folder, or delete it.")
    views = pyarrow.parquet.read_table(folder / "views.parquet")
    return Gallery(
        about["field"],
        *(views[name].to_pylist() for name in ("id", "language", "value")),
        faiss.read_index(str(folder / "index.faiss")),
        about.get("model"),
    )


def build_gallery(endpoints, dataset, split, field, language=None):
    """Embeds all views of a field in a split.

    Args:
        endpoints: dict of name to `Endpoint`, with `embed_` + field.
        dataset: `Dataset`.
        split: name of the split.
        field: name of the field.
        language: takes the views in this language alone; None for all.

    Returns:
        `Gallery`.

    Raises:
        ValueError: if the task cannot embed the field, or there is no view.
    """
    endpoint = embedder(endpoints, field)
    if field not in dataset.fields:
        raise ValueError(f"Expected a field of the dataset {dataset.path}: {', '.join(dataset.fields)}. Received: {field}")
    ids, languages, values = [], [], []
    for item in dataset.items(split).as_numpy_iterator():
        for value, tag in zip(item[field]["value"], item[field]["language"]):
            if language in (None, tag.decode()):
                ids.append(item["id"].decode())
                languages.append(tag.decode())
                values.append(value)
    if not ids:
        raise ValueError(f"Expected views of {field}{f' in {language}' if language else ''} in the split {split}. Received: none in {dataset.path}")
    rows = [{field: value, f"{field}_language": tag} for value, tag in zip(values, languages)]
    return Gallery(field, ids, languages, values, build_index(ask(endpoint, rows)["embedding"]))


def build_index(vectors):
    """Makes an index: of few vectors an exact one, of many one that looks at the nearest of about `4 sqrt(n)` cells.

    Args:
        vectors: float `(candidates, embedding)`, unit length.

    Returns:
        `faiss.Index` by inner product.

    Source:
        Johnson et al. (2019), "Billion-scale similarity search with GPUs", section 2 (IVFADC, here with whole vectors).
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    cells = round(4 * math.sqrt(len(vectors)))
    index = faiss.index_factory(vectors.shape[1], "Flat" if len(vectors) <= _EXACT else f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.cp.niter = 10
        index.train(vectors[np.random.default_rng(0).permutation(len(vectors))[: 40 * cells]])
        index.nprobe = max(1, cells // 32)
    index.add(vectors)
    return index


def embedder(endpoints, field):
    """Returns the endpoint that embeds a field, or says which can be."""
    if f"embed_{field}" not in endpoints:
        known = [name.removeprefix("embed_") for name in endpoints if name.startswith("embed_")]
        raise ValueError(f"Expected a field that the model embeds: {', '.join(known) or 'it embeds none; train an alignment'}. Received: {field}")
    return endpoints[f"embed_{field}"]


def search(endpoints, gallery, field, value, language=UNDETERMINED, k=10):
    """Finds the views of a gallery that are nearest to one view of any field.

    Args:
        endpoints: dict of name to `Endpoint`, with `embed_` + field.
        gallery: `Gallery`.
        field: field of the query.
        value: its raw value, bytes or str.
        language: its language.
        k: how many to return, at most.

    Returns:
        List of `(place in the gallery, cosine)`, best first.
    """
    if k < 1:
        raise ValueError(f"Expected `k` of at least 1. Received: k={k}")
    query = ask(embedder(endpoints, field), [{field: value, f"{field}_language": language}])["embedding"]
    cosines, places = gallery.index.search(np.ascontiguousarray(query, np.float32), min(k, len(gallery.ids)))
    return [(int(place), float(cosine)) for place, cosine in zip(places[0], cosines[0]) if place >= 0]
