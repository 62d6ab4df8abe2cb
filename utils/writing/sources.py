"""Which earlier tokens a head's effect comes from: A[i, j] v[j] W_O, source by source."""

import torch
from torch import Tensor

from utils.forward.stream_capture import StreamParts
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.writing.attribution import check_position, check_tokens, head_terms, pair_direction


def source_outputs(attention: Tensor, values: Tensor) -> Tensor:
    """A head's output at one position, source by source.

    >>> source_outputs(torch.tensor([0.25, 0.75]), torch.tensor([[4.0], [8.0]])).tolist()
    [[1.0], [6.0]]

    Args:
        attention: the head's probabilities from there [key].
        values: its values [key, d_head]; those of its group where keys and values are shared.

    Returns:
        [key, d_head], which add up to the head's output.
    """
    return attention[:, None] * values


def source_effects(
    loaded: LoadedModel,
    parts: StreamParts,
    attention: Tensor,
    head: Head,
    position: int,
    target: int,
    against: int | None = None,
    centred: bool = False,
) -> Tensor:
    """A head's direct effect split by the token that it attends to, [key], logits, float64.

    Args:
        loaded: the model.
        parts: what the forward wrote, the head not ablated in it.
        attention: the head's probabilities [query, key].
        head: which head.
        position: whose next token is predicted.
        target: the token.
        against: the token to compare it with, None for none.
        centred: as in `attribution.pair_direction`.

    Raises:
        UserFacingError: a position or a token that there is not.
    """
    check_position(parts, position)
    check_tokens(loaded, target, against)
    geometry = loaded.geometry
    shared = head.head // (geometry.n_heads // geometry.n_kv_heads)
    by_source = source_outputs(attention[position].float(), parts.values[head.layer][:, shared])
    outputs = torch.zeros(len(by_source), geometry.n_heads, geometry.head_dim)
    outputs[:, head.head] = by_source
    direction = pair_direction(loaded, target, against, centred)
    # As many rows as sources, each at this position's scales.
    positions = [position] * len(by_source)
    return head_terms(loaded, parts, head.layer, direction, positions, outputs)[head.head, :, 0].double()
