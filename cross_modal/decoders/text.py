"""What writes a sequence: functions to a layer with the methods of `layers.Decoder`."""

from cross_modal.layers import RecurrentDecoder, TransformerDecoder


def transformer(name, depth=3, heads=4, mlp_dim=None, dropout=0.1):
    """Makes blocks of self-attention, attention to the states and a perceptron; see `layers.TransformerDecoder`.

    Args:
        name: of the layer.
        depth: number of blocks.
        heads: attention heads; they divide the size of the states.
        mlp_dim: size of each block's hidden layer; None for four times that of the states.
        dropout: share dropped of the input and of each block's outputs.

    Returns:
        `layers.Decoder`.
    """
    return TransformerDecoder(depth, heads, mlp_dim, dropout, name=name)


def lstm(name, depth=2, dropout=0.1):
    """Makes LSTMs with attention; see `layers.RecurrentDecoder`.

    Args:
        name: of the layer.
        depth: number of layers.
        dropout: share dropped of the input of each layer and of the output.

    Returns:
        `layers.Decoder`.
    """
    return RecurrentDecoder("lstm", depth, dropout, name=name)


def gru(name, depth=2, dropout=0.1):
    """Makes GRUs with attention, a quarter smaller than `lstm`; arguments and result as there."""
    return RecurrentDecoder("gru", depth, dropout, name=name)


def rnn(name, depth=2, dropout=0.1):
    """Makes simple recurrent layers with attention, for comparison; arguments and result as in `lstm`."""
    return RecurrentDecoder("rnn", depth, dropout, name=name)
