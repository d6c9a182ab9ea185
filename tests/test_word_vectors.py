import numpy as np
import pytest
import scipy.sparse

from cross_modal import lexicons, word_vectors
from cross_modal.word_vectors import WordVectors, count_words, glove, near_counts, skip_gram
from cross_modal.words import words_of


def _texts(seed=0, count=600):
    """Sentences of two topics: words of one stand near each other, and never near those of the other."""
    chance = np.random.default_rng(seed)
    topics = (["cat", "dog", "bird", "fish"], ["red", "blue", "green", "pink"])
    return [" ".join(chance.choice(topics[number % 2], 6)) for number in range(count)]


def test_words_of_any_script():
    assert words_of("The CAT's hat, Straße!") == ["the", "cat", "s", "hat", "strasse"]
    assert words_of("П'ять, п’ять l'eau") == ["п'ять", "п’ять", "l", "eau"]
    assert words_of("我喜欢 cats。") == ["我", "喜", "欢", "cats"] and words_of("... ・ 😀") == []
    assert words_of("สวัสดี") == ["ส", "วั", "ส", "ดี"]  # A mark stays with its letter.
    assert words_of("İstanbul İKİ") == ["istanbul", "iki"] and words_of("cafe\u0301 हिन्दी") == ["café", "हिन्दी"]


def test_counts_words():
    words, counts, places = count_words(["b a b", "a c", ""], min_count=2)
    assert words == ["a", "b"] and counts.tolist() == [2, 2] and [one.tolist() for one in places] == [[1, 0, 1], [0], []]
    with pytest.raises(ValueError, match="a word that occurs 3 times or more in the texts. Received: none in 1 texts"):
        count_words(["a b"], min_count=3)


def test_near_counts_by_hand():
    """In "0 1 2": neighbours count one, 0 and 2 a half; nothing passes from a text to the next."""
    table = near_counts([np.array([0, 1, 2]), np.array([2])], 3, 2).toarray()
    assert table.tolist() == [[0, 1, 0.5], [1, 0, 1], [0.5, 1, 0]]
    assert scipy.sparse.issparse(near_counts([np.array([0])], 1, 5))


@pytest.mark.parametrize("learn", [lambda texts: skip_gram(texts, 8, epochs=30, subsample=0), lambda texts: glove(texts, 8, epochs=60, batch_size=64)])
def test_words_of_a_topic_come_together(learn):
    vectors = learn(_texts())
    assert sorted(vectors.words) == ["bird", "blue", "cat", "dog", "fish", "green", "pink", "red"]
    for word, topic in (("cat", {"dog", "bird", "fish"}), ("red", {"blue", "green", "pink"})):
        assert {other for other, _ in vectors.nearest(word, 3)} == topic


def test_learns_and_tells_and_repeats():
    told = []
    first = skip_gram(_texts(count=60), 4, epochs=3, subsample=0, progress=lambda *said: told.append(said))
    assert [epoch for epoch, _, _ in told] == [1, 2, 3] and told[-1][1] < told[0][1] and told[0][2] > 0
    np.testing.assert_allclose(skip_gram(_texts(count=60), 4, epochs=3, subsample=0).vectors, first.vectors, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("learn", [skip_gram, glove])
def test_words_that_stand_alone_teach_nothing(learn):
    with pytest.raises(ValueError, match="texts of two words or more"):
        learn(["one", "one", "two", "two"], 4)


def test_too_fast_is_told():
    with pytest.raises(ValueError, match="loss to be a number. Received: .* A lower `learning_rate`, or fewer `batch_words`"):
        skip_gram(_texts(), 8, learning_rate=1e30, epochs=3)


@pytest.fixture
def three():
    return WordVectors(["a", "b", "c\u00a0d"], np.array([[1, 0], [0.6, 0.8], [-1, 0.5]], np.float32), np.array([3, 2, 1]))


def test_nearest_by_hand(three):
    assert three.nearest("a", 2) == [("b", pytest.approx(0.6)), ("c\u00a0d", pytest.approx(-1 / np.sqrt(1.25)))]
    assert three["b"].tolist() == pytest.approx([0.6, 0.8])
    with pytest.raises(KeyError, match="one of the 3 words. Received: 'x'"):
        three.nearest("x")


def test_saves_what_others_read(three, tmp_path):
    three.save(tmp_path / "v.vec")
    assert (tmp_path / "v.vec").read_text(encoding="utf-8").splitlines()[:2] == ["3 2", "a 1 0"]
    loaded = WordVectors.load(tmp_path / "v.vec")
    assert loaded.words == three.words and "a" in loaded and "x" not in loaded
    (tmp_path / "c.vec").write_text("2 2\nb 1 2 \nb 3 4 \n")  # As word2vec and fastText write it, with a word that stands twice.
    assert WordVectors.load(tmp_path / "c.vec")["b"].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(loaded.vectors, three.vectors, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\n", "line 1: expected the numbers of words and dimensions.* Received: 'a 1 2'"),
        ("1 2\na 1 x\n", "line 2: expected a word and 2 numbers. Received: 'a 1 x"),
        ("1 2\na\n", "line 2: expected a word and 2 numbers. Received"),
        ("2 2\na 1 2\n", "expected 2 words, as its first line says, and at least one. Received: 1"),
    ],
)
def test_a_broken_file_is_told(tmp_path, text, message):
    (tmp_path / "v.vec").write_text(text)
    with pytest.raises(ValueError, match=message):
        WordVectors.load(tmp_path / "v.vec")


