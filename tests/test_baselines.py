import cv2
import numpy as np
import pytest

from cross_modal import baselines
from cross_modal.data.media import encode_wav


def stripes(angle, seed):
    """A picture of noisy stripes at an angle in degrees."""
    y, x = np.mgrid[:40, :40]
    wave = np.sin((x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))) / 2)
    pixels = 128 + 80 * wave + np.random.default_rng(seed).normal(0, 20, (40, 40))
    return cv2.imencode(".png", np.repeat(pixels.clip(0, 255)[:, :, None], 3, axis=2).astype(np.uint8))[1].tobytes()


def tone(hertz, seed):
    draw = np.random.default_rng(seed)
    return encode_wav((0.3 * np.sin(2 * np.pi * hertz * np.arange(4000) / 16_000) + 0.02 * draw.normal(size=4000)).astype("float32"))


def text(topic, seed):
    draw = np.random.default_rng(seed)
    return " ".join(draw.choice(["küçük kedi", "büyük köpek", "kırmızı ev"] if topic else ["big dog", "small cat", "red house"], 3)).encode()


MAKERS = {"image": lambda c, i: stripes(20 + 60 * c, i), "audio": lambda c, i: tone(400 + 500 * c, i), "text": text}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_linear_model_learns_plain_things(kind):
    labels = np.arange(40) % 2
    train = [MAKERS[kind](c, i) for i, c in enumerate(labels)]
    test = [MAKERS[kind](c, 100 + i) for i, c in enumerate(labels)]
    assert (baselines.linear_baseline({"x": kind}, {"x": train}, labels, {"x": test}) == labels).mean() > 0.95


def test_absent_views_and_several_labels():
    labels = np.array([[i % 2 == 0, i % 3 == 0] for i in range(60)])
    both = {"x": [stripes(20 + 60 * a, i) if i % 5 else None for i, (a, _) in enumerate(labels)], "y": [text(b, i) for i, (_, b) in enumerate(labels)]}
    found = baselines.linear_baseline({"x": "image", "y": "text"}, both, labels, both, multi_label=True)
    assert found.shape == (60, 2) and found.dtype == bool and (found == labels).mean() > 0.85
    nothing = {"x": [None] * 60, "y": [None] * 60}
    assert len(baselines.linear_baseline({"x": "image", "y": "text"}, nothing, labels[:, 0], nothing)) == 60


def test_one_class_alone_is_always_answered():
    texts = {"x": [b"a", b"b"]}
    assert baselines.linear_baseline({"x": "text"}, texts, np.array([3, 3]), texts).tolist() == [3, 3]


def test_gradients_of_a_flat_picture_are_none():
    flat = cv2.imencode(".png", np.full((9, 9, 3), 255, np.uint8))[1].tobytes()
    found = baselines.image_features(flat)
    assert found.shape == (624,) and not found[:576].any() and (found[576:] == 1).all()
