"""The part of a model that writes a text from states: built once, then taught all at once and asked step by step."""

import keras
import tensorflow as tf
from keras import layers, ops

from cross_modal.layers import LanguageEmbedding


def build_writer(feature, dim, decoder, languages, dropout=0.1, name="writer"):
    """Builds what writes a text.

    Args:
        feature: `Text` of the field that is written.
        dim: size of a state.
        decoder: function from a name to a `layers.Decoder`.
        languages: number of languages, `und` included.
        dropout: share of the embedded subwords dropped.
        name: of the model.

    Returns:
        `keras.Model` from a dict of `states` `(batch, steps, dim)`, `mask` bool `(batch, steps)`, `value` int32 `(batch, time)`, the ids that come before each, and `language`
        int32 `(batch,)`, that of the text, to logits `(batch, time, vocab)`.
    """
    # --- inputs ---
    inputs = {
        "states": keras.Input((None, dim), name="states"),
        "mask": keras.Input((None,), dtype="bool", name="mask"),
        "value": keras.Input((None,), dtype="int32", name="value"),
        "language": keras.Input((), dtype="int32", name="language"),
    }

    # --- body ---
    start = keras.initializers.RandomNormal(stddev=dim**-0.5)
    embedding = layers.ReversibleEmbedding(feature.vocab_size, dim, embeddings_initializer=start, reverse_dtype="float32", name="embedding")
    x = layers.Dropout(dropout)(layers.Rescaling(dim**0.5)(embedding(inputs["value"])))
    x = LanguageEmbedding(languages, dropout=0.0, name="language_embedding")(x, inputs["language"])
    x = decoder("decoder")(x, inputs["states"], inputs["mask"])  # (batch, time, dim)

    # --- model ---
    return keras.Model(inputs, embedding(x, reverse=True), name=name)


def writing_steps(writer, feature, states, mask, language, length):
    """Returns what all ways to decode begin with: the step, the memory before it, rows, start, end and length, see `decoding.greedy`.

    Args:
        writer: that `build_writer` made.
        feature: `Text` of the field that is written.
        states: `(batch, steps, dim)`, as `mask` `(batch, steps)`.
        language: of the texts, int32 `(batch,)`.
        length: most ids, int.
    """
    embedding, tag, decoder = (writer.get_layer(name) for name in ("embedding", "language_embedding", "decoder"))
    banned = -1e9 * ops.sum(ops.one_hot([0, 1, feature.start], feature.vocab_size), axis=0)

    def step(ids, place, memory):
        written = embedding(ids[:, None])
        written = tag(written * ops.cast(written.shape[-1] ** 0.5, written.dtype), memory["states_language"], training=False)
        state, after = decoder.step(written[:, 0], place, memory)
        return embedding(state, reverse=True) + banned, {**after, "states_language": memory["states_language"]}

    memory = {**decoder.begin(states, mask, length), "states_language": language}
    return step, memory, ops.shape(language)[0], feature.start, feature.end, length


def texts_of(feature, ids):
    """Returns the strings `(batch, beams)` of ids `(batch, beams, length)`, as TensorFlow graph code."""
    return tf.reshape(feature.detokenize(tf.reshape(ids, (-1, ids.shape[-1]))), tf.shape(ids)[:2])


def taught(feature, ids, mask):
    """Makes the example of texts to write, as TensorFlow graph code.

    Args:
        feature: `Text`.
        ids: int32 `(batch, time)`.
        mask: bool `(batch, time)`; a text without any is absent.

    Returns:
        Ids before each place and after it, `(batch, time + 1)`, and the weight of each, float32 `(batch, time + 1)`, 0 throughout where there is no text.
    """
    there, lengths = tf.reduce_any(mask, 1), tf.reduce_sum(tf.cast(mask, tf.int32), 1)
    ids = tf.pad(tf.where(mask, ids, 0), [[0, 0], [0, 1]])
    after = ids + tf.one_hot(lengths, tf.shape(ids)[1], feature.end, 0, dtype=tf.int32)
    before = tf.pad(ids[:, :-1], [[0, 0], [1, 0]], constant_values=feature.start)
    return before, after, tf.cast(tf.sequence_mask(lengths + 1, tf.shape(ids)[1]) & there[:, None], tf.float32)
