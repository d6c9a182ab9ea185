"""The verbs about data."""

import json
import pathlib
import textwrap


def add_arguments(verbs):
    """Adds the arguments of the verbs here; `verbs` is a dict of name to parser."""
    add = verbs["demo"].add_argument
    add("--out", default="saved_models/demo", help="folder for all that it makes (%(default)s)")
    add("--quick", action="store_true", help="a few steps only, to see that everything runs; the scores mean nothing")
    add = verbs["ingest"].add_argument
    add("table", help=".csv, .tsv, .jsonl or .parquet, media being paths relative to it; a folder of class-named subfolders; or tfds:NAME")
    add("--out", help="folder of the dataset")
    add("--check", action="store_true", help="only say what is found; with --out also write quarantine.csv there")
    add("--field", action="append", default=[], metavar="NAME=KIND", help="kind of a field (image, text, audio, label) where its values mislead; may be repeated")
    add("--ignore", action="append", default=[], metavar="FIELD", help="pass a field or column over, split to draw anew; may be repeated")
    add(
        "--splits",
        default="0.8,0.1,0.1",
        metavar="TRAIN,VALIDATION,TEST",
        help="shares where the table has no split; where it has but no validation, the second is taken of its training items (%(default)s)",
    )
    add("--seed", type=int, default=0, help="of the splits (%(default)s)")
    add("--together", action="append", default=[], metavar="FIELD", help="keep equal texts of this field in one split; may be repeated")
    add("--max-bad", type=float, metavar="SHARE", help="stop if a larger share of the views than this, of 1, is unusable (0.01; with --check, never)")
    add_limits(add)
    add("--encoding", help="of a text file, where it is not found out rightly")
    add("--map", action="append", default=[], metavar="COLUMN=FEATURE", help="with tfds:, a column and the feature to take for it; may be repeated")
    add("--data-dir", help="with tfds:, folder of the datasets")
    add("--download-limit", type=float, default=60, metavar="SECONDS", help="with tfds:, give a download up after so long without progress (%(default)s)")
    add("--beam", metavar="OPTIONS", help="run on Apache Beam with these pipeline options, such as '--runner=FlinkRunner'; '' for this machine")
    add = verbs["datasets"].add_argument
    add("folder", nargs="?", help="list the tables and datasets under it")
    add("--modality", help="only those with this modality: image, audio, text; of TFDS also video and other")
    verbs["describe"].add_argument("path", help="folder of a dataset, a run or an export")


def add_limits(add):
    """Adds the arguments that say which values of a table are taken."""
    add("--allow", action="append", default=[], choices=("constant", "extension"), help="take pictures of one colour, or files that are not what their extension says")
    add("--image-size", type=int, default=512, metavar="PIXELS", help="most pixels on the long side that are kept (%(default)s)")
    add("--max-pixels", type=int, default=50_000_000, metavar="PIXELS", help="most pixels of a picture that is read (%(default)s)")
    add("--max-seconds", type=float, default=300, metavar="SECONDS", help="longest recording (%(default)s)")
    add("--max-characters", type=int, default=100_000, metavar="COUNT", help="longest text (%(default)s)")
    add("--background", default="255,255,255", metavar="R,G,B", help="colour behind what is transparent (%(default)s)")


def limits_of(options):
    """The keywords of `media.Limits` that were given."""
    numbers = {name: getattr(options, name) for name in ("image_size", "max_pixels", "max_seconds", "max_characters")}
    return {**numbers, "background": _three(options.background, int, "--background"), "allow": tuple(options.allow)}


def demo(options):
    from cross_modal import demo

    demo.demo(options.out, quick=options.quick)


def ingest(options):
    from cross_modal.data import check_table, ingesting, running, summary

    if not options.out and not options.check:
        raise ValueError("Expected --out, the folder of the dataset, or --check. Received neither.")
    keywords = {
        "kinds": dict(_pair(one, "--field NAME=KIND") for one in options.field),
        "fractions": _three(options.splits, float, "--splits"),
        "seed": options.seed,
        "together": options.together,
        "ignored": options.ignore,
        "source": {
            "encoding": options.encoding,
            "columns": dict(_pair(one, "--map COLUMN=FEATURE") for one in options.map),
            "data_dir": options.data_dir,
            "download_limit": options.download_limit,
        },
        "runner": running.in_threads if options.beam is None else running.on_beam(options.beam.split()),
        **limits_of(options),
    }
    if options.check:
        said, fields, bad = check_table(options.table, max_bad=1.0 if options.max_bad is None else options.max_bad, **keywords)
        print(summary.described(said, fields))
        if options.out:
            if (pathlib.Path(options.out) / "items").exists():
                raise FileExistsError(f"Expected --out of --check to be a folder without a dataset, as its quarantine.csv would be replaced. Received: {options.out}")
            pathlib.Path(options.out).mkdir(parents=True, exist_ok=True)
            ingesting.write_quarantine(pathlib.Path(options.out), bad)
    else:
        print(_described(ingesting.ingest(options.table, options.out, max_bad=0.01 if options.max_bad is None else options.max_bad, **keywords)))


def _three(given, kind, name):
    try:
        first, second, third = (kind(part) for part in given.split(","))
    except ValueError as error:
        raise ValueError(f"Expected {name} to be three numbers with commas between them. Received: {given}") from error
    return first, second, third


def _pair(given, expected):
    name, equals, value = given.partition("=")
    if not (name and equals and value):
        raise ValueError(f"Expected {expected}. Received: {given}")
    return name, value


def datasets(options):
    from cross_modal.data import finding, public, schema

    if options.folder:
        if options.modality and options.modality not in schema.KINDS:
            raise ValueError(f"Expected --modality of tables to be one of {', '.join(schema.KINDS)}. Received: {options.modality}")
        for path, said in finding.find_tables(options.folder, options.modality):
            print(f"{path}\n  {said}")
        return
    known = public.known()
    modalities = sorted({one for modality in known for one in modality.split("+")})
    if options.modality and options.modality not in modalities:
        raise ValueError(f"Expected --modality to be one of {', '.join(modalities)}. Received: {options.modality}")
    for modality, names in known.items():
        if not options.modality or options.modality in modality.split("+"):
            print(f"{modality}, {len(names)}:\n{textwrap.fill('  '.join(names), 140, initial_indent='  ', subsequent_indent='  ')}")
    print("Take one as a table: cross-modal ingest tfds:NAME --out dataset")


def _described(dataset):
    from cross_modal.data.summary import described

    return described(dataset.describe(), list(dataset.fields.values()))


def describe(options):
    """Says what the folder in `options.path` holds."""
    describe_path(pathlib.Path(options.path))


def describe_path(path):
    """Says what a dataset, a run or an export holds."""
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
