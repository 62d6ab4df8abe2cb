"""All that the page shows of two live analyses side by side, without their tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from utils.compare.sentences import SMALL_DIFFERENCE
from utils.compare.side_by_side import SideBySide, score_differences, side_by_side
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.models.prompts import TokenizedPrompt
from utils.roles.registry import MIN_POSITIONS, Z_SEARCH

MAX_CHANGED = 8


@dataclass(frozen=True)
class ChangedHead:
    """One head's score for one role on two texts.

    Attributes:
        head: which one.
        role: the role's key.
        left: its score on the left.
        right: its score on the right.
        listed: whether it has the role by the catalog; None without a catalog.
    """

    head: Head
    role: str
    left: float
    right: float
    listed: bool | None

    @property
    def difference(self) -> float:
        """Right minus left."""
        return self.right - self.left


def most_changed(left: LiveAnalysis, right: LiveAnalysis, count: int) -> tuple[ChangedHead, ...]:
    """The `count` largest differences of any head for any role, the largest first.

    Left out is what may be chance: small differences, roles with fewer than `MIN_POSITIONS` places on a side,
    and heads that clear the role's chance bound (where all heads are searched) on neither.

    Raises:
        ValueError: the analyses are of two models.
    """
    changed = []
    for role, table in score_differences(left, right).items():
        if min(side.scores.target(role).rows for side in (left, right)) < MIN_POSITIONS:
            continue
        listed = {activity.head for activity in left.carrying.get(role, ())}
        told = (table.abs() >= SMALL_DIFFERENCE) & (_clears_chance(left, role) | _clears_chance(right, role))
        for layer, head in told.nonzero().tolist():
            changed.append(
                ChangedHead(
                    Head(layer, head),
                    role,
                    float(left.scores.live[role][layer, head]),
                    float(right.scores.live[role][layer, head]),
                    Head(layer, head) in listed if left.catalog is not None else None,
                )
            )
    changed.sort(key=lambda entry: (-abs(entry.difference), entry.head))
    return tuple(changed[:count])


def _clears_chance(analysis: LiveAnalysis, role: str) -> Tensor:
    """Which heads score more than chance explains, bool [layer, head]."""
    inputs, live = analysis.scores.inputs[role], analysis.scores.live[role]
    bounds = torch.tensor([one.chance_bound(Z_SEARCH) for one in inputs]).to(live)
    return live > bounds[:, None]


@dataclass(frozen=True)
class Compared:
    """Two prompts on one model, or one on two.

    Attributes:
        comparison: roles and predictions side by side.
        prompts: the tokens of each side.
        changed: the heads that change most; None for two models, which have no head in common.
    """

    comparison: SideBySide
    prompts: tuple[TokenizedPrompt, TokenizedPrompt]
    changed: tuple[ChangedHead, ...] | None


def compare(left: LiveAnalysis, right: LiveAnalysis) -> Compared:
    """Compare two analyses for the page."""
    comparison = side_by_side(left, right)
    changed = most_changed(left, right, MAX_CHANGED) if comparison.same_model else None
    return Compared(comparison, (left.prompt, right.prompt), changed)
