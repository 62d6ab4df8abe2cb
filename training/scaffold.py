"""A scaffold for a short part of training: a few heads are shown where to look, then left alone.

Narrow heads are slow to find the induction circuit (a previous-token head, and above it a head that looks
at what followed the earlier copy). For one stage an extra loss points a few heads at those targets; after
it nothing does, and what is left of them at the end is what the model has use for. The model card says so.
"""

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from training.mix import RowSource, prose_row, repeated_row
from utils.heads import Head
from utils.roles.scores import role_target

REPEATED_ROWS = 5
PROSE_ROWS = 2
CONTEXT = 96
# Keeps the logarithm finite where a head does not look at its target at all.
FLOOR = 1e-3


def _rows(source: RowSource, rng: random.Random) -> list[list[int]]:
    rows = [repeated_row(source, CONTEXT, rng)[0][:CONTEXT] for _ in range(REPEATED_ROWS)]
    return rows + [prose_row(source, CONTEXT, rng)[0][:CONTEXT] for _ in range(PROSE_ROWS)]


def scaffold_loss(
    model: PreTrainedModel, source: RowSource, heads: Mapping[str, Sequence[Head]], rng: random.Random
) -> Tensor:
    """Mean of -log(attention mass on the target) over query positions, heads and roles.

    Args:
        model: a causal language model that attends eagerly.
        source: where rows come from.
        heads: the heads that are shown their targets, by role ("previous_token", "induction").
        rng: draws the rows.
    """
    rows = _rows(source, rng)
    attentions = model.base_model(torch.tensor(rows), output_attentions=True, use_cache=False).attentions
    losses = []
    for role, shown in heads.items():
        for number, row in enumerate(rows):
            target = role_target(role, row, {source.bos_id})
            if not target.applicable or (role == "induction" and number >= REPEATED_ROWS):
                continue
            asked = target.mask.any(-1)
            patterns = torch.stack([attentions[head.layer][number, head.head] for head in shown])
            mass = (patterns * target.mask).sum(-1)[:, asked]
            losses.append(-(mass + FLOOR).log().mean())
    return torch.stack(losses).mean()
