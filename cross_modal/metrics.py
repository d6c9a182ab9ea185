"""Functions of references and hypotheses; scikit-learn does the counting where it can."""

import collections
import math

import numpy as np
import scipy.sparse
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from cross_modal.words import words_of

_ARTICLES = frozenset(
    "en:a en:an en:the de:ein de:eine de:einem de:einen de:einer de:eines de:der de:die de:das de:dem de:den de:des es:el es:la es:los es:las es:un es:una es:unos es:unas"
    " fr:le fr:la fr:les fr:l fr:un fr:une it:il it:lo it:la it:i it:gli it:le it:l it:un it:uno it:una pt:o pt:a pt:os pt:as pt:um pt:uma nl:de nl:het nl:een".split()
)

_TABLES = 50  # That are drawn at once.
_ALIKE = 1e-6  # Similarities that differ by less are equal ones that were rounded otherwise.

_WITHOUT_SPACES = {"zh": "zh", "yue": "zh", **dict.fromkeys(("ja", "th", "lo", "km", "my"), "char")}  # Languages, and how sacreBLEU tells words apart in them.


def ranks(similarity, relevant):
    """Ranks the first relevant candidate of each query.

    A candidate that is as similar as the relevant one counts as before it, and so does NaN: a model that gives all the same score earns nothing. Similarities that differ by no
    more than a millionth are alike: what separates cosines of equal vectors, such as those of texts that differ in case alone where case is folded, is how they were rounded.

    Args:
        similarity: float `(queries, candidates)`.
        relevant: bool `(queries, candidates)`, at least one True a row.

    Returns:
        int `(queries,)`, 1 for the best.

    Raises:
        ValueError: if a query has no relevant candidate.
    """
    similarity, relevant = np.asarray(similarity), np.asarray(relevant, bool)
    if not relevant.any(axis=1).all():
        raise ValueError(f"Expected a relevant candidate for every query. Received: none for queries {np.flatnonzero(~relevant.any(axis=1))[:5].tolist()}")
    best = np.where(relevant, similarity, -np.inf).max(axis=1, keepdims=True)
    return 1 + (~(similarity < best - _ALIKE * np.maximum(1.0, abs(best))) & ~relevant).sum(axis=1)


def recall_at(similarity, relevant, k):
    """Returns the share of queries with a relevant candidate among the first `k`, between 0 and 1."""
    return float((ranks(similarity, relevant) <= k).mean())


def chance_at(candidates, k, relevant=1):
    """Returns the recall at `k` of a random order of `candidates`, of which some are `relevant`."""
    if k + relevant > candidates:
        return 1.0
    if relevant == 1:
        return k / candidates
    return 1.0 - math.prod((candidates - relevant - place) / (candidates - place) for place in range(k))


def accuracy(references, hypotheses):
    """Returns the share of equal labels."""
    return float(accuracy_score(references, hypotheses))


def macro_f1(references, hypotheses):
    """Returns the mean F1 over the classes that occur in the references."""
    return float(f1_score(references, hypotheses, labels=sorted(set(references)), average="macro", zero_division=0.0))


def average_precision(references, scores):
    """Returns the area under the precision-recall curve, the mean over the classes that occur.

    Args:
        references: bool `(examples, classes)`.
        scores: float `(examples, classes)`.

    Returns:
        Pair of the mean and float `(classes,)`, NaN for a class that does not occur.
    """
    references = np.asarray(references, bool)
    each = np.array([average_precision_score(right, own) if right.any() else np.nan for right, own in zip(references.T, np.asarray(scores).T)])
    return float(np.nanmean(each)), each


def calibration_error(right, confidence, bins=15):
    """Returns how far confidence is from the share of right answers, on average over answers of like confidence.

    Args:
        right: bool `(examples,)`.
        confidence: float `(examples,)` between 0 and 1.
        bins: number of equal intervals of confidence.

    Source:
        Guo et al. (2017), "On Calibration of Modern Neural Networks", equation 3.
    """
    right, confidence = np.asarray(right, float), np.asarray(confidence, float)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, right - confidence, bins)
    return float(np.abs(gaps).sum() / len(right))


def confusion(references, hypotheses, classes):
    """Counts how often each class is answered for each: int `(classes, classes)`, a row a reference."""
    return np.bincount(np.asarray(references) * classes + np.asarray(hypotheses), minlength=classes**2).reshape(classes, classes)


def f1_of(counts):
    """Returns the macro F1 of confusion matrices, over the classes that occur in the references: float of the shape before the last two axes of `counts`."""
    counts = np.asarray(counts, float)
    return _macro_f1(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-1), counts.sum(-2))


