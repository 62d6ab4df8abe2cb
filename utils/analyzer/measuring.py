"""From patterns on the probe inputs to every head's scores.

Scores come from `role_scores`, the same functions as live. Which heads a role lists is decided by `listing`;
a catalog is put together in `catalog_building`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.catalog.catalog import DECIMALS
from utils.errors import UserFacingError
from utils.roles.registry import ROLES, Combine, pattern_roles
from utils.roles.scores import RoleScorer


@dataclass(frozen=True, eq=False)
class PatternChunk:
    """The patterns of some sequences of one length, as one forward gave them.

    Attributes:
        sequences: token ids, BOS included where the model is given one.
        layers: for each layer the attention [sequence, head, query, key] of those sequences.
    """

    sequences: tuple[Sequence[int], ...]
    layers: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class RoleMeasurement:
    """One role's scores, each tensor [layer, head], float64, rounded as the catalog has them.

    Attributes:
        mean: the catalog's score: the mean over a probe's sequences, of several probe sets the larger or the
            smaller mean (`HeadRole.combine`).
        std: standard deviation over the sequences of the probe set that gave `mean`.
        by_probe: the mean on each probe set.
    """

    mean: Tensor
    std: Tensor
    by_probe: dict[str, Tensor]


def roles_of_probe(probe: str) -> list[str]:
    """The roles that are measured on the patterns of this probe set."""
    return [role for role in pattern_roles() if probe in ROLES[role].probes]


def score_sequences(
    roles: Sequence[str],
    chunks: Iterable[PatternChunk],
    special_ids: Collection[int] = (),
) -> dict[str, Tensor]:
    """Score every head on every sequence, a chunk at a time: only the scores are kept.

    Args:
        roles: role keys.
        chunks: the patterns.
        special_ids: ids that never count as a repetition.

    Returns:
        {role: [sequence, layer, head]} float64; a sequence to which a role does not apply is left out of
        its rows.

    Raises:
        UserFacingError: a role applies to none of the sequences, or the model computes no numbers.
    """
    rows: dict[str, list[Tensor]] = {role: [] for role in roles}
    for chunk in chunks:
        for role, scores in score_chunk(roles, chunk, special_ids).items():
            rows[role].append(scores)
    tables = {role: torch.cat(scores) for role, scores in rows.items() if scores}
    for role in roles:
        if role not in tables or not len(tables[role]):
            raise UserFacingError(
                f"None of the test inputs can show the role {role}.", "Use a tokenizer with more tokens."
            )
    return tables


def score_chunk(
    roles: Sequence[str], chunk: PatternChunk, special_ids: Collection[int] = ()
) -> dict[str, Tensor]:
    """`score_sequences` of one chunk; a role's table may have no rows."""
    scorer = RoleScorer.of_sequences(roles, chunk.sequences, special_ids)
    by_layer = [scorer.scores(attention) for attention in chunk.layers]
    tables = {}
    for role, targets in scorer.targets.items():
        table = torch.stack([scores[role] for scores in by_layer], dim=1).double().cpu()
        # A pattern that is not a number makes its scores none: they are far fewer to look at.
        if not bool(table.isfinite().all()):
            raise UserFacingError(
                "The model's attention is not a number on some test input.",
                "Use an earlier state of the model.",
            )
        tables[role] = table.clamp(0, 1)[torch.tensor([target.applicable for target in targets])]
    return tables


def measure(scores_by_probe: Mapping[str, Tensor], combine: Combine = "largest") -> RoleMeasurement:
    """One role's catalog scores from its scores [sequence, layer, head] on each of its probe sets.

    Args:
        scores_by_probe: the scores.
        combine: which probe set's mean counts, head by head.
    """
    means = torch.stack([scores.mean(0) for scores in scores_by_probe.values()])
    spreads = torch.stack([scores.std(0, correction=0) for scores in scores_by_probe.values()])
    mean, best = means.max(0) if combine == "largest" else means.min(0)
    std = spreads.gather(0, best[None])[0]
    by_probe = {
        probe: table.round(decimals=DECIMALS) for probe, table in zip(scores_by_probe, means, strict=True)
    }
    return RoleMeasurement(mean.round(decimals=DECIMALS), std.round(decimals=DECIMALS), by_probe)
