"""The command line `cross-modal`. TensorFlow is imported inside the verbs alone, so that `--help` answers at once."""

import argparse
import json
import os
import pathlib
import sys
import textwrap

_VERBS = {
    "demo": ("train, score, export and query on the embedded sample, in one go", "cross-modal demo --out saved_models/demo"),
    "ingest": (
        "read a table, check it, and write a dataset; a run that was stopped goes on",
        "cross-modal ingest items.jsonl --out dataset --field caption=text\n  cross-modal ingest photos/ --check\n"
        "  cross-modal ingest tfds:coco_captions --out dataset --map image=image --map text:en=captions/text",
    ),
    "datasets": ("list the datasets of TFDS by modality, and the tables under a folder", "cross-modal datasets data --modality image"),
    "describe": ("say what a dataset, a run or an export holds", "cross-modal describe dataset"),
    "train": ("train a task on a dataset", "cross-modal train dataset --run saved_models/first --task alignment --set training.epochs=30"),
    "evaluate": ("score a run on a split", "cross-modal evaluate saved_models/first --split test"),
    "predict": ("answer for the items of a table, one JSON line each", "cross-modal predict saved_models/first items.jsonl > answers.jsonl"),
    "search": (
        "find what is nearest to a text, picture or sound",
        "cross-modal search saved_models/first text:tr=yüz --target image\n  cross-modal search saved_models/first audio:fr=question.wav --target text --language en",
    ),
    "export": ("write a SavedModel that takes raw strings and bytes", "cross-modal export saved_models/first"),
}


_WITHOUT_TENSORFLOW = ("ingest", "datasets")


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: list of str; None for those of the process.

    Returns:
        Exit status: 0, or 1 after an error that the user can mend.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.verb not in _WITHOUT_TENSORFLOW:
            _load_quietly()
        globals()[f"_{options.verb}"](options)
    except (ValueError, KeyError, OSError, ModuleNotFoundError) as error:
        if options.debug:
            raise
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"cross-modal {options.verb}: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"cross-modal {options.verb}: stopped. `train` goes on with --resume, `ingest` when it is started again.", file=sys.stderr)
        return 130
    return 0