def _macro_f1(right, real, said):
    """Of how many of each class are right, are real and are said, float `(..., classes)`."""
    each = np.divide(2 * right, real + said, out=np.zeros_like(right), where=real + said > 0)
    there = real > 0
    return (each * there).sum(-1) / np.maximum(there.sum(-1), 1)


def bootstrap(counts, resamples=1000, seed=0):
    """Estimates the spread of accuracy and macro F1 over tables of examples like this one.

    Args:
        counts: int `(classes, classes)`, see `confusion`.
        resamples: number of tables drawn.
        seed: of the draw.

    Returns:
        Dict of `accuracy` and `macro_f1` to the bounds between which 95 % of them lie.

    Source:
        Efron and Tibshirani (1993), "An Introduction to the Bootstrap", section 13.3 (percentiles).
    """
    counts = np.asarray(counts)
    (rows, columns), whole, classes = np.nonzero(counts), counts.sum(), len(counts)  # Of a table of a thousand classes most cells are empty.
    ones, cells, exact = np.ones(len(rows)), np.arange(len(rows)), rows == columns
    real, said = (scipy.sparse.csr_matrix((ones, (places, cells)), (classes, len(rows))) for places in (rows, columns))
    chance, scores = np.random.default_rng(seed), {"accuracy": [], "macro_f1": []}
    for start in range(0, resamples, _TABLES):
        drawn = chance.multinomial(whole, counts[rows, columns] / whole, min(_TABLES, resamples - start)).T  # (cells, tables)
        right = np.zeros((classes, drawn.shape[1]))
        right[rows[exact]] = drawn[exact]
        scores["accuracy"].append(right.sum(0) / whole)
        scores["macro_f1"].append(_macro_f1(right.T, (real @ drawn).T, (said @ drawn).T))
    return {name: _bounds(np.concatenate(values)) for name, values in scores.items()}


def bootstrap_mean(values, groups, resamples=1000, seed=0):
    """Estimates the spread of a mean over tables like this one, of other groups: what belongs together is drawn together.

    Args:
        values: float `(examples,)`.
        groups: of each example, such as the item that it is of.
        resamples: number of tables drawn.
        seed: of the draw.

    Returns:
        The bounds between which 95 % of the means lie, list of two floats.

    Source:
        Davison and Hinkley (1997), "Bootstrap Methods and their Application", section 3.8 (hierarchical data), drawing groups alone.
    """
    _, places = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(places, values), np.bincount(places)
    chance = np.random.default_rng(seed)
    drawn = (chance.integers(len(sums), size=len(sums)) for _ in range(resamples))
    return _bounds([sums[rows].sum() / counts[rows].sum() for rows in drawn])


def _bounds(values):
    """Between what 95 % of values lie."""
    return [round(float(bound), 4) for bound in np.percentile(values, [2.5, 97.5])]


def text_scores(references, hypotheses, language=""):
    """Compares texts with what they should be; sacreBLEU and jiwer do the counting.

    Args:
        references: list of a list of str for each text: any of them is right.
        hypotheses: list of str.
        language: tag, for how words are told apart: in Chinese, Japanese, Thai, Lao, Khmer and Burmese, which put no spaces between them, each letter is one.

    Returns:
        Dict of `bleu` and `chrf`, 0 to 100, with `bleu_signature` and `chrf_signature`, and `bleu_lower`, of lower-case texts, but no BLEU where no reference has four words, of
        which it would be 0 whatever is written; `wer` and `cer`, errors a word and a character of
        the nearest reference; and `exact`, the share that is a reference. Where a text has several references also `bleu_1`, `bleu_2` and `bleu_3`, of at most so many words in
        a row, of lower-case texts; `cider`; and `distinct`, how many different texts there are.
    """
    import jiwer
    from sacrebleu.metrics import BLEU, CHRF

    tokenize = _WITHOUT_SPACES.get(language.partition("-")[0], "13a")
    most = max(map(len, references))
    streams = [[right[place] if place < len(right) else None for right in references] for place in range(most)]
    bleu, chrf = BLEU(tokenize=tokenize, force=True), CHRF()
    cased, scores = bleu.corpus_score(hypotheses, streams).score, {"chrf": chrf.corpus_score(hypotheses, streams).score}
    scores |= {"bleu_signature": str(bleu.get_signature()), "chrf_signature": str(chrf.get_signature())}  # Which are known when something was scored.
    lower = BLEU(tokenize=tokenize, lowercase=True, force=True)
    if any(len(bleu.tokenizer(text).split()) >= 4 for right in references for text in right):
        scores |= {"bleu": cased, "bleu_lower": lower.corpus_score(hypotheses, streams).score}
    scores["exact"] = float(np.mean([said in right for right, said in zip(references, hypotheses)]))
    apart = str if tokenize == "13a" else bleu.tokenizer
    for name, count, of in (("wer", jiwer.process_words, apart), ("cer", jiwer.process_characters, str)):
        errors = length = 0
        for right, said in zip(references, hypotheses):
            found = [count(of(one), of(said)) for one in right if one.strip()]
            wrong = [(one.substitutions + one.deletions + one.insertions, one.hits + one.substitutions + one.deletions) for one in found]
            if wrong:
                nearest = min(wrong, key=lambda pair: pair[0] / pair[1])
                errors, length = errors + nearest[0], length + nearest[1]
        scores[name] = errors / max(length, 1)
    if most > 1:
        scores |= {f"bleu_{order}": BLEU(tokenize=tokenize, lowercase=True, max_ngram_order=order, force=True).corpus_score(hypotheses, streams).score for order in (1, 2, 3)}
        split = lower.tokenizer
        words = [[split(text.lower()).split() for text in (said, *right)] for right, said in zip(references, hypotheses)]
        scores |= {"cider": cider([one[1:] for one in words], [one[0] for one in words]), "distinct": len(set(hypotheses))}
    return scores


