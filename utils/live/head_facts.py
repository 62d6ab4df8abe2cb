"""What the page says about single heads, read off a live analysis; no score is defined here."""

from dataclasses import dataclass

from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.roles.activity import CellRole
from utils.roles.registry import ROLES


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
    return {
        head: [CellRole(role, activity.live, activity.is_active) for role, activity in roles.items()]
        for head, roles in analysis.by_head.items()
    }


def interesting_head(analysis: LiveAnalysis) -> Head:
    """A head worth looking at first: the most active one of the most telling active role."""
    for role in sorted(analysis.listed, key=lambda role: ROLES[role].telling_rank):
        active = [activity for activity in analysis.listed[role] if activity.is_active]
        if active:
            return max(active, key=lambda activity: activity.live).head
    return Head(0, 0)


def role_facts(analysis: LiveAnalysis, head: Head) -> list[RoleFact]:
    """A head's score for every measured role, live and in the catalog."""
    facts = []
    for role in analysis.scores.inputs:
        listed = analysis.listed_for(head).get(role)
        live = listed or analysis.scores.activity(role, head)
        catalog = rank = None
        if analysis.catalog is not None and role in analysis.catalog.all_scores:
            table = analysis.catalog.all_scores[role]
            catalog = table[head.layer][head.head]
            rank = 1 + sum(score > catalog for row in table for score in row)
        facts.append(
            RoleFact(
                role=role,
                live=live.live if analysis.scores.target(role).applicable else None,
                chance=live.chance,
                catalog=catalog,
                rank=rank,
                listed=listed is not None,
                active=listed is not None and listed.is_active,
                reason=listed.reason if listed else "",
            )
        )
    return facts


def marked_pairs(analysis: LiveAnalysis, head: Head) -> tuple[tuple[tuple[int, int], ...], str]:
    """The (query, key) pairs of the repetition roles that the head is active in, and those roles' names."""
    active = [
        activity for activity in analysis.listed_for(head).values() if activity.is_active and activity.pairs
    ]
    pairs = tuple(pair for activity in active for pair in activity.pairs)
    return pairs, " and ".join(ROLES[activity.role].display_name.lower() for activity in active)
