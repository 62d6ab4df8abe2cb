"""What the model expects next, and how ablating heads changes it. Pure functions on logits."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from utils.effects.measures import divergence, first_of, log_probabilities, ranks_of, rival_of
from utils.heads import Head

TOP_K = 10
# Tokens that are among the top k only with heads ablated are added, at most so many.
MAX_NEWCOMERS = 5
# A change smaller than this (probability) is called no change in words.
SMALL_CHANGE = 0.01
# So many heads are named one by one in a sentence.
MAX_NAMED = 3


@dataclass(frozen=True)
class TokenChange:
    """One next-token candidate, clean and ablated.

    Attributes:
        token: its id.
        clean: probability with all heads on.
        ablated: probability with the chosen heads ablated.
        clean_rank: rank, 1 for the most likely.
        ablated_rank: rank with the heads ablated.
    """

    token: int
    clean: float
    ablated: float
    clean_rank: int
    ablated_rank: int

    @property
    def change(self) -> float:
        """Ablated minus clean probability."""
        return self.ablated - self.clean


@dataclass(frozen=True)
class Comparison:
    """The next-token prediction, clean beside ablated.

    Attributes:
        rows: the clean top k in order, then tokens that are in the ablated top k alone.
        ablated_rows: the ablated top k in order.
        watched: the token that the user watches.
        logit_difference: clean and ablated logit of the watched token minus that of `rival`.
        rival: the token to compare with; the most likely besides the watched one, all heads on, where none
            was named.
        kl: Kullback-Leibler divergence of the ablated from the clean distribution, KL(clean || ablated),
            nats.
    """

    rows: tuple[TokenChange, ...]
    ablated_rows: tuple[TokenChange, ...]
    watched: TokenChange
    logit_difference: tuple[float, float]
    rival: int
    kl: float

    @property
    def top(self) -> TokenChange:
        """The most likely token with all heads on."""
        return self.rows[0]

    @property
    def ablated_top(self) -> TokenChange:
        """The most likely token with the heads ablated."""
        return self.ablated_rows[0]


def compare(
    clean: Tensor, ablated: Tensor, watched: int | None = None, against: int | None = None
) -> Comparison:
    """Compare two next-token distributions.

    Args:
        clean: logits [vocab].
        ablated: logits [vocab]; the same as `clean` when nothing is off.
        watched: token id to watch, default the most likely one.
        against: token id of the logit difference's other side, default the most likely besides `watched`.

    Raises:
        ValueError: shapes that differ, or a token outside the vocabulary.
    """
    if clean.shape != ablated.shape or clean.dim() != 1:
        raise ValueError(
            f"both logits must have shape (vocab,). Got {tuple(clean.shape)} and {tuple(ablated.shape)}."
        )
    for name, token in (("watched", watched), ("against", against)):
        if token is not None and not 0 <= token < len(clean):
            raise ValueError(f"{name} must be in [0, {len(clean)}). Got {token}.")
    clean_log, ablated_log = log_probabilities(clean), log_probabilities(ablated)
    top, ablated_top = first_of(clean, TOP_K), first_of(ablated, TOP_K)
    newcomers = [token for token in ablated_top if token not in top][:MAX_NEWCOMERS]
    chosen = top[0] if watched is None else watched
    rival = rival_of(clean, chosen) if against is None or against == chosen else against
    told = list(dict.fromkeys([*top, *ablated_top, chosen]))
    changes = {
        token: TokenChange(token, *numbers)
        for token, *numbers in zip(
            told,
            clean_log[told].exp().tolist(),
            ablated_log[told].exp().tolist(),
            ranks_of(clean, told),
            ranks_of(ablated, told),
            strict=True,
        )
    }
    return Comparison(
        rows=tuple(changes[token] for token in top + newcomers),
        ablated_rows=tuple(changes[token] for token in ablated_top),
        watched=changes[chosen],
        logit_difference=(
            float(clean[chosen] - clean[rival]),
            float(ablated[chosen] - ablated[rival]),
        ),
        rival=rival,
        kl=float(divergence(clean_log, ablated_log)),
    )


def name_heads(heads: Sequence[Head]) -> str:
    """The heads in words: "L2H3", "L2H3 and L4H1", or "7 heads"."""
    names = [str(head) for head in sorted(heads)]
    if len(names) > MAX_NAMED:
        return f"these {len(names)} heads"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def plain_sentence(comparison: Comparison, heads: Sequence[Head], label: str, ablated_label: str) -> str:
    """What the change comes to, in one sentence.

    Args:
        comparison: the two predictions.
        heads: the heads that are off, none for the clean prediction alone.
        label: how the clean favourite is shown.
        ablated_label: how the ablated favourite is shown.
    """
    top, now = comparison.top, comparison.ablated_top
    if not heads:
        return f"The model expects “{label}” next ({top.clean:.0%})."
    without = f"Without {name_heads(heads)} the model"
    course = f"{top.clean:.0%} to {top.ablated:.0%}"
    if now.token != top.token:
        instead = f"“{ablated_label}” ({now.ablated:.0%})"
        return f"{without} no longer expects “{label}” ({course}): now it is {instead}."
    if abs(top.change) < SMALL_CHANGE:
        return f"{without} still expects “{label}”, as before ({course})."
    return f"{without} expects “{label}” {'more' if top.change > 0 else 'less'} than before: {course}."
