"""Rows of folders whose subfolders are classes."""

import collections
import os
import pathlib

from cross_modal.data import containers, encodings, media, schema


def open_folder(path, encoding=None):
    """Opens a folder CLASS/FILE or SPLIT/CLASS/FILE: the kind of a file is that of its extension, the label is its folder.

    Args:
        path: of the folder.
        encoding: of texts; None to find out.

    Returns:
        `Source`.

    Raises:
        TableError: if it has no such files, or not at like places, or there is no such encoding.
    """
    encodings.encoding_of(path, b"", encoding)  # One that Python does not know is told before anything is read.
    kinds = containers.KIND_OF | {".txt": "text"}
    listed, passed = [], collections.Counter()
    for folder, folders, files in os.walk(path):
        parts = pathlib.PurePath(folder).relative_to(path).parts
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        for name in list(folders):
            link, ours = os.path.islink(os.path.join(folder, name)), is_dataset(pathlib.Path(folder, name))
            if link or ours:
                folders.remove(name)
                passed[f"{'/'.join((*parts, name))}, a {'link to a folder' if link else 'dataset'}"] += 1
        for name in sorted(name for name in files if not name.startswith(".")):
            suffix = pathlib.PurePath(name).suffix.lower()
            if parts and suffix in kinds:
                listed.append((parts, name, kinds[suffix]))
            else:
                passed[suffix or "no extension"] += 1
    parted = _is_parted(path, sorted({parts[0] for parts, _, _ in listed}))
    if parted:
        passed.update(pathlib.PurePath(name).suffix.lower() for parts, name, _ in listed if len(parts) == 1)
        listed = [one for one in listed if len(one[0]) > 1]
    if not listed:
        tables = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in schema.FORMATS)
        hint = f" It holds the tables {', '.join(tables)}: give one of them." if tables else " It holds a dataset already." if is_dataset(path) else ""
        raise schema.TableError(f"Expected a table, or a folder of class-named subfolders with pictures, recordings or .txt files. Received: {path}.{hint}")
    level = _class_level(path, [parts for parts, _, _ in listed], int(parted))
    listed = _joined(listed)

    def rows():
        for number, (parts, item, files) in enumerate(listed, 1):
            row = {"id": "/".join((*parts, item)), "split": parts[0].lower() if parted else ""}
            try:
                for kind, name in files.items():
                    file = "/".join((*parts, name))
                    row[kind] = _text(path, file, encoding) if kind == "text" else file
            except media.MediaError as error:
                yield number, schema.TableError(f"{file}: {error}")
                continue
            yield number, row | {"label": parts[level]}

    texts = [schema.stamp(path.joinpath(*parts, files["text"])) for parts, _, files in listed if "text" in files]
    notes = (
        {"format": "folder"}
        | ({"classes": "the folders that hold the files"} if level not in (0, int(parted)) else {})
        | ({"passed over": dict(sorted(passed.items()))} if passed else {})
    )
    return schema.Source(str(path), path, schema.digest(listed, texts, level, encoding), rows, len(listed), notes)


def _text(path, file, encoding):
    """What a file says, so that no bytes of it are taken for those of a recording; bytes where its encoding could only be guessed, or is broken."""
    raw = media.read_media(path, file)
    try:
        found, guess = encodings.encoding_of(path / file, raw, encoding)
        return raw if guess else raw.decode("utf-8-sig" if found == "utf-8" else found)
    except (UnicodeError, schema.TableError):
        return raw


def is_dataset(folder):
    """Whether `ingest` wrote, or is writing, a folder."""
    begun = (folder / ".ingest").is_dir() and (folder / "quarantine.csv").is_file()
    return any(folder.glob("items/*/dataset_info.json")) or begun or (folder / "dataset_info.json").is_file()


def _is_parted(path, top):
    """Whether the folders that hold files are splits."""
    parts = [name for name in top if schema.read_split(name)]
    if parts and len(parts) < len(top):
        others = ", ".join(name for name in top if name not in parts)
        raise schema.TableError(f"{path}: expected folders of splits, or of classes. Received both: {', '.join(parts)} are splits, {others} are not. Rename or move some.")
    return bool(parts)


def _class_level(path, folders, first):
    """Returns which part of a path is the class: the first, or the last where all files lie equally deep and the last says more."""
    depths = {len(parts) for parts in folders}
    if min(depths) == first + 1:
        return first
    layout = "CLASS/FILE or SPLIT/CLASS/FILE"
    if len(depths) > 1:
        raise schema.TableError(
            f"{path}: expected files at {layout}. Received none there, and files {', '.join(map(str, sorted(depths)))} folders deep. Give the folder above the classes."
        )
    level = min(depths) - 1
    for place in range(first, level):
        names = {parts[place] for parts in folders}
        if place and not first and all(map(schema.read_split, names)):
            raise schema.TableError(f"{path}: expected files at {layout}. Received splits further below: {', '.join(sorted(names))}. Give the folder above them.")
    return first if len({parts[level] for parts in folders}) == 1 < len({parts[first] for parts in folders}) else level


def _joined(listed):
    """Puts files of different kinds that lie beside each other under one name into one row: triples of folders, id, and dict of kind to file."""
    groups = collections.defaultdict(list)
    for parts, name, kind in listed:
        groups[parts, pathlib.PurePath(name).stem].append((kind, name))
    found = []
    for (parts, stem), files in groups.items():
        one = len(files) > 1 and len(dict(files)) == len(files)
        found += [(parts, stem, dict(files))] if one else [(parts, name, {kind: name}) for kind, name in files]
    return found
