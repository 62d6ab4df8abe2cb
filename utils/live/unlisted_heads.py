"""Heads that the catalog does not list for a role, but that show its pattern on the text at hand.

All heads of the model are searched, so luck has many tries: the rule is stricter than the live check of a
listed head, which has its catalog score to speak for it. Measured on 36,000 heads that do nothing in
particular (`random_heads`: three spreads of logits, 12 texts of 4 to 30 tokens), 0.02% pass for a role that
has a chance level, and 0.5% for the unluckiest role, text and spread; the live check's own rule with no
catalog score lets 1.6% and 11% through. tests/utils/live/test_unlisted_heads.py holds it to the limits below.
"""

import math
from dataclasses import dataclass

from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.roles import registry
from utils.roles.activity import RESTING_SHARE, RoleInput, is_active, role_input
from utils.roles.registry import ROLES
from utils.roles.scores import MEASURED_ROLES, max_attention, sink_share

MAX_SHOWN = 8


@dataclass(frozen=True)
class UnlistedHead:
    """A head that shows a role's pattern on this text without being listed for the role.

    Attributes:
        head: which one.
        live: its score on this text.
        chance: the score of uniform attention, None where there is none (diffuse).
        needed: the score from which it counts.
        catalog: its score in the catalog, None without a catalog.
        over_cap: whether that score would do for the list, which has room for 8 heads: known, but not listed.
        listed_for: the roles that the catalog does list it for.
        note: what a reader should know besides, a sentence; "" where there is nothing.
    """

    head: Head
    live: float
    chance: float | None
    needed: float
    catalog: float | None
    over_cap: bool
    listed_for: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class UnlistedHeads:
    """The unlisted heads that show one role's pattern on this text.

    Attributes:
        role: the role's key.
        heads: the best first, at most `MAX_SHOWN`.
        count: how many there are in all.
        over_cap: how many of all these have a catalog score that would do for the list.
        reason: why the role cannot be looked for in this text; "" where it can.
    """

    role: str
    heads: tuple[UnlistedHead, ...]
    count: int
    over_cap: int
    reason: str

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        if self.reason:
            return f"Nothing to look for: {self.reason}."
        if not self.count:
            return "No other head shows this pattern clearly on your text."
        verb = "shows" if self.count == 1 else "show"
        told = f"{self.count} more head{'s' if self.count > 1 else ''} {verb} this pattern on your text"
        if self.count > len(self.heads):
            told += f" (the best {len(self.heads)} are shown)"
        if not self.over_cap:
            return told + "."
        which = "all of them" if self.over_cap == self.count else f"{self.over_cap} of them"
        if self.count == 1:
            which = "it"
        return f"{told}; {which} would be in the catalog's list if that had room for more than the best."


def needed(asked: RoleInput) -> float:
    """The live score from which a head that is not listed counts."""
    threshold = ROLES[asked.role].threshold
    return max(threshold, asked.chance_bound_at(registry.Z_SEARCH))


def shows_pattern(asked: RoleInput, live: float, peak: float) -> bool:
    """Whether a head that nothing is known of shows the role's pattern.

    Args:
        asked: what the role asks of the input.
        live: the head's score on the input.
        peak: its `role_scores.peak_share` (only diffuse looks at it).
    """
    # Stricter in both parts than is_active, which adds what is special about diffuse.
    return live >= needed(asked) and is_active(asked, live, 0.0, peak)


def find_unlisted_heads(analysis: LiveAnalysis, most: int = MAX_SHOWN) -> dict[str, UnlistedHeads]:
    """For each measured role the heads that show its pattern on this text without being listed for it.

    Args:
        analysis: the prompt on the model; without a catalog no head is listed for anything.
        most: how many heads of a role are told one by one.
    """
    listed: dict[Head, list[str]] = {}
    for role, entries in analysis.summary.items():
        if ROLES[role].measured:
            for entry in entries:
                listed.setdefault(Head(entry["layer"], entry["head"]), []).append(role)
    peaks = max_attention(analysis.attention).tolist()
    resting = sink_share(analysis.attention).tolist()
    found = {}
    for role in MEASURED_ROLES:
        asked = {
            window: role_input(role, analysis.prompt.ids, analysis.loaded.special_ids, window)
            for window in set(analysis.loaded.geometry.windows)
        }
        heads = []
        for layer, row in enumerate(analysis.scores[role].tolist()):
            here = asked[analysis.loaded.geometry.windows[layer]]
            for number, live in enumerate(row):
                head = Head(layer, number)
                roles = listed.get(head, [])
                if role not in roles and shows_pattern(here, live, peaks[layer][number]):
                    heads.append(_acting(analysis, here, head, live, roles, resting[layer][number]))
        heads.sort(key=lambda acting: (-acting.live, acting.head))
        any_layer = next(iter(asked.values()))
        found[role] = UnlistedHeads(
            role=role,
            heads=tuple(heads[:most]),
            count=len(heads),
            over_cap=sum(acting.over_cap for acting in heads),
            reason=any_layer.target.reason,
        )
    return found


def _acting(
    analysis: LiveAnalysis, asked: RoleInput, head: Head, live: float, listed_for: list[str], resting: float
) -> UnlistedHead:
    catalog, over_cap = None, False
    if analysis.catalog is not None and asked.role in analysis.catalog.all_scores:
        catalog = analysis.catalog.all_scores[asked.role][head.layer][head.head]
        over_cap = catalog >= analysis.catalog.settings.thresholds[asked.role].threshold
    note = ""
    if asked.role == "positional" and resting >= RESTING_SHARE:
        names = [ROLES[role].display_name.lower() for role in listed_for if ROLES[role].requires_repetition]
        if names:
            note = f"In the catalog it is listed as {' and '.join(names)}: here it may just be resting."
    return UnlistedHead(
        head=head,
        live=live,
        chance=None if math.isnan(asked.chance) else asked.chance,
        needed=needed(asked),
        catalog=catalog,
        over_cap=over_cap,
        listed_for=tuple(listed_for),
        note=note,
    )
