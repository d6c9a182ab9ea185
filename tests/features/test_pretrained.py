import functools

import keras
import keras_hub
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from cross_modal import features, testing, towers

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "##s", "the"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """The folder of a small preset with random weights."""
    folder = tmp_path_factory.mktemp("preset") / "bert"
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 64}
    keras_hub.models.BertBackbone(vocabulary_size=len(WORDS), **sizes).save_to_preset(str(folder))
    keras_hub.tokenizers.BertTokenizer(vocabulary=WORDS, lowercase=True).save_to_preset(str(folder))
    return str(folder)


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """One whose subwords are SentencePiece's."""
    folder = tmp_path_factory.mktemp("preset") / "roberta"
    folder.mkdir()
    texts = ["a dog", "the cats", "cat and dog"] * 5
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(texts), model_prefix=str(folder / "m"), vocab_size=17, minloglevel=2)
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 64}
    keras_hub.models.XLMRobertaBackbone(vocabulary_size=40, **sizes).save_to_preset(str(folder))
    keras_hub.tokenizers.XLMRobertaTokenizer((folder / "m.model").read_bytes()).save_to_preset(str(folder))
    return str(folder)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_tokenizer_and_tower_keep_their_contracts(name, request):
    preset = request.getfixturevalue(name)
    feature = features.PretrainedText(preset, 12)
    testing.check_feature(feature, ["a dog", "the cats, the dog"])
    keras.utils.set_random_seed(0)
    testing.check_feature(feature, ["a dog", "the cats, the dog"])
    tower = functools.partial(towers.text.pretrained, model=f"keras_hub:{preset}", trainable=True)
    testing.check_tower(tower, feature, ["a dog", "the cats, the dog"])


def test_ids_by_hand(bert):
    feature = features.PretrainedText(bert, 5)
    assert feature.featurize(tf.constant("The cats")).numpy().tolist() == [2, 9, 7, 8, 3]
    assert feature.featurize(tf.constant("a dog a dog a dog")).numpy().tolist() == [2, 5, 6, 5, 3]
    assert feature.vocab_size == 10


def test_frozen_or_not_and_with_the_weights_of_the_preset(bert):
    feature = features.PretrainedText(bert, 32)
    whole = keras_hub.models.Backbone.from_preset(bert)
    for trainable, count in ((False, 4), (True, 2 + len(whole.trainable_weights))):
        tower = towers.text.pretrained(feature, 4, "text", model=f"keras_hub:{bert}", trainable=trainable)
        assert len(tower.trainable_weights) == count
    (backbone,) = (layer for layer in tower.layers if layer.name == whole.name)
    known = {weight.numpy().tobytes() for weight in whole.weights}
    assert len(backbone.weights) == len(whole.weights) - 2 and all(weight.numpy().tobytes() in known for weight in backbone.weights)


def test_what_cannot_be_is_told(bert):
    with pytest.raises(ValueError, match="at least 3 subwords. Received: length=2"):
        features.PretrainedText(bert, 2)
    with pytest.raises(ValueError, match="features.PretrainedText of the preset.*Received: Text of None"):
        towers.text.pretrained(features.Text(features.learn_subwords(["a dog"], 300)), 8, "text", model=f"keras_hub:{bert}")
    with pytest.raises(ValueError, match="at most 64 subwords.*Received: length=65"):
        towers.text.pretrained(features.PretrainedText(bert, 65), 8, "text", model=f"keras_hub:{bert}")
    inputs = keras.Input((8,))
    with pytest.raises(ValueError, match="a backbone of texts.*which takes something else"):
        from cross_modal.towers import pretrained

        pretrained._packed(keras.Model(inputs, inputs), {"value": np.zeros((1, 2)), "mask": np.ones((1, 2), bool)})
