"""What the page says about single heads, read off a live analysis; no score is defined here."""

import math
from collections import defaultdict
from dataclasses import dataclass

from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.roles.activity import CellRole, role_input
from utils.roles.registry import ROLES
from utils.roles.scores import MEASURED_ROLES

# On a first visit the head of the first of these roles that is active is shown: the more telling role comes
# first.
TELLING_ORDER = ("induction", "duplicate_token", "previous_token", "diffuse", "positional")


@dataclass(frozen=True)
class RoleFact:
    """One role's row in a head's score table.

    Attributes:
        role: the role's key.
        live: score on this input, None where the role does not apply.
        chance: chance level, None where there is none.
        catalog: the catalog's score, None without a catalog.
        rank: place among all heads of the model by catalog score, from 1; None without a catalog.
        listed: whether the catalog lists the head for the role.
        active: whether it is active on this input.
        reason: why, in words; "" for a head that is not listed.
    """

    role: str
    live: float | None
    chance: float | None
    catalog: float | None
    rank: int | None
    listed: bool
    active: bool
    reason: str


def cell_roles(analysis: LiveAnalysis) -> dict[Head, list[CellRole]]:
    """The catalogued roles of each head that has any ('other' is no role)."""
    roles: dict[Head, list[CellRole]] = defaultdict(list)
    for role, entries in analysis.summary.items():
        if not ROLES[role].measured:
            continue
        for entry in entries:
            roles[Head(entry["layer"], entry["head"])].append(
                CellRole(role, entry["activation_score"], entry["is_active"])
            )
    return dict(roles)


def interesting_head(analysis: LiveAnalysis) -> Head:
    """A head worth looking at first: the most active one of the most telling active role."""
    for role in TELLING_ORDER:
        entries = [entry for entry in analysis.summary.get(role, ()) if entry["is_active"]]
        if entries:
            best = max(entries, key=lambda entry: entry["activation_score"])
            return Head(best["layer"], best["head"])
    return Head(0, 0)


def role_facts(analysis: LiveAnalysis, head: Head) -> list[RoleFact]:
    """A head's score for every measured role, live and in the catalog."""
    facts = []
    for role in MEASURED_ROLES:
        window = analysis.loaded.geometry.windows[head.layer]
        asked = role_input(role, analysis.prompt.ids, analysis.loaded.special_ids, window)
        entry = next(
            (e for e in analysis.summary.get(role, ()) if (e["layer"], e["head"]) == (head.layer, head.head)),
            None,
        )
        catalog = rank = None
        if analysis.catalog is not None and role in analysis.catalog.all_scores:
            table = analysis.catalog.all_scores[role]
            catalog = table[head.layer][head.head]
            rank = 1 + sum(score > catalog for row in table for score in row)
        facts.append(
            RoleFact(
                role=role,
                live=float(analysis.scores[role][head.layer, head.head]) if asked.target.applicable else None,
                chance=None if math.isnan(asked.chance) else asked.chance,
                catalog=catalog,
                rank=rank,
                listed=entry is not None,
                active=bool(entry and entry["is_active"]),
                reason=entry["reason"] if entry else "",
            )
        )
    return facts


def marked_pairs(analysis: LiveAnalysis, head: Head) -> tuple[tuple[tuple[int, int], ...], str]:
    """The (query, key) pairs of the repetition roles that the head is active in, and those roles' names."""
    pairs: list[tuple[int, int]] = []
    names = []
    for role, entries in analysis.summary.items():
        for entry in entries:
            if (
                (entry["layer"], entry["head"]) == (head.layer, head.head)
                and entry["is_active"]
                and entry["pairs"]
            ):
                pairs += entry["pairs"]
                names.append(ROLES[role].display_name.lower())
    return tuple(pairs), " and ".join(names)
