import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from cross_modal import metrics


def eye(size):
    return np.eye(size, dtype=bool)


def test_ranks_of_known_scores():
    similarity = [[0.9, 0.1, 0.5], [0.9, 0.1, 0.5], [0.9, 0.1, 0.5]]
    assert metrics.ranks(similarity, eye(3)).tolist() == [1, 3, 2]


def test_a_tie_counts_against_the_model():
    assert metrics.ranks([[0.5, 0.5, 0.1], [0.2, 0.2, 0.2], [0.3, 0.1, 0.3]], eye(3)).tolist() == [2, 3, 2]
    assert metrics.ranks(np.zeros((4, 4)), eye(4)).tolist() == [4, 4, 4, 4]
    assert metrics.recall_at(np.zeros((4, 4)), eye(4), 3) == 0


def test_what_rounding_tells_apart_is_a_tie():
    assert metrics.ranks([[0.5, 0.5 - 3e-7, 0.1], [0.2, 0.2 - 3e-6, 0.1]], [[True, False, False]] * 2).tolist() == [2, 1]
    assert metrics.ranks([[1e4, 1e4 - 1e-3], [1e4, 1e4 - 1.0]], [[True, False]] * 2).tolist() == [2, 1]  # Of what is no cosine in proportion.


def test_the_first_of_several_relevant_counts_and_they_do_not_tie_with_each_other():
    relevant = np.array([[True, False, True, False]])
    assert metrics.ranks([[0.1, 0.5, 0.9, 0.2]], relevant).tolist() == [1]
    assert metrics.ranks([[0.7, 0.9, 0.7, 0.2]], relevant).tolist() == [2]
    assert metrics.ranks([[0.1, 0.1, 0.1, 0.1]], relevant).tolist() == [3]
    assert metrics.ranks([[0.1, 0.1, 0.1, 0.1]], [[True] * 4]).tolist() == [1]


def test_more_queries_than_candidates():
    assert metrics.ranks([[0.1, 0.2], [0.1, 0.2], [0.3, 0.2]], [[1, 0], [0, 1], [1, 0]]).tolist() == [2, 1, 1]


def test_a_model_that_gives_nan_earns_nothing():
    similarity = np.full((3, 3), np.nan)
    assert metrics.recall_at(similarity, eye(3), 1) == 0
    similarity = np.array([[np.nan, 0.1, 0.2], [0.1, 0.9, np.nan], [0.0, 0.1, 0.2]])
    assert metrics.ranks(similarity, eye(3))[0] == 3


@hypothesis.settings(deadline=None)
@hypothesis.given(arrays.arrays(float, (5, 7), elements=strategies.integers(-3, 3).map(float)), arrays.arrays(bool, (5, 7)))
def test_ranks_are_those_of_a_sorted_list(similarity, relevant):
    relevant[:, 0] |= ~relevant.any(axis=1)
    for query, rank in enumerate(metrics.ranks(similarity, relevant)):
        order = sorted(range(7), key=lambda candidate: (-similarity[query, candidate], relevant[query, candidate]))  # In a tie the wrong ones first.
        first = next(place for place, candidate in enumerate(order) if relevant[query, candidate])
        wrong = sum(not relevant[query, candidate] for candidate in order[:first])
        assert rank == 1 + wrong


