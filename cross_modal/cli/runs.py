"""The verbs about runs: what is trained on a dataset."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import sys

XLA_HELP = "let XLA compile what writes: seconds for each new shape, then some times as fast; for long tables, and servers"


def add_arguments(verbs):
    """Adds the arguments of the verbs here; `verbs` is a dict of name to parser."""
    for name in ("train", "tune", "transfer", "few-shot"):
        add = verbs[name].add_argument
        add("dataset", nargs="?", help="folder of the dataset; may stand in --config instead")
        add("--run", required=True, help="folder of the run")
        add("--task", help="alignment, autoencoding, classification, generation, question_answering, or module:name")
        add("--config", metavar="RUN.YAML", help="take the keys from this file")
        add("--set", action="append", default=[], metavar="A.B=VALUE", help="set a key of run.yaml; may be repeated")
    add = verbs["tune"].add_argument
    add("--minutes", type=float, default=30.0, help="time for all of it (%(default)s)")
    add("--trials", type=int, default=20, help="most trials (%(default)s)")
    add("--between", action="append", default=[], metavar="A.B=[LOW,HIGH]", help="a number to search for; may be repeated; the learning rate, where nothing is named")
    add("--choose", action="append", default=[], metavar="A.B=[V,V,...]", help="values to choose among; may be repeated; the size, where nothing is named")
    for name in ("transfer", "few-shot"):
        add = verbs[name].add_argument
        add("--split", default="test", help="what is asked (%(default)s)")
        add("--seeds", type=int, default=1 if name == "transfer" else 5, help="how many models of each sort (%(default)s)")
    add = verbs["transfer"].add_argument
    add("--field", default="text", help="of texts or recordings, of which a model is shown one language (%(default)s)")
    add("--languages", help="tags with commas between; all of the field")
    add = verbs["few-shot"].add_argument
    add("--label", default="label", help="field of the classes (%(default)s)")
    add("--sizes", default="1,5,10,50", help="items of each class, with commas between (%(default)s)")
    add = verbs["train"].add_argument
    add("--resume", action="store_true", help="go on with the run in the folder")
    for name in ("evaluate", "export"):
        verbs[name].add_argument("--xla", action="store_true", help=XLA_HELP)
    for name in ("train", "evaluate"):
        verbs[name].add_argument("--no-baseline", action="store_true", help="do not train the linear model that the scores are set beside")
    add = verbs["evaluate"].add_argument
    add("runs", nargs="+", metavar="run", help="folder of the run; several that classify or align are scored as `export` joins them")
    add("--out", help="of several runs: folder for their scores")
    add("--split", default="test", help="(%(default)s)")
    add("--dataset", help="another dataset than the one it was trained on")
    add = verbs["serve"].add_argument
    add("path", help="folder of a run, which is exported if it was not yet, or of an export")
    add("--name", help="what it is called in addresses; the name of the folder")
    add("--port", type=int, default=8080, help="(%(default)s)")
    add("--max-rows", type=int, default=64, help="most rows of a request (%(default)s)")
    add("--max-bytes", type=int, default=2**25, help="most bytes of a request (%(default)s)")
    add = verbs["export"].add_argument
    add("runs", nargs="+", metavar="run", help="folder of the run; several that align the same fields, or have the same classes, make one SavedModel")
    add("--out", help="folder of the SavedModel (RUN/export); of several runs to be given")


def train(options):
    from cross_modal import config, evaluation, report, training
    from cross_modal.data import Dataset
    from cross_modal.features.saved import holds_run, is_of

    run = pathlib.Path(options.run)
    if options.resume:
        full, task = config.load_task(run)
        if options.dataset or options.task or options.config or not all(one.startswith("training.epochs=") for one in options.set):
            raise ValueError(f"Expected nothing beside --resume but --set training.epochs=NUMBER: the rest stands in {run / 'run.yaml'}. Received: other settings")
        full = config.resolve(config.set_keys(full, options.set)) if options.set else full
        if (run / "model.keras").exists() and not (run / "checkpoints" / "state.json").exists():
            raise ValueError(f"Expected a run with its checkpoints to go on from. Received: {run}, which has none. Start a new one from it: training.start_from")
        before = model_digest(run)
    else:
        full = _configured(options)
        if holds_run(run):
            raise FileExistsError(f"Expected a folder without a run. Received: {run}. Give another --run, go on with --resume, or delete it.")
        features, languages = config.make_features(full)
        task = config.make_task(full, features, languages)
    dataset = Dataset(full["dataset"])
    if options.resume and not is_of(run, dataset):
        raise ValueError(
            f"Expected the dataset that the run was begun with. Received: {full['dataset']}, which was made anew since, and may have other items to train on. "
            "Ingest the table as it was, or start a new run from this one: training.start_from"
        )
    with _begun(run):
        config.save_run(run, full, task.features, task.languages, dataset)
        model = training.fit(task, dataset, run, seed=full["seed"], resume=options.resume, **full["training"])
    report.history_picture(run / "history.csv", run / "history.png")
    if options.resume and before and before != model_digest(run):  # What another model said.
        for old in [path for name in ("metrics.json", "predictions-*", "examples-*", "probe-*") for path in run.glob(name)]:
            old.unlink()
    if dataset.splits.get("validation"):
        print(f"\nvalidation\n{task.summary(evaluation.evaluate(task, model, dataset, 'validation', run=run, baseline=not options.no_baseline))}")
    made = ("run.yaml", "model.keras", "history.csv", "history.png", "metrics.json", "predictions-validation.html", "examples-validation.html")
    kept = [name for name in made if (run / name).exists()]
    print(f"\n{run}: {', '.join(kept)}. Next: cross-modal evaluate {run}; cross-modal export {run}")


@contextlib.contextmanager
def _begun(run):
    """Puts the settings of a run back as they were, if what follows fails before anything is learned: what is wrong can be set right under the same name."""

    def learned():
        return sorted((str(path), path.stat().st_mtime_ns) for path in run.glob("**/checkpoints/state.json"))

    kept, before = {run / name: (run / name).read_bytes() if (run / name).exists() else None for name in ("run.yaml", "features.json")}, learned()
    try:
        yield
    except Exception:
        if learned() == before:
            for path, content in kept.items():
                path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
        raise


def _configured(options):
    from cross_modal import config

    given = config.read_config(options.config) if options.config else {}
    given |= {name: value for name, value in (("dataset", options.dataset), ("task", options.task)) if value}
    return config.resolve(config.set_keys(given, options.set))


def tune(options):
    from cross_modal import config, tuning

    between, choose = ({one.partition("=")[0]: config.parse_value(one.partition("=")[2]) for one in given} for given in (options.between, options.choose))
    rows = tuning.tune(_configured(options), options.run, options.minutes, options.trials, between, choose)
    keys = [key for key in rows[0] if key not in ("trial", "seconds", "failed")]
    print("\n" + "  ".join(f"{key:>{max(8, len(key))}}" for key in ("trial", *keys)))
    for row in rows:
        cells = ("failed" if key == "merit" and row[key] is None else f"{row[key]:.4g}" if isinstance(row[key], float) else str(row[key]) for key in keys)
        print("  ".join(f"{cell:>{max(8, len(key))}}" for key, cell in zip(("trial", *keys), (str(row["trial"]), *cells))))
    best, first = rows[0], next(row for row in rows if row["trial"] == 1)
    print(f"\nbest on validation: trial {best['trial']}, {best['merit']:.4f}; as it was: {first['merit']:.4f}.", end=" ")
    print(f"Of {len(rows)} trials the best looks better than it is: the test split tells.")
    print(f"{options.run}: the run of the best trial, tune.csv, tune.png, trials. Next: cross-modal evaluate {options.run}")


def transfer(options):
    from cross_modal import report, studies

    languages, run = options.languages.split(",") if options.languages else (), pathlib.Path(options.run)
    with _begun(run):
        task, dataset, keys = _prepared(options)
        rows = studies.language_matrix(task, dataset, run, options.field, languages, options.split, options.seeds, sys.stderr.isatty(), **keys)
    picture = report.matrix_picture(rows, run / "languages.png", f"asked: {options.split}")
    print(f"{studies.matrix_table(rows)}\n\n{picture}; languages.json has each model's")


def few_shot(options):
    from cross_modal import report, studies

    run, sizes = pathlib.Path(options.run), options.sizes.split(",")
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise ValueError(f"Expected --sizes to be whole numbers of at least 1 with commas between them, such as 1,5,10. Received: {options.sizes}")
    with _begun(run):
        task, dataset, keys = _prepared(options)
        start = keys.pop("start_from")
        rows = studies.few_shot(task, dataset, run, options.label, start, list(map(int, sizes)), options.split, options.seeds, sys.stderr.isatty(), **keys)
    picture = report.few_shot_picture(rows, run / "few-shot.png", f"asked: {options.split}")
    print(f"{studies.few_shot_table(rows)}\n\n{picture}; few-shot.json has each model's")


def _prepared(options):
    """The task, the dataset and keywords of `training.fit`; of a folder that was begun, the features that it has."""
    from cross_modal import config
    from cross_modal.data import Dataset
    from cross_modal.features.saved import is_of

    run, full = pathlib.Path(options.run), _configured(options)
    if (run / "run.yaml").exists():
        if config.read_config(run / "run.yaml") != full:
            raise FileExistsError(f"Expected a new folder, or one that was begun with the same settings. Received: {run}")
        features, languages = config.load_features(run)
    else:
        features, languages = config.make_features(full)
    task = config.make_task(full, features, languages)
    dataset = Dataset(full["dataset"])
    if (run / "run.yaml").exists() and not is_of(run, dataset):
        raise FileExistsError(f"Expected a new folder, or one that was begun with the same dataset. Received: {run}; {full['dataset']} was made anew since")
    config.save_run(run, full, features, languages, dataset)
    return task, dataset, full["training"]


def load_run(run, xla=False):
    """Returns the configuration, the task and the model of a run."""
    from cross_modal.config import load_task

    config, task = load_task(run)
    return config, with_xla(task) if xla else task, load_model(run)


def with_xla(task):
    """Returns the task with what writes compiled by XLA."""
    if not hasattr(task, "jit_compile"):
        raise ValueError(f"Expected a run that writes texts for --xla, made with --task generation. Received: one of {type(task).__name__}")
    return dataclasses.replace(task, jit_compile=True)


def load_model(run):
    """Returns the model of a run."""
    import keras

    if not (pathlib.Path(run) / "model.keras").exists():
        raise FileNotFoundError(f"Expected a trained run. Received: {run}, which has no model.keras yet. Go on with `cross-modal train --run {run} --resume`.")
    return keras.models.load_model(pathlib.Path(run) / "model.keras")


def evaluate(options):
    from cross_modal import evaluation
    from cross_modal.data import Dataset

    if len(options.runs) > 1:
        _evaluate_joined(options)
        return
    if options.out:
        raise ValueError(f"Expected --out for several runs; the scores of one are kept in it. Received: --out {options.out}")
    run = options.runs[0]
    config, task, model = load_run(run, options.xla)
    dataset = Dataset(options.dataset or config["dataset"])
    folder = scores_folder(run, config, dataset)
    print(task.summary(evaluation.evaluate(task, model, dataset, options.split, run=folder, baseline=not options.no_baseline and not options.dataset)))
    if folder != pathlib.Path(run) and not options.dataset:
        print(f"\n{dataset.path} was made anew since the run was trained on it: what is asked may have been learned.")
    if folder != pathlib.Path(run):
        print(f"\n{folder}: metrics.json, and answers where there are some")


def _evaluate_joined(options):
    from cross_modal import ensembles
    from cross_modal.data import Dataset
    from cross_modal.features.saved import holds_run, is_of

    if options.out and holds_run(options.out):
        raise ValueError(f"Expected --out to be another folder than that of a run, which has scores of its own. Received: {options.out}")
    loaded = [load_run(run, options.xla) for run in options.runs]
    dataset, parts = Dataset(options.dataset or loaded[0][0]["dataset"]), [part[1:] for part in loaded]
    for run in options.runs:
        if not options.dataset and not is_of(run, dataset):
            raise ValueError(f"Expected runs that were trained on {dataset.path}, so that what is asked was not learned, or --dataset. Received: {run}")
    scores = ensembles.score_joined(parts, dataset, options.split)
    print(parts[0][0].summary(scores))
    if options.out:
        path = pathlib.Path(options.out) / "metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**kept, options.split: scores}, indent=1))
        print(f"\n{path}")


def scores_folder(run, config, dataset):
    """Where scores on a dataset are kept: in the run, or apart in it if the run was trained on another, so that its own stay as they are."""
    from cross_modal.features.saved import is_of

    if dataset.path.resolve() == pathlib.Path(config["dataset"]).resolve() and is_of(run, dataset):
        return pathlib.Path(run)
    folder = pathlib.Path(run) / "evaluations" / f"{dataset.path.resolve().name}-{dataset.fingerprint[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def model_digest(run):
    """Returns what a model's file is known by, None where there is none."""
    if not (pathlib.Path(run) / "model.keras").exists():
        return None
    with (pathlib.Path(run) / "model.keras").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_language(task, to):
    """Raises ValueError if texts cannot be written in the language that is asked for, or none is and there are several."""
    answered = getattr(task, "answered", ())
    known = answered or (task.languages.names[1:] if getattr(task, "is_written", False) else ())
    known = known or sorted({tag for name in getattr(task, "texts", ()) for tag in task.tags(name)})
    if to is not None and not known and not getattr(task, "texts", ()):
        raise ValueError(f"Expected no --to, as {type(task).__name__} writes no texts. Received: {to}")
    if to is None and len(answered) > 1:
        raise ValueError(f"Expected --to, one of {', '.join(answered)}. Received: none")
    if to is not None and known and to not in known:
        raise ValueError(f"Expected --to to be a language that the run was taught to write: {', '.join(known)}. Received: {to}")


