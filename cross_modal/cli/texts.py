"""The verbs that write texts: thin names over the endpoints `generate` and `sample`."""

import itertools
import json
import os
import pathlib
import sys

from cross_modal.cli.runs import XLA_HELP, check_language

_KINDS = {"translate": "text", "transcribe": "audio", "caption": "image"}


def add_arguments(verbs):
    """Adds the arguments of the verbs here; `verbs` is a dict of name to parser."""
    for name, kind in _KINDS.items():
        add = verbs[name].add_argument
        add("run", help="folder of the run")
        if kind == "text":
            add("files", nargs="*", help="text files, a text a line; the standard input where there are none")
        else:
            add("files", nargs="+", help=f"{'recordings' if kind == 'audio' else 'pictures'}, a line each")
        add("--to", metavar="LANGUAGE", help="language to write; may be left out where there is but one")
        add("--from", dest="source", default="", metavar="LANGUAGE", help="language of what is read")
        add("--field", help=f"which one, where the run reads several fields of {kind}")
        add("--n-best", type=int, metavar="N", help="write a JSON line with the N best, and their scores, instead of a text")
        add("--sample", action="store_true", help="draw texts in place of the likeliest; with --n-best several")
        add("--temperature", type=float, default=1.0, help="with --sample: below 1 the likely becomes likelier (%(default)s)")
        add("--top-k", type=int, default=0, help="with --sample: draw among so many subwords (all)")
        add("--top-p", type=float, default=1.0, help="with --sample: draw among the likeliest that together have this probability (%(default)s)")
        add("--seed", type=int, help="with --sample: the same seed draws the same texts")
        add("--xla", action="store_true", help=XLA_HELP)
        if kind == "audio":
            add("--longest", type=float, metavar="SECONDS", help="cut longer recordings at silences; the length that the run was made for")
            add("--times", action="store_true", help="a line for each piece, with its seconds")


def translate(options):
    task, endpoint, field = _loaded(options, "text")
    feature = task.features[field]

    def lines():
        for number, text in enumerate(lines_of(options.files), 1):
            count = feature.count(text) if hasattr(feature, "count") else 0
            if count > feature.length:
                print(f"line {number}: {count:,} subwords, of which the first {feature.length} are read", file=sys.stderr)
            yield text

    for texts in _written(options, endpoint, field, lines(), _seeds(options)):
        _say(options, texts)


def caption(options):
    _, endpoint, field = _loaded(options, "image")
    from cross_modal.data import media

    pictures = (_read(path, media.canonical_image) or b"" for path in options.files)
    for texts in _written(options, endpoint, field, pictures, _seeds(options)):
        _say(options, texts)


def transcribe(options):
    import functools

    task, endpoint, field = _loaded(options, "audio")
    from cross_modal.data import media
    from cross_modal.data.segments import cut_at_silences

    seeds, heard = _seeds(options), getattr(task.features[field], "seconds", 30)
    longest = options.longest or heard
    if longest > heard:
        raise ValueError(f"Expected --longest of at most the {heard:g} seconds that the run hears at once. Received: {longest:g}")
    for path in options.files:
        samples = _read(path, functools.partial(media.decode_audio, limits=media.Limits(max_seconds=24 * 3600)))
        pieces = [] if samples is None else [(0, len(samples))] if len(samples) <= longest * media.SAMPLE_RATE else cut_at_silences(samples, media.SAMPLE_RATE, longest)
        found = list(_written(options, endpoint, field, [media.encode_wav(samples[start:end]) for start, end in pieces], seeds))
        if options.times or (options.n_best and len(pieces) > 1):
            for (start, end), texts in zip(pieces, found):
                _say(options, texts, start / media.SAMPLE_RATE, end / media.SAMPLE_RATE)
        else:
            _say(options, found[0] if len(found) == 1 else [(" ".join(texts[0][0] for texts in found), None)] if found else [])


