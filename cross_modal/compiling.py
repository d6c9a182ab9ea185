"""What a device is fast at: XLA for functions of batches of any size, and bfloat16."""

import pathlib

import tensorflow as tf

_SHORTEST = 16  # Steps.
_PROCESSOR = pathlib.Path("/proc/cpuinfo")
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}  # What processors that compute it say of themselves on Linux.
_AMPERE = (8, 0)  # The first GPUs that do.


def precision_for(wanted):
    """Chooses the precision of a model by the device that trains it.

    Args:
        wanted: Keras dtype policy, or "auto" for "mixed_bfloat16" where that is fast, and "float32" elsewhere.

    Returns:
        The dtype policy. It is told where bfloat16 is asked for and slow.
    """
    if wanted == "auto":
        return "mixed_bfloat16" if _computes_bfloat16() else "float32"
    if wanted == "mixed_bfloat16" and not _computes_bfloat16():
        print("mixed_bfloat16: this device has no instructions for it; convolutions may take much longer than in float32. precision=auto takes what is fast.", flush=True)
    return wanted


def _computes_bfloat16():
    if tf.config.list_physical_devices("TPU"):
        return True
    if found := tf.config.list_physical_devices("GPU"):
        return (tf.config.experimental.get_device_details(found[0]).get("compute_capability") or _AMPERE) >= _AMPERE
    return _PROCESSOR.exists() and not _BFLOAT16.isdisjoint(_PROCESSOR.read_text(errors="replace").split())


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
