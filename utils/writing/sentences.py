"""What a head does with what it attends to, at one position, in one sentence."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from utils.forward.stream_capture import StreamParts
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.models.prompts import TokenizedPrompt, token_label
from utils.roles.role_score import MIN_WRITTEN
from utils.writing.attribution import head_effects

# A token that gets less of the attention is not called attended to.
MIN_ATTENDED = 0.1


@dataclass(frozen=True)
class WrittenReading:
    """What a head attends to from one position, and what it does to that token and to a watched pair.

    Effects are in logits, centred over the vocabulary.

    Attributes:
        head: which head.
        position: where.
        attended: id of the token, first and special ones left out, that gets most of the attention, all its
            places together; None where none gets enough.
        mass: the share of the attention that it gets.
        sink: the share of the first token.
        own: the head's effect on the attended token's logit; 0 without one.
        target: the watched token.
        raised: the head's effect on it.
        against: the token that it is compared with, None for none.
        against_raised: the head's effect on that; 0 without one.
    """

    head: Head
    position: int
    attended: int | None
    mass: float
    sink: float
    own: float
    target: int
    raised: float
    against: int | None = None
    against_raised: float = 0.0

    @property
    def pair(self) -> float:
        """The head's effect on the difference of the two (on the target's logit without a second token)."""
        return self.raised - self.against_raised


def read_writing(
    loaded: LoadedModel,
    parts: StreamParts,
    attention: Tensor,
    prompt: TokenizedPrompt,
    head: Head,
    position: int,
    target: int,
    against: int | None = None,
) -> WrittenReading:
    """What a head attends to and writes at a position.

    Args:
        loaded: the model.
        parts: what the forward wrote.
        attention: the head's probabilities [query, key].
        prompt: the tokens.
        head: which head.
        position: whose next token is predicted.
        target: the watched token.
        against: the token to compare it with, None for none.

    Raises:
        UserFacingError: a position or a token that there is not.
    """
    mass: dict[int, float] = {}
    for key, token in enumerate(prompt.ids[: position + 1]):
        if key > 0 and not prompt.special[key]:
            mass[token] = mass.get(token, 0.0) + float(attention[position, key])
    best = max(mass, key=lambda token: mass[token], default=None)
    attended = best if best is not None and mass[best] >= MIN_ATTENDED else None
    tokens = [target if attended is None else attended, target, target if against is None else against]
    own, raised, against_raised = head_effects(loaded, parts, head, position, tokens).tolist()
    return WrittenReading(
        head=head,
        position=position,
        attended=attended,
        mass=mass[attended] if attended is not None else 0.0,
        sink=float(attention[position, 0]),
        own=own if attended is not None else 0.0,
        target=target,
        raised=raised,
        against=against,
        against_raised=against_raised if against is not None else 0.0,
    )


def _does(effect: float, token: str) -> str:
    """What a head does to a token, as a verb: raises X by 1.3 logits."""
    if abs(effect) < MIN_WRITTEN:
        return f"hardly changes {token} ({effect:+.1f} logits)"
    return f"{'raises' if effect > 0 else 'lowers'} {token} by {abs(effect):.1f} logits"


def attended_sentence(reading: WrittenReading, label: Callable[[int], str]) -> str:
    """For example: L17H4 attends to “·John” (71%) and lowers it by 3.1 logits."""
    if reading.attended is None:
        return (
            f"{reading.head} attends to no token of the text much from here: the first token gets "
            f"{reading.sink:.0%}."
        )
    start = f"{reading.head} attends to “{label(reading.attended)}” ({reading.mass:.0%})"
    return f"{start} and {_does(reading.own, 'it')}."


def pair_sentence(reading: WrittenReading, label: Callable[[int], str]) -> str:
    """What that comes to for the watched token or pair, its two halves told apart; "" where it adds nothing.

    A large effect on a pair may come from raising the one or from lowering the other: only the first is
    copying.
    """
    target = f"“{label(reading.target)}”"
    if reading.against is None:
        return "" if reading.attended == reading.target else f"It {_does(reading.raised, target)}."
    other = f"“{label(reading.against)}”"
    return (
        f"{target} against {other}: {reading.pair:+.1f} logits. It {_does(reading.raised, target)} and "
        f"{_does(reading.against_raised, other)}."
    )


def written_sentence(loaded: LoadedModel, reading: WrittenReading) -> str:
    """Both sentences, tokens shown as the token strip shows them."""

    def label(token: int) -> str:
        return token_label(loaded, token)

    return " ".join(filter(None, (attended_sentence(reading, label), pair_sentence(reading, label))))
