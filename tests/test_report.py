import cv2
import numpy as np
import pytest

from cross_modal import pages, report


@pytest.mark.parametrize("patterns", [{}, {"image": {"accuracy": 0.5}, "text": {"accuracy": 0.75}, "image+text": {"accuracy": 1.0}}])
def test_confusions_are_darker_where_more(tmp_path, patterns):
    """Of two classes the first is always right and the second never."""
    scores = {"confusion": [[9, 0], [7, 0]], "patterns": patterns, "baseline": {"text": {"accuracy": 0.6}}}
    picture = cv2.imread(str(report.confusion_picture(scores, ["even", "odd"], tmp_path / "c.png", "odd or even")))
    dark = (picture.astype(int).sum(axis=2) < 250).mean()
    assert picture.shape[1] > picture.shape[0] * (1.4 if patterns else 0.8) and 0.01 < dark < 0.5
    blue = (np.abs(picture.astype(int) - [156, 110, 60]).max(axis=2) < 6).any(axis=0)
    assert blue.any() == bool(patterns)


def test_names_are_no_formulas(tmp_path):
    scores = {"confusion": [[9, 0], [7, 0]]}
    assert cv2.imread(str(report.confusion_picture(scores, ["$a_$", "$1 to $5"], tmp_path / "c.png", "$x_$"))).size


def test_history_draws_both_losses(tmp_path):
    (tmp_path / "h.csv").write_text("epoch,loss,val_loss\n1,3,4\n2,1,2\n")
    assert cv2.imread(str(report.history_picture(tmp_path / "h.csv", tmp_path / "h.png"))).size


def test_texts_are_shown_with_what_they_are_from(dataset, tmp_path):
    item = next(item for item in dataset.items("test").as_numpy_iterator())
    row = {"id": item["id"].decode(), "references": ["<zwei>"], "hypothesis": "", "score": -1.0, "chrf": 0.0, "trained": True}
    rows = [
        {**row, "route": "image->text:de", "source": {"image": None}, "trained": False},
        {**row, "route": "audio:fr->text:de", "source": {"audio:fr": None}, "hypothesis": "best", "chrf": 100.0},
        *({**row, "route": "text:en->text:de", "source": {"text:en": "two & two"}, "hypothesis": f"text {number}", "chrf": 50.0} for number in range(40)),
    ]
    page = pages.predictions_page(rows, dataset, "test", tmp_path / "page.html", count=4).read_text(encoding="utf-8")
    sorts = dict(zip(("best", "worst", "drawn"), page.split("<h2>")[1:]))
    assert "42 texts" in page and all(one.count("<tr>") == 5 for one in sorts.values()) and "<b>" not in page
    for one in sorts.values():  # Routes take turns: one with a single text is there too.
        assert one.count("data:image/png;base64,") == 1 and one.count("data:audio/wav;base64,") == 1 and one.count("never trained") == 1
        assert "two &amp; two" in one and "&lt;zwei&gt;" in one
    # A recording in a language that a run does not know is of no language to it.
    assert pages._shown({"source": {"audio": None}}, item, dataset).count("data:audio/wav;base64,") == 1
