"""From patterns on the probe inputs to every head's scores, and from scores to the heads that a role lists.

Scores come from `role_scores`, the same functions as live; a catalog is put together in `catalog_building`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.catalog import DECIMALS
from utils.errors import UserFacingError
from utils.head_roles import MAX_HEADS, MAX_PER_LAYER, ROLES
from utils.heads import Head
from utils.role_scores import role_score, role_target


@dataclass(frozen=True, eq=False)
class RoleMeasurement:
    """One role's scores, each tensor [layer, head], float64, rounded as the catalog has them.

    Attributes:
        mean: the catalog's score: the mean over a probe's sequences, of several probe sets the larger mean.
        std: standard deviation over the sequences of the probe set that gave `mean`.
        by_probe: the mean on each probe set.
    """

    mean: Tensor
    std: Tensor
    by_probe: dict[str, Tensor]


def roles_of_probe(probe: str) -> list[str]:
    """The roles that are measured on this probe set."""
    return [role.key for role in ROLES.values() if probe in role.probes]


def score_sequences(
    roles: Sequence[str],
    patterns: Iterable[tuple[Sequence[int], Tensor]],
    special_ids: Collection[int] = (),
) -> dict[str, Tensor]:
    """Score every head on every sequence, one sequence at a time: only the scores are kept.

    Args:
        roles: role keys.
        patterns: (token ids, attention [layer, head, query, key]) of each sequence.
        special_ids: ids that never count as a repetition.

    Returns:
        {role: [sequence, layer, head]}; a sequence to which a role does not apply is left out of its rows.

    Raises:
        UserFacingError: a role applies to none of the sequences, or the model computes no numbers.
    """
    rows: dict[str, list[Tensor]] = {role: [] for role in roles}
    for tokens, attention in patterns:
        if not bool(attention.isfinite().all()):
            raise UserFacingError(
                "The model's attention is not a number on some test input.",
                "Use an earlier state of the model.",
            )
        for role in roles:
            if role_target(role, tokens, special_ids).applicable:
                rows[role].append(role_score(role, attention, tokens, special_ids).double().clamp(0, 1))
    for role, scores in rows.items():
        if not scores:
            raise UserFacingError(
                f"None of the test inputs can show the role {role}.", "Use a tokenizer with more tokens."
            )
    return {role: torch.stack(scores) for role, scores in rows.items()}


def measure(scores_by_probe: Mapping[str, Tensor]) -> RoleMeasurement:
    """One role's catalog scores from its scores [sequence, layer, head] on each of its probe sets."""
    means = torch.stack([scores.mean(0) for scores in scores_by_probe.values()])
    spreads = torch.stack([scores.std(0, correction=0) for scores in scores_by_probe.values()])
    mean, best = means.max(0)
    std = spreads.gather(0, best[None])[0]
    by_probe = {
        probe: table.round(decimals=DECIMALS) for probe, table in zip(scores_by_probe, means, strict=True)
    }
    return RoleMeasurement(mean.round(decimals=DECIMALS), std.round(decimals=DECIMALS), by_probe)


def top_heads(scores: Tensor, threshold: float, lower_threshold: float) -> list[tuple[Head, float]]:
    """The heads that a role lists, best first: at most 8, and not all of one layer if others come near.

    Heads at or above `threshold` are taken, at most 5 of one layer. Where a layer had more than that, the
    best heads of other layers at or above `lower_threshold` come next, and what is then still free goes to
    the heads held back.

    Args:
        scores: [layer, head].
        threshold: the role's.
        lower_threshold: the role's.
    """
    ranked = sorted(
        (
            (Head(layer, head), score)
            for layer, row in enumerate(scores.tolist())
            for head, score in enumerate(row)
        ),
        key=lambda entry: (-entry[1], entry[0]),
    )
    per_layer = [0] * len(scores)
    listed: list[tuple[Head, float]] = []
    held_back: list[tuple[Head, float]] = []
    for head, score in ranked:
        if score >= threshold and per_layer[head.layer] == MAX_PER_LAYER:
            held_back.append((head, score))
        elif score >= threshold or (held_back and lower_threshold <= score):
            if per_layer[head.layer] < MAX_PER_LAYER:
                per_layer[head.layer] += 1
                listed.append((head, score))
    chosen = (listed + held_back)[:MAX_HEADS]
    return sorted(chosen, key=lambda entry: (-entry[1], entry[0]))


def other_heads(measured: Mapping[str, RoleMeasurement]) -> list[tuple[Head, float]]:
    """The heads whose every score is below its role's threshold, the nearest to a role first; all of them.

    The number beside a head is the largest of its scores, each as a share of its role's threshold: how near
    it comes to having a role; always below 1.
    """
    shares = torch.stack([table.mean / ROLES[role].threshold for role, table in measured.items()])
    nearest = shares.amax(0)
    heads = [
        # Rounding must not turn 0.9999999 into 1.
        (Head(layer, head), min(round(share, DECIMALS), 1 - 10**-DECIMALS))
        for layer, row in enumerate(nearest.tolist())
        for head, share in enumerate(row)
        if share < 1
    ]
    return sorted(heads, key=lambda entry: (-entry[1], entry[0]))
