"""The verbs about vectors of views and words."""

import json
import pathlib
import random
import sys

from cross_modal.cli.texts import content_of, lines_of
from cross_modal.words import words_of

_VIEW = "FIELD[:LANGUAGE]=VALUE"


def add_arguments(verbs):
    """Adds the arguments of the verbs here; `verbs` is a dict of name to parser."""
    for name in ("encode", "similarity", "mine", "probe", "reconstruct"):
        verbs[name].add_argument("run", help="folder of a run that aligns or autoencodes")
    add = verbs["encode"].add_argument
    add("files", nargs="*", help="text files, a text a line (the standard input where there are none); of another field its pictures or recordings")
    add("--field", help="which field they are; the run's texts")
    add("--from", dest="source", default="und", metavar="LANGUAGE", help="language of what is read")
    add("--out", metavar="VECTORS.NPY", help="write an array of NumPy here, in place of a JSON line each")
    verbs["similarity"].add_argument("views", nargs="+", metavar=_VIEW, help="two or more views: texts, or paths of pictures or recordings")
    add = verbs["mine"].add_argument
    add("sources", help="text file, a sentence a line")
    add("targets", help="text file, a sentence a line")
    add("--from", dest="source", default="und", metavar="LANGUAGE", help="language of the sources")
    add("--to", default="und", metavar="LANGUAGE", help="language of the targets")
    add("--field", help="the run's texts, where there are several fields of them")
    add("--least", type=float, default=1.05, metavar="MARGIN", help="pairs below it are left out (%(default)s)")
    add = verbs["probe"].add_argument
    add("--label", default="label", help="field of the classes (%(default)s)")
    add("--dataset", help="another dataset than the one it was trained on")
    add("--split", default="test", help="what is asked (%(default)s)")
    add("--per-class", type=int, metavar="N", help="train on so many items of each class; all")
    add = verbs["reconstruct"].add_argument
    add("views", nargs="+", metavar=_VIEW, help="what is given: texts, or paths of pictures or recordings")
    add("--to", action="append", default=[], metavar="FIELD:LANGUAGE", help="language of a field that is made; may be repeated")
    add("--out", default="reconstructed", help="folder for what is made (%(default)s)")
    add = verbs["vectors"].add_argument
    add("dataset", help="folder of the dataset, of whose training split the words are learned")
    add("--out", required=True, help="folder of the vectors, a file a language, and of TensorBoard's projector")
    add("--field", help="field of texts; the first")
    add("--method", choices=("skip-gram", "glove"), default="skip-gram", help="(%(default)s)")
    add("--dim", type=int, default=100, help="size of a vector (%(default)s)")
    add("--epochs", type=int, help="times that the texts are gone through; 5 by skip-gram, 15 by glove")
    add("--min-count", type=int, default=2, help="rarer words are left out (%(default)s)")
    add("--seed", type=int, default=0, help="(%(default)s)")
    add("--align", metavar="LANGUAGE", help="bring the other languages into the space of this one, by sentences of the same items")
    add("--dictionary", metavar="FILE", help="with --align: by these pairs, a line each of language, word and the word in the language of --align, with tabs between")


def encode(options):
    import numpy as np

    from cross_modal.encoding import encode as encode_views

    _, task, endpoints = _loaded(options.run)
    field = _field(task, options.field)
    values, names = _values(task, field, options.files)
    vectors = encode_views(endpoints, field, values, language_of(task, options.source, "--from"))
    if options.out:
        with open(options.out, "wb") as file:  # `numpy.save` puts an ending to a name without one.
            np.save(file, vectors)
        print(f"{options.out}: {len(vectors):,} vectors of {vectors.shape[1]} numbers", file=sys.stderr)
    else:
        for name, vector in zip(names, vectors.tolist()):
            print(json.dumps({field: name, "vector": [round(number, 6) for number in vector]}, ensure_ascii=False))


