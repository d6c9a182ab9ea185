"""What recurrent layers share."""


def half_of(dim):
    """The size of each direction of a recurrent layer that reads both ways.

    Args:
        dim: size of a state, of both directions together.

    Raises:
        ValueError: if it is odd.
    """
    if dim % 2:
        raise ValueError(f"Expected an even `dim`, half for each direction. Received: dim={dim}")
    return dim // 2
