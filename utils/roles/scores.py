"""The score of every head for a role, by the role's key: patterns and tokens in, one number per head out.

The catalog, the live check and the study all call these functions, so that a head has one score.
`RoleScorer` scores many sequences of one length at once, `role_score` a single one with it. What a role is
scored by stands in its row (`registry.ROLES`).
"""

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from utils.roles.registry import ROLES, measured_roles
from utils.roles.role_score import (
    MIN_TOKENS,
    NEEDS_OUTPUT,
    TOO_SHORT,
    RoleScore,
    RoleTarget,
    not_applicable,
)


def score_of(role: str) -> RoleScore:
    """How heads are scored for a role.

    Raises:
        ValueError: no such role, or one that has no score ('other').
    """
    score = ROLES[role].score if role in ROLES else None
    if score is None:
        raise ValueError(f"role must be one of {', '.join(measured_roles())}. Got {role!r}.")
    return score


def role_target(
    role: str, tokens: Sequence[int], special_ids: Collection[int] = (), answer: int | None = None
) -> RoleTarget:
    """Where a head of `role` would look on these token ids.

    >>> role_target("induction", [0, 7, 8, 9, 7, 8]).pairs
    ((4, 2), (5, 3))
    >>> role_target("induction", [0, 7, 8, 9]).reason
    'nothing repeats in your text'

    Args:
        role: one of `registry.measured_roles()`.
        tokens: n token ids, the start token included where the model is given one.
        special_ids: ids that are never query or key of a repetition.
        answer: for an output role the token that the model expects next; None where what the heads write is
            not known, and then the role cannot be judged.

    Raises:
        ValueError: the role has no score.
    """
    score = score_of(role)
    ids = torch.as_tensor(tokens, dtype=torch.long)
    if score.written and answer is None:
        return not_applicable(len(ids), NEEDS_OUTPUT)
    if len(ids) < MIN_TOKENS:
        return not_applicable(len(ids), TOO_SHORT)
    special = torch.isin(ids, torch.tensor(sorted(special_ids), dtype=torch.long))
    return score.target(ids, special, answer) if score.written else score.target(ids, special)


class RoleScorer:
    """Scores every head for several roles on several sequences of one length.

    From patterns: an output role does not apply here (`written.written_scores`).

    Args:
        targets: each role's targets (`role_target`), one a sequence; they hold for all layers.

    Raises:
        ValueError: the sequences differ in length.
    """

    def __init__(self, targets: Mapping[str, Sequence[RoleTarget]]) -> None:
        self.targets = targets
        by_sequence = list(zip(*targets.values(), strict=True))
        lengths = sorted({len(target.mask) for row in by_sequence for target in row})
        if len(lengths) != 1:
            raise ValueError(f"the sequences must have one length. Got {lengths}.")
        self._shape = (len(by_sequence), lengths[0])
        # Bool [sequence, role, query * key] and int [sequence, role].
        self._masks = torch.stack([torch.stack([one.mask.flatten() for one in row]) for row in by_sequence])
        self._rows = torch.tensor([[one.rows for one in row] for row in by_sequence])

    @classmethod
    def of_sequences(
        cls, roles: Sequence[str], sequences: Sequence[Sequence[int]], special_ids: Collection[int] = ()
    ) -> "RoleScorer":
        """The scorer of some roles on token ids, n of them each.

        Args:
            roles: of `registry.measured_roles()`.
            sequences: token ids, the start token included where the model is given one.
            special_ids: as in `role_target`.

        Raises:
            ValueError: a role has no score, or the sequences differ in length.
        """
        lengths = sorted({len(tokens) for tokens in sequences})
        if len(lengths) != 1:
            raise ValueError(f"the sequences must have one length. Got {lengths}.")
        return cls({role: [role_target(role, tokens, special_ids) for tokens in sequences] for role in roles})

    def scores(self, attention: Tensor) -> dict[str, Tensor]:
        """The score of every head for each role.

        Args:
            attention: probabilities [sequence, ..., query, key]; the axes between may be layers, heads, both
                or none.

        Returns:
            {role: [sequence, ...]} scores in [0, 1], zeros where the role does not apply to the sequence.

        Raises:
            ValueError: the patterns do not fit the sequences.
        """
        count, n = self._shape
        if attention.dim() < 3 or (attention.shape[0], *attention.shape[-2:]) != (count, n, n):
            raise ValueError(
                f"attention must have shape (sequence, ..., query, key)=({count}, ..., {n}, {n}). "
                f"Got {tuple(attention.shape)}."
            )
        patterns = attention.reshape(count, math.prod(attention.shape[1:-2]), n * n)
        # One product for all roles reads the patterns once: [sequence, head, role].
        mass = patterns @ self._masks.to(patterns).transpose(1, 2)
        table = mass / self._rows.clamp(min=1).to(mass)[:, None]
        axes = attention.shape[:-2]
        scores = {role: table[..., number].reshape(axes) for number, role in enumerate(self.targets)}
        for role, targets in self.targets.items():
            measure = score_of(role).measure
            if measure is not None and n >= MIN_TOKENS:
                applicable = torch.tensor([target.applicable for target in targets])
                found = measure(attention, targets)
                scores[role] = found * applicable.to(found).reshape(count, *[1] * (found.dim() - 1))
        return scores


def role_score(
    role: str, attention: Tensor, tokens: Sequence[int], special_ids: Collection[int] = ()
) -> Tensor:
    """The score of every head for `role` on one sequence.

    >>> looks_one_back = torch.eye(4).roll(-1, 1)
    >>> float(role_score("previous_token", looks_one_back, [0, 7, 8, 9]))
    1.0

    Args:
        role: one of `registry.measured_roles()`.
        attention: probabilities [..., query, key]; the leading axes may be layers, heads, both or none.
        tokens: the n token ids.
        special_ids: as in `role_target`.

    Returns:
        [...] scores in [0, 1], zeros where the role does not apply.

    Raises:
        ValueError: the pattern does not fit the tokens, or the role has no score.
    """
    return target_score(role, attention, role_target(role, tokens, special_ids))


def target_score(role: str, attention: Tensor, target: RoleTarget) -> Tensor:
    """`role_score` where the role's target on the tokens is known.

    Raises:
        ValueError: the pattern does not fit the target.
    """
    n = len(target.mask)
    if attention.dim() < 2 or attention.shape[-2:] != (n, n):
        raise ValueError(
            f"attention must have shape (..., query, key)=(..., {n}, {n}). Got {tuple(attention.shape)}."
        )
    return RoleScorer({role: [target]}).scores(attention[None])[role][0]


def chance_level(
    role: str, tokens: Sequence[int], special_ids: Collection[int] = (), window: int | None = None
) -> float:
    """The score of a head that attends uniformly to all it can see (`RoleScore.chance_level`).

    >>> chance_level("previous_token", [0, 7, 8])
    0.3333333432674408
    """
    return score_of(role).chance_level(role_target(role, tokens, special_ids), window)