def similarity(options):
    from cross_modal import encoding

    if len(options.views) < 2:
        raise ValueError(f"Expected two views or more, {_VIEW}. Received: {len(options.views)}")
    _, task, endpoints = _loaded(options.run)
    cosines = encoding.similarity(endpoints, [read_given(task, view) for view in options.views])
    width = max(len(view) for view in options.views) + 1
    print(" " * width + "".join(f"{number:>7}" for number in range(1, len(cosines) + 1)))
    for view, row in zip(options.views, cosines):
        print(f"{view:<{width}}" + "".join(f"{cosine:>7.3f}" for cosine in row))


def mine(options):
    from cross_modal import encoding

    _, task, endpoints = _loaded(options.run)
    field, sides = _field(task, options.field), []
    for path, language in ((options.sources, language_of(task, options.source, "--from")), (options.targets, language_of(task, options.to, "--to"))):
        lines = list(dict.fromkeys(line for line in _values(task, field, [path])[0] if line.strip()))
        sides.append((lines, encoding.encode(endpoints, field, lines, language)))
    (sources, a), (targets, b) = sides
    pairs = [pair for pair in encoding.mine(a, b) if pair[2] >= options.least]
    for place, end, margin in pairs:
        print(f"{margin:.4f}\t{sources[place]}\t{targets[end]}")
    print(f"{len(pairs):,} pairs of {len(sources):,} and {len(targets):,} sentences", file=sys.stderr)


def probe(options):
    from cross_modal import probing
    from cross_modal.cli.runs import scores_folder
    from cross_modal.data import Dataset

    config, _, endpoints = _loaded(options.run)
    dataset = Dataset(options.dataset or config["dataset"])
    rows = probing.probe(endpoints, dataset, options.label, options.split, per_class=options.per_class, seed=config["seed"])
    path = scores_folder(options.run, config, dataset) / f"probe-{options.label}-{options.split}.json"
    path.write_text(json.dumps(rows, indent=1))
    print(f"{probing.probe_table(rows)}\n\n{path}: macro-F1 too")


def reconstruct(options):
    from cross_modal.data import media
    from cross_modal.data.schema import parse_column
    from cross_modal.serving import ask

    _, task, endpoints = _loaded(options.run)
    if "reconstruct" not in endpoints:
        raise ValueError(f"Expected a run that autoencodes, made with --task autoencoding. Received: {options.run}")
    row = {}
    for field, language, value in (read_view(task, view) for view in options.views):
        if field in row or not value:
            raise ValueError(f"Expected one value of each field that is given. Received: {'two' if field in row else 'an empty one'} of {field}")
        row |= {field: value, f"{field}_language": language}
    for field, tag in map(parse_column, options.to):
        if field not in task.features or field in row:
            raise ValueError(f"Expected --to for fields that are not given, of {', '.join(task.features)}. Received: {field}")
        if tag not in task.tags(field):
            raise ValueError(f"Expected --to to be a language of {field}: {', '.join(task.tags(field)) or 'it has none'}. Received: {field}:{tag}")
        row[f"{field}_language"] = tag
    answers, out = ask(endpoints["reconstruct"], [row]), pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for name, feature in task.features.items():
        if name in task.texts:
            made = answers[name][0]
            (out / f"{name}.txt").write_text(made.decode() + "\n", encoding="utf-8")
            print(f"{name}: {made.decode()}")
        elif feature.has_time:
            frames = answers[name][0][: answers[f"{name}_frames"][0]]
            if feature.range_db is None:
                print(f"{name}: {len(frames)} frames, not written: the run keeps no loudness of bands (features.{name}.range_db), so that they cannot be heard")
            else:
                (out / f"{name}.wav").write_bytes(media.encode_wav(feature.sound(frames)))
                print(f"{name}: {out / f'{name}.wav'}, {len(frames) * feature.hop_ms / 1000:.2f} s")
        else:
            (out / f"{name}.png").write_bytes(answers[f"{name}_bytes"][0])
            print(f"{name}: {out / f'{name}.png'}")


