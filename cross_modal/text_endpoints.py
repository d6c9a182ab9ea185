"""What a model that writes texts offers: the likeliest texts, texts that are drawn, and how likely a given one is."""

import tensorflow as tf

from cross_modal.features import featurize_batch
from cross_modal.tasks.task import STRING, Endpoint

LANGUAGE = "target_language"  # What the endpoints ask for beside the sources.
DRAWING = ("temperature", "top_k", "top_p", "seed")

_NO_ANSWER = -1e9


def make_endpoints(task, model):
    """Makes the endpoints of a model.

    | endpoint | arguments, strings `(batch,)`, besides the sources and their languages | answers |
    |---|---|---|
    | `generate` | `target_language` | `text` and `score` `(batch,)` of the best, `texts` and `scores` `(batch, beams)` |
    | `sample` | `target_language`, `temperature`, `top_k`, `top_p`, `seed`: numbers as text, or empty; with a `seed` the same is drawn again | `text`, `score` |
    | `score` | `target_language`, `target`: a text | its `log_probability`, and how many `subwords` that is the sum of |

    A row without a source that the model was taught to read, or in a language that it was not taught to write, gets an empty text and a score of -1e9, as has the
    `log_probability` of such a row, and of a text that a recording is too short to spell. Of texts that are spelled by a recording alone there is no `sample`.

    Args:
        task: `tasks.Generation`.
        model: that it built.

    Returns:
        Dict of name to `Endpoint`.
    """
    target, feature = next(iter(task.again)), task.features[task.target]
    sources = {key: STRING for name in task.sources for key in (name, f"{name}_language")}
    unprompted = any(not route for route, _ in task.trained)

    def read(raw):
        """The sources, the language that is asked for, and whether there is an answer; where there is but one language, it need not be said."""
        x = {}
        for name in task.sources:
            language = raw[f"{name}_language"]
            x[name] = {**featurize_batch(task.features[name], raw[name], language), "language": task.languages.featurize(language)}
        asked = raw[LANGUAGE]
        asked = tf.where(asked == "", task.answered[0], asked) if len(task.answered) == 1 else asked
        known = tf.reduce_any(asked[:, None] == tf.constant(task.answered), 1)
        there = tf.reduce_any([tf.reduce_any(one["mask"], 1) for one in x.values()] + [tf.fill(tf.shape(known), unprompted)], 0)
        return x, asked, known & there

    def generate(**raw):
        x, asked, usable = read(raw)
        texts, scores = task.write(model, x, task.languages.featurize(asked))
        texts, scores = tf.where(usable[:, None], texts, ""), tf.where(usable[:, None], scores, _NO_ANSWER)
        return {"text": texts[:, 0], "score": scores[:, 0], "texts": texts, "scores": scores}

    def sample(**raw):
        x, asked, usable = read(raw)
        temperature, top_p = tf.maximum(_number(raw["temperature"], 1.0), 1e-3), tf.clip_by_value(_number(raw["top_p"], 1.0), 1e-6, 1.0)
        top_k = tf.maximum(_number(raw["top_k"], 0, tf.int32), 0)
        seeds = _number(raw["seed"], tf.random.uniform(tf.shape(asked), maxval=tf.int64.max, dtype=tf.int64), tf.int64)
        drawn = tf.map_fn(lambda seed: tf.random.stateless_uniform([task.length], tf.stack([seed, 0])), seeds, fn_output_signature=tf.float32)
        texts, scores = task.draw(model, x, task.languages.featurize(asked), drawn, temperature, top_k, top_p)
        return {"text": tf.where(usable, texts, ""), "score": tf.where(usable, scores, _NO_ANSWER)}

    def score(**raw):
        x, asked, usable = read(raw)
        text = {**featurize_batch(feature, raw[target], asked), "language": task.languages.featurize(asked)}
        spent, steps = task.weigh(model, x, text)
        return {"log_probability": tf.where(usable, -spent, _NO_ANSWER), "subwords": tf.cast(steps, tf.int32)}

    language = {LANGUAGE: STRING}
    found = {"generate": Endpoint(generate, {**sources, **language})}
    if task.ctc < 1:
        found["sample"] = Endpoint(sample, {**sources, **language, **dict.fromkeys(DRAWING, STRING)})
    return {**found, "score": Endpoint(score, {**sources, target: STRING, **language})}


def _number(texts, usual, dtype=tf.float32):
    """Numbers of texts `(batch,)`; where one is empty, the usual one."""
    usual = tf.broadcast_to(tf.cast(usual, dtype), tf.shape(texts))
    return tf.where(texts == "", usual, tf.strings.to_number(tf.where(texts == "", "0", texts), dtype))
