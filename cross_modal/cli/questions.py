"""The verb that answers questions."""

import json
import sys

from cross_modal.cli.texts import lines_of
from cross_modal.cli.vectors import language_of, read_view


def add_arguments(verbs):
    """Adds the arguments of the verb here; `verbs` is a dict of name to parser."""
    add = verbs["answer"].add_argument
    add("run", help="folder of a run that answers questions")
    add("views", nargs="+", metavar="FIELD[:LANGUAGE]=VALUE", help="what is asked about: texts, or paths of pictures or recordings; and questions, of which there may be several")
    add("--from", dest="source", default="und", metavar="LANGUAGE", help="language of questions that are read from the standard input, where none is given")
    add("--to", metavar="LANGUAGE", help="language of answers that are written")
    add("--json", action="store_true", help="write a JSON line for each question, with probabilities, other answers, or where in the context it stands")


def answer(options):
    from cross_modal.cli.runs import check_language, load_model
    from cross_modal.config import load_task
    from cross_modal.serving import ask, plain

    config, task = load_task(options.run)
    if not hasattr(task, "question"):
        raise ValueError(f"Expected a run that answers questions, made with --task question_answering. Received: {options.run}, a run of {config['task']}")
    check_language(task, options.to)
    about, questions, others = {}, [], ", ".join(name for name in task.sources if name != task.question)
    for field, language, value in (read_view(task, view) for view in options.views):
        if field == task.question:
            questions.append((value, language))
        elif field in about or field not in task.sources or not value:
            fault = f"{field} without one" if not value else f"{field} twice" if field in about else field
            raise ValueError(f"Expected one value of each field that is asked about, {others}. Received: {fault}")
        else:
            about |= {field: value, f"{field}_language": language}
    if not about:
        raise ValueError(f"Expected what is asked about: {others}. Received: questions alone")
    endpoint = task.endpoints(load_model(options.run))["answer"]
    source = language_of(task, options.source, "--from")
    for text, language in questions or ((line, source) for line in lines_of([])):
        said = ask(endpoint, [{**about, task.question: text, f"{task.question}_language": language, "target_language": options.to or ""}])
        row = {name: plain(name, value[0]) for name, value in said.items()}
        print(json.dumps({task.question: text, **row}, ensure_ascii=False) if options.json else " ".join(row["answer"].split()), flush=True)
        if not row["answer"] and not options.json:
            print(f"{text or 'an empty question'}: no answer", file=sys.stderr)
