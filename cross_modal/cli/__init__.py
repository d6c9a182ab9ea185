"""The command line `cross-modal`. TensorFlow is imported inside the verbs alone, so that `--help` answers at once."""

import argparse
import os
import sys

from cross_modal.cli import data, predicting, questions, runs, searching, texts, vectors

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
    "tune": (
        "try other settings for a given time, and keep the best run",
        "cross-modal tune dataset --run saved_models/tuned --task classification --minutes 30\n"
        "  cross-modal tune dataset --run saved_models/tuned --between training.learning_rate=[1e-4,1e-2] --choose towers.text.kind=[lstm,bag]",
    ),
    "transfer": (
        "train on each language, and ask each model in all languages",
        "cross-modal transfer dataset --run saved_models/languages --task classification --field text --languages de,en,fr",
    ),
    "few-shot": (
        "train on a few items of each class, with what another run learned and without",
        "cross-modal few-shot dataset --run saved_models/few --task classification --label label"
        " --set training.start_from.text=saved_models/first --set features.text.from=saved_models/first",
    ),
    "evaluate": (
        "score a run, or several as one, on a split",
        "cross-modal evaluate saved_models/first --split test\n  cross-modal evaluate saved_models/first saved_models/second --out saved_models/both",
    ),
    "predict": (
        "answer for the items of a table, one JSON line each",
        "cross-modal predict saved_models/first items.jsonl > answers.jsonl\n  cross-modal predict saved_models/first items.parquet --out answers.jsonl",
    ),
    "search": (
        "find what is nearest to a text, picture or sound",
        "cross-modal search saved_models/first text:tr=yüz --target image\n  cross-modal search saved_models/first audio:fr=question.wav --target text --language en",
    ),
    "similar": (
        "recommend items that are like a mix of views, or like another item",
        "cross-modal similar saved_models/first image=lion.png text:en='in the snow' --diversity 0.3\n  cross-modal similar saved_models/first --score label",
    ),
    "translate": (
        "write texts in another language, a line each",
        "cross-modal translate saved_models/first lines.txt --to de\n  echo 'Two dogs run.' | cross-modal translate saved_models/first --from en --to de --n-best 3",
    ),
    "transcribe": ("write what is said in recordings", "cross-modal transcribe saved_models/first talk.mp3 --to fr --times"),
    "caption": ("write what is seen in pictures", "cross-modal caption saved_models/first a.jpg b.png --to en"),
    "answer": (
        "answer questions about a picture, recording or text",
        "cross-modal answer saved_models/first image=seven.png question:en='is the number even?'\n"
        "  cross-modal answer saved_models/first context:fr='Ada a dix livres.' question:en='how many books does Ada have?' --json",
    ),
    "encode": (
        "write the vectors of texts, pictures or recordings",
        "cross-modal encode saved_models/first lines.txt --from de --out vectors.npy\n  cross-modal encode saved_models/first --field image a.jpg b.png",
    ),
    "similarity": ("say how similar views are, whatever their fields and languages", "cross-modal similarity saved_models/first text:en='a dog' text:de='ein Hund' image=dog.png"),
    "mine": ("find sentences that are translations of each other in two files", "cross-modal mine saved_models/first english.txt german.txt --from en --to de > pairs.tsv"),
    "probe": ("train simple classifiers on the vectors of a run, and on plain features", "cross-modal probe saved_models/first --label digit"),
    "reconstruct": (
        "make all views of an item from some of them",
        "cross-modal reconstruct saved_models/first audio:fr=deux.wav --to text:de --out made\n  cross-modal reconstruct saved_models/first image=two.png",
    ),
    "vectors": (
        "learn vectors of the words of each language, and bring the languages together",
        "cross-modal vectors dataset --out words --align en\n  cross-modal vectors dataset --out words --method glove --dim 50",
    ),
    "serve": ("answer requests over HTTP, as TensorFlow Serving and the Open Inference Protocol do", "cross-modal serve saved_models/first --port 8080"),
    "export": (
        "write a SavedModel that takes raw strings and bytes",
        "cross-modal export saved_models/first\n  cross-modal export saved_models/first saved_models/second --out saved_models/both/export",
    ),
}


_PARTS = (data, runs, predicting, searching, texts, vectors, questions)
_WITHOUT_TENSORFLOW = ("ingest", "datasets")


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: list of str; None for those of the process.

    Returns:
        Exit status: 0, or 1 after an error that the user can mend.
    """
    options = _parsed(arguments)
    try:
        if options.verb not in _WITHOUT_TENSORFLOW:
            _load_quietly()
        verb = options.verb.replace("-", "_")
        next(getattr(part, verb) for part in _PARTS if hasattr(part, verb))(options)
    except (ValueError, KeyError, OSError, ModuleNotFoundError) as error:
        if options.debug:
            raise
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"cross-modal {options.verb}: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        onward = {
            "train": " It goes on with --resume.",
            "ingest": " It goes on when it is started again.",
            "tune": " It goes on when it is started again.",
            "transfer": " It goes on when it is started again.",
            "few-shot": " It goes on when it is started again.",
            "predict": " With --out it goes on when it is started again.",
        }
        print(f"cross-modal {options.verb}: stopped.{onward.get(options.verb, '')}", file=sys.stderr)
        return 130
    return 0


def _parsed(arguments):
    """The arguments; files, views and runs may stand behind options too, which argparse does not see by itself."""
    parser = _parser()
    options, more = parser.parse_known_args(arguments)
    rest = next((name for name in ("files", "views", "runs") if isinstance(getattr(options, name, None), list)), None)
    if more and (rest is None or any(one.startswith("-") for one in more)):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        setattr(options, rest, [*getattr(options, rest), *more])
    return options


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
    for part in _PARTS:
        part.add_arguments(made)
    return parser
