"""XLA for functions of batches of any size."""

import tensorflow as tf

_SHORTEST = 16  # Steps.


def compiled(function, timed):
    """Lets XLA run a function. Each new shape takes seconds to compile, so that there are few: rows and steps are brought to the next power of two.

    Args:
        function: TensorFlow graph code, from a dict of source to `value`, `mask` and `language`, and others, tensors `(rows, ...)` or numbers, to a tuple of tensors `(rows, ...)`.
        timed: sources that have steps, `value` `(rows, steps, ...)` and `mask` `(rows, steps)`.

    Returns:
        Function of the same.
    """
    whole = tf.function(function, jit_compile=True, autograph=False)

    def run(x, language, *others):
        rows = tf.shape(language)[0]
        again = tf.range(_power(rows)) % rows  # The same rows once more: what is not there might be written about for long.
        x = {name: _longer(one) if name in timed else one for name, one in x.items()}
        return tuple(one[:rows] for one in whole(*tf.nest.map_structure(lambda one: tf.gather(one, again) if tf.is_tensor(one) else one, (x, language, *others))))

    return run


def _longer(source):
    steps = tf.shape(source["mask"])[1]
    more = _power(tf.maximum(steps, _SHORTEST)) - steps
    return {name: tf.pad(one, [[0, 0], [0, more]] + [[0, 0]] * (one.shape.rank - 2)) if name != "language" else one for name, one in source.items()}


def _power(number):
    """The next power of two."""
    return 2 ** tf.cast(tf.math.ceil(tf.math.log(tf.cast(number, tf.float64)) / tf.math.log(tf.constant(2.0, tf.float64)) - 1e-9), tf.int32)
