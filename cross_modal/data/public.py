"""Public datasets of TFDS as tables: `tfds:NAME`."""

import difflib
import itertools
import os
import pathlib
import subprocess
import sys
import time

import langcodes
import numpy as np
import tensorflow_datasets as tfds

from cross_modal.data import schema
from cross_modal.data.media import encode_wav

_MODALITIES = {"image": "image", "video": "video", "speech": "audio", "audio": "audio", "music": "audio", "text": "text", "translation": "text", "time-series": "other",
               "tabular": "other", "trajectory": "other"}  # fmt: skip
_FOLDERS = {"audio": ["audio"], "image": ["image"], "image_classification": ["image"], "object_detection": ["image"], "question_answering": ["text"], "summarization": ["text"],
            "text": ["text"], "text_simplification": ["text"], "translate": ["text"], "video": ["video"], "vision_language": ["image", "text"]}  # fmt: skip
_DOWNLOAD = """
import sys, tensorflow_datasets as tfds
tfds.builder(sys.argv[1], data_dir=sys.argv[2] or None).download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
"""


def open_public(name, columns, data_dir, limit):
    """Opens a dataset of TFDS, downloading it if it is not there yet.

    Args:
        name: `NAME`, `NAME/CONFIG` or with `:VERSION`.
        columns: dict of column to feature, such as `{"text:en": "captions/text"}`; empty for all features of a known kind.
        data_dir: folder of the datasets; None for that of TFDS.
        limit: seconds without progress after which a download is given up.

    Returns:
        `Source`.

    Raises:
        TableError: if there is no such dataset or feature, or the download fails.
    """
    builder = _builder(name, data_dir)
    if not pathlib.Path(builder.data_dir).exists():
        download(name, data_dir, limit)
        builder = _builder(name, data_dir)
    columns = columns or _columns(builder.info.features)
    features = {column: _feature(builder.info.features, path, name) for column, path in columns.items()}
    if not features:
        raise schema.TableError(f"tfds:{name}: expected features that are images, sounds, texts or labels. Received: {', '.join(_paths(builder.info.features))}")
    splits = {split: schema.read_split(split) for split in builder.info.splits or ("train",)}
    taken = [split for split, own in splits.items() if own]
    notes = {"format": f"tfds:{builder.info.full_name}", "columns": ", ".join(f"{column}={path}" for column, path in columns.items())}
    if len(taken) < len(splits):
        notes["splits passed over"] = ", ".join(split for split in splits if split not in taken)
    total = sum(builder.info.splits[split].num_examples for split in taken) if builder.info.splits else None

    def rows():
        number = itertools.count(1)
        for split in taken:
            data = builder.as_dataset(split=split, shuffle_files=False, decoders=_undecoded(columns, features))
            for place, example in enumerate(tfds.as_numpy(data)):
                row = {column: _value(features[column], _inside(example, path), name, path) for column, path in columns.items()}
                yield next(number), {"id": f"{split}-{place}", "split": splits[split] if len(taken) > 1 else "", **row}

    return schema.Source(f"tfds:{name}", pathlib.Path(builder.data_dir), f"{builder.info.full_name} {columns} {total}", rows, total, notes)


def download(name, data_dir, limit):
    """Downloads a dataset in a process of its own, which can be ended when nothing more comes."""
    folder = pathlib.Path(data_dir or os.environ.get("TFDS_DATA_DIR", pathlib.Path.home() / "tensorflow_datasets"))
    command = [sys.executable, "-c", _DOWNLOAD, name, str(data_dir or "")]
    print(f"tfds:{name}: downloading into {folder}", file=sys.stderr)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}) as process:
        size, since = -1, time.monotonic()
        while True:
            try:
                _, said = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                now = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
                size, since = (now, time.monotonic()) if now != size else (size, since)
                if time.monotonic() - since > limit:
                    process.kill()
                    raise schema.TableError(
                        f"tfds:{name}: expected its download to go on. Received nothing for {limit:g} s. Look at the network, raise --download-limit, "
                        "or put the dataset into --data-dir."
                    ) from None
    if process.returncode:
        last = next((line for line in reversed(said.splitlines()) if line.strip()), "no word of why")
        raise schema.TableError(f"tfds:{name}: expected it to be downloaded into {folder}. Received: {last[:400]}. Look at the network, or put the dataset into --data-dir.")


