"""A second prompt beside the first: which tokens differ, and how to make it as long. Pure, on token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, get_args

from utils.errors import UserFacingError
from utils.models.loading import LoadedModel
from utils.models.tokenizer_panics import panics_explained

# How a second prompt of another length is made to fit: not at all; filled up at its beginning; token by token
# beside the first, what one of them lacks left out or filled.
Fit = Literal["as_is", "pad", "align"]
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True)
class PromptPair:
    """Two prompts as token ids, the second made to fit.

    Attributes:
        first: the prompt.
        second: the second prompt.
        fit: how it was made to fit.
        filled: positions of the second that hold the filler.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    fit: Fit
    filled: tuple[int, ...] = ()

    @property
    def same_length(self) -> bool:
        """Whether heads can take over values between them."""
        return len(self.first) == len(self.second)

    @property
    def differing(self) -> tuple[int, ...]:
        """The positions at which they have different tokens, as far as the shorter one goes."""
        pairs = zip(self.first, self.second, strict=False)
        return tuple(position for position, (one, other) in enumerate(pairs) if one != other)

    @property
    def offers(self) -> tuple[Fit, ...]:
        """The ways in which the second prompt can be made to fit; none where it does."""
        if self.same_length:
            return ()
        return ("pad", "align") if len(self.second) < len(self.first) else ("align",)

    def sentence(self, labels: Sequence[str], second_labels: Sequence[str]) -> str:
        """What differs, in one sentence.

        Args:
            labels: how the first prompt's tokens are shown.
            second_labels: how the second's are.
        """
        if not self.same_length:
            return (
                f"The prompt has {len(self.first)} tokens and the second one {len(self.second)}: make them "
                "equally long."
            )
        if not self.differing:
            return "Both prompts are the same: nothing would change."
        shown = [
            f"{position} (“{labels[position]}” and “{second_labels[position]}”)"
            for position in self.differing[:MAX_SHOWN]
        ]
        more = len(self.differing) - len(shown)
        tokens = "Token" if len(self.differing) == 1 else "Tokens"
        rest = f" and {more} more" if more else ""
        verb = "differs" if len(self.differing) == 1 else "differ"
        return f"{tokens} {', '.join(shown)}{rest} {verb}."


# So many differing tokens are named one by one.
MAX_SHOWN = 4


def filler_token(loaded: LoadedModel) -> int:
    """The token that stands where a second prompt has none: the start token, which means the least."""
    if loaded.bos_id is not None:
        return loaded.bos_id
    with panics_explained():
        blank = loaded.text_tokenizer.encode("\n", add_special_tokens=False).ids
    return blank[0] if blank else 0


def pair_prompts(
    first: Sequence[int], second: Sequence[int], fit: Fit = "as_is", filler: int = 0
) -> PromptPair:
    """Put a second prompt beside the first.

    >>> pair_prompts([0, 7, 8, 9], [0, 5, 9], "pad").second
    (0, 0, 5, 9)
    >>> pair_prompts([0, 7, 8, 9], [0, 7, 9], "align").second
    (0, 7, 0, 9)

    Args:
        first: the prompt's tokens, BOS included where the model has one.
        second: the second prompt's.
        fit: "pad" fills a shorter one up after its first token; "align" keeps the tokens that both have at
            the first prompt's places, leaves out what the second has besides, and fills what it lacks.
        filler: the token to fill with (`filler_token`).

    Raises:
        UserFacingError: no such way, or a longer prompt that is to be padded.
    """
    if fit not in FITS:
        raise UserFacingError(
            f"'{fit[:40]}' is not a way to fit a prompt.", f"Choose one of: {', '.join(FITS)}."
        )
    one, other = tuple(first), tuple(second)
    if fit == "as_is" or len(one) == len(other):
        return PromptPair(one, other, "as_is")
    if fit == "pad":
        missing = len(one) - len(other)
        if missing < 0:
            raise UserFacingError(
                f"The second prompt is {-missing} tokens longer, so it cannot be filled up.",
                "Align it, or cut it.",
            )
        padded = (*other[:1], *[filler] * missing, *other[1:])
        return PromptPair(one, padded, fit, tuple(range(1, 1 + missing)))
    aligned: list[int] = []
    filled: list[int] = []
    for kind, start, end, other_start, other_end in SequenceMatcher(
        None, one, other, autojunk=False
    ).get_opcodes():
        taken = other[other_start:other_end] if kind in ("equal", "replace") else ()
        for offset in range(end - start):
            if offset >= len(taken):
                filled.append(len(aligned))
            aligned.append(taken[offset] if offset < len(taken) else filler)
    return PromptPair(one, tuple(aligned), fit, tuple(filled))
