"""How a role is scored: where its heads would look on given tokens, and what is made of a pattern there.

`A[i, j]` is the attention probability from query position i to key position j, n the number of tokens with
the start token counted where the model is given one (docs/METHODS.md, section 1). Most roles are a mean over
some query positions of the attention mass on each one's targets, which makes a role a boolean matrix
(`RoleTarget.mask`); any other measure of a pattern is a function of the row's own (`RoleScore.measure`). An
output role counts the mass only where the head also raises or lowers the token that it looks at (`written`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

# Who asks the registry for names alone, as the check of catalogs does, should not wait for torch: it is
# imported where it is used.
if TYPE_CHECKING:
    from torch import Tensor

# With fewer tokens every row that counts is missing or forced by the causal mask.
MIN_TOKENS = 3
# Rows 0 and 1 are left out: row 0 can only look at itself, row 1 has two keys, one of them the first token.
FIRST_ROW = 2

# A head that changes a token's logit by less than this neither raises nor lowers it (logits, centred over the
# vocabulary). By rank alone heads of the first layers would lead, which write minus the embedding and change
# nothing.
MIN_WRITTEN = 0.5

TOO_SHORT = "the text is too short: at least 3 tokens are needed"
NOTHING_REPEATS = "nothing repeats in your text"
TOO_CLOSE = "it repeats too close to tell this from looking one token back"
NEEDS_OUTPUT = "needs the head's output"
NOT_THERE = "what the model expects next is not in your text"
# Copy suppression is looked for from this row on: before it there is hardly anything to suppress.
FIRST_SUPPRESSING_ROW = 3
# The spread of so many weights is worked out at once.
MAX_SPREAD_WEIGHTS = 2**18
# With fewer rows a score is a mean over so few positions that chance may do much.
MIN_POSITIONS = 3


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

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The (query, key) positions that a head of this role would connect."""
        return tuple((int(i), int(j)) for i, j in self.mask.nonzero().tolist())


@dataclass(frozen=True)
class ExtraCheck:
    """What a head must show besides its score to count as active.

    Attributes:
        measure: probabilities [..., query, key] -> [...], one number a head.
        limit: the largest value of it that is fine.
        rule: the condition in words, to follow "and".
        failure: why a head with a larger value is inactive, in words.
    """

    measure: Callable[[Tensor], Tensor]
    limit: float
    rule: str
    failure: Callable[[float], str]


def uniform_mass(target: RoleTarget, window: int | None) -> float:
    """The mean mass of uniform attention on a role's targets; a key of row i gets 1/min(i+1, window)."""
    import torch

    n = len(target.mask)
    query = torch.arange(n)
    seen = query + 1 if window is None else (query + 1).clamp(max=window)
    visible = (query[:, None] - query[None, :]) < seen[:, None]
    return float(((target.mask & visible).sum(-1) / seen).sum() / target.rows)


@dataclass(frozen=True)
class RoleScore:
    """How heads are scored for one role.

    Attributes:
        target: token ids [n] and which of them are special [n] -> where a head of the role would look.
        measure: probabilities [sequence, ..., query, key] and each sequence's target -> [sequence, ...] in
            [0, 1]; None for the mean over the target's rows of the attention mass on its mask.
        chance: an applicable target and the layer's window -> the score of a head that attends uniformly to
            all it can see; None where uniform attention says nothing (it is the maximum of diffuse). A head
            is then active from the role's threshold on, whatever its catalog score.
        check: what a head must show besides, None for nothing.
        written: for an output role what a head does to the tokens that it attends to: 1 raises, -1 lowers;
            0 for a role that is seen in the pattern alone. `target` then also takes the token that the model
            expects next.
        enough_rows: rows from which on a score is more than little evidence.
    """

    target: Callable[..., RoleTarget]
    measure: Callable[[Tensor, Sequence[RoleTarget]], Tensor] | None = None
    chance: Callable[[RoleTarget, int | None], float] | None = uniform_mass
    check: ExtraCheck | None = None
    written: Literal[-1, 0, 1] = 0
    enough_rows: int = MIN_POSITIONS

    def chance_level(self, target: RoleTarget, window: int | None = None) -> float:
        """The score of uniform attention, a probability; NaN where there is none.

        Args:
            target: where a head of the role would look.
            window: how many keys a local (sliding window) layer sees, None for all.
        """
        if self.chance is None or not target.applicable:
            return math.nan
        return self.chance(target, window)


def not_applicable(length: int, reason: str) -> RoleTarget:
    """The target of a role that cannot be judged on `length` tokens, and why."""
    import torch

    return RoleTarget(torch.zeros(length, length, dtype=torch.bool), 0, reason)


def previous_token(tokens: Tensor, special: Tensor) -> RoleTarget:
    """The token one back."""
    import torch

    n = len(tokens)
    mask = torch.zeros(n, n, dtype=torch.bool)
    rows = torch.arange(FIRST_ROW, n)
    mask[rows, rows - 1] = True
    return RoleTarget(mask, len(rows))


def first_token(tokens: Tensor, special: Tensor) -> RoleTarget:
    """The first token."""
    import torch

    n = len(tokens)
    mask = torch.zeros(n, n, dtype=torch.bool)
    mask[FIRST_ROW:, 0] = True
    return RoleTarget(mask, n - FIRST_ROW)


