"""Which heads are active on an input: a head's live score held against its catalog score and chance.

Scores come from `scores`, the same functions that make the catalog; this module adds the decision and
the words that explain it.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from utils.roles import registry
from utils.roles.registry import ROLES
from utils.roles.scores import (
    RoleTarget,
    chance_level,
    max_attention,
    role_score,
    role_target,
    sink_share,
)


@dataclass(frozen=True)
class CellRole:
    """One catalogued role of one head, as the grid shows it.

    Attributes:
        key: the role.
        live: score on this input.
        active: whether that counts as active.
    """

    key: str
    live: float
    active: bool


# A gray head is said to rest on the first token when that takes at least this share of its attention.
RESTING_SHARE = 0.5


@dataclass(frozen=True)
class RoleInput:
    """What one role asks of one token sequence; the same for every head of one layer.

    Attributes:
        role: the role's key.
        target: where a head of the role would look.
        chance: score of uniform attention, NaN where there is none.
    """

    role: str
    target: RoleTarget
    chance: float

    @property
    def bar(self) -> float:
        """The score that luck alone hardly reaches: chance + max(0.15, 1.64 standard errors)."""
        return self.chance_bound_at(registry.Z_ONE_SIDED)

    def chance_bound_at(self, errors: float) -> float:
        """`bar` with so many standard errors; 0 where there is no chance level."""
        if math.isnan(self.chance):
            return 0.0
        return self.chance + registry.margin(self.chance, self.target.rows, errors)

    def needed(self, catalog_score: float) -> float:
        """The live score from which a head with this catalog score is active."""
        threshold = ROLES[self.role].threshold
        if self.role == "diffuse":
            return threshold
        return max(registry.MIN_LIVE_SHARE * max(catalog_score, threshold), self.bar)


def role_input(
    role: str, tokens: Sequence[int], special_ids: Collection[int] = (), window: int | None = None
) -> RoleInput:
    """Work out what `role` asks of these tokens.

    Args:
        role: one of `role_scores.MEASURED_ROLES`.
        tokens: token ids as the model gets them.
        special_ids: ids that never count as a repetition.
        window: how many keys the layer sees, None for all.
    """
    return RoleInput(
        role, role_target(role, tokens, special_ids), chance_level(role, tokens, special_ids, window)
    )


def is_active(asked: RoleInput, live: float, catalog_score: float, peak: float) -> bool:
    """Whether a head with this live score counts as active.

    Args:
        asked: what the role asks of the input.
        live: the head's score on the input.
        catalog_score: its score in the catalog (0 for a head that is not listed).
        peak: the head's `role_scores.peak_share` (only diffuse looks at it).
    """
    if not asked.target.applicable or live < asked.needed(catalog_score):
        return False
    return asked.role != "diffuse" or peak <= registry.DIFFUSE_MAX_ATTENTION


def explain(asked: RoleInput, live: float, catalog_score: float, peak: float, resting: float) -> str:
    """One sentence on why a head is active or gray.

    Args:
        asked: as in `is_active`.
        live: as in `is_active`.
        catalog_score: as in `is_active`.
        peak: as in `is_active`.
        resting: the head's `role_scores.resting_share`.
    """
    rests = resting >= RESTING_SHARE and asked.role != "positional"
    rest = f"; it rests on the first token ({resting:.0%})" if rests else ""
    if not asked.target.applicable:
        return asked.target.reason + rest
    rows = asked.target.rows
    evidence = ""
    if rows < registry.MIN_POSITIONS:
        evidence = f" (little evidence: only {rows} place{'s' if rows > 1 else ''} to look at)"
    if is_active(asked, live, catalog_score, peak):
        return f"scores {live:.2f} on your text" + evidence
    if asked.role == "diffuse" and live >= asked.needed(catalog_score):
        return f"one token takes {peak:.0%} of its attention, so it is not spread out" + rest
    needed = asked.needed(catalog_score)
    if needed > 1:
        return "too few places to tell it from chance" + rest
    return f"scores {live:.2f} on your text, {needed:.2f} would count" + rest + evidence


def summarize_heads(
    attention: Tensor,
    tokens: Sequence[int],
    categories: Mapping[str, Mapping[str, Any]],
    special_ids: Collection[int] = (),
    windows: Sequence[int | None] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """What every catalogued head does on this input.

    Args:
        attention: probabilities [layer, head, query, key].
        tokens: the token ids.
        categories: the catalog's `categories`.
        special_ids: ids that never count as a repetition.
        windows: how many keys each layer sees, None for all of them.

    Returns:
        {role: [{layer, head, score, activation_score, chance, needed, positions, resting, peak, is_active,
        reason, pairs}]} in the catalog's order; `chance` is None where the role has none, `pairs` are the
        (query, key) positions that the role connects.
    """
    resting, peaks = sink_share(attention), max_attention(attention)
    summary: dict[str, list[dict[str, Any]]] = {}
    for role, category in categories.items():
        listed = category["top_heads"]
        if not ROLES[role].measured:
            summary[role] = [_neutral_entry(entry) for entry in listed]
            continue
        live = role_score(role, attention, tokens, special_ids).clamp(0, 1)
        asked = {
            window: role_input(role, tokens, special_ids, window)
            for window in {(windows[entry["layer"]] if windows else None) for entry in listed}
        }
        summary[role] = []
        for entry in listed:
            layer, head = entry["layer"], entry["head"]
            here = asked[windows[layer] if windows else None]
            facts = (
                float(live[layer, head]),
                float(entry["score"]),
                float(peaks[layer, head]),
            )
            rest = float(resting[layer, head])
            summary[role].append(
                {
                    "layer": layer,
                    "head": head,
                    "score": entry["score"],
                    "activation_score": facts[0],
                    "chance": None if math.isnan(here.chance) else here.chance,
                    "needed": here.needed(facts[1]),
                    "positions": here.target.rows,
                    "resting": rest,
                    "peak": facts[2],
                    "is_active": is_active(here, *facts),
                    "reason": explain(here, *facts, rest),
                    "pairs": here.target.pairs if ROLES[role].requires_repetition else (),
                }
            )
    return summary


def _neutral_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "layer": entry["layer"],
        "head": entry["head"],
        "score": entry["score"],
        "activation_score": 0.0,
        "chance": None,
        "is_active": False,
        "reason": "no catalogued role, so there is nothing to check",
        "pairs": (),
    }
