import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cross_modal.data import augment
from cross_modal.data.media import encode_wav
from cross_modal.features.audio import decode_wav

SEED = [3, 4]


def pictures(count=64, size=(9, 11), channels=3):
    return np.random.default_rng(0).uniform(0.2, 0.8, (count, *size, channels)).astype("float32")


def tone(hertz=500, seconds=0.5):
    return tf.constant(encode_wav((0.3 * np.sin(2 * np.pi * hertz * np.arange(int(16_000 * seconds)) / 16_000)).astype("float32")))


def frequency(raw):
    samples = decode_wav(raw).numpy()
    return np.abs(np.fft.rfft(samples, 2**16)).argmax() * 16_000 / 2**16


def level(raw):
    return 10 * np.log10(np.mean(decode_wav(raw).numpy() ** 2))


@pytest.mark.parametrize("options", [{}, {"scale": 0.0, "rotation": 0.0, "brightness": 0.0, "erase": 0.0}])
def test_nothing_asked_for_changes_nothing(options):
    value = pictures()
    np.testing.assert_array_equal(augment.image(value, SEED, **options), value)
    raw = tone()
    np.testing.assert_array_equal(decode_wav(augment.audio(raw, SEED)), decode_wav(raw))


def test_flip_mirrors_half():
    value = pictures()
    found = augment.image(value, SEED, flip=True).numpy()
    mirrored = np.array([np.allclose(a, b[:, ::-1], atol=1e-5) for a, b in zip(found, value)])
    same = np.array([np.allclose(a, b, atol=1e-5) for a, b in zip(found, value)])
    assert (mirrored ^ same).all() and 16 < mirrored.sum() < 48


def _spot(place, size=(41, 41)):
    value = np.zeros((200, *size, 1), np.float32)
    value[:, place[0], place[1]] = 1.0
    return value


def _centres(value):
    rows, columns = np.mgrid[: value.shape[1], : value.shape[2]]
    total = value[..., 0].sum(axis=(1, 2))
    return (value[..., 0] * rows).sum(axis=(1, 2)) / total, (value[..., 0] * columns).sum(axis=(1, 2)) / total


def test_shift_moves_by_up_to_its_share():
    rows, columns = _centres(augment.image(_spot((20, 20)), SEED, shift=0.1).numpy())
    assert np.abs(rows - 20).max() <= 4.2 and np.abs(columns - 20).max() <= 4.2
    assert np.abs(rows - 20).max() > 3 and np.abs(columns - 20).max() > 3 and np.abs(rows - columns).max() > 3


def test_rotation_turns_around_the_middle():
    rows, columns = _centres(augment.image(_spot((20, 35)), SEED, rotation=30.0).numpy())
    np.testing.assert_allclose(np.hypot(rows - 20, columns - 20), 15, atol=0.3)
    angles = np.degrees(np.arctan2(rows - 20, columns - 20))
    assert np.abs(angles).max() <= 31 and angles.min() < -20 and angles.max() > 20


def test_scale_grows_and_shrinks():
    rows, columns = _centres(augment.image(_spot((20, 35)), SEED, scale=0.25).numpy())
    assert np.allclose(rows, 20, atol=0.1)
    assert 15 / 1.25 - 0.3 <= (columns - 20).min() < 13 and 17 < (columns - 20).max() <= 15 * 1.25 + 0.3


@pytest.mark.parametrize("crop", [0, False, -0.1, 35])
def test_a_crop_that_is_no_share_is_told(crop):
    with pytest.raises(ValueError, match=f"above 0 and at most 1, or None. Received: crop={crop}"):
        augment.image(pictures(), SEED, crop=crop)


def test_a_crop_of_nearly_all_cuts_out_nearly_all():
    columns = np.broadcast_to(np.mgrid[1:42, 1:42].astype(np.float32).transpose(1, 2, 0), (200, 41, 41, 2))
    found = augment.image(columns, SEED, crop=0.95).numpy()
    areas = (found[:, -1, 0, 0] - found[:, 0, 0, 0]) * (found[:, 0, -1, 1] - found[:, 0, 0, 1]) / 1600
    assert areas.min() > 0.945 and areas.max() <= 1.001


