"""Heads that do not have a role by the catalog, but that show its pattern on the text at hand.

All heads of the model are searched, so chance has many tries: the rule is stricter than the live check of a
listed head, which has its catalog score to speak for it. Measured on 36,000 heads that do nothing in
particular (`random_heads`: three spreads of logits, 12 texts of 4 to 30 tokens), 0.02% pass for a role that
has a chance level, and 0.5% for the unluckiest role, text and spread; the live check's own rule with no
catalog score lets 1.6% and 11% through. tests/utils/live/test_unlisted_heads.py holds it to the limits below.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from utils.catalog.catalog import Catalog
from utils.heads import Head
from utils.roles.activity import SINK_SHARE_MENTIONED, PromptScores
from utils.roles.registry import ROLES

MAX_SHOWN = 8


@dataclass(frozen=True)
class UnlistedHead:
    """A head that shows a role's pattern on this text without having the role by the catalog.

    Attributes:
        head: which one.
        live: its score on this text.
        chance: the score of uniform attention, None where there is none (diffuse).
        needed: the score from which it counts.
        catalog: its score in the catalog, None without a catalog.
        roles: the roles that it does have by the catalog.
        note: what a reader should know besides, a sentence; "" where there is nothing.
    """

    head: Head
    live: float
    chance: float | None
    needed: float
    catalog: float | None
    roles: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class UnlistedHeads:
    """The unlisted heads that show one role's pattern on this text.

    Attributes:
        role: the role's key.
        heads: the best first, at most `MAX_SHOWN`.
        count: how many there are in all.
        reason: why the role cannot be looked for in this text; "" where it can.
    """

    role: str
    heads: tuple[UnlistedHead, ...]
    count: int
    reason: str

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        if self.reason:
            return f"Nothing to look for: {self.reason}."
        if not self.count:
            return "No other head shows this pattern clearly on your text."
        verb = "shows" if self.count == 1 else "show"
        message = f"{self.count} more head{'s' if self.count > 1 else ''} {verb} this pattern on your text"
        if self.count > len(self.heads):
            message += f" (the best {len(self.heads)} are shown)"
        return message + "."


def find_unlisted_heads(
    scores: PromptScores,
    listed: Mapping[Head, Collection[str]],
    catalog: Catalog | None,
    most: int = MAX_SHOWN,
) -> dict[str, UnlistedHeads]:
    """For each measured role the heads that show its pattern on a prompt without having the role.

    Args:
        scores: of the prompt.
        listed: the roles that each head has; empty without a catalog.
        catalog: the model's catalog, None where there is none.
        most: how many heads of a role are named one by one.
    """
    found = {}
    for role in scores.inputs:
        heads = [
            _unlisted(scores, role, Head(layer, number), listed.get(Head(layer, number), ()), catalog)
            for layer, number in scores.clear_pattern(role).nonzero().tolist()
            if role not in listed.get(Head(layer, number), ())
        ]
        heads.sort(key=lambda entry: (-entry.live, entry.head))
        found[role] = UnlistedHeads(
            role=role,
            heads=tuple(heads[:most]),
            count=len(heads),
            reason=scores.target(role).reason,
        )
    return found


def _unlisted(
    scores: PromptScores, role: str, head: Head, roles: Collection[str], catalog: Catalog | None
) -> UnlistedHead:
    activity = scores.activity(role, head)
    score = None
    if catalog is not None and role in catalog.all_scores:
        score = catalog.all_scores[role][head.layer][head.head]
    note = ""
    if role == "positional" and activity.sink_share >= SINK_SHARE_MENTIONED:
        names = [ROLES[other].display_name.lower() for other in roles if ROLES[other].requires_repetition]
        if names:
            note = f"In the catalog it is {' and '.join(names)}: here it may just be resting."
    return UnlistedHead(
        head=head,
        live=activity.live,
        chance=activity.chance,
        needed=scores.inputs[role][head.layer].needed_unlisted(),
        catalog=score,
        roles=tuple(roles),
        note=note,
    )
