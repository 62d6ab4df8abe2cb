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
        carries: whether the head has the role: its catalog score reaches the role's threshold.
        listed: whether the catalog's short list of the role's heads has it.
        active: whether it is active on this input.
        reason: why, in words; "" for a head that does not have the role.
    """

    role: str
    live: float | None
    chance: float | None
    catalog: float | None
    rank: int | None
    carries: bool
    listed: bool
    active: bool
    reason: str


def cell_roles(analysis: LiveAnalysis) -> dict[Head, list[CellRole]]:
    """The catalogued roles of each head that has any, the most telling first ('other' is no role)."""
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
        carried = analysis.roles_of(head).get(role)
        live = carried or analysis.scores.activity(role, head)
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
                carries=carried is not None,
                listed=any(entry.head == head for entry in analysis.listed.get(role, ())),
                active=carried is not None and carried.is_active,
                reason=carried.reason if carried else "",
            )
        )
    return facts


def sink_share(analysis: LiveAnalysis, head: Head) -> float | None:
    """The head's mean attention on the first token on the catalog's plain sentences; None where not known."""
    table = analysis.catalog.sink_share if analysis.catalog else None
    return None if table is None else table[head.layer][head.head]


def resting_sentence(analysis: LiveAnalysis) -> str:
    """How many heads rest on the first token, whatever their roles; "" where that is not known."""
    catalog = analysis.catalog
    if catalog is None or catalog.sink_share is None:
        return ""
    threshold = catalog.settings.thresholds["positional"].threshold
    resting = sum(share >= threshold for row in catalog.sink_share for share in row)
    total = catalog.num_layers * catalog.num_heads
    return (
        f"On plain sentences {resting} of {total} heads give the first token at least {threshold:.0%} of "
        "their attention: most of them rest there, which is no role."
    )


def marked_pairs(analysis: LiveAnalysis, head: Head) -> tuple[tuple[tuple[int, int], ...], str]:
    """The (query, key) pairs of the repetition roles that the head is active in, and those roles' names."""
    active = [
        activity for activity in analysis.roles_of(head).values() if activity.is_active and activity.pairs
    ]
    pairs = tuple(pair for activity in active for pair in activity.pairs)
    return pairs, " and ".join(ROLES[activity.role].display_name.lower() for activity in active)