def vectors(options):
    import tensorflow as tf

    from cross_modal import lexicons
    from cross_modal.data import Dataset

    tf.get_logger().setLevel("ERROR")  # It warns of a function that is traced again for each language.
    for name, value in {"epochs": options.epochs, "dim": options.dim, "min-count": options.min_count}.items():
        if value is not None and value < 1:
            raise ValueError(f"Expected --{name} of at least 1. Received: {value}")
    dataset, out = Dataset(options.dataset), pathlib.Path(options.out)
    fields = [name for name, field in dataset.fields.items() if field.kind == "text"]
    field = options.field or next(iter(fields), None)
    if field not in fields:
        raise ValueError(f"Expected a field of texts: {', '.join(fields) or 'there is none'}. Received: {field}")
    texts = _texts_by_language(dataset, field)
    if options.align and options.align not in texts:
        raise ValueError(f"Expected --align to be a language of {field} in the training split: {', '.join(texts)}. Received: {options.align}")
    if options.dictionary and not options.align:
        raise ValueError("Expected --align, the language of the second words of --dictionary. Received: none")
    out.mkdir(parents=True, exist_ok=True)
    given, found, anchors = _dictionary(options.dictionary) if options.dictionary else {}, {}, {}
    for tag, items in texts.items():
        try:
            found[tag] = _learned(options, tag, [text for some in items.values() for text in some])
        except ValueError as error:
            print(f"{field}:{tag} gets no vectors: {error}", file=sys.stderr)
    if not found or (options.align and options.align not in found):
        raise ValueError(f"Expected texts to learn words from{f', in {options.align} too' if options.align else ''}. Received: none that can be learned from")
    target = found.get(options.align)
    for tag in [tag for tag in found if options.align and tag != options.align]:
        pairs = given.get(tag.casefold(), []) if options.dictionary else lexicons.seed_lexicon(*_parallel(texts[tag], texts[options.align]))
        try:
            turned, found[options.align] = lexicons.align(found[tag], target, pairs)
            anchors[tag], found[tag] = _beside(options, found[tag], target, pairs), turned
        except ValueError as error:
            print(f"{field}:{tag} stays in a space of its own: {error}", file=sys.stderr)
    for tag, one in found.items():
        one.save(out / f"{field}.{tag}.vec")
        one.projector(out, f"{field}.{tag}")
        print(f"{out / f'{field}.{tag}.vec'}: {len(one.words):,} words of {one.vectors.shape[1]} numbers{anchors.get(tag, '')}; such as {_neighbours(one)}")


def _learned(options, tag, texts):
    from cross_modal.word_vectors import METHODS

    if sys.stderr.isatty():
        print(f"{tag}, {len(texts):,} texts", file=sys.stderr)
    given = {} if options.epochs is None else {"epochs": options.epochs}
    return METHODS[options.method](texts, options.dim, min_count=options.min_count, seed=options.seed, progress=_tell if sys.stderr.isatty() else None, **given)