def known():
    """Lists the datasets that TFDS knows.

    Returns:
        Dict of modality, such as `image` or `image+text`, to sorted list of names.
    """
    found, root = {}, pathlib.Path(tfds.__file__).parent
    for name in tfds.list_builders(with_community_datasets=False):
        modalities = set()
        tags = root / "datasets" / name / "TAGS.txt"
        if tags.exists():
            kinds = [tag.split("#")[0].strip().removeprefix("content.data-type.") for tag in tags.read_text().split("\n") if tag.startswith("content.data-type.")]
            modalities = {_MODALITIES.get(kind, "other") for kind in kinds}
        if not modalities:
            try:
                module = getattr(tfds.core.load.builder_cls(name), "__module__", "").split(".")
            except ImportError:  # Some need packages that TFDS does not bring.
                module = []
            modalities = set(_FOLDERS.get(module[1] if len(module) > 1 else "", ["other"]))
        found.setdefault("+".join(sorted(modalities)), []).append(name)
    return {modality: sorted(names) for modality, names in sorted(found.items())}


def _builder(name, data_dir):
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        near = difflib.get_close_matches(name.partition("/")[0].partition(":")[0], tfds.list_builders(with_community_datasets=False), 3)
        hint = f" Did you mean {', '.join(near)}?" if near else " `cross-modal datasets` lists the known ones."
        raise schema.TableError(f"Expected a dataset, configuration and version that TFDS knows. Received: tfds:{name}.{hint}") from error


def _columns(features):
    """All features of a known kind, under their own names; the texts of a translation under the tags of their languages."""
    columns = {}
    for path, feature in sorted(_paths(features).items()):  # Their own order is not the same each time.
        name = path.split("/")[-1]
        kind = feature.feature if isinstance(feature, tfds.features.Sequence) else feature
        if isinstance(kind, (tfds.features.Image, tfds.features.Audio, tfds.features.ClassLabel, tfds.features.Text)):
            parent = features
            for part in path.split("/")[:-1]:
                parent = parent[part] if isinstance(parent, tfds.features.FeaturesDict) else parent.feature[part]
            if isinstance(parent, tfds.features.Translation) and langcodes.tag_is_valid(name):
                name = f"text:{name}"
            if name not in (*schema.RESERVED, *columns) and ":" not in name.removeprefix("text:"):
                columns[name] = path
    return columns


def _paths(features, before=""):
    """Dict of path, with `/` between its parts, to feature, for all that have no parts."""
    found = {}
    for name, feature in features.items():
        inner = feature.feature if isinstance(feature, tfds.features.Sequence) else feature
        if isinstance(inner, tfds.features.FeaturesDict):
            found |= _paths(inner, f"{before}{name}/")
        else:
            found[before + name] = feature
    return found


def _feature(features, path, name):
    paths = _paths(features)
    if path not in paths:
        raise schema.TableError(f"tfds:{name}: expected one of its features: {', '.join(paths)}. Received: {path}")
    feature = paths[path]
    return feature.feature if isinstance(feature, tfds.features.Sequence) else feature


def _undecoded(columns, features):
    """Tells TFDS to leave pictures as the bytes that they are stored as."""
    decoders = {}
    for column, path in columns.items():
        if isinstance(features[column], tfds.features.Image):
            *parents, last = path.split("/")
            place = decoders
            for part in parents:
                place = place.setdefault(part, {})
            place[last] = tfds.decode.SkipDecoding()
    return decoders


def _inside(example, path):
    for part in path.split("/"):
        example = example[part]
    return example


def _value(feature, value, name, path):
    if isinstance(feature, tfds.features.Audio):
        if not feature.sample_rate:
            raise schema.TableError(f"tfds:{name}: expected the sounds of {path} to have a sample rate. Received none.")
        samples = np.asarray(value, np.float32)
        return encode_wav(samples / 2**15 if np.issubdtype(feature.np_dtype, np.integer) else samples, int(feature.sample_rate))
    if isinstance(value, np.ndarray) and value.ndim:
        return [_value(feature, one, name, path) for one in value]
    if isinstance(feature, tfds.features.ClassLabel):
        return None if value < 0 else feature.int2str(int(value))
    if isinstance(value, bytes):
        return value if isinstance(feature, tfds.features.Image) else value.decode("utf-8", "surrogateescape")
    return value.item() if isinstance(value, np.generic) else value