@pytest.mark.parametrize("flip", [False, True])
def test_crop_draws_a_part_at_full_size(flip):
    """Of a picture whose pixels say where they were, one can read what was cut out."""
    rows, columns = np.mgrid[1:42, 1:42].astype(np.float32)
    value = np.broadcast_to(np.stack([rows, columns, np.ones_like(rows)], -1), (200, 41, 41, 3))
    found = augment.image(value, SEED, crop=0.4, flip=flip).numpy()
    np.testing.assert_allclose(found[..., 2], 1.0, atol=1e-3)  # Nothing from outside.
    tall, wide = found[:, -1, 0, 0] - found[:, 0, 0, 0], found[:, 0, -1, 1] - found[:, 0, 0, 1]
    assert (wide > 0).all() != flip and (tall > 0).all()
    tall, wide = tall / 40, np.abs(wide) / 40
    area, ratio = tall * wide, tall / wide
    assert 0.38 < area.min() < 0.5 and 0.85 < area.max() <= 1.001
    assert 3 / 4 - 0.01 < ratio.min() < 0.85 and 1.15 < ratio.max() < 4 / 3 + 0.01
    middle = found[:, 20, 20, :2] - 21
    room = 40 * (1 - np.stack([tall, wide], -1)) / 2
    assert (np.abs(middle) <= room + 0.02).all() and (np.abs(middle) > 0.9 * room).any(axis=0).all(), "anywhere in the picture"
    np.testing.assert_array_equal(augment.image(pictures(), SEED, crop=1.0), pictures())


def test_colour_by_hand():
    value = pictures(channels=3)
    brighter = augment.image(value, SEED, brightness=0.1).numpy() - value
    assert np.allclose(brighter, brighter[:, :1, :1, :1], atol=1e-5) and 0.05 < np.abs(brighter).max() <= 0.1001
    contrast = augment.image(value, SEED, contrast=0.2).numpy()
    np.testing.assert_allclose(contrast.mean(axis=(1, 2, 3)), value.mean(axis=(1, 2, 3)), atol=1e-3)
    ratio = contrast.std(axis=(1, 2, 3)) / value.std(axis=(1, 2, 3))
    assert 0.79 < ratio.min() < 0.9 and 1.1 < ratio.max() < 1.21
    grey = np.repeat(value[..., :1], 3, axis=-1)
    np.testing.assert_allclose(augment.image(grey, SEED, saturation=0.5), grey, atol=1e-4)
    assert np.abs(augment.image(value, SEED, saturation=0.5).numpy() - value).max() > 0.05


def test_erase_hides_a_rectangle_in_half():
    value = pictures(200, (40, 40))
    hidden = (np.abs(augment.image(value, SEED, erase=0.5).numpy() - value) > 1e-6).any(axis=-1)
    some = hidden.any(axis=(1, 2))
    assert 60 < some.sum() < 140
    for one in hidden[some]:
        rows, columns = one.any(axis=1), one.any(axis=0)
        assert one.sum() == rows.sum() * columns.sum() and rows.sum() <= 21 and columns.sum() <= 21
        assert np.diff(np.flatnonzero(rows)).max(initial=1) == np.diff(np.flatnonzero(columns)).max(initial=1) == 1


def test_gain_in_decibels():
    changes = np.array([level(augment.audio(tone(), [1, seed], gain_db=6.0)) - level(tone()) for seed in range(20)])
    assert np.abs(changes).max() <= 6.05 and changes.min() < -3 and changes.max() > 3


def test_noise_below_the_sound_in_decibels():
    raw = tone()
    for seed in range(10):
        noise = decode_wav(augment.audio(raw, [1, seed], noise_db=10.0)).numpy() - decode_wav(raw).numpy()
        below = level(raw) - 10 * np.log10(np.mean(noise**2))
        assert 9.5 <= below <= 40.5


