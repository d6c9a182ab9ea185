"""Decoders: layers that read states and write one step after another, all at once in training and one by one in decoding."""

import keras
from keras import layers, ops

from cross_modal.layers.transformer import PositionEncoding, visible_steps


class Decoder(keras.layers.Layer):
    """What decoders share: nothing but the contract.

    | method | from | to |
    |---|---|---|
    | `call` | x `(batch, time, dim)`, states `(batch, steps, dim)`, step_mask bool `(batch, steps)` | `(batch, time, dim)`; step t depends on x up to t alone |
    | `begin` | states, step_mask, length int | memory: dict of tensors, `(batch, ...)` each |
    | `step` | x `(batch, dim)`, place int `()`, memory | `(batch, dim)`, the same as `call` gives at that place, and the memory after it |

    What stays the same from step to step is in the memory under names that begin with `states`: a search that goes on with other hypotheses of the same item need not move it.
    """

    def begin(self, states, step_mask, length):
        raise NotImplementedError

    def step(self, x, place, memory):
        raise NotImplementedError

    def compute_output_shape(self, x_shape, states_shape, step_mask_shape):
        return x_shape

    def compute_mask(self, *args, **kwargs):
        return None


@keras.saving.register_keras_serializable("cross_modal")
class TransformerDecoder(Decoder):
    """Blocks of self-attention to what was written, attention to the states, and a perceptron, each after a normalisation. See `Decoder` for how it is called.

    Args:
        depth: number of blocks.
        heads: attention heads; they divide `dim`.
        mlp_dim: size of each block's hidden layer; None for `4 * dim`.
        dropout: share dropped of the input and of each block's outputs.

    Source:
        Vaswani et al. (2017), "Attention Is All You Need", section 3; Xiong et al. (2020), "On Layer Normalization in the Transformer Architecture", section 3 (pre-LN).
    """

    def __init__(self, depth=3, heads=4, mlp_dim=None, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.depth, self.heads, self.mlp_dim, self.dropout = depth, heads, mlp_dim, dropout

    def build(self, x_shape, states_shape, step_mask_shape):
        dim = x_shape[-1]
        if dim % self.heads:
            raise ValueError(f"Expected `heads` to divide the size of the states. Received: heads={self.heads}, dim={dim}")
        self.positions = PositionEncoding(dtype=self.dtype_policy)
        self.drop = layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.parts = []
        sizes = {"self_in": 3 * dim, "self_out": dim, "query": dim, "states_in": 2 * dim, "cross_out": dim, "hidden": self.mlp_dim or 4 * dim, "out": dim}
        inputs = {"states_in": states_shape[-1], "out": self.mlp_dim or 4 * dim}
        for number in range(self.depth):
            block = {}
            for name, size in sizes.items():
                block[name] = layers.Dense(size, activation="gelu" if name == "hidden" else None, name=f"{name}_{number}", dtype=self.dtype_policy)
                block[name].build((None, None, inputs.get(name, dim)))
            for name in ("self_norm", "cross_norm", "mlp_norm"):
                block[name] = layers.LayerNormalization(name=f"{name}_{number}", dtype=self.dtype_policy)
                block[name].build((None, None, dim))
            for name, part in block.items():
                setattr(self, f"{name}_{number}", part)  # Keras finds the layers of attributes, not those of dicts in lists.
            self.parts.append(block)
        self.last_norm = layers.LayerNormalization(name="last_norm", dtype=self.dtype_policy)
        self.last_norm.build((None, None, dim))

    def call(self, x, states, step_mask, training=False):
        time = ops.shape(x)[1]
        earlier = ops.arange(time)[:, None] >= ops.arange(time)[None, :]  # (time, time)
        visible, there = visible_steps(step_mask), ops.any(step_mask, axis=1)[:, None, None]
        x = self.drop(self.positions(x), training=training)
        for block in self.parts:
            query, key, value = ops.split(block["self_in"](block["self_norm"](x)), 3, axis=-1)
            written = self._attend(query, self._heads(key), self._heads(value), earlier[None])
            x = x + self.drop(block["self_out"](written), training=training)
            key, value = ops.split(block["states_in"](states), 2, axis=-1)
            read = self._attend(block["query"](block["cross_norm"](x)), self._heads(key), self._heads(value), visible)
            x = x + self.drop(block["cross_out"](read), training=training) * ops.cast(there, x.dtype)
            x = x + self.drop(block["out"](self.drop(block["hidden"](block["mlp_norm"](x)), training=training)), training=training)
        return self.last_norm(x)

    def begin(self, states, step_mask, length):
        memory = {"states_visible": visible_steps(step_mask), "states_there": ops.any(step_mask, axis=1)[:, None, None]}
        for number, block in enumerate(self.parts):
            key, value = ops.split(block["states_in"](states), 2, axis=-1)
            memory |= {f"states_key_{number}": self._heads(key), f"states_value_{number}": self._heads(value)}
            empty = ops.zeros((ops.shape(states)[0], length, self.heads, states.shape[-1] // self.heads), key.dtype)
            memory |= {f"key_{number}": empty, f"value_{number}": empty}
        return memory

    def step(self, x, place, memory):
        memory = dict(memory)
        x = self.positions(x[:, None], first=place)
        earlier = (ops.arange(memory["key_0"].shape[1]) <= place)[None, None]
        for number, block in enumerate(self.parts):
            query, key, value = ops.split(block["self_in"](block["self_norm"](x)), 3, axis=-1)
            for name, new in (("key", key), ("value", value)):
                memory[f"{name}_{number}"] = ops.slice_update(memory[f"{name}_{number}"], (0, place, 0, 0), self._heads(new))
            x = x + block["self_out"](self._attend(query, memory[f"key_{number}"], memory[f"value_{number}"], earlier))
            read = self._attend(block["query"](block["cross_norm"](x)), memory[f"states_key_{number}"], memory[f"states_value_{number}"], memory["states_visible"])
            x = x + block["cross_out"](read) * ops.cast(memory["states_there"], x.dtype)
            x = x + block["out"](block["hidden"](block["mlp_norm"](x)))
        return self.last_norm(x)[:, 0], memory

    def _heads(self, x):
        return ops.reshape(x, (-1, ops.shape(x)[1], self.heads, x.shape[-1] // self.heads))

    def _attend(self, query, key, value, visible):
        """From `(batch, time, dim)` to keys and values `(batch, steps, heads, dim / heads)` that are visible, bool `(1 or batch, 1 or time, steps)`."""
        heads = self._heads(query)
        scores = ops.einsum("bqhd,bkhd->bhqk", heads, key) * (heads.shape[-1] ** -0.5)
        weights = _softmax(ops.where(visible[:, None], ops.cast(scores, "float32"), -1e9))
        read = ops.einsum("bhqk,bkhd->bqhd", ops.cast(weights, value.dtype), value)
        return ops.reshape(read, (-1, ops.shape(query)[1], query.shape[-1]))

    def get_config(self):
        return {**super().get_config(), "depth": self.depth, "heads": self.heads, "mlp_dim": self.mlp_dim, "dropout": self.dropout}


def _softmax(scores):
    return ops.exp(scores - ops.logsumexp(scores, axis=-1, keepdims=True))  # That of Keras warns of a single state to look at.


_RECURRENT = {"rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}


@keras.saving.register_keras_serializable("cross_modal")
class RecurrentDecoder(Decoder):
    """Recurrent layers; the output of the first looks for its like among the states, and goes on with what it found. See `Decoder` for how it is called.

    Args:
        kind: "rnn", "lstm" or "gru".
        depth: number of recurrent layers.
        dropout: share dropped of the input of each layer and of the output.

    Source:
        Luong et al. (2015), "Effective Approaches to Attention-based Neural Machine Translation", section 3.1 (global attention, "general", without input feeding: all steps
        are trained at once).
    """

    def __init__(self, kind="lstm", depth=2, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        if kind not in _RECURRENT:
            raise ValueError(f"Expected `kind` to be one of {', '.join(_RECURRENT)}. Received: kind={kind}")
        self.kind, self.depth, self.dropout = kind, depth, dropout
        self.count = 2 if kind == "lstm" else 1  # Tensors of state of a layer.

    def build(self, x_shape, states_shape, step_mask_shape):
        dim = x_shape[-1]
        self.drop = layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.recurrent = [_RECURRENT[self.kind](dim, return_sequences=True, name=f"recurrent_{number}", dtype=self.dtype_policy) for number in range(self.depth)]
        for one in self.recurrent:
            one.build((None, None, dim))
        self.first = layers.Dense(dim * self.count * self.depth, activation="tanh", name="first", dtype=self.dtype_policy)
        self.first.build((None, states_shape[-1]))
        self.query, self.join = (layers.Dense(dim, use_bias=name == "join", name=name, dtype=self.dtype_policy) for name in ("query", "join"))
        self.query.build((None, None, dim))
        self.join.build((None, None, dim + states_shape[-1]))

    def call(self, x, states, step_mask, training=False):
        begun, visible, there = self._begun(states, step_mask), visible_steps(step_mask), ops.any(step_mask, axis=1)[:, None, None]
        for number, one in enumerate(self.recurrent):
            y = one(self.drop(x, training=training), initial_state=begun[number])
            x = self._joined(y, states, visible, there) if number == 0 else x + y
        return self.drop(x, training=training)

    def begin(self, states, step_mask, length):
        memory = {"states": states, "states_visible": visible_steps(step_mask), "states_there": ops.any(step_mask, axis=1)[:, None, None]}
        begun = self._begun(states, step_mask)
        return memory | {f"own_{number}_{place}": state for number, own in enumerate(begun) for place, state in enumerate(own)}

    def step(self, x, place, memory):
        memory, x = dict(memory), x[:, None]
        for number, one in enumerate(self.recurrent):
            own = [memory[f"own_{number}_{part}"] for part in range(self.count)]
            y, own = one.cell(x[:, 0], own)
            memory |= {f"own_{number}_{part}": state for part, state in enumerate(own)}
            x = self._joined(y[:, None], memory["states"], memory["states_visible"], memory["states_there"]) if number == 0 else x + y[:, None]
        return x[:, 0], memory

    def _begun(self, states, step_mask):
        """The first state of each layer, from the mean of the states."""
        real = ops.cast(step_mask, states.dtype)[:, :, None]
        mean = ops.sum(states * real, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)
        parts = ops.split(self.first(mean), self.count * self.depth, axis=-1)
        return [parts[number * self.count : (number + 1) * self.count] for number in range(self.depth)]

    def _joined(self, y, states, visible, there):
        scores = ops.matmul(self.query(y), ops.transpose(states, (0, 2, 1))) * (states.shape[-1] ** -0.5)  # (batch, time, steps)
        weights = _softmax(ops.where(visible, ops.cast(scores, "float32"), -1e9))
        read = ops.matmul(ops.cast(weights, states.dtype), states) * ops.cast(there, states.dtype)
        return ops.tanh(self.join(ops.concatenate([y, read], axis=-1)))

    def get_config(self):
        return {**super().get_config(), "kind": self.kind, "depth": self.depth, "dropout": self.dropout}