def test_projector_lists_all_languages(three, tmp_path):
    three.projector(tmp_path, "en")
    three.projector(tmp_path, "de")
    assert (tmp_path / "en.words.tsv").read_text(encoding="utf-8").splitlines()[:2] == ["word\tcount", "a\t3"]
    assert len((tmp_path / "de.vectors.tsv").read_text().splitlines()) == 3
    assert (tmp_path / "projector_config.pbtxt").read_text().count("metadata_path") == 2


# --- two languages ---


def test_seed_lexicon_by_hand():
    sources = ["the dog", "the cat", "the dog", "a bird"]
    targets = ["der hund", "die katze", "ein hund", "ein vogel"]
    pairs = lexicons.seed_lexicon(sources, targets, min_count=1, least=0.9)
    assert ("dog", "hund") in pairs and ("the", "der") not in pairs  # "the" stands beside three words, each but once.
    assert lexicons.seed_lexicon(["..."], ["x"], 1) == []
    with pytest.raises(ValueError, match="as many sources as targets. Received: 1 and 2"):
        lexicons.seed_lexicon(["a"], ["b", "c"])


def _turned(seed=0):
    """Vectors, the same in another language turned by a chance rotation, and which word means which."""
    chance = np.random.default_rng(seed)
    vectors = chance.normal(size=(60, 6)).astype(np.float32)
    turn = np.linalg.qr(chance.normal(size=(6, 6)))[0]
    a = WordVectors([f"a{i}" for i in range(60)], vectors, np.zeros(60, int))
    order = chance.permutation(60)
    b = WordVectors([f"b{i}" for i in order], (vectors @ turn)[order].astype(np.float32), np.zeros(60, int))
    return a, b, [(f"a{i}", f"b{i}") for i in range(60)]


@pytest.mark.parametrize("csls", [0, 5])
def test_a_turned_language_is_turned_back(csls):
    a, b, pairs = _turned()
    before = lexicons.lexicon_scores(a, b, pairs[20:], csls)
    a, b = lexicons.align(a, b, pairs[:20])
    assert before["precision@1"] < 0.3
    assert lexicons.lexicon_scores(a, b, pairs[20:], csls) == {"precision@1": 1.0, "precision@5": 1.0, "words": 40}
    assert lexicons.translate_words(a, b, ["a7"], 1, csls)[0][0][0] == "b7"


def test_csls_by_hand():
    """The corrected scores of all words, worked out one by one."""
    a = WordVectors(["x", "y"], np.array([[1, 0.1], [0.1, 1]], np.float32), np.zeros(2, int))
    b = WordVectors(["hub", "p", "q"], np.array([[0.7, 0.7], [1, -0.45], [-0.45, 1]], np.float32), np.zeros(3, int))
    scores = dict(lexicons.translate_words(a, b, ["x"], 3, csls=2)[0])
    cosines = a.unit @ b.unit.T
    for place, word in enumerate(b.words):
        expected = 2 * cosines[0, place] - np.sort(cosines[0])[-2:].mean() - cosines[:, place].mean()
        assert scores[word] == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_aligned_is_told():
    a, b, pairs = _turned()
    with pytest.raises(ValueError, match="a pair of words that both have vectors. Received: none among 1 pairs"):
        lexicons.align(a, b, [("x", "y")])
    with pytest.raises(ValueError, match="vectors of one size. Received: 6 and 2"):
        lexicons.align(a, WordVectors(["b0"], np.ones((1, 2), np.float32), np.zeros(1, int)), pairs)
    with pytest.raises(ValueError, match="a pair of words that both have vectors"):
        lexicons.lexicon_scores(a, b, [])


def test_every_method_has_a_name():
    assert set(word_vectors.METHODS) == {"skip-gram", "glove"}