def _beside(options, vectors, target, pairs):
    """Says how many words bring a language beside another, and how often a translation is found that was not among them."""
    from cross_modal import lexicons

    pairs = [(a, b) for a, b in pairs if a in vectors.places and b in target.places]
    said = f", by {len(pairs):,} words in the space of {options.align}"
    if len(pairs) < 20:
        return said
    words = sorted({a for a, _ in pairs})  # A word of several translations is left out with all of them.
    left = set(random.Random(options.seed).sample(words, max(1, len(words) // 5)))
    parts = [[pair for pair in pairs if (pair[0] in left) == out] for out in (False, True)]
    scores = lexicons.lexicon_scores(*lexicons.align(vectors, target, parts[0]), parts[1])
    return f"{said} (of {scores['words']} left out of them, {scores['precision@1']:.2f} are found at once and {scores['precision@5']:.2f} among five)"


def _neighbours(vectors):
    """The most common word of four letters and more, and what is near to it."""
    word = next((word for word in vectors.words if len(word) > 3), vectors.words[0])
    return f"{word}: {', '.join(other for other, _ in vectors.nearest(word, 4))}"


def _tell(epoch, loss, speed):
    print(f"epoch {epoch}: loss {loss:.4f}, {speed:,.0f} words/s", file=sys.stderr)


def _texts_by_language(dataset, field):
    """Dict of language to dict of item to its texts, of the training split."""
    found = {}
    for item in dataset.items("train").as_numpy_iterator():
        for value, tag in zip(item[field]["value"], item[field]["language"]):
            found.setdefault(tag.decode(), {}).setdefault(item["id"], []).append(value.decode())
    return found


def _parallel(texts, others):
    """Texts of the same items in two languages."""
    both = [item for item in texts if item in others]
    return [texts[item][0] for item in both], [others[item][0] for item in both]


def _dictionary(path):
    """Dict of language to pairs of words."""
    pairs, several = {}, 0
    for number, line in enumerate(lines_of([path]), 1):
        language, *words = line.split("\t")
        if line.strip() and len(words) != 2:
            raise ValueError(f"{path}, line {number}: expected language, word and word with tabs between. Received: {line[:60]!r}")
        words = [words_of(word) for word in words]  # As the words of texts are told apart.
        if words and all(len(one) == 1 for one in words):
            pairs.setdefault(language.strip().casefold(), []).append((words[0][0], words[1][0]))
        several += any(len(one) != 1 for one in words)
    if several:
        print(f"{path}: {several:,} lines are left out, where something is not one word", file=sys.stderr)
    return pairs


def language_of(task, tag, place):
    """The usual form of a tag; says so where the run does not know the language, whose texts are then those of an unknown one."""
    import langcodes

    if not langcodes.tag_is_valid(tag):
        raise ValueError(f"Expected {place} to be a BCP 47 tag, such as en or pt-BR. Received: {tag!r}")
    tag = langcodes.standardize_tag(tag)
    if tag not in task.languages.names:
        print(f"{place}: {tag} is none of the languages that the run knows, {', '.join(task.languages.names[1:]) or 'of which there are none'}", file=sys.stderr)
    return tag


def read_view(task, given):
    """Reads FIELD[:LANGUAGE]=VALUE: triple of field, language and raw value; of a picture or recording what stands in its file."""
    from cross_modal.data.schema import UNDETERMINED, parse_column

    column, equals, value = given.partition("=")
    if not equals:
        raise ValueError(f"Expected {_VIEW}, such as text:tr=yüz or image=cat.png. Received: {given!r}")
    field, language = parse_column(column)
    if field not in task.features:
        raise ValueError(f"Expected a field of the run: {', '.join(task.features)}. Received: {field}")
    kind = task.features[field].kind
    language = language_of(task, language or UNDETERMINED, given.partition("=")[0])
    return field, language, read_value(kind, value) if kind in ("image", "audio") else value


def read_given(task, given):
    """As `read_view`, but no empty text: nothing is like it."""
    found = read_view(task, given)
    if not found[2].strip():
        raise ValueError(f"Expected {_VIEW}. Received: {given!r}, which is empty")
    return found


def read_value(kind, path):
    """Reads the file of a picture or recording as a dataset has it."""
    from cross_modal.data import media

    try:
        raw = content_of(path)
        return media.canonical_image(raw) if kind == "image" else media.canonical_audio(raw)
    except media.MediaError as error:
        raise ValueError(f"Expected the path of a file of {kind}. Received: {path}, which is {error}") from error


def _loaded(run):
    """The configuration, the task and the endpoints of a run."""
    from cross_modal.cli.runs import load_run

    config, task, model = load_run(run)
    return config, task, task.endpoints(model)


def _field(task, given):
    """The field that is asked for, or the first of texts."""
    texts = [name for name, feature in task.features.items() if feature.kind == "text"]
    field = given or next(iter(texts), None)
    if field not in task.features:
        raise ValueError(f"Expected --field, one of {', '.join(task.features)}. Received: {field}")
    return field


def _values(task, field, files):
    """What is to be encoded, and what it is called."""
    kind = task.features[field].kind
    if kind != "text":
        return [read_value(kind, path) for path in files], files
    lines = list(lines_of(files))
    return lines, lines