def cider(references, hypotheses):
    """Compares captions with those that people wrote: the words in a row that they share, those that say more of a picture counting more (CIDEr-D).

    Args:
        references: for each picture a list of captions, a list of words each.
        hypotheses: for each picture a caption, a list of words.

    Returns:
        Mean over the pictures, 0 to 10; papers often give it times 100. With fewer than two pictures there is nothing that is rare, and it is 0.

    Source:
        Vedantam et al. (2015), "CIDEr: Consensus-based Image Description Evaluation", sections 3 and 6.
    """
    scores = np.zeros((len(references), 4))
    for order in range(1, 5):
        counted = [[collections.Counter(zip(*(words[start:] for start in range(order)))) for words in (said, *right)] for right, said in zip(references, hypotheses)]
        pictures = collections.Counter(run for _, *right in counted for run in set().union(*right))
        rarity = collections.defaultdict(lambda: math.log(len(references)), {run: math.log(len(references) / count) for run, count in pictures.items()})
        weighed = [[{run: count * rarity[run] for run, count in one.items()} for one in some] for some in counted]
        for place, (said, *right) in enumerate(weighed):
            for words, one in zip(references[place], right):
                shared = sum(min(said[run], weight) * weight for run, weight in one.items() if run in said)
                lengths = math.sqrt(sum(weight**2 for weight in said.values()) * sum(weight**2 for weight in one.values()))
                apart = max(len(hypotheses[place]) - 1, 0) - max(len(words) - 1, 0)
                scores[place, order - 1] += shared / max(lengths, 1e-12) * math.exp(-(apart**2) / 72) / len(right)
    return float(10 * scores.mean()) if len(references) else 0.0


def sentence_scores(references, hypotheses):
    """Compares each text with what it should be.

    Args:
        references: see `text_scores`, as `hypotheses`.

    Returns:
        List of chrF, 0 to 100.
    """
    from sacrebleu.metrics import CHRF

    chrf = CHRF()
    return [chrf.sentence_score(said, right).score for right, said in zip(references, hypotheses)]


def answer_marks(references, hypotheses, languages):
    """Compares answers with what they should be, by their words, without articles, case and punctuation.

    Args:
        references: list of a list of str for each question: any of them is right; empty, or an empty str, where there is no answer.
        hypotheses: list of str, empty for no answer.
        languages: list of tags of the answers, which say what is an article.

    Returns:
        Pair of float `(questions,)`: 1 where the words are those of a reference, else 0 (exact match); and F1 of the words shared with the nearest reference. No answer is
        right, with 1, where there is none, and else wrong, with 0.

    Source:
        Rajpurkar et al. (2016), "SQuAD", section 6.1; Lewis et al. (2020), "MLQA", section 5.1, for other languages than English.
    """
    exact, f1 = np.zeros(len(hypotheses)), np.zeros(len(hypotheses))
    for place, (right, said, language) in enumerate(zip(references, hypotheses, languages)):
        said = _answer_words(said, language)
        for words in [_answer_words(one, language) for one in right] or [[]]:
            exact[place] = max(exact[place], words == said)
            shared = sum((collections.Counter(words) & collections.Counter(said)).values())
            f1[place] = max(f1[place], 2 * shared / max(len(words) + len(said), 1), words == said)
    return exact, f1


def _answer_words(text, language):
    words = words_of(text)
    return [word for word in words if f"{language.partition('-')[0]}:{word}" not in _ARTICLES] or words
