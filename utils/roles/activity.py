"""Which heads are active on an input: a head's live score held against its catalog score and chance.

`PromptScores` is what every head scores on one prompt, computed once; `HeadActivity` is what one head does
there for one role, with the decision (docs/METHODS.md, section 1, "Active") and the words that explain it.
Scores come from `scores`, the same functions that make the catalog.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from utils.heads import Head
from utils.roles import registry
from utils.roles.registry import ROLES
from utils.roles.role_score import MIN_WRITTEN, RoleTarget, max_attention, sink_share
from utils.roles.scores import RoleScorer, role_target, score_of
from utils.roles.written import Written, WrittenScores, written_scores

# An inactive head is said to rest on the first token when that takes at least this share of its attention.
SINK_SHARE_MENTIONED = 0.5
# What heads write on a text is worked out for so many layers at once, in bytes of it.
MAX_EFFECT_BYTES = 2 * 2**20


@dataclass(frozen=True)
class CellRole:
    """One role of one head, as a grid shows it.

    Attributes:
        key: the role.
        live: score on this input.
        active: whether that counts as active.
    """

    key: str
    live: float
    active: bool


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

    @cached_property
    def _usual_bound(self) -> float:
        return self.chance_bound()

    def chance_bound(self, errors: float = registry.Z_ONE_SIDED) -> float:
        """The score that heads hardly reach by chance: chance + max(0.15, so many standard errors).

        0 where there is no chance level.
        """
        if math.isnan(self.chance):
            return 0.0
        return self.chance + registry.margin(self.chance, self.target.rows, errors)

    def needed(self, catalog_score: float) -> float:
        """The live score from which a head with this catalog score is active."""
        threshold = ROLES[self.role].threshold
        if score_of(self.role).chance is None:
            return threshold
        return max(registry.MIN_LIVE_SHARE * max(catalog_score, threshold), self._usual_bound)

    def needed_unlisted(self) -> float:
        """The live score from which a head that the catalog does not list counts.

        All heads are searched, so many have the chance to pass: the rule is stricter than `needed`.
        """
        return max(ROLES[self.role].threshold, self.chance_bound(registry.Z_SEARCH))

    def is_active(self, live: float, catalog_score: float, checked: float) -> bool:
        """Whether a head counts as active.

        Args:
            live: the head's score on the input.
            catalog_score: its score in the catalog (0 for a head that is not listed).
            checked: the value of the role's extra check, anything where it has none.
        """
        return self._counts(live, self.needed(catalog_score), checked)

    def _counts(self, live: float, needed: float, checked: float) -> bool:
        if not self.target.applicable or live < needed:
            return False
        check = score_of(self.role).check
        return check is None or checked <= check.limit

    def explain(self, live: float, catalog_score: float, checked: float, sink: float) -> str:
        """One sentence on why a head is active or inactive.

        Args:
            live: as in `is_active`.
            catalog_score: as in `is_active`.
            checked: as in `is_active`.
            sink: the head's `role_score.sink_share`.
        """
        needed = self.needed(catalog_score)
        return self._reason(live, needed, self._counts(live, needed, checked), checked, sink)

    def judged(self, live: float, needed: float, checked: float, sink: float) -> tuple[bool, str]:
        """`is_active` and `explain` together, where it is known what is `needed`."""
        active = self._counts(live, needed, checked)
        return active, self._reason(live, needed, active, checked, sink)

    def _reason(self, live: float, needed: float, active: bool, checked: float, sink: float) -> str:
        rests = sink >= SINK_SHARE_MENTIONED and self.role != "positional"
        rest = f"; it rests on the first token ({sink:.0%})" if rests else ""
        if not self.target.applicable:
            return self.target.reason + rest
        rows = self.target.rows
        evidence = ""
        if rows < score_of(self.role).enough_rows:
            evidence = f" (little evidence: only {rows} place{'s' if rows > 1 else ''} to look at)"
        if active:
            return f"scores {live:.2f} on your text" + evidence
        check = score_of(self.role).check
        if check is not None and live >= needed:
            return check.failure(checked) + rest
        if needed > 1:
            return "too few places to tell it from chance" + rest
        return f"scores {live:.2f} on your text, {needed:.2f} would count" + rest + evidence


@dataclass(frozen=True)
class HeadActivity:
    """What one head does for one role on one input.

    Attributes:
        role: the role's key.
        head: which head.
        catalog_score: its score in the catalog, None where that does not list it.
        live: its score on the input, in [0, 1]; 0 where the role does not apply.
        chance: the score of uniform attention, None where there is none.
        needed: the live score from which it counts; None for a role without a score.
        positions: query positions that the score is a mean over.
        sink_share: its mean attention on the first token.
        max_attention: mean share of a row that its largest weight takes.
        is_active: whether it counts as active.
        reason: why, in words.
        pairs: the (query, key) positions that the role connects, for roles that need a repetition.
        mass: for an output role the attention mass on its targets, whatever the head writes; else None.
        effect: for an output role the head's effect on those tokens' logits; else None.
    """

    role: str
    head: Head
    catalog_score: float | None
    live: float
    chance: float | None
    needed: float | None
    positions: int
    sink_share: float
    max_attention: float
    is_active: bool
    reason: str
    pairs: tuple[tuple[int, int], ...] = ()
    mass: float | None = None
    effect: float | None = None

    @property
    def little_evidence(self) -> bool:
        """Whether the score is a mean over so few positions that chance may do much."""
        score = ROLES[self.role].score
        return score is not None and 0 < self.positions < score.enough_rows


@dataclass(frozen=True, eq=False)
class PromptScores:
    """What every head scores for some roles on one prompt, and what the roles ask of it.

    Attributes:
        inputs: {role: one a layer}; layers with the same window share theirs.
        live: {role: [layer, head]} scores in [0, 1].
        checked: {role: [layer, head]}, the values of the roles' extra checks.
        sink_share: [layer, head], mean attention on the first token.
        max_attention: [layer, head], mean share of a row that its largest weight takes.
        written: {output role: what its scores are made of, [layer, head]}; empty where it is not known what
            the heads write.
    """

    inputs: Mapping[str, Sequence[RoleInput]]
    live: Mapping[str, Tensor]
    checked: Mapping[str, Tensor]
    sink_share: Tensor
    max_attention: Tensor
    written: Mapping[str, WrittenScores] = field(default_factory=dict)

    @cached_property
    def _numbers(self) -> dict[str, dict[str, list[list[float]]]]:
        # Plain numbers: hundreds of heads ask for theirs, and one out of a tensor takes some microseconds.
        everywhere = {"": self.sink_share}, {"": self.max_attention}
        masses = {role: written.mass for role, written in self.written.items()}
        effects = {role: written.effect for role, written in self.written.items()}
        names = ("live", "checked", "sink", "largest", "mass", "effect")
        tables = (self.live, self.checked, *everywhere, masses, effects)
        return {
            name: {role: scores.tolist() for role, scores in table.items()}
            for name, table in zip(names, tables, strict=True)
        }

    def _number(self, name: str, role: str, head: Head) -> float:
        return self._numbers[name][role][head.layer][head.head]

    def target(self, role: str) -> RoleTarget:
        """Where a head of the role would look on the prompt, whatever its layer sees."""
        return self.inputs[role][0].target

    def activity(self, role: str, head: Head, catalog_score: float | None = None) -> HeadActivity:
        """What a head does for a measured role.

        Args:
            role: one of `inputs`.
            head: which head.
            catalog_score: its score in the catalog, None for a head that is not listed.
        """
        role_input = self.inputs[role][head.layer]
        needed = role_input.needed(catalog_score or 0.0)
        live, sink = self._number("live", role, head), self._number("sink", "", head)
        checked = self._number("checked", role, head) if role in self.checked else 0.0
        mass = effect = None
        if role in self.written:
            mass, effect = self._number("mass", role, head), self._number("effect", role, head)
        active, reason = role_input.judged(live, needed, checked, sink)
        return HeadActivity(
            role=role,
            head=head,
            catalog_score=catalog_score,
            live=live,
            chance=None if math.isnan(role_input.chance) else role_input.chance,
            needed=needed,
            positions=role_input.target.rows,
            sink_share=sink,
            max_attention=self._number("largest", "", head),
            is_active=active,
            reason=_small_effect(role_input, live, needed, mass, effect) or reason,
            pairs=role_input.target.pairs if ROLES[role].requires_repetition else (),
            mass=mass,
            effect=effect,
        )

    def clear_pattern(self, role: str) -> Tensor:
        """Which heads clearly show the role's pattern, whatever the catalog says of them: bool [layer, head].

        Stricter than the rule for a listed head, which has its catalog score to speak for it.
        """
        live, role_input = self.live[role].double(), self.inputs[role]
        needed = torch.tensor([max(one.needed_unlisted(), one.needed(0.0)) for one in role_input]).to(live)
        shows = (live >= needed[:, None]) & role_input[0].target.applicable
        check = score_of(role).check
        return shows if check is None else shows & (self.checked[role].double() <= check.limit)


def _small_effect(
    asked: RoleInput, live: float, needed: float, mass: float | None, effect: float | None
) -> str:
    """Why a head that looks where one of an output role would is inactive all the same; "" if it is not."""
    if mass is None or not asked.target.applicable or not live < needed <= mass:
        return ""
    return (
        f"gives {mass:.0%} of its attention there, but changes those tokens by {effect:+.1f} logits on "
        f"average (each counts from {MIN_WRITTEN:g} on)"
    )


def role_inputs(
    role: str,
    tokens: Sequence[int],
    special_ids: Collection[int] = (),
    windows: Sequence[int | None] = (None,),
    answer: int | None = None,
) -> tuple[RoleInput, ...]:
    """What `role` asks of these tokens, layer by layer; the target is worked out once.

    Args:
        role: one of `registry.measured_roles()`.
        tokens: token ids as the model gets them.
        special_ids: ids that never count as a repetition.
        windows: how many keys each layer sees, None for all of them.
        answer: as in `scores.role_target`.
    """
    target = role_target(role, tokens, special_ids, answer)
    by_window = {
        window: RoleInput(role, target, score_of(role).chance_level(target, window))
        for window in dict.fromkeys(windows)
    }
    return tuple(by_window[window] for window in windows)


def prompt_scores(
    attention: Tensor,
    tokens: Sequence[int],
    roles: Sequence[str],
    special_ids: Collection[int] = (),
    windows: Sequence[int | None] | None = None,
    written: Written | None = None,
) -> PromptScores:
    """Score every head for some roles on one prompt.

    Args:
        attention: probabilities [layer, head, query, key].
        tokens: the token ids.
        roles: measured roles.
        special_ids: ids that never count as a repetition.
        windows: how many keys each layer sees, None for all of them.
        written: what the heads write; None where it is not known, and then output roles score 0 and say so.

    Raises:
        ValueError: the attention does not fit the tokens, or what is written not the attention.
    """
    layers = windows or (None,) * len(attention)
    answer = None if written is None else written.answer
    inputs = {role: role_inputs(role, tokens, special_ids, layers, answer) for role in roles}
    by_output = {} if written is None else _written_scores(attention, inputs, written)
    largest = max_attention(attention)
    patterns = {role: [one[0].target] for role, one in inputs.items() if role not in by_output}
    # One product reads the patterns once for all roles.
    by_pattern = RoleScorer(patterns).scores(attention[None]) if patterns else {}
    checks = {role: check for role in roles if (check := score_of(role).check) is not None}
    return PromptScores(
        inputs=inputs,
        live={
            role: by_output[role].score if role in by_output else by_pattern[role][0].clamp(0, 1)
            for role in inputs
        },
        checked={
            role: largest if check.measure is max_attention else check.measure(attention)
            for role, check in checks.items()
        },
        sink_share=sink_share(attention),
        max_attention=largest,
        written=by_output,
    )


def _written_scores(
    attention: Tensor, inputs: Mapping[str, Sequence[RoleInput]], written: Written
) -> dict[str, WrittenScores]:
    """The scores of the output roles among `inputs`, some layers at a time: their effects are needed once."""
    roles = {role: one[0].target for role, one in inputs.items() if ROLES[role].by_output}
    if not roles:
        return {}
    parts: dict[str, list[WrittenScores]] = {role: [] for role in roles}
    at_once = max(1, MAX_EFFECT_BYTES // max(1, attention[:1].nbytes))
    for start in range(0, len(attention), at_once):
        layers = slice(start, start + at_once)
        effects = written.effects(layers)
        for role, target in roles.items():
            parts[role].append(written_scores(attention[layers], effects, target, score_of(role).written))
    return {
        role: WrittenScores(
            *(torch.cat([getattr(one, name) for one in found]) for name in ("score", "mass", "effect"))
        )
        for role, found in parts.items()
    }


def listed_activity(
    scores: PromptScores, listed: Mapping[str, Sequence[tuple[Head, float]]]
) -> dict[str, tuple[HeadActivity, ...]]:
    """What every listed head does on a prompt.

    Args:
        scores: of the prompt, for the measured ones of these roles.
        listed: each role's heads with their catalog scores.

    Returns:
        {role: one a head}, in the order of `listed`. A role without a score has neutral ones.
    """
    return {
        role: tuple(
            scores.activity(role, head, score) if ROLES[role].measured else _neutral(role, head, score)
            for head, score in heads
        )
        for role, heads in listed.items()
    }


def _neutral(role: str, head: Head, score: float) -> HeadActivity:
    reason = "no catalogued role, so there is nothing to check"
    return HeadActivity(role, head, score, 0.0, None, None, 0, 0.0, 0.0, is_active=False, reason=reason)


def as_record(activity: HeadActivity) -> dict[str, Any]:
    """A head's activity as plain data, as the public functions of `utils.head_detection` give it."""
    record = {
        "layer": activity.head.layer,
        "head": activity.head.head,
        "score": activity.catalog_score,
        "activation_score": activity.live,
        "chance": activity.chance,
        "is_active": activity.is_active,
        "reason": activity.reason,
        "pairs": activity.pairs,
    }
    if not ROLES[activity.role].measured:
        return record
    if activity.mass is not None:
        record |= {"mass": activity.mass, "effect": activity.effect}
    return record | {
        "needed": activity.needed,
        "positions": activity.positions,
        "sink_share": activity.sink_share,
        "max_attention": activity.max_attention,
    }
