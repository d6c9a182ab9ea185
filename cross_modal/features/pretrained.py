"""Strings to the subword ids that a pretrained model knows."""

import tensorflow as tf

from cross_modal.features.feature import Feature


class PretrainedText(Feature):
    """Splits a string into the subwords of a tokenizer of keras-hub, with its signs for the beginning and the end: for the tower `pretrained` of the same preset.

    In run.yaml: `features.text: {kind: cross_modal.features:PretrainedText, preset: NAME}` and `towers.text: {kind: pretrained, model: keras_hub:NAME}`.

    Args:
        preset: name or folder of a preset of keras-hub.
        length: most subwords kept of one string, the signs included.

    Returns:
        `featurize` returns int32 `(time,)` of ids, at most `length`.

    Raises:
        ValueError: if keras-hub is not installed, or `length` leaves no room.
    """

    kind = "text"

    def __init__(self, preset, length=128):
        super().__init__(name="text")
        if length < 3:
            raise ValueError(f"Expected `length` to be at least 3 subwords. Received: length={length}")
        try:
            import keras_hub
        except ModuleNotFoundError as error:
            raise ValueError(f"Expected keras-hub, for preset={preset!r}. Received: {error}. Install it: pip install 'cross_modal[hub]'") from error
        self.preset, self.length = str(preset), int(length)
        self.tokenizer = keras_hub.tokenizers.Tokenizer.from_preset(self.preset)
        # A SentencePiece model made eagerly lives in TensorFlow's kernel cache, which `keras.utils.set_random_seed` empties: it is made again in each graph.
        self._model = self.tokenizer.proto if isinstance(self.tokenizer, keras_hub.tokenizers.SentencePieceTokenizer) else None
        self.vocab_size = self.tokenizer.vocabulary_size()
        self.spec = tf.TensorSpec((None,), tf.int32)

    def featurize(self, raw):
        tokenizer = self.tokenizer if self._model is None else type(self.tokenizer)(self._model)
        first, last = ([] if sign is None else [sign] for sign in (getattr(tokenizer, f"{end}_token_id", None) for end in ("start", "end")))
        ids = tf.cast(tokenizer(raw), tf.int32)[: self.length - len(first) - len(last)]
        return tf.concat([tf.constant(first, tf.int32), ids, tf.constant(last, tf.int32)], 0)

    def config(self):
        return {"preset": self.preset, "length": self.length}