def test_speed_changes_length_and_pitch_alike():
    raw = tone(500)
    for seed in range(6):
        found = augment.audio(raw, [1, seed], speed=0.2)
        factor = 8000 / decode_wav(found).shape[0]
        assert 0.79 <= factor <= 1.21 and abs(frequency(found) / 500 - factor) < 0.01


def test_no_more_of_a_recording_is_heard_than_is_asked_for_and_no_less():
    raw = tf.audio.encode_wav(tf.zeros((32 * 8000, 1)), 8000)
    for seconds, length in ((2, 2), (31, 31), (50, 32)):
        assert abs(decode_wav(augment.audio(raw, SEED, seconds, gain_db=1.0), 99).shape[0] / 16000 - length) < 0.01
    assert all(decode_wav(augment.audio(raw, [1, seed], 2, speed=0.2), 99).shape[0] / 16000 >= 2 for seed in range(4))


def test_shift_puts_silence_before_or_cuts_at_most_a_tenth():
    raw = tone()
    lengths = []
    for seed in range(20):
        samples = decode_wav(augment.audio(raw, [1, seed], shift_ms=100)).numpy()
        lengths.append(len(samples))
        if len(samples) > 8000:
            assert not samples[: len(samples) - 8000].any()
            np.testing.assert_allclose(samples[len(samples) - 8000 :], decode_wav(raw), atol=1e-4)
    assert 7200 <= min(lengths) < 8000 < max(lengths) <= 9600


def test_spectrogram_hides_spans_of_what_is_there():
    value = np.ones((50, 40, 16), np.float32)
    lengths = np.array([40] * 25 + [20] * 25)
    mask = np.arange(40) < lengths[:, None]
    hidden = augment.spectrogram(value, mask, SEED, time_mask=0.2, masks=1).numpy() == 0.0
    assert (hidden.all(axis=2) == hidden.any(axis=2)).all()
    spans = hidden[:, :, 0].sum(axis=1)
    assert spans[:25].max() <= 9 and spans[25:].max() <= 5 and spans.max() >= 6 and not hidden[25:, 20:].any()
    bands = augment.spectrogram(value, mask, SEED, bin_mask=0.25, masks=2).numpy() == 0.0
    assert (bands.all(axis=1) == bands.any(axis=1)).all() and 1 <= bands[:, 0].sum(axis=1).max() <= 10


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.floats(0.0, 1.0), st.integers(0, 9))
def test_words_are_left_out_in_order_and_one_stays(lengths, share, seed):
    width = max(*lengths, 1)
    mask = np.arange(width) < np.array(lengths)[:, None]
    value = np.where(mask, np.arange(1, width + 1), 0).astype(np.int32)
    found, kept = (one.numpy() for one in augment.text(value, mask, [seed, 0], word_dropout=share))
    for length, row, real in zip(lengths, found, kept):
        left = row[real].tolist()
        assert left == sorted(set(left)) and set(left) <= set(range(1, length + 1)) and len(left) >= min(1, length)
        assert not row[~real].any() and (np.diff(real.astype(int)) <= 0).all()


def test_share_of_words_left_out():
    mask = np.ones((50, 40), bool)
    assert 0.25 < 1 - augment.text(np.ones((50, 40), np.int32), mask, SEED, word_dropout=0.3)[1].numpy().mean() < 0.35


def test_subwords_by_hand():
    """7 is 5 and 6 or 1, 2 and 3; 8 is 4 and 4; all others are nothing but themselves."""
    parts = [[], [5, 6], [1, 2, 3], [4, 4]], np.array([0] * 7 + [1, 3], np.int32), np.array([0] * 7 + [2, 1], np.int32)
    whole = augment.subwords(tf.constant([7, 1, 8]), parts, SEED, split=0.0)
    assert whole.to_list() == [[7], [1], [8]]
    found = augment.subwords(tf.constant([7, 1, 8] * 500), parts, SEED, split=1.0).to_list()
    assert {tuple(one) for one in found[::3]} == {(5, 6), (1, 2, 3)} and found[1::3] == [[1]] * 500 and found[2::3] == [[4, 4]] * 500
    assert 200 < found[::3].count([5, 6]) < 300
    some = augment.subwords(tf.constant([8] * 1000), parts, SEED, split=0.3).to_list()
    assert 250 < some.count([4, 4]) < 350 and some.count([8]) == 1000 - some.count([4, 4])
    assert augment.subwords(tf.zeros([0], tf.int32), parts, SEED, split=0.5).to_list() == []