def every_key(tokens: Tensor, special: Tensor) -> RoleTarget:
    """Diffuse has no target of its own: every key that row i sees, from row 2 on."""
    import torch

    n = len(tokens)
    mask = torch.ones(n, n, dtype=torch.bool).tril()
    mask[:FIRST_ROW] = False
    return RoleTarget(mask, n - FIRST_ROW)


def _earlier_same(tokens: Tensor, special: Tensor) -> Tensor:
    """Bool [query, key]: key j < i holds the same token as query i, which is not special."""
    same = (tokens[:, None] == tokens[None, :]).tril(-1)
    return same & ~special[:, None]


def duplicate_token(tokens: Tensor, special: Tensor) -> RoleTarget:
    """Earlier copies of the query's token."""
    mask = _earlier_same(tokens, special)
    mask[:, 0] = False  # a first-token sink is no duplicate
    rows = int(mask.any(-1).sum())
    return RoleTarget(mask, rows) if rows else not_applicable(len(tokens), NOTHING_REPEATS)


def induction(tokens: Tensor, special: Tensor) -> RoleTarget:
    """What followed earlier copies of the query's token, well clear of the token one back."""
    import torch

    n = len(tokens)
    same = _earlier_same(tokens, special)
    if not bool(same.any()):
        return not_applicable(n, NOTHING_REPEATS)
    mask = torch.zeros(n, n, dtype=torch.bool)
    # j + 2 < i keeps the target j + 1 clear of i - 1, where a previous-token head would look.
    mask[:, 1:] = same.tril(-3)[:, :-1]
    # In a run of one token (AAAA) the target holds the very token that is asked about: nothing tells what a
    # head is doing.
    if not bool((mask & (tokens[:, None] != tokens[None, :])).any()):
        return not_applicable(n, TOO_CLOSE)
    return RoleTarget(mask, int(mask.any(-1).sum()))


def copied_answer(tokens: Tensor, special: Tensor, answer: int) -> RoleTarget:
    """From the last token: the earlier tokens that are what the model expects next."""
    import torch

    n = len(tokens)
    mask = torch.zeros(n, n, dtype=torch.bool)
    mask[-1, 1:-1] = (tokens == answer)[1:-1] & ~special[1:-1]
    return RoleTarget(mask, 1) if bool(mask.any()) else not_applicable(n, NOT_THERE)


def earlier_tokens(tokens: Tensor, special: Tensor, answer: int) -> RoleTarget:
    """From row 3 on: every earlier token but the first and special ones."""
    import torch

    n = len(tokens)
    if n <= FIRST_SUPPRESSING_ROW:
        return not_applicable(n, TOO_SHORT)
    mask = torch.ones(n, n, dtype=torch.bool).tril(-1) & ~special[None, :]
    mask[:, 0] = False  # who rests on the first token suppresses nothing
    mask[:FIRST_SUPPRESSING_ROW] = False
    return RoleTarget(mask, n - FIRST_SUPPRESSING_ROW)


def spread(attention: Tensor, targets: Sequence[RoleTarget] = ()) -> Tensor:
    """Mean over rows i >= 2 of H(A[i, 0..i]) / log(i + 1): each row by what it can see, not by log n.

    Args:
        attention: probabilities [..., query, key] of at least `MIN_TOKENS` tokens.
        targets: not looked at; every row counts.

    Returns:
        [...] in [0, 1], 1 for uniform attention.
    """
    import torch

    n = attention.shape[-1]
    # `torch.special.entr` takes several times as long; no weight counts nothing, whatever its logarithm.
    tiny = torch.finfo(attention.dtype).tiny
    # Some heads at once: memory that is new to the process costs more than the arithmetic.
    heads = attention.reshape(-1, n, n)[:, FIRST_ROW:].split(max(1, MAX_SPREAD_WEIGHTS // n**2))
    entropy = torch.cat([-rows.clamp(min=tiny).log_().mul_(rows).sum(-1) for rows in heads])
    largest = torch.log(torch.arange(FIRST_ROW + 1, n + 1, dtype=attention.dtype, device=attention.device))
    return (entropy / largest).mean(-1).reshape(attention.shape[:-2])


def sink_share(attention: Tensor) -> Tensor:
    """Mean over i >= 2 of A[i, 0], [...]: how much a head rests on the first token; 0 without such a row.

    >>> import torch
    >>> float(sink_share(torch.tensor([[1.0, 0, 0], [1, 0, 0], [0.75, 0.25, 0]])))
    0.75
    """
    if attention.shape[-2] <= FIRST_ROW:
        return attention.new_zeros(attention.shape[:-2])
    return attention[..., FIRST_ROW:, 0].mean(-1)


def max_attention(attention: Tensor) -> Tensor:
    """Mean over i >= 3 of max_j A[i, j], [...]: how much of a row its largest weight takes.

    >>> import torch
    >>> float(max_attention(torch.eye(4)))
    1.0
    """
    first = min(FIRST_ROW + 1, attention.shape[-2] - 1)
    return attention[..., first:, :].amax(-1).mean(-1)
