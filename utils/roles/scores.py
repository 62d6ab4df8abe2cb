"""The score of each role: attention patterns and tokens in, one number a head out.

The catalog, the live check and the study all call these functions, so that a head has one score. The
definitions are METHODS.md, section 1: `A[i, j]` is the attention probability from query position i to key
position j, n the number of tokens with BOS counted where the model is given one. Four of the five roles are
a mean over some query positions of the attention mass on each one's targets, which makes a role a boolean
matrix (`RoleTarget.mask`); `diffuse` is an entropy. `RoleScorer` scores many sequences of one length at once,
`role_score` a single one with it.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# With fewer tokens every row that counts is missing or forced by the causal mask.
MIN_TOKENS = 3
# Rows 0 and 1 are left out: row 0 can only look at itself, row 1 has two keys, one of them the first token.
FIRST_ROW = 2

TOO_SHORT = "the text is too short: at least 3 tokens are needed"
NOTHING_REPEATS = "nothing repeats in your text"
TOO_CLOSE = "it repeats too close to tell this from looking one token back"


@dataclass(frozen=True)
class RoleTarget:
    """Where a head of a role would look on one token sequence.

    Attributes:
        mask: bool [query, key], True where attention counts towards the score.
        rows: how many query positions the score is averaged over.
        reason: why the role does not apply, "" where it does.
    """

    mask: Tensor
    rows: int
    reason: str = ""

    @property
    def applicable(self) -> bool:
        """Whether the role can be judged on these tokens."""
        return not self.reason

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The (query, key) positions that a head of this role would connect."""
        return tuple((int(i), int(j)) for i, j in self.mask.nonzero().tolist())


def _not_applicable(length: int, reason: str) -> RoleTarget:
    return RoleTarget(torch.zeros(length, length, dtype=torch.bool), 0, reason)


def _previous_token(tokens: Tensor, special: Tensor) -> RoleTarget:
    n = len(tokens)
    mask = torch.zeros(n, n, dtype=torch.bool)
    rows = torch.arange(FIRST_ROW, n)
    mask[rows, rows - 1] = True
    return RoleTarget(mask, len(rows))


def _positional(tokens: Tensor, special: Tensor) -> RoleTarget:
    n = len(tokens)
    mask = torch.zeros(n, n, dtype=torch.bool)
    mask[FIRST_ROW:, 0] = True
    return RoleTarget(mask, n - FIRST_ROW)


def _every_key(tokens: Tensor, special: Tensor) -> RoleTarget:
    """Diffuse has no target of its own: every key that row i sees, from row 2 on."""
    n = len(tokens)
    mask = torch.ones(n, n, dtype=torch.bool).tril()
    mask[:FIRST_ROW] = False
    return RoleTarget(mask, n - FIRST_ROW)


def _earlier_same(tokens: Tensor, special: Tensor) -> Tensor:
    """Bool [query, key]: key j < i holds the same token as query i, which is not special."""
    same = (tokens[:, None] == tokens[None, :]).tril(-1)
    return same & ~special[:, None]


def _duplicate_token(tokens: Tensor, special: Tensor) -> RoleTarget:
    mask = _earlier_same(tokens, special)
    mask[:, 0] = False  # a first-token sink is no duplicate
    rows = int(mask.any(-1).sum())
    return RoleTarget(mask, rows) if rows else _not_applicable(len(tokens), NOTHING_REPEATS)


def _induction(tokens: Tensor, special: Tensor) -> RoleTarget:
    n = len(tokens)
    same = _earlier_same(tokens, special)
    if not bool(same.any()):
        return _not_applicable(n, NOTHING_REPEATS)
    mask = torch.zeros(n, n, dtype=torch.bool)
    # j + 2 < i keeps the target j + 1 clear of i - 1, where a previous-token head would look.
    mask[:, 1:] = same.tril(-3)[:, :-1]
    # In a run of one token (AAAA) the target holds the very token that is asked about: nothing tells what a
    # head is doing.
    if not bool((mask & (tokens[:, None] != tokens[None, :])).any()):
        return _not_applicable(n, TOO_CLOSE)
    return RoleTarget(mask, int(mask.any(-1).sum()))


_TARGETS: dict[str, Callable[[Tensor, Tensor], RoleTarget]] = {
    "previous_token": _previous_token,
    "induction": _induction,
    "duplicate_token": _duplicate_token,
    "positional": _positional,
    "diffuse": _every_key,
}
MEASURED_ROLES = tuple(_TARGETS)


def role_target(role: str, tokens: Sequence[int], special_ids: Collection[int] = ()) -> RoleTarget:
    """Where a head of `role` would look on these token ids.

    Args:
        role: one of `MEASURED_ROLES`.
        tokens: n token ids, BOS included where the model is given one.
        special_ids: ids that are never query or key of a repetition.

    Raises:
        ValueError: the role has no score.
    """
    if role not in _TARGETS:
        raise ValueError(f"role must be one of {', '.join(MEASURED_ROLES)}. Got {role!r}.")
    ids = torch.as_tensor(tokens, dtype=torch.long)
    if len(ids) < MIN_TOKENS:
        return _not_applicable(len(ids), TOO_SHORT)
    special = torch.isin(ids, torch.tensor(sorted(special_ids), dtype=torch.long))
    return _TARGETS[role](ids, special)