@pytest.mark.parametrize("k, expected", [(1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (9, 1.0)])
def test_recall_at(k, expected):
    similarity = np.array([[0.4, 0.3, 0.2, 0.1]] * 4)
    found = metrics.recall_at(similarity, eye(4), k)
    assert found == expected and isinstance(found, float)


def test_no_relevant_candidate_names_the_queries():
    relevant = eye(3)
    relevant[1] = False
    with pytest.raises(ValueError, match=r"Expected a relevant candidate for every query\. Received: none for queries \[1\]"):
        metrics.ranks(np.zeros((3, 3)), relevant)


def test_chance():
    assert metrics.chance_at(40, 10) == 0.25
    assert metrics.chance_at(4, 10) == 1


def test_accuracy():
    assert metrics.accuracy(["a", "b", "c", "c"], ["a", "b", "b", "a"]) == 0.5
    assert isinstance(metrics.accuracy([1, 2], [1, 2]), float)


def test_macro_f1_by_hand():
    # a: precision 1/2, recall 1 -> 2/3; b: precision 1/2, recall 1/2 -> 1/2; c: recall 0 -> 0.
    assert metrics.macro_f1(["a", "b", "b", "c"], ["a", "b", "a", "b"]) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_macro_f1_has_no_class_of_its_own_for_a_wrong_answer():
    assert metrics.macro_f1(["a", "b"], ["a", "z"]) == pytest.approx(0.5)  # a: 1, b: 0; z is in no reference.
    assert metrics.macro_f1(["a", "a"], ["b", "b"]) == 0
    assert metrics.macro_f1(["a", "b"], ["a", "b"]) == 1


def test_average_precision_by_hand():
    mean, each = metrics.average_precision([[1, 0, 0], [0, 1, 0], [1, 0, 0]], [[0.9, 0.3, 0.1], [0.8, 0.2, 0.1], [0.7, 0.1, 0.1]])
    assert each[:2] == pytest.approx([(1 + 2 / 3) / 2, 0.5]) and np.isnan(each[2])
    assert mean == pytest.approx((5 / 6 + 0.5) / 2)


def test_calibration_error_by_hand():
    """Two bins: 0.8 said and half right, 0.6 said and all right."""
    assert metrics.calibration_error([True, False, True, True], [0.8, 0.8, 0.6, 0.6]) == pytest.approx(0.5 * 0.3 + 0.5 * 0.4)
    assert metrics.calibration_error([True, True], [1.0, 1.0]) == 0.0


@hypothesis.given(strategies.lists(strategies.tuples(strategies.integers(0, 3), strategies.integers(0, 3)), min_size=1, max_size=40))
def test_f1_of_counts_is_that_of_the_answers(pairs):
    references, hypotheses = zip(*pairs)
    counts = metrics.confusion(references, hypotheses, 4)
    assert counts.sum() == len(pairs) and counts[references[0], hypotheses[0]] >= 1
    assert metrics.f1_of(counts) == pytest.approx(metrics.macro_f1(references, hypotheses))


def test_what_belongs_together_is_drawn_together():
    """Of 300 tables of 100 items, each asked four times and answered alike, nearly all intervals have the chance that they were made with; as single examples a third would not."""
    chance, covered = np.random.default_rng(0), 0
    for seed in range(300):
        low, high = metrics.bootstrap_mean(np.repeat(chance.random(100) < 0.7, 4).astype(float), np.repeat(np.arange(100), 4), 200, seed)
        covered += low <= 0.7 <= high
    assert covered >= 270
    assert metrics.bootstrap_mean([1.0, 1.0], ["a", "b"]) == [1.0, 1.0] and metrics.bootstrap_mean([0.0, 1.0, 1.0], ["a", "a", "b"], seed=1) == [0.5, 1.0]


@pytest.mark.parametrize("language, right, said, wer", [
    ("zh", "我喜欢狗。", "我喜欢猫。", 1 / 5), ("ja", "犬が好き", "猫が好き", 1 / 4), ("th", "สวัสดี", "สวัสดา", 1 / 6), ("en", "a dog", "a cat", 1 / 2),
])  # fmt: skip
def test_words_are_told_apart_where_no_spaces_are(language, right, said, wer):
    assert metrics.text_scores([[right]], [said], language)["wer"] == pytest.approx(wer)


def test_bootstrap_covers_and_narrows():
    small, large = metrics.bootstrap(np.array([[8, 2], [2, 8]])), metrics.bootstrap(np.array([[800, 200], [200, 800]]))
    for found, width in ((small, 0.35), (large, 0.035)):
        for low, high in found.values():
            assert low < 0.8 < high and high - low == pytest.approx(width, rel=0.25)
    assert metrics.bootstrap(np.array([[5, 0], [0, 5]]))["accuracy"] == [1.0, 1.0]
    assert metrics.bootstrap(np.array([[8, 2], [2, 8]]), seed=0) == small


@pytest.mark.parametrize("candidates, k, relevant, expected", [(10, 1, 1, 0.1), (10, 5, 1, 0.5), (10, 1, 3, 0.3), (4, 2, 2, 1 - 2 / 4 * 1 / 3), (3, 5, 1, 1.0), (5, 3, 3, 1.0)])
def test_chance_of_a_random_order(candidates, k, relevant, expected):
    assert metrics.chance_at(candidates, k, relevant) == pytest.approx(expected)


def test_texts_are_compared_by_hand():
    scores = metrics.text_scores([["a b c d e"], ["one two", "eins zwei"]], ["a b c d e", "eins zwo"])
    assert scores["exact"] == 0.5 and scores["wer"] == pytest.approx(1 / 7) and scores["cer"] == pytest.approx(2 / 18)
    assert 0 < scores["bleu"] < 100 and scores["bleu_signature"].startswith("nrefs:") and scores["chrf_signature"].startswith("nrefs:")
    same = metrics.text_scores([["das ist ein Haus", "es ist ein Haus"]] * 2, ["das ist ein Haus", "es ist ein Haus"])
    assert same["bleu"] == pytest.approx(100) and same["chrf"] == pytest.approx(100) and same["wer"] == 0
    assert metrics.text_scores([["我们 走 吧"]], ["我们走吧"], "zh-CN")["bleu"] > 50, "Chinese is compared by character"
    assert metrics.text_scores([["a"], ["b"]], ["", "b"])["wer"] == 0.5
    few = metrics.text_scores([["a b c"], ["zwei"]], ["a b c", "zwei"])
    assert few["chrf"] == few["exact"] * 100 == 100 and "bleu" not in few and "bleu_lower" not in few, "there are no four words in a row to be right"


def test_cider_by_hand():
    """Two pictures: a word of both says nothing, one of a single picture does."""
    references = [[["a", "dog"]], [["a", "cat"]]]
    assert metrics.cider(references, [["a", "dog"], ["a", "cat"]]) == pytest.approx(5.0)  # Of one word and two in a row it is all, of three and four there are none.
    assert metrics.cider(references, [["a"], ["a"]]) == 0.0 and metrics.cider(references, [[], ["cat", "a"]]) == pytest.approx(1.25)
    longer = metrics.cider(references, [["a", "dog", "and", "so", "on"], ["a", "cat"]])
    # One word: of "dog and so on", each as rare as the other, a quarter of the square is shared, and it is three words too long; two in a row likewise.
    assert longer == pytest.approx(10 * (2 * 0.5 * math.exp(-9 / 72) + 2) / 8)
    assert metrics.cider([], []) == metrics.cider([[["a", "b"]]], [["a", "b"]]) == 0.0


def test_captions_with_several_references_have_more_scores():
    scores = metrics.text_scores([["A dog runs .", "The dog is running ."], ["Two cats sleep .", "Cats are asleep ."]], ["a dog runs .", "Two cats sleep ."])
    assert scores["bleu_1"] == scores["bleu_lower"] == pytest.approx(100) and scores["bleu"] < 100 and scores["distinct"] == 2 and scores["cider"] > 3
    assert "cider" not in metrics.text_scores([["A dog runs ."]], ["A dog runs ."])
