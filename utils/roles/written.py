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


def least_effect(effects: Tensor, sign: int) -> Tensor:
    """From which effect on a token's logit on attention to it counts; for a role that lowers, down to which.

    Half a logit; and who lowers must lower by as much beyond its habit, what it does to the same token from
    the text's positions on average. Many a head lowers some tokens wherever it stands and whatever it attends
    to: values have much in common. Of 240 random heads with the real model's norms a quarter would pass for
    suppressing heads by that alone.

    >>> least_effect(torch.tensor([[0.0, 0.0], [-2.0, 0.0], [-2.0, -4.0]]), -1).tolist()
    [[-2.5, -2.5]]

    Args:
        effects: [..., query, key], logits; the first query position does not count for the mean.
        sign: 1 where the role is to raise what it looks at, -1 where it is to lower it.

    Returns:
        A number, or [..., 1, key].
    """
    if sign > 0:
        return effects.new_tensor(MIN_WRITTEN)
    counted = effects[..., 1:, :] if effects.shape[-2] > 1 else effects
    return counted.mean(-2, keepdim=True).clamp(max=0) - MIN_WRITTEN


def written_scores(attention: Tensor, effects: Tensor, target: RoleTarget, sign: int) -> WrittenScores:
    """The score of heads for an output role on one sequence.

    Args:
        attention: probabilities [..., query, key].
        effects: in the same shape, logits.
        target: where a head of the role would look.
        sign: as in `least_effect`.

    Returns:
        Tensors [...]; zeros where the role does not apply.

    Raises:
        ValueError: shapes that differ.
    """
    if attention.shape != effects.shape:
        raise ValueError(
            f"effects must have the shape of attention, {tuple(attention.shape)}. Got {tuple(effects.shape)}."
        )
    # Rows without a target are left alone: a role may ask for the last one only.
    rows = target.mask.any(-1).nonzero().flatten()
    if not len(rows):
        zeros = attention.new_zeros(attention.shape[:-2])
        return WrittenScores(zeros, zeros, zeros)
    asked = slice(int(rows[0]), int(rows[-1]) + 1)
    limit = least_effect(effects, sign)
    effects = effects[..., asked, :]
    on_target = (attention[..., asked, :] * target.mask[asked].to(attention)).flatten(-2)
    mass = on_target.sum(-1)
    weighted = torch.linalg.vecdot(on_target, effects.flatten(-2))
    # Yes and no as 1.0 and 0.0: to fill in by a mask takes ten times as long.
    enough = torch.empty_like(effects)
    (torch.ge if sign > 0 else torch.le)(effects, limit, out=enough)
    counted = torch.linalg.vecdot(on_target, enough.flatten(-2))
    return WrittenScores(
        score=(counted / target.rows).clamp(0, 1),
        mass=(mass / target.rows).clamp(0, 1),
        effect=torch.where(mass > 0, weighted / mass.clamp(min=1e-12), 0.0),
    )
