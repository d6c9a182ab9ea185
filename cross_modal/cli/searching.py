"""The verbs that find views and items."""

import dataclasses
import pathlib
import sys

from cross_modal.cli.runs import load_run, model_digest
from cross_modal.cli.vectors import read_given


def add_arguments(verbs):
    """Adds the arguments of the verbs here; `verbs` is a dict of name to parser."""
    add = verbs["search"].add_argument
    add("run", help="folder of a run that aligns")
    add("query", metavar="FIELD[:LANGUAGE]=VALUE", help="what to look for: a text, or the path of a picture or recording")
    add("--target", default="image", metavar="FIELD", help="field to find (%(default)s)")
    add("--language", help="find views in this language only")
    add("--dataset", help="where to look; the dataset it was trained on")
    add("--split", default="test", help="(%(default)s)")
    add("--gallery", metavar="FOLDER", help="keep what is embedded there, or search in what was; --target and the like count only when it is made")
    add("-k", type=int, default=5, help="how many to show (%(default)s)")
    add = verbs["similar"].add_argument
    add("run", help="folder of a run that aligns")
    add("views", nargs="*", metavar="FIELD[:LANGUAGE]=VALUE", help="what is asked for: any mix of texts, and paths of pictures or recordings")
    add("--id", help="in place of views: an item of the split")
    add("--fields", help="that count for the items, with commas between; all that the run embeds")
    add("--diversity", type=float, default=0.0, help="0 for the nearest; towards 1 for items that are not all of a sort (%(default)s)")
    add("--score", metavar="LABEL", help="say how many of the items found have the same label, and how unlike each other they are, over the whole split")
    add("--dataset", help="where to look; the dataset it was trained on")
    add("--split", default="test", help="(%(default)s)")
    add("-k", type=int, default=10, help="how many to show (%(default)s)")


def search(options):
    from cross_modal import galleries
    from cross_modal.data.schema import UNDETERMINED

    config, task, model = load_run(options.run)
    field, language, value = read_given(task, options.query)
    endpoints = task.endpoints(model)
    galleries.embedder(endpoints, field)  # An unknown field is told before the gallery is embedded.
    gallery = _gallery(options, endpoints, config)
    shown = task.features[gallery.field].kind == "text"
    found = galleries.search(endpoints, gallery, field, value, language, options.k)
    print(f"{'cosine':>6}  {'id':<12}  {gallery.field}")
    for place, cosine in found:
        what = gallery.values[place].decode() if shown else f"{len(gallery.values[place]):,} bytes"
        tag = "" if gallery.languages[place] == UNDETERMINED else f"  ({gallery.languages[place]})"
        print(f"{cosine:>6.3f}  {gallery.ids[place]:<12}  {what}{tag}")


def similar(options):
    from cross_modal import recommending
    from cross_modal.data import Dataset

    if sum([bool(options.views), options.id is not None, options.score is not None]) != 1:
        raise ValueError("Expected views, or --id, or --score. Received: none of them, or several")
    config, task, model = load_run(options.run)
    endpoints, dataset = task.endpoints(model), Dataset(options.dataset or config["dataset"])
    if options.score is not None:
        dataset.check_label(options.score)
    views = [read_given(task, view) for view in options.views]
    shelf = recommending.fill_shelf(endpoints, dataset, options.split, options.fields.split(",") if options.fields else (), [*(language for _, language, _ in views), "en"])
    if options.score:
        for diversity in sorted({0.0, options.diversity}):
            scores = recommending.recommendation_scores(shelf, _labels(dataset, options.split, options.score, shelf.ids), options.k, diversity)
            print(f"diversity {diversity}: " + ", ".join(f"{name} {value:.3f}" for name, value in scores.items() if name != "items") + f"; {scores['items']:,} items")
        return
    if options.id is not None and options.id not in shelf.ids:
        raise ValueError(f"Expected --id to be an item of {options.split}, such as {', '.join(shelf.ids[:5])}. Received: {options.id}")
    vector = recommending.query(endpoints, views) if views else shelf.vectors[shelf.ids.index(options.id)]
    print(f"{'cosine':>6}  {'id':<12}")
    for place, cosine in recommending.similar(shelf, vector, options.k, options.diversity, [options.id] if options.id else ()):
        print(f"{cosine:>6.3f}  {shelf.ids[place]:<12}  {shelf.shown[place]}")


def _labels(dataset, split, label, ids):
    """The first label of each item, None where it has none."""
    found = {item["id"].decode(): next(iter(item[label]["value"]), None) for item in dataset.items(split).as_numpy_iterator()}
    return [found[one] for one in ids]


def _gallery(options, endpoints, config):
    """The gallery of an earlier search, or a new one of a split."""
    from cross_modal import galleries
    from cross_modal.data import Dataset

    if options.gallery and pathlib.Path(options.gallery, "gallery.json").exists():
        return galleries.load_gallery(options.gallery, model_digest(options.run))
    gallery = galleries.build_gallery(endpoints, Dataset(options.dataset or config["dataset"]), options.split, options.target, options.language)
    gallery = dataclasses.replace(gallery, model=model_digest(options.run))
    if options.gallery:
        print(f"{gallery.save(options.gallery)}: {len(gallery.ids):,} views, for the next search", file=sys.stderr)
    return gallery
