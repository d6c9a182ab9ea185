import itertools
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from cross_modal import features
from cross_modal.data import batches, ingest, learn_features
from cross_modal.data.batching import length_for
from cross_modal.data.media import encode_wav

FEW = {4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Thirty items: text in one to three languages, of five lengths, two pictures for each third item, a label for each second."""
    folder = tmp_path_factory.mktemp("batches")
    rows = []
    for i in range(30):
        row = {"id": f"item{i}", "split": "train", "text:en": " ".join(["word"] * 4 ** (i % 5) + [str(i)])}
        if i % 2:
            row |= {"text:de": f"Wort {i}", "text:tr": [f"kelime {i}", "aynı söz"], "label": "ab"[i % 3 == 0]}
        if i % 3 == 0:
            for each in "xy":
                pixels = np.full((4, 6, 3), i * 8 + (each == "y"), np.uint8)
                assert cv2.imwrite(str(folder / f"{i}{each}.png"), pixels)
            row["image"] = [f"{i}x.png", f"{i}y.png"]
        rows.append(row)
    rows += [{"id": f"test{i}", "split": "test", "text:en": f"word {i}"} for i in range(5)] + [{"id": "v", "split": "validation", "text:en": "word"}]
    (folder / "t.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    dataset = ingest(folder / "t.jsonl", folder / "out", kinds={"text": "text", "label": "label"}, progress=False, allow=("constant",))
    options = {"text": {"vocab_size": 300, "length": 250}, "image": {"size": (4, 6), "channels": 1}}
    return dataset, *learn_features(dataset, ["text", "image", "label"], options)


def listed(made, split="train", **options):
    dataset, features, languages = made
    return batches(dataset, split, features, languages, **options).as_numpy_iterator()


def taken(count, iterator):
    return [batch for _, batch in zip(range(count), iterator)]


def same(one, two):
    tf.nest.map_structure(np.testing.assert_array_equal, one, two)


def test_without_a_seed_each_language_has_its_share(made):
    """Of item number n, of one view or of four, it is the view n modulo their number that is taken first."""
    whole = next(listed(made, size=30))["text"]
    one, two = (next(listed(made, size=30, draws={"text": count, "image": 1, "label": 1}))["text"] for count in (1, 2))
    there = whole["mask"].any(-1).sum(1)
    assert set(there) == {1, 4} and set(one["language"][:, 0]) == set(whole["language"][whole["mask"].any(-1)])
    for number, count in enumerate(there):
        assert one["key"][number, 0] == two["key"][number, 0] == whole["key"][number, number % count]
        assert two["mask"][number].any(-1).tolist() == [True, count > 1] and (count == 1 or two["key"][number, 1] == whole["key"][number, (number + 1) % count])


@pytest.mark.parametrize("length, expected", [(0, 8), (1, 8), (8, 8), (9, 12), (12, 12), (13, 16), (16, 16), (17, 24), (25, 32), (33, 48), (3001, 3072), (3073, 4096)])
def test_length_for(length, expected):
    assert int(length_for(length)) == int(length_for(tf.constant(length))) == int(tf.function(length_for)(tf.constant(length))) == expected


def test_lengths_hold_what_they_are_for_and_are_few():
    lengths = [*range(1, 700), *(2**power + more for power in range(10, 20) for more in (-1, 0, 1, 2)), *(3 * 2**power + more for power in range(9, 18) for more in (-1, 0, 1))]
    found = {length: int(length_for(length)) for length in lengths}
    assert {length: each for length, each in found.items() if each < length} == {}
    assert all(each <= max(8, 1.5 * length) for length, each in found.items())
    assert len({each for length, each in found.items() if length < 700}) == 14


def test_one_pass_in_order_with_all_views(made):
    dataset, features, languages = made
    found = list(listed(made, size=8))
    order = [item["id"] for item in dataset.items("train").as_numpy_iterator()]
    assert [name for batch in found for name in batch["id"]] == order
    assert [len(batch["id"]) for batch in found] == [8, 8, 8, 6]
    batch = found[0]
    texts = {item["id"]: item["text"]["value"].tolist() for item in dataset.items("train").as_numpy_iterator()}
    tags = {item["id"]: item["text"]["language"].tolist() for item in dataset.items("train").as_numpy_iterator()}
    assert batch["text"]["key"].shape == (8, 4)
    for row, name in enumerate(batch["id"]):
        count = len(texts[name])
        for view, raw in enumerate(texts[name]):
            value, mask = batch["text"]["value"][row, view], batch["text"]["mask"][row, view]
            np.testing.assert_array_equal(value[mask], features["text"].featurize(tf.constant(raw)))
            assert (value[~mask] == 0).all()
            assert languages.names[batch["text"]["language"][row, view]] == tags[name][view].decode()
        assert not batch["text"]["mask"][row, count:].any()
        assert (batch["text"]["key"][row, count:] == -1).all() and (batch["text"]["key"][row, :count] >= 0).all()
        assert (batch["text"]["language"][row, count:] == 0).all()


def test_shapes_and_types(made):
    dataset, features, languages = made
    data = batches(dataset, "train", features, languages, size=4, draws={"text": 2, "image": 3, "label": 1}, seed=0)
    assert data.element_spec["text"]["value"].shape.as_list()[1] == 2 and data.element_spec["image"]["value"].shape.as_list()[1:] == [3, 4, 6, 1]
    for batch in taken(20, data.as_numpy_iterator()):
        time = batch["text"]["value"].shape[2]
        assert time in FEW
        assert batch["text"]["value"].shape == batch["text"]["mask"].shape == (4, 2, time)
        assert batch["image"]["value"].shape == (4, 3, 4, 6, 1) and batch["image"]["mask"].shape == (4, 3, 1)
        assert batch["label"]["value"].shape == (4, 1) and batch["label"]["mask"].shape == (4, 1, 1)
        assert batch["id"].shape == batch["item"].shape == (4,)
        assert [batch["text"][key].dtype for key in ("value", "mask", "language", "key")] == [np.int32, bool, np.int32, np.int64]
        assert batch["item"].dtype == np.int64 and batch["image"]["value"].dtype == np.float32


def test_longest_text_sets_the_length(made):
    for batch in listed(made, size=8):
        longest = batch["text"]["mask"].sum(-1).max()
        assert batch["text"]["mask"].shape[-1] == int(length_for(longest))


def test_absent_fields_are_masked_never_dropped(made):
    names = []
    for batch in listed(made, size=7, draws={"text": 1, "image": 2, "label": 1}):
        for row, name in enumerate(batch["id"]):
            number = int(name.removeprefix(b"item"))
            names.append(number)
            there = number % 3 == 0
            assert batch["image"]["mask"][row].all() == batch["image"]["mask"][row].any() == there
            assert ((batch["image"]["key"][row] == -1) != there).all()
            assert there or (batch["image"]["value"][row] == 0).all()
            assert bool(batch["label"]["mask"][row].any()) == bool(number % 2)
            assert batch["text"]["mask"][row].any()
    assert sorted(names) == list(range(30))


def test_a_batch_in_which_a_field_is_absent_everywhere(made):
    (batch,) = listed(made, split="test", size=8, draws={"text": 2, "image": 2, "label": 1})
    assert not batch["image"]["mask"].any() and batch["image"]["value"].shape == (5, 2, 4, 6, 1)
    assert (batch["label"]["key"] == -1).all()
    assert batch["text"]["mask"].any(-1).tolist() == [[True, False]] * 5
    dataset, features, languages = made
    (batch,) = batches(dataset, "test", {"image": features["image"]}, languages, 8).as_numpy_iterator()
    assert not batch["image"]["mask"].any()


def test_without_a_seed_views_are_drawn_in_turn(made):
    dataset, features, _ = made
    items = enumerate(dataset.items("train").as_numpy_iterator())
    first = {item["id"]: item["text"]["value"][number % len(item["text"]["value"])] for number, item in items}
    for batch in listed(made, size=8, draws={"text": 1, "image": 1, "label": 1}):
        for row, name in enumerate(batch["id"]):
            np.testing.assert_array_equal(batch["text"]["value"][row, 0][batch["text"]["mask"][row, 0]], features["text"].featurize(tf.constant(first[name])))


def test_equal_values_have_equal_keys(made):
    keys, items = {}, set()
    for batch in listed(made, size=30):
        items = set(batch["item"].tolist())
        for row, name in enumerate(batch["id"]):
            if int(name.removeprefix(b"item")) % 2:
                keys[name] = batch["text"]["key"][row].tolist()
    shared = {each[3] for each in keys.values()}
    assert len(keys) == 15 and len(shared) == 1  # All have "aynı söz" last.
    assert len({key for each in keys.values() for key in each[:3]} | shared) == 46
    assert len(items) == 30


DRAWS = {"text": 1, "image": 1, "label": 1}


def test_the_seed_says_it_all(made):
    one, two, other = (taken(12, listed(made, size=8, draws=DRAWS, seed=seed)) for seed in (3, 3, 4))
    same(one, two)
    assert [batch["id"].tolist() for batch in one] != [batch["id"].tolist() for batch in other]


def test_the_seed_says_it_all_without_cache(made):
    same(*(taken(8, listed(made, size=8, draws=DRAWS, seed=3, cache=cache)) for cache in (True, False)))


def test_the_two_passes_of_one_dataset_object_are_the_same_without_a_seed(made):
    dataset, features, languages = made
    data = batches(dataset, "train", features, languages, 8, DRAWS)
    same(list(data.as_numpy_iterator()), list(data.as_numpy_iterator()))


def test_training_never_ends_and_batches_are_full(made):
    found = taken(15, listed(made, size=8, draws=DRAWS, seed=0))
    assert [len(batch["id"]) for batch in found] == [8] * 15
    names = [name for batch in found for name in batch["id"]]
    for epoch in range(4):  # Each item once in each epoch.
        assert len(set(names[30 * epoch : 30 * epoch + 30])) == 30
    assert names[:30] != names[30:60]


def test_more_than_the_split_in_a_batch(made):
    (batch,) = taken(1, listed(made, split="test", size=12, draws=DRAWS, seed=0))
    assert len(batch["id"]) == 12 and len(set(batch["id"])) == 5


def test_other_epochs_draw_other_views(made):
    drawn = {}
    for batch in taken(60, listed(made, size=15, draws=DRAWS, seed=1)):
        for row, name in enumerate(batch["id"]):
            drawn.setdefault(name, []).append(int(batch["text"]["key"][row, 0]))
    for name, keys in drawn.items():
        assert len(keys) == 30
        assert len(set(keys)) == (4 if int(name.removeprefix(b"item")) % 2 else 1), name


def test_fields_draw_independently_and_a_view_at_most_once(made):
    for batch in taken(8, listed(made, size=15, draws={"text": 3, "image": 2, "label": 1}, seed=1)):
        for row, name in enumerate(batch["id"]):
            for field in ("text", "image"):
                keys = [key for key in batch[field]["key"][row].tolist() if key != -1]
                assert len(set(keys)) == len(keys)
            if int(name.removeprefix(b"item")) % 2:
                assert batch["text"]["mask"][row].any(-1).all()


@pytest.mark.parametrize("start, options", [(1, {}), (9, {}), (5, {"bucket_by": "text"}), (5, {"cache": False})], ids=str)
def test_start_goes_on_where_a_run_stopped(made, start, options):
    whole = taken(start + 3, listed(made, size=8, draws=DRAWS, seed=2, **options))
    same(whole[start:], taken(3, listed(made, size=8, draws=DRAWS, seed=2, start=start, **options)))


def test_bucketing_puts_like_lengths_together(made):
    def wasted(found):
        return sum((~batch["text"]["mask"]).sum() for batch in found) / sum(batch["text"]["mask"].size for batch in found)

    sorted_, mixed = (taken(30, listed(made, size=4, draws=DRAWS, seed=5, **options)) for options in ({"bucket_by": "text"}, {}))
    for batch in sorted_:
        lengths = batch["text"]["mask"].sum((1, 2))
        assert len({int(length_for(length)) for length in lengths}) == 1
        assert len(lengths) == 4
    assert wasted(sorted_) < 0.5 * wasted(mixed)


def test_bucketing_loses_no_item(made):
    found = list(listed(made, size=4, draws=DRAWS, bucket_by="text"))
    assert sorted(name for batch in found for name in batch["id"]) == sorted(f"item{i}".encode() for i in range(30))
    for batch in found:
        assert len({int(length_for(length)) for length in batch["text"]["mask"].sum((1, 2))}) == 1


def test_batches_of_as_many_tokens(made):
    found = taken(30, listed(made, size=4, draws=DRAWS, seed=5, bucket_by="text", tokens=48))
    shapes = {batch["text"]["mask"].shape for batch in found}
    assert all(items == max(1, 48 // length) for items, _, length in shapes) and len(shapes) > 1
    same(found[20:], taken(10, listed(made, size=4, draws=DRAWS, seed=5, bucket_by="text", tokens=48, start=20)))
    assert len(taken(1, listed(made, size=4, draws=DRAWS, seed=5, bucket_by="text", tokens=1))[0]["id"]) == 1
    with pytest.raises(ValueError, match="Received: tokens=48, bucket_by=None"):
        listed(made, size=4, tokens=48)


def test_only_the_fields_asked_for(made):
    dataset, features, languages = made
    batch = next(batches(dataset, "train", {"label": features["label"]}, languages, 4).as_numpy_iterator())
    assert sorted(batch) == ["id", "item", "label"]


def test_missing_field_lists_those_there(made):
    dataset, features, languages = made
    with pytest.raises(KeyError, match="Expected fields of the dataset: text, image, label. Received: words"):
        batches(dataset, "train", {"words": features["text"], "image": features["image"]}, languages, 4)


def test_missing_split(made):
    with pytest.raises(KeyError, match="Received: dev"):
        listed(made, split="dev", size=4)


@pytest.mark.parametrize("name", ["image", "label", "words"])
def test_bucketing_wants_a_field_with_a_length(made, name):
    with pytest.raises(ValueError, match=f"Expected `bucket_by` to be a field with a length: text. Received: bucket_by={name}"):
        listed(made, size=4, bucket_by=name)
    dataset, features, languages = made
    with pytest.raises(ValueError, match="there is none"):
        batches(dataset, "train", {"image": features["image"]}, languages, 4, bucket_by=name)


def test_augmentation_is_repeatable_and_can_be_gone_on_with(made):
    options = {"size": 6, "draws": {"text": 2, "image": 1, "label": 1}, "seed": 5, "modality_dropout": 0.5}
    options["augment"] = {"text": {"word_dropout": 0.5}, "image": {"brightness": 0.3, "shift": 0.2}}
    first = taken(6, listed(made, **options))
    same(first, taken(6, listed(made, **options)))
    same(first[3:], taken(3, listed(made, start=3, **options)))
    plain = taken(6, listed(made, **{**options, "augment": {}, "modality_dropout": 0.0}))
    assert all((a["id"] == b["id"]).all() and (a["text"]["key"] == b["text"]["key"]).all() for a, b in zip(first, plain))
    assert sum(a["text"]["mask"].sum() for a in first) < 0.7 * sum(b["text"]["mask"].sum() for b in plain)
    assert any(np.abs(a["image"]["value"] - b["image"]["value"]).max() > 0.05 for a, b in zip(first, plain))


def test_pictures_without_pixels_are_not_augmented(dataset):
    known = {"image": features.Descriptors(**features.learn_descriptors([raw for raw, _ in itertools.islice(dataset.values("train", "image"), 3)], patches=2, fisher=0))}
    languages = features.Language([])
    x = next(iter(batches(dataset, "validation", known, languages, 4, seed=0)))["image"]
    assert x["value"].shape[-1] == 3772 + 9 * 2 and x["value"].dtype == tf.float16
    with pytest.raises(ValueError, match="no pixels any more. Received: augment of image"):
        batches(dataset, "train", known, languages, 4, seed=0, augment={"image": {"flip": True}})


def test_without_a_seed_nothing_is_augmented(made):
    same(taken(3, listed(made, size=6)), taken(3, listed(made, size=6, augment={"text": {"word_dropout": 0.9}}, modality_dropout=1.0)))


def test_subwords_are_split_and_say_the_same(made):
    """Also of what is drawn once more; other ones each time, the same in each run, before texts are sorted by length."""
    _, features, _ = made
    options = {"size": 6, "draws": {"text": 2, "image": 1, "label": 1, "target": 1}, "seed": 5, "again": {"target": "text"}, "bucket_by": "target", "cache": True}
    changed = {**options, "augment": {"text": {"split": 0.4}, "target": {"split": 0.8}}}
    first = taken(20, listed(made, **changed))
    same(first[:6], taken(6, listed(made, **changed)))
    same(first[3:6], taken(3, listed(made, start=3, **changed)))
    same(first[:6], taken(6, listed(made, **{**changed, "cache": False})))
    for split in ("text", "target"):
        ways = {}
        for batch in first:
            value, key = (batch[split][name].reshape(-1, *batch[split][name].shape[2:]) for name in ("value", "key"))
            for ids, raw, text in zip(value, key, features["text"].detokenize(value).numpy()):
                if (ids > 0).sum() < 250:  # What is cut is cut elsewhere.
                    ways.setdefault(raw, []).append((tuple(ids[ids > 0]), text))
        assert all(len({text for _, text in one}) == 1 for one in ways.values()) and max(len({ids for ids, _ in one}) for one in ways.values()) > 1
    plain = taken(20, listed(made, **options))
    length = {name: sum(batch[name]["mask"].sum() for batch in first) / sum(batch[name]["mask"].sum() for batch in plain) for name in ("text", "target")}
    assert min(length.values()) > 1.0 and max(batch["text"]["mask"].sum(-1).max() for batch in first) <= 250


def test_what_has_no_parts_is_not_split(made):
    dataset, features, languages = made
    letters = learn_features(dataset, ["text"], {"text": {"units": "characters"}})[0]["text"]
    for chosen, again in (({"text": letters}, {}), ({"text": features["text"], "target": features["label"]}, {"target": "label"})):
        name = list(chosen)[-1]
        with pytest.raises(ValueError, match=f"`augment` with `split` of texts in subwords. Received: {name}, whose units have no parts"):
            batches(dataset, "train", chosen, languages, 4, seed=0, again=again, augment={name: {"split": 0.1}})


def test_rare_classes_are_shown_as_often_as_common_ones(made):
    def counts(**options):
        found = [
            item
            for batch in taken(60, listed(made, size=5, seed=1, draws={"text": 1, "image": 1, "label": 1}, **options))
            for item in batch["label"]["value"].ravel()[batch["label"]["mask"].ravel()]
        ]
        return np.bincount(found, minlength=2)

    plain, even = counts(), counts(oversample={"label": 1.0})
    assert plain[0] / plain[1] > 1.6 and 0.75 < even[0] / even[1] < 1.3


def test_languages_can_be_oversampled(made):
    tr = [
        np.mean([(batch["text"]["language"] == 3).mean() for batch in taken(60, listed(made, size=5, seed=1, draws={"text": 1, "image": 1, "label": 1}, **options))])
        for options in ({}, {"oversample": {"text": 1.0}})
    ]
    assert tr[1] > tr[0]


def test_mixup_needs_numbers(made):
    with pytest.raises(ValueError, match="`mixup` for pictures and sounds alone. Received: mixup=0.2 with the text text"):
        listed(made, size=5, seed=1, mixup=0.2)


def test_unknown_fields_of_options_are_told(made):
    with pytest.raises(KeyError, match="`oversample` to name fields of the dataset: .*Received: topic"):
        listed(made, size=5, seed=1, oversample={"topic": 1.0})
    with pytest.raises(ValueError, match="`augment` to name fields among text, image, label. Received: photo"):
        listed(made, size=5, seed=1, augment={"photo": {}})


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Six recordings of half a second, and their words."""
    folder = tmp_path_factory.mktemp("spoken")
    rows = []
    for i in range(6):
        samples = 0.3 * np.sin(2 * np.pi * (300 + 100 * i) * np.arange(8000) / 16_000) + 0.01 * np.random.default_rng(i).normal(size=8000)
        (folder / f"{i}.wav").write_bytes(encode_wav(samples.astype("float32")))
        rows.append({"id": str(i), "audio": f"{i}.wav", "text": f"word {i}", "split": "train"})
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = ingest(folder / "t.jsonl", folder / "out", progress=False, fractions=(1.0, 0.0, 0.0))
    return dataset, *learn_features(dataset, ["audio", "text"], {"text": {"vocab_size": 300}, "audio": {"bins": 16}})


@pytest.mark.parametrize("cache", [True, False])
def test_recordings_are_changed_before_they_are_featurized(spoken, cache):
    options = {"size": 6, "draws": {"audio": 1, "text": 1}, "seed": 2, "cache": cache}
    changed = {"augment": {"audio": {"speed": 0.3, "bin_mask": 0.2}}}
    plain, first, again = (taken(2, listed(spoken, **options, **more)) for more in ({}, changed, changed))
    same(first, again)
    lengths = [[batch["audio"]["mask"].sum(axis=(1, 2)) for batch in made] for made in (plain, first)]
    assert len(set(np.concatenate(lengths[0]).tolist())) == 1 and len(set(np.concatenate(lengths[1]).tolist())) > 4
    for a, b in zip(plain, first):
        assert (a["audio"]["key"] == b["audio"]["key"]).all() and (a["id"] == b["id"]).all()
    assert (lengths[1][0][np.argsort(first[0]["id"])] != lengths[1][1][np.argsort(first[1]["id"])]).any(), "each time in another way"


def test_how_long_a_recording_was_is_no_band_to_be_moved_or_hidden(spoken):
    dataset, found, languages = spoken
    made = dataset, {**found, "audio": features.Audio(bins=9, range_db=40, steps=10)}, languages
    options = {"size": 6, "draws": {"audio": 1, "text": 1}, "seed": 2}
    plain, changed = (taken(1, listed(made, **options, **more))[0]["audio"] for more in ({}, {"augment": {"audio": {"warp": 0.5, "gain": 0.3, "bin_mask": 0.9, "time_mask": 0.9}}}))
    np.testing.assert_array_equal(changed["value"][..., 8], plain["value"][..., 8])
    assert plain["value"][..., 8].any() and (changed["value"][..., :8] != plain["value"][..., :8]).any()


@pytest.mark.parametrize("cache", [True, False])
def test_a_language_that_is_drawn_first_is_there_wherever_an_item_has_it(made, cache):
    _, _, languages = made
    english, german = languages.names.index("en"), languages.names.index("de")
    seen = set()
    for batch in taken(20, listed(made, size=10, draws={"text": 2, "image": 1, "label": 1}, seed=1, cache=cache, drawn_first={"text": ("de",)})):
        for name, drawn in zip(batch["id"], batch["text"]["language"]):
            assert (german in drawn) == (int(name.removeprefix(b"item")) % 2 == 1)
            seen.update(drawn.tolist())
    assert seen >= {english, german, languages.names.index("tr")}


def test_fields_called_as_what_batches_hold_are_told_if_they_are_asked_for(tmp_path):
    """Another field may be called so, and has no effect."""
    rows = "".join(f"train,word {i},thing {i},{i},{i},{'ab'[i % 4 == 0]}\n" for i in range(8))
    (tmp_path / "t.csv").write_text("split,text,item,weigh,oversample,label\nvalidation,word,thing,x,x,a\n" + rows)
    dataset = ingest(tmp_path / "t.csv", tmp_path / "out", dict.fromkeys(("text", "item", "weigh", "oversample"), "text") | {"label": "label"}, progress=False)
    found, languages = learn_features(dataset, ["text", "item"], {"text": {"vocab_size": 300}, "item": {"vocab_size": 300}})
    text = {"text": found["text"]}
    (batch,) = batches(dataset, "train", text, languages, 8)
    assert set(batch) == {"id", "item", "text"} and batch["item"].dtype == tf.int64 and len(set(batch["item"].numpy())) == 8
    batch = next(iter(batches(dataset, "train", text, languages, 8, draws={"text": 1}, seed=0, weigh={"label": 1.0}, oversample={"label": 0.0})))
    assert set(batch) == {"id", "item", "weigh", "text"} and sorted(batch["weigh"].numpy().tolist()) == [1.0] * 6 + [3.0] * 2
    with pytest.raises(ValueError, match="not called item, weigh, oversample, as what batches hold.*Received: item. Rename"):
        batches(dataset, "train", found, languages, 8)