def _check_square(attention: Tensor, length: int) -> None:
    if attention.dim() < 2 or attention.shape[-2:] != (length, length):
        raise ValueError(
            f"attention must have shape (..., query, key)=(..., {length}, {length}). "
            f"Got {tuple(attention.shape)}."
        )


class RoleScorer:
    """Scores every head for several roles on several sequences of one length.

    The targets are worked out once and hold for all layers.

    Args:
        roles: of `MEASURED_ROLES`.
        sequences: token ids, n of them each, BOS included where the model is given one.
        special_ids: as in `role_target`.

    Attributes:
        targets: each role's targets, one a sequence.

    Raises:
        ValueError: a role has no score, or the sequences differ in length.
    """

    def __init__(
        self, roles: Sequence[str], sequences: Sequence[Sequence[int]], special_ids: Collection[int] = ()
    ) -> None:
        lengths = sorted({len(tokens) for tokens in sequences})
        if len(lengths) != 1:
            raise ValueError(f"the sequences must have one length. Got {lengths}.")
        self._shape = (len(sequences), lengths[0])
        self.targets = {
            role: tuple(role_target(role, tokens, special_ids) for tokens in sequences) for role in roles
        }
        # Bool [sequence, role, query * key] and int [sequence, role].
        by_sequence = list(zip(*self.targets.values(), strict=True))
        self._masks = torch.stack([torch.stack([one.mask.flatten() for one in row]) for row in by_sequence])
        self._rows = torch.tensor([[one.rows for one in row] for row in by_sequence])

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
        if "diffuse" in self.targets and n >= MIN_TOKENS:
            table[..., list(self.targets).index("diffuse")] = _normalised_entropy(attention).reshape(
                count, -1
            )
        axes = attention.shape[:-2]
        return {role: table[..., number].reshape(axes) for number, role in enumerate(self.targets)}


def role_score(
    role: str, attention: Tensor, tokens: Sequence[int], special_ids: Collection[int] = ()
) -> Tensor:
    """The score of every head for `role` on one sequence.

    Args:
        role: one of `MEASURED_ROLES`.
        attention: probabilities [..., query, key]; the leading axes may be layers, heads, both or none.
        tokens: the n token ids.
        special_ids: as in `role_target`.

    Returns:
        [...] scores in [0, 1], zeros where the role does not apply.

    Raises:
        ValueError: the pattern does not fit the tokens, or the role has no score.
    """
    _check_square(attention, len(tokens))
    return RoleScorer([role], [tokens], special_ids).scores(attention[None])[role][0]


def _normalised_entropy(attention: Tensor) -> Tensor:
    """Mean over rows i >= 2 of H(A[i, 0..i]) / log(i + 1): each row by what it can see, not by log n."""
    n = attention.shape[-1]
    rows = attention[..., FIRST_ROW:, :]
    entropy = torch.special.entr(rows).sum(-1)
    largest = torch.log(torch.arange(FIRST_ROW + 1, n + 1, dtype=attention.dtype, device=attention.device))
    return (entropy / largest).mean(-1)


def chance_level(
    role: str, tokens: Sequence[int], special_ids: Collection[int] = (), window: int | None = None
) -> float:
    """The score of a head that attends uniformly to all it can see.

    Args:
        role: as in `role_target`.
        tokens: as in `role_target`.
        special_ids: as in `role_target`.
        window: how many keys a local (sliding window) layer sees, None for all.

    Returns:
        A probability, or NaN for diffuse, where uniform attention is the maximum.
    """
    target = role_target(role, tokens, special_ids)
    if role == "diffuse" or not target.applicable:
        return math.nan
    n = len(tokens)
    query = torch.arange(n)
    seen = query + 1 if window is None else (query + 1).clamp(max=window)
    visible = (query[:, None] - query[None, :]) < seen[:, None]
    return float(((target.mask & visible).sum(-1) / seen).sum() / target.rows)


def sink_share(attention: Tensor) -> Tensor:
    """Mean over i >= 2 of A[i, 0], [...]: how much a head rests on the first token; 0 without such a row."""
    if attention.shape[-2] <= FIRST_ROW:
        return attention.new_zeros(attention.shape[:-2])
    return attention[..., FIRST_ROW:, 0].mean(-1)


def max_attention(attention: Tensor) -> Tensor:
    """Mean over i >= 3 of max_j A[i, j], [...]: how much of a row its largest weight takes."""
    first = min(FIRST_ROW + 1, attention.shape[-2] - 1)
    return attention[..., first:, :].amax(-1).mean(-1)
