"""The tokens that a head promotes and suppresses at a position."""

from dataclasses import dataclass

from torch import Tensor

from utils.forward.stream_capture import StreamParts
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.writing.attribution import check_position, head_vectors
from utils.writing.readout import all_logits, final_scale

TOP_TOKENS = 10


@dataclass(frozen=True)
class TokenEffect:
    """What a head adds to one token's logit.

    Attributes:
        token: its id.
        logits: how much, centred over the vocabulary.
    """

    token: int
    logits: float


@dataclass(frozen=True)
class PromotedTokens:
    """What a head does to the whole vocabulary at one position.

    Attributes:
        head: which head.
        position: whose next token is predicted.
        promoted: the tokens that it raises most, the most first.
        suppressed: the tokens that it lowers most, the most first.
    """

    head: Head
    position: int
    promoted: tuple[TokenEffect, ...]
    suppressed: tuple[TokenEffect, ...]


def vocabulary_effects(loaded: LoadedModel, parts: StreamParts, head: Head, position: int) -> Tensor:
    """What a head adds to every logit at a position, centred over the vocabulary, [vocab], on the CPU."""
    check_position(parts, position)
    vector = head_vectors(loaded, parts, head.layer, position)[head.head]
    logits = all_logits(loaded, vector).cpu() * final_scale(loaded, parts.final[position])
    return logits - logits.mean()


def promoted_tokens(
    loaded: LoadedModel, parts: StreamParts, head: Head, position: int, count: int = TOP_TOKENS
) -> PromotedTokens:
    """The tokens that a head raises and lowers most at a position.

    Raises:
        UserFacingError: a position that there is not.
    """
    effects = vocabulary_effects(loaded, parts, head, position)
    count = min(count, len(effects))

    def ends(largest: bool) -> tuple[TokenEffect, ...]:
        found = effects.topk(count, largest=largest)
        pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
        return tuple(TokenEffect(token, logits) for token, logits in pairs)

    return PromotedTokens(head, position, ends(True), ends(False))
