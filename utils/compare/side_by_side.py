"""Two prompts on one model, or one prompt on two models: roles and predictions side by side.

Pure over two live analyses; `comparison_words` says it in words. Heads are compared by name where both sides
are the same model. Two models have no head in common: there the first head of a role stands beside the other
model's first, each with its relative depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.models.prompts import token_label
from utils.roles.activity import HeadActivity

TOP = 5

State = Literal["active", "inactive", "no heads", "unknown"]


@dataclass(frozen=True)
class HeadScore:
    """One head of a role's list on one side.

    Attributes:
        head: which one.
        rank: its place in the catalog's list, from 1.
        live: its score there, None where the role cannot be judged on that text.
        active: whether it is active.
        depth: how far up the model its layer is, 0 for the first layer and 1 for the last.
    """

    head: Head
    rank: int
    live: float | None
    active: bool
    depth: float


@dataclass(frozen=True)
class RoleSide:
    """One role on one side.

    Attributes:
        state: "active" where one of its heads is, else "inactive"; "no heads" where the model has none of
            them, "unknown" where it has no catalog.
        heads: the role's list in the catalog's order.
        positions: how many places of the text the scores are a mean over.
        reason: why it is inactive, in words; "" where it is.
    """

    state: State
    heads: tuple[HeadScore, ...]
    positions: int
    reason: str

    @property
    def active(self) -> tuple[HeadScore, ...]:
        """The heads that are active, the highest score first."""
        return tuple(sorted((head for head in self.heads if head.active), key=lambda head: -(head.live or 0)))


@dataclass(frozen=True)
class HeadPair:
    """One line of a role's table: the same head on both sides, or the heads of one rank of two models.

    Attributes:
        left: None where the left model's list is shorter.
        right: None where the right model's list is shorter.
        difference: right minus left score; None where one of them is missing or cannot be judged.
    """

    left: HeadScore | None
    right: HeadScore | None
    difference: float | None


@dataclass(frozen=True)
class RoleComparison:
    """One role, left beside right.

    Attributes:
        role: its key.
        left: one side.
        right: the other.
        pairs: head beside head.
        changed: whether it is active on one side alone.
    """

    role: str
    left: RoleSide
    right: RoleSide
    pairs: tuple[HeadPair, ...]
    changed: bool


@dataclass(frozen=True)
class Candidate:
    """A next token that one side expects.

    Attributes:
        token: its id there.
        label: how it is shown.
        probability: how likely it is.
    """

    token: int
    label: str
    probability: float


@dataclass(frozen=True)
class SideBySide:
    """Two analyses compared.

    Attributes:
        models: the models' names.
        same_model: whether heads are compared by name.
        same_prompt: whether both sides were given the same text.
        shared_tokens: how many tokens both begin with; None for two models, whose tokens differ.
        roles: every measured role, in the registry's order.
        predictions: the five most likely next tokens, left and right.
    """

    models: tuple[str, str]
    same_model: bool
    same_prompt: bool
    shared_tokens: int | None
    roles: tuple[RoleComparison, ...]
    predictions: tuple[tuple[Candidate, ...], tuple[Candidate, ...]]


def side_by_side(left: LiveAnalysis, right: LiveAnalysis) -> SideBySide:
    """Compare two analyses, of one model or of two."""
    same_model = left.loaded.name == right.loaded.name
    return SideBySide(
        models=(left.loaded.name, right.loaded.name),
        same_model=same_model,
        same_prompt=left.prompt.text == right.prompt.text,
        shared_tokens=_shared_start(left.prompt.ids, right.prompt.ids) if same_model else None,
        roles=tuple(_compare_role(role, left, right, same_model) for role in left.scores.inputs),
        predictions=(_candidates(left), _candidates(right)),
    )


def score_differences(left: LiveAnalysis, right: LiveAnalysis) -> dict[str, Tensor]:
    """Every head's score on the right minus that on the left, {role: [layer, head]}, for one model.

    A role that cannot be judged on one of the texts is left out.

    Raises:
        ValueError: the analyses are of two models.
    """
    if left.loaded.name != right.loaded.name:
        raise ValueError(
            f"heads of two models have no differences. Got {left.loaded.name} and {right.loaded.name}."
        )
    return {
        role: right.scores.live[role] - left.scores.live[role]
        for role in left.scores.inputs
        if _applies(role, left) and _applies(role, right)
    }


def _applies(role: str, analysis: LiveAnalysis) -> bool:
    return analysis.scores.target(role).applicable


def _side(role: str, analysis: LiveAnalysis) -> RoleSide:
    if analysis.catalog is None:
        return RoleSide(
            "unknown", (), 0, f"{analysis.loaded.name} has no catalog, so its heads are not known"
        )
    listed = analysis.listed.get(role, ())
    if not listed:
        return RoleSide("no heads", (), 0, f"no head of {analysis.loaded.name} does this")
    judged = _applies(role, analysis)
    layers = analysis.loaded.geometry.n_layers
    heads = tuple(
        HeadScore(
            head=activity.head,
            rank=rank,
            live=activity.live if judged else None,
            active=activity.is_active,
            depth=activity.head.layer / max(1, layers - 1),
        )
        for rank, activity in enumerate(listed, start=1)
    )
    if any(head.active for head in heads):
        return RoleSide("active", heads, listed[0].positions, "")
    return RoleSide("inactive", heads, listed[0].positions, _why_inactive(listed, judged))


def _why_inactive(listed: Sequence[HeadActivity], judged: bool) -> str:
    best = max(listed, key=lambda activity: activity.live)
    reason = best.reason.replace(" in your text", "").replace(" on your text", "")
    if not judged:
        # What the head rests on besides stands on its own page.
        return reason.split(";")[0]
    return f"its best head, {best.head}: {reason}"


def _compare_role(role: str, left: LiveAnalysis, right: LiveAnalysis, same_model: bool) -> RoleComparison:
    one, two = _side(role, left), _side(role, right)
    pairs = _by_name(one, two) if same_model else _by_rank(one, two)
    return RoleComparison(role, one, two, pairs, changed={one.state, two.state} == {"active", "inactive"})


def _pair(left: HeadScore | None, right: HeadScore | None) -> HeadPair:
    if left is None or right is None or left.live is None or right.live is None:
        return HeadPair(left, right, None)
    return HeadPair(left, right, right.live - left.live)


def _by_name(left: RoleSide, right: RoleSide) -> tuple[HeadPair, ...]:
    """One model has one list, but a catalog may have been written anew between the two analyses."""
    there: Mapping[Head, HeadScore] = {score.head: score for score in right.heads}
    here = {score.head for score in left.heads}
    pairs = [_pair(score, there.get(score.head)) for score in left.heads]
    return (*pairs, *(_pair(None, score) for score in right.heads if score.head not in here))


def _by_rank(left: RoleSide, right: RoleSide) -> tuple[HeadPair, ...]:
    longest = max(len(left.heads), len(right.heads))
    return tuple(
        _pair(
            left.heads[position] if position < len(left.heads) else None,
            right.heads[position] if position < len(right.heads) else None,
        )
        for position in range(longest)
    )


def _candidates(analysis: LiveAnalysis) -> tuple[Candidate, ...]:
    probabilities = analysis.logits.double().softmax(-1)
    best = torch.topk(probabilities, min(TOP, len(probabilities)))
    return tuple(
        Candidate(token, token_label(analysis.loaded, token), probability)
        for token, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )


def _shared_start(one: tuple[int, ...], two: tuple[int, ...]) -> int:
    shared = 0
    for left, right in zip(one, two, strict=False):
        if left != right:
            break
        shared += 1
    return shared