def test_modalities_are_hidden_but_never_all():
    draw = np.random.default_rng(0)
    masks = {name: draw.uniform(size=(500, 1, 3)) < 0.5 for name in "abc"}
    there = {name: mask.any(axis=(1, 2)) for name, mask in masks.items()}
    for share in (0.5, 1.0):
        found = {name: mask.numpy().any(axis=(1, 2)) for name, mask in augment.drop_modalities(masks, SEED, share).items()}
        assert all((found[name] <= there[name]).all() for name in masks)
        some = np.any(list(there.values()), axis=0)
        assert (np.any(list(found.values()), axis=0) == some).all()
    assert (np.sum(list(found.values()), axis=0)[some] == 1).all()


def test_mix_by_hand():
    value, label = np.eye(4, dtype=np.float32)[:, None, :], np.arange(4, dtype=np.int32)[:, None]
    batch = {"item": np.arange(4), "image": {"value": value, "mask": np.ones((4, 1, 1), bool)}, "label": {"value": label, "mask": np.array([True, True, False, True])[:, None]}}
    batch = tf.nest.map_structure(tf.constant, batch)
    mixed = augment.mix(batch, ["image"], ["label"], SEED, 0.5)
    share, other = mixed["label"]["share"].numpy(), mixed["label"]["other"].numpy()[:, 0]
    expected = share[:, None] * np.eye(4) + (1 - share[:, None]) * np.eye(4)[other]
    np.testing.assert_allclose(mixed["image"]["value"].numpy()[:, 0], expected, atol=1e-6)
    assert mixed["label"]["other_mask"].numpy()[:, 0].tolist() == (other != 2).tolist()
    assert sorted(other) == [0, 1, 2, 3] and (share >= 0).all() and (share <= 1).all()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"photo": {}}, "`augment` to name fields among image, text, target. Received: photo"),
        ({"image": {"word_dropout": 0.1}}, "`augment` of image to have keys among crop, scale, rotation, .*Received: word_dropout"),
        ({"text": {"flip": True}}, "`augment` of text to have keys among word_dropout, split. Received: flip"),
        ({"target": {"word_dropout": 0.1}}, "`augment` of target to have keys among split. Received: word_dropout"),
    ],
)
def test_what_is_unknown_is_told_with_what_is_known(options, words):
    with pytest.raises(ValueError, match=words):
        augment.check_options(options, {"image": "image", "text": "text", "target": "again"})


def test_bands_move_up_and_down_by_a_share_of_their_height():
    value = np.zeros((64, 3, 40), np.float32)
    value[:, :, 30] = 1.0
    mask = np.ones((64, 3), bool)
    moved = augment.spectrogram(value, mask, SEED, warp=0.2).numpy()
    places = (moved[:, 0] * np.arange(40)).sum(-1) / moved[:, 0].sum(-1)
    assert 30 / 1.2 - 1 <= places.min() < 27 and 34 < places.max() <= 30 / 0.8 + 1 and (moved == moved[:, :1]).all()
    low = np.zeros((64, 3, 40), np.float32)
    low[:, :, 3] = 1.0
    assert (augment.spectrogram(low, mask, SEED, warp=0.2).numpy()[:, :, 5:] == 0).all()


def test_a_microphone_favours_some_bands_and_leaves_silence():
    value = np.ones((64, 3, 40), np.float32)
    value[:, 2] = 0.0
    curve = augment.spectrogram(value, np.ones((64, 3), bool), SEED, gain=0.3).numpy() - value
    assert (curve[:, 2] == 0).all() and (curve[:, 0] == curve[:, 1]).all() and 0.25 < np.abs(curve).max() <= 0.3
    assert np.abs(np.diff(curve[:, 0], axis=1)).max() < 0.07 and curve.std(axis=2)[:, 0].min() > 0.01