def _load_quietly():
    """Imports TensorFlow without the lines about processors that it prints before any setting of ours can reach it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import tensorflow_text  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _parser():
    parser = argparse.ArgumentParser(prog="cross-modal", description="One model for pictures, sound and text in several languages.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = {}
    for name, (words, example) in _VERBS.items():
        made[name] = verbs.add_parser(
            name, help=words, description=words[0].upper() + words[1:] + ".", epilog=f"example:\n  {example}", formatter_class=argparse.RawDescriptionHelpFormatter
        )
        made[name].add_argument("--debug", action="store_true", help="show where an error comes from")
    _add_data_arguments(made)
    _add_run_arguments(made)
    return parser


def _add_data_arguments(verbs):
    add = verbs["demo"].add_argument
    add("--out", default="saved_models/demo", help="folder for all that it makes (%(default)s)")
    add("--quick", action="store_true", help="a few steps only, to see that everything runs; the scores mean nothing")
    add = verbs["ingest"].add_argument
    add("table", help=".csv, .tsv, .jsonl or .parquet, media being paths relative to it; a folder of class-named subfolders; or tfds:NAME")
    add("--out", help="folder of the dataset")
    add("--check", action="store_true", help="only say what is found; with --out also write quarantine.csv there")
    add("--field", action="append", default=[], metavar="NAME=KIND", help="kind of a field (image, text, audio, label) where its values mislead; may be repeated")
    add("--splits", default="0.8,0.1,0.1", metavar="TRAIN,VALIDATION,TEST", help="shares, where the table has no split (%(default)s)")
    add("--seed", type=int, default=0, help="of the splits (%(default)s)")
    add("--together", action="append", default=[], metavar="FIELD", help="keep equal texts of this field in one split; may be repeated")
    add("--max-bad", type=float, metavar="SHARE", help="stop if more views than this are unusable (0.01; with --check, never)")
    add("--allow", action="append", default=[], choices=("constant", "extension"), help="take pictures of one colour, or files that are not what their extension says")
    add("--image-size", type=int, default=512, metavar="PIXELS", help="most pixels on the long side that are kept (%(default)s)")
    add("--max-pixels", type=int, default=50_000_000, metavar="PIXELS", help="most pixels of a picture that is read (%(default)s)")
    add("--max-seconds", type=float, default=300, metavar="SECONDS", help="longest recording (%(default)s)")
    add("--max-characters", type=int, default=100_000, metavar="COUNT", help="longest text (%(default)s)")
    add("--background", default="255,255,255", metavar="R,G,B", help="colour behind what is transparent (%(default)s)")
    add("--encoding", help="of a text file, where it is not found out rightly")
    add("--map", action="append", default=[], metavar="COLUMN=FEATURE", help="with tfds:, a column and the feature to take for it; may be repeated")
    add("--data-dir", help="with tfds:, folder of the datasets")
    add("--download-limit", type=float, default=60, metavar="SECONDS", help="with tfds:, give a download up after so long without progress (%(default)s)")
    add("--beam", metavar="OPTIONS", help="run on Apache Beam with these pipeline options, such as '--runner=FlinkRunner'; '' for this machine")
    add = verbs["datasets"].add_argument
    add("folder", nargs="?", help="list the tables and datasets under it")
    add("--modality", help="only datasets of TFDS with this modality: image, audio, text, video")
    verbs["describe"].add_argument("path", help="folder of a dataset, a run or an export")


def _add_run_arguments(verbs):
    add = verbs["train"].add_argument
    add("dataset", nargs="?", help="folder of the dataset; may stand in --config instead")
    add("--run", required=True, help="folder of the run")
    add("--task", help="alignment, classification, or module:name")
    add("--config", metavar="RUN.YAML", help="take the keys from this file")
    add("--set", action="append", default=[], metavar="A.B=VALUE", help="set a key of run.yaml; may be repeated")
    add("--resume", action="store_true", help="go on with the run in the folder")
    for name in ("evaluate", "predict", "search", "export"):
        verbs[name].add_argument("run", help="folder of the run")
    add = verbs["evaluate"].add_argument
    add("--split", default="test", help="(%(default)s)")
    add("--dataset", help="another dataset than the one it was trained on")
    verbs["predict"].add_argument("table", help=".csv, .tsv or .jsonl; media are paths relative to it")
    add = verbs["search"].add_argument
    add("query", metavar="FIELD[:LANGUAGE]=VALUE", help="what to look for: a text, or the path of a picture or recording")
    add("--target", default="image", metavar="FIELD", help="field to find (%(default)s)")
    add("--language", help="find views in this language only")
    add("--dataset", help="where to look; the dataset it was trained on")
    add("--split", default="test", help="(%(default)s)")
    add("-k", type=int, default=5, help="how many to show (%(default)s)")
    verbs["export"].add_argument("--out", help="folder of the SavedModel (RUN/export)")


def _demo(options):
    from cross_modal.demo import demo

    demo(options.out, quick=options.quick)


def _ingest(options):
    from cross_modal.data import check_table, ingest, ingesting, running, summary

    if not options.out and not options.check:
        raise ValueError("Expected --out, the folder of the dataset, or --check. Received neither.")
    try:
        fractions = tuple(float(share) for share in options.splits.split(","))
        background = tuple(int(part) for part in options.background.split(","))
    except ValueError as error:
        raise ValueError(f"Expected --splits and --background to be numbers with commas between them. Received: {options.splits} and {options.background}") from error
    keywords = {
        "kinds": dict(_pair(one, "--field NAME=KIND") for one in options.field),
        "fractions": fractions,
        "seed": options.seed,
        "together": options.together,
        "source": {
            "encoding": options.encoding,
            "columns": dict(_pair(one, "--map COLUMN=FEATURE") for one in options.map),
            "data_dir": options.data_dir,
            "download_limit": options.download_limit,
        },
        "runner": running.in_threads if options.beam is None else running.on_beam(options.beam.split()),
        "background": background,
        **{name: getattr(options, name) for name in ("image_size", "max_pixels", "max_seconds", "max_characters")},
        "allow": tuple(options.allow),
    }
    if options.check:
        said, fields, bad = check_table(options.table, max_bad=1.0 if options.max_bad is None else options.max_bad, **keywords)
        print(summary.described(said, fields))
        if options.out:
            pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)
            ingesting.write_quarantine(pathlib.Path(options.out), bad)
    else:
        print(_described(ingest(options.table, options.out, max_bad=0.01 if options.max_bad is None else options.max_bad, **keywords)))


def _pair(given, expected):
    name, equals, value = given.partition("=")
    if not (name and equals and value):
        raise ValueError(f"Expected {expected}. Received: {given}")
    return name, value


def _datasets(options):
    from cross_modal.data import public, sources

    if options.folder:
        for path, said in sources.find_tables(options.folder):
            print(f"{path}\n  {said}")
        return
    for modality, names in public.known().items():
        if not options.modality or options.modality in modality.split("+"):
            print(f"{modality}, {len(names)}:\n{textwrap.fill('  '.join(names), 140, initial_indent='  ', subsequent_indent='  ')}")
    print("Take one as a table: cross-modal ingest tfds:NAME --out dataset")


def _described(dataset):
    from cross_modal.data.summary import described

    return described(dataset.describe(), list(dataset.fields.values()))


def _describe(options):
    path = pathlib.Path(options.path)
    if (path / "saved_model.pb").exists():
        from cross_modal.exporting import load

        for name, endpoint in sorted(load(path).items()):
            arguments = ", ".join(sorted(endpoint.signature))
            outputs = ", ".join(f"{key} {value.dtype.name}{list(value.shape)}" for key, value in sorted(endpoint.compiled.structured_outputs.items()))
            print(f"{name}({arguments}) -> {outputs}")
    elif (path / "run.yaml").exists():
        print((path / "run.yaml").read_text(encoding="utf-8"))
        if (path / "metrics.json").exists():
            from cross_modal.config import load_task

            for split, scores in json.loads((path / "metrics.json").read_text()).items():
                print(f"{split}\n{load_task(path)[1].summary(scores)}")
    else:
        from cross_modal.data import Dataset

        print(_described(Dataset(path)))


def _train(options):
    from cross_modal import config, evaluation, report, training
    from cross_modal.data import Dataset

    run = pathlib.Path(options.run)
    if options.resume:
        full, task = config.load_task(run)
    else:
        given = config.read_config(options.config) if options.config else {}
        given |= {name: value for name, value in (("dataset", options.dataset), ("task", options.task)) if value}
        full = config.resolve(config.set_keys(given, options.set))
        if (run / "run.yaml").exists():
            raise FileExistsError(f"Expected a folder without a run. Received: {run}. Give another --run, go on with --resume, or delete it.")
        features, languages = config.make_features(full)
        task = config.make_task(full, features, languages)
        config.save_run(run, full, features, languages)
    dataset = Dataset(full["dataset"])
    model = training.fit(task, dataset, run, seed=full["seed"], resume=options.resume, **full["training"])
    report.history_picture(run / "history.csv", run / "history.png")
    split = "validation" if "validation" in dataset.splits else "train"
    print(f"\n{split}\n{task.summary(evaluation.evaluate(task, model, dataset, split, run=run))}")
    print(f"\n{run}: run.yaml, model.keras, history.csv, history.png, metrics.json. Next: cross-modal evaluate {run}; cross-modal export {run}")


def _loaded(run):
    import keras

    from cross_modal.config import load_task

    config, task = load_task(run)
    if not (pathlib.Path(run) / "model.keras").exists():
        raise FileNotFoundError(f"Expected a trained run. Received: {run}, which has no model.keras yet. Go on with `cross-modal train --run {run} --resume`.")
    return config, task, keras.models.load_model(pathlib.Path(run) / "model.keras")


def _evaluate(options):
    from cross_modal.data import Dataset
    from cross_modal.evaluation import evaluate

    config, task, model = _loaded(options.run)
    dataset = Dataset(options.dataset or config["dataset"])
    print(task.summary(evaluate(task, model, dataset, options.split, run=options.run)))


def _predict(options):
    from cross_modal.data import read_examples
    from cross_modal.serving import predict

    _, task, model = _loaded(options.run)
    kinds = {name: feature.kind for name, feature in task.features.items()}

    def examples():
        for example, bad in read_examples(options.table, kinds):
            for one in bad:
                print(f"{options.table}, row {one['row']}, field {one['field']}: {one['reason']}: {one['path']}", file=sys.stderr)
            yield example

    for answer in predict(task.endpoints(model), examples()):
        print(json.dumps(answer, ensure_ascii=False), flush=True)


def _search(options):
    from cross_modal.data import Dataset, media
    from cross_modal.data.schema import UNDETERMINED, parse_column
    from cross_modal.serving import build_gallery, embedder, search

    config, task, model = _loaded(options.run)
    column, equals, value = options.query.partition("=")
    if not equals:
        raise ValueError(f"Expected a query FIELD[:LANGUAGE]=VALUE, such as text:tr=yüz or image=cat.png. Received: {options.query!r}")
    field, language = parse_column(column)
    endpoints = task.endpoints(model)
    embedder(endpoints, field)  # An unknown field is told before the gallery is embedded.
    kind = task.features[field].kind
    if kind in ("image", "audio"):
        path = pathlib.Path(value)
        try:
            raw = media.read_media(path.parent, path.name)
            value = media.canonical_image(raw) if kind == "image" else media.canonical_audio(raw)
        except media.MediaError as error:
            raise ValueError(f"Expected the path of a file for {field}. Received: {value}, which is {error}") from error
    gallery = build_gallery(endpoints, Dataset(options.dataset or config["dataset"]), options.split, options.target, options.language)
    shown = task.features[options.target].kind == "text"
    print(f"{'cosine':>6}  {'id':<12}  {options.target}")
    for place, cosine in search(endpoints, gallery, field, value, language or UNDETERMINED, options.k):
        what = gallery.values[place].decode() if shown else f"{len(gallery.values[place]):,} bytes"
        tag = "" if gallery.languages[place] == UNDETERMINED else f"  ({gallery.languages[place]})"
        print(f"{cosine:>6.3f}  {gallery.ids[place]:<12}  {what}{tag}")


def _export(options):
    from cross_modal.exporting import export

    _, task, model = _loaded(options.run)
    folder = export(task, model, options.out or pathlib.Path(options.run) / "export")
    _describe(argparse.Namespace(path=folder))
    print(f"\n{folder}: a SavedModel that takes raw strings and bytes, for TensorFlow Serving, KServe, or tf.saved_model.load")
