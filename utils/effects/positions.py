"""What the model expects after every token of a prompt, clean beside ablated. Pure functions on logits."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PositionRow:
    """The prediction at one position: that of the token after this one.

    Attributes:
        position: from 0.
        token: the token here.
        following: the token that really comes next; None at the last position.
        clean_token: the most likely next token with all heads on.
        clean_probability: its probability.
        ablated_token: the most likely next token with the heads ablated.
        ablated_probability: its probability, heads ablated.
        clean_loss: -log of the probability of the token that comes next (cross-entropy, nats); None at the
            last position.
        ablated_loss: the same with the heads ablated.
    """

    position: int
    token: int
    following: int | None
    clean_token: int
    clean_probability: float
    ablated_token: int
    ablated_probability: float
    clean_loss: float | None
    ablated_loss: float | None

    @property
    def changed(self) -> bool:
        """Whether another token is expected with the heads ablated."""
        return self.clean_token != self.ablated_token


@dataclass(frozen=True)
class PositionView:
    """All positions of a prompt.

    Attributes:
        rows: one a position.
        clean_loss: mean over the positions that have a next token; None for a prompt of one token.
        ablated_loss: the same with the heads ablated.
    """

    rows: tuple[PositionRow, ...]
    clean_loss: float | None
    ablated_loss: float | None

    @property
    def changed(self) -> tuple[int, ...]:
        """The positions at which another token is expected with the heads ablated."""
        return tuple(row.position for row in self.rows if row.changed)


def view_positions(ids: Sequence[int], clean: Tensor, ablated: Tensor) -> PositionView:
    """Compare the predictions at all positions.

    Args:
        ids: the prompt's tokens, BOS included.
        clean: logits [position, vocab] with all heads on.
        ablated: logits [position, vocab] with heads ablated; the same as `clean` when nothing is off.

    Raises:
        ValueError: shapes that do not fit the tokens, or a token outside the vocabulary.
    """
    if clean.dim() != 2 or clean.shape != ablated.shape or len(clean) != len(ids):
        raise ValueError(
            f"both logits must have shape (position, vocab) with {len(ids)} positions. "
            f"Got {tuple(clean.shape)} and {tuple(ablated.shape)}."
        )
    if any(not 0 <= token < clean.shape[1] for token in ids):
        raise ValueError(f"token ids must be in [0, {clean.shape[1]}).")
    (clean_tokens, clean_best, clean_losses), (tokens, best, losses) = (
        _at_each_position(ids, logits) for logits in (clean, ablated)
    )
    rows = tuple(
        PositionRow(
            position=position,
            token=token,
            following=ids[position + 1] if position + 1 < len(ids) else None,
            clean_token=clean_tokens[position],
            clean_probability=clean_best[position],
            ablated_token=tokens[position],
            ablated_probability=best[position],
            clean_loss=clean_losses[position],
            ablated_loss=losses[position],
        )
        for position, token in enumerate(ids)
    )
    return PositionView(rows, _mean(clean_losses), _mean(losses))


def _at_each_position(
    ids: Sequence[int], logits: Tensor
) -> tuple[list[int], list[float], list[float | None]]:
    """The most likely next token, its probability and the loss, at each position."""
    tokens: list[int] = []
    best: list[float] = []
    losses: list[float | None] = []
    # One position at a time: all of them in float64 would take some hundred megabytes.
    for position, row in enumerate(logits):
        logs = row.double().log_softmax(-1)
        token = int(row.argmax())
        tokens.append(token)
        best.append(float(logs[token].exp()))
        losses.append(-float(logs[ids[position + 1]]) if position + 1 < len(ids) else None)
    return tokens, best, losses


def _mean(losses: Sequence[float | None]) -> float | None:
    known = [loss for loss in losses if loss is not None]
    return sum(known) / len(known) if known else None
