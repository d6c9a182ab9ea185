import numpy as np
import pytest
import tensorflow as tf

from cross_modal import features, testing

STOPS = {"en": ["the", "who", "is"], "de": ["die", "STRASSE"], "pt-PT": ["o"], "nl": ["de"], "fr": ["l'", "i.e."]}


def cleaned(texts, languages, **options):
    return [text.decode() for text in features.Cleaner(**options)(tf.constant(texts), tf.constant(languages)).numpy()]


def test_nothing_is_changed_unless_asked_for():
    texts = ["The  Straße, who?", " ", "", "!", "👩‍👩‍👧 ¿Qué?"]
    assert cleaned(texts, ["en"] * 5) == texts


@pytest.mark.parametrize("text, expected", [("STRASSE Straße", "strasse strasse"), ("ΣΊΣΥΦΟΣ Σίσυφος", "σίσυφοσ σίσυφοσ"), ("你好 ABC", "你好 abc"), ("İI", "i\u0307i")])
def test_case(text, expected):
    assert cleaned([text], ["und"], fold_case=True) == [expected]


@pytest.mark.parametrize(
    "text, expected",
    [("Hello, world!", "Hello world"), ("¿Qué? «sí»", "Qué sí"), ("你好。世界！", "你好 世界"), ("قال: «نعم»؟", "قال نعم"), ("1+1=2", "1+1=2"), ("?!…", "?!…"), ("", "")],
)
def test_punctuation(text, expected):
    assert cleaned([text], ["und"], punctuation=False) == [expected]


@pytest.mark.parametrize(
    "text, language, expected",
    [
        ("The dog is old", "en", "dog old"),
        ("The dog is old", "de", "The dog is old"),
        ("die Straße, die alte", "de", "alte"),
        ("die Straße, die alte", "", "die Straße, die alte"),
        ("die late", "en", "die late"),
        ("(the) dog. Is?", "en", "dog."),
        ("O gato", "pt-BR", "gato"),
        ("The Who", "en", "The Who"),
        ("de\u00a0hond\u3000de", "nl", "hond"),
        ("l' eau, i.e. l'eau", "fr", "eau, l'eau"),
        ("", "en", ""),
    ],
)
def test_stop_words_are_those_of_the_language(text, language, expected):
    assert cleaned([text], [language], stop_words=STOPS) == [expected]


def test_all_together():
    assert cleaned(["THE dog, the «Who»!", "Die."], ["en", "de"], fold_case=True, punctuation=False, stop_words=STOPS) == ["dog", "die"]


def test_a_text_feature_cleans_in_batches_and_when_saved(tmp_path):
    model = features.learn_subwords(["one dog is here", "ein hund ist da"] * 4, 300)
    text = features.Text(model, fold_case=True, punctuation=False, stop_words=STOPS)
    testing.check_feature(text, ["one dog", "ein hund"])
    plain = features.Text(model)
    raw, language = tf.constant(["The DOG is here!", "Die DOG"]), tf.constant(["en", "de"])
    found, expected = features.featurize_batch(text, raw, language), features.featurize_batch(plain, tf.constant(["dog here", "dog"]))
    np.testing.assert_array_equal(found["value"], expected["value"])
    module = tf.Module()
    module.text = text
    module.run = tf.function(lambda raw, language: features.featurize_batch(text, raw, language)["value"], input_signature=[tf.TensorSpec((None,), tf.string)] * 2)
    tf.saved_model.save(module, tmp_path)
    np.testing.assert_array_equal(tf.saved_model.load(tmp_path).run(raw, language), expected["value"])


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Привет, мир!", "Privet, mir!"),
        ("Δύο σκύλοι", "Dyo skyloi"),
        ("e\u0301te\u0301 Straße", "ete Strasse"),
        ("你好 ABC", "NiHao ABC"),
        ("١٢ 3", "12 3"),
        ("👍 — «a»", "👍 — «a»"),
        ("", ""),
    ],
)
def test_letters_of_all_scripts_in_latin_ones(text, expected):
    assert cleaned([text], ["und"], romanize=True) == [expected]
    assert cleaned([text], ["und"], romanize=True, fold_case=True) == [expected.casefold()]


def test_stop_words_are_found_before_they_are_romanized():
    assert cleaned(["Это мир"], ["ru"], romanize=True, stop_words={"ru": ["это"]}) == ["mir"]