def export(options):
    from cross_modal import exporting
    from cross_modal.cli.data import describe_path

    if len(options.runs) > 1 and not options.out:
        raise ValueError(f"Expected --out, the folder of the SavedModel of {len(options.runs)} runs. Received: none")
    parts = [load_run(run, options.xla)[1:] for run in options.runs]
    if len(parts) > 1:
        folder = exporting.export_joined(parts, options.out)
    else:
        folder = exporting.export(*parts[0], options.out or pathlib.Path(options.runs[0]) / "export")
    describe_path(folder)
    print(f"\n{folder}: a SavedModel that takes raw strings and bytes, for TensorFlow Serving, KServe, or tf.saved_model.load")


def serve(options):
    """Serves a run or an export until it is stopped."""
    from cross_modal import exporting

    try:
        from cross_modal import server
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"Expected KServe to be installed. Received: {error}. Install it: pip install 'cross_modal[serve]'") from error
    path = pathlib.Path(options.path)
    folder = path if (path / "saved_model.pb").exists() else path / "export"
    model, made = path / "model.keras", folder / "saved_model.pb"
    if not made.exists() or (model.exists() and folder == path / "export" and model.stat().st_mtime > made.stat().st_mtime):
        _, task, model = load_run(path)
        exporting.export(task, model, folder)
    name = options.name or (path.resolve().parent.name if path.name == "export" else path.resolve().name)
    endpoints = exporting.load(folder)
    print(f"{folder} at http://0.0.0.0:{options.port}/v1/models/{name}:predict and /v2/models/{name}/infer: {', '.join(sorted(endpoints))}; metrics at /metrics", file=sys.stderr)
    server.serve(endpoints, name, options.port, options.max_rows, options.max_bytes)
