"""How heads are scored by what they write: the output roles (docs/METHODS.md, section 1).

A pattern says where a head looks; an output role also asks what it does to the token that it looks at. For
that it is given `effects[i, j]`: how much the head, at query position i, raises the logit of the token that
stands at key position j, centred over the vocabulary (`writing.attribution.own_token_effects`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.roles.role_score import MIN_WRITTEN, RoleTarget


@dataclass(frozen=True, eq=False)
class Written:
    """What a model's heads write on one token sequence.

    Attributes:
        effects: some layers -> [layer, head, query, key], logits.
        answer: the token that the model expects after the last one.
    """

    effects: Callable[[slice], Tensor]
    answer: int


@dataclass(frozen=True, eq=False)
class WrittenScores:
    """What heads score for an output role, and the two factors of it; all tensors have one shape.

    Attributes:
        score: in [0, 1].
        mass: attention mass on the role's targets, mean over its rows, whatever the head writes.
        effect: the head's effect on those tokens' own logits, mean by attention, in logits; 0 where it
            attends to none.
    """

    score: Tensor
    mass: Tensor
    effect: Tensor


def counted_attention(attention: Tensor, effects: Tensor, sign: int) -> Tensor:
    """The attention on tokens that the head raises (sign 1) or lowers (-1) by at least half a logit.

    >>> counted_attention(torch.tensor([0.75, 0.25]), torch.tensor([0.4, -2.0]), -1).tolist()
    [0.0, 0.25]

    Args:
        attention: probabilities [..., query, key].
        effects: in the same shape, logits.
        sign: 1 or -1.

    Raises:
        ValueError: shapes that differ.
    """
    if attention.shape != effects.shape:
        raise ValueError(
            f"effects must have the shape of attention, {tuple(attention.shape)}. Got {tuple(effects.shape)}."
        )
    return attention * (sign * effects >= MIN_WRITTEN)


def beyond_habit(effects: Tensor) -> Tensor:
    """The effects less what the head does to the same token from the text's positions on average.

    Many a head lowers some tokens wherever it stands and whatever it attends to: values have much in common.
    Of 240 random heads with the real model's norms a quarter would pass for suppressing heads by that alone.

    >>> beyond_habit(torch.tensor([[0.0, 0.0], [-2.0, 0.0], [-2.0, -4.0]])).tolist()
    [[2.0, 2.0], [0.0, 2.0], [0.0, -2.0]]

    Args:
        effects: [..., query, key], logits; the first query position does not count for the mean.
    """
    counted = effects[..., 1:, :] if effects.shape[-2] > 1 else effects
    return effects - counted.mean(-2, keepdim=True)


def written_scores(attention: Tensor, effects: Tensor, target: RoleTarget, sign: int) -> WrittenScores:
    """The score of heads for an output role on one sequence.

    Args:
        attention: probabilities [..., query, key].
        effects: in the same shape, logits.
        target: where a head of the role would look.
        sign: 1 where the role is to raise what it looks at, -1 where it is to lower it, and lower it by as
            much beyond its habit (`beyond_habit`).

    Returns:
        Tensors [...]; zeros where the role does not apply.
    """
    counted = counted_attention(attention, effects, sign)
    if sign < 0:
        counted = counted_attention(counted, beyond_habit(effects), sign)
    mask = target.mask.to(attention)
    rows = max(target.rows, 1)
    on_target = (attention * mask).sum((-2, -1))
    weighted = (attention * effects * mask).sum((-2, -1))
    return WrittenScores(
        score=((counted * mask).sum((-2, -1)) / rows).clamp(0, 1),
        mass=(on_target / rows).clamp(0, 1),
        effect=torch.where(on_target > 0, weighted / on_target.clamp(min=1e-12), 0.0),
    )