def _loaded(options, kind):
    """The task, its endpoint, and the field that is read; what cannot be is told before the model is loaded."""
    from cross_modal.cli.runs import load_model, with_xla
    from cross_modal.config import load_task

    config, task = load_task(options.run)
    if not hasattr(task, "answered"):
        raise ValueError(f"Expected a run that writes texts, made with --task generation. Received: {options.run}, a run of {config['task']}")
    fields = [name for name in task.sources if task.features[name].kind == kind]
    if not fields or (options.field or fields[0]) not in fields:
        raise ValueError(f"Expected a field of {kind} that the run reads: {', '.join(fields) or 'there is none'}. Received: {options.field or 'no --field'}")
    if len(fields) > 1 and not options.field:
        raise ValueError(f"Expected --field, one of {', '.join(fields)}. Received: none")
    check_language(task, options.to)
    field = options.field or fields[0]
    read = {kind.partition(":")[2] for sources, _ in task.trained for kind in sources if kind.partition(":")[0] == field} - {""}
    if options.source and options.source not in read:
        raise ValueError(f"Expected --from to be a language that the run was taught to read: {', '.join(sorted(read)) or 'none'}. Received: {options.source}")
    if options.n_best is not None and not 1 <= options.n_best <= (64 if options.sample else task.beams):
        raise ValueError(f"Expected --n-best between 1 and {'64' if options.sample else f'the {task.beams} beams of the run'}. Received: {options.n_best}")
    if options.sample and task.ctc == 1:
        raise ValueError(f"Expected a run with a decoder for --sample. Received: {options.run}, whose texts are spelled by recordings")
    if options.temperature <= 0 or options.top_k < 0 or not 0 < options.top_p <= 1:
        raise ValueError(
            f"Expected --temperature above 0, --top-k of at least 0 and --top-p above 0 and at most 1. Received: {options.temperature}, {options.top_k}, {options.top_p}"
        )
    task = with_xla(task) if options.xla else task
    return task, task.endpoints(load_model(options.run))["sample" if options.sample else "generate"], field


def lines_of(names):
    """The lines of text files, or of the standard input where there are none, a text each."""
    yield from (line.rstrip("\n") for line in ([] if names else sys.stdin))
    for name in names:
        with pathlib.Path(name).open(encoding="utf-8-sig", errors="replace") as file:
            yield from (line.rstrip("\n") for line in file)


def content_of(path):
    """The bytes of a picture or recording that somebody names, also by a link to it."""
    from cross_modal.data import media

    return media.read_media(*os.path.split(os.path.realpath(path)))


def _read(path, decode):
    """What a file holds, or None, with a line that says why."""
    from cross_modal.data import media

    try:
        return decode(content_of(path))
    except media.MediaError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return None


def _seeds(options):
    """A seed for each text that is drawn."""
    return itertools.repeat("") if options.seed is None else itertools.count(options.seed)


def _written(options, endpoint, field, values, seeds):
    """For each value its texts, best first, pairs of text and score; none for an empty one."""
    from cross_modal.serving import ask

    values = iter(values)
    while chunk := list(itertools.islice(values, 32)):
        rows = [{field: value, f"{field}_language": options.source, "target_language": options.to or ""} for value in chunk]
        if options.sample:
            how = {"temperature": str(options.temperature), "top_k": str(options.top_k), "top_p": str(options.top_p)}
            every = [{**row, **how, "seed": str(next(seeds))} for row in rows for _ in range(options.n_best or 1)]
            answers = {f"{name}s": value.reshape(len(rows), -1) for name, value in ask(endpoint, every, 32).items()}
        else:
            answers = ask(endpoint, rows, 32)
        for place, row in enumerate(rows):
            yield [(text.decode(), float(score)) for text, score in zip(answers["texts"][place], answers["scores"][place])] if row[field].strip() else []


def _say(options, texts, start=None, end=None):
    times = {} if start is None else {"start": round(start, 2), "end": round(end, 2)}
    if options.n_best:
        best = texts[: options.n_best]
        line = json.dumps({**times, "texts": [text for text, _ in best], "scores": [round(score, 4) for _, score in best]}, ensure_ascii=False)
    else:
        text = " ".join(texts[0][0].splitlines()) if texts else ""  # An answer is a line, whatever a model writes.
        line = f"{start:.2f}\t{end:.2f}\t{text}" if times else text
    print(line, flush=True)
