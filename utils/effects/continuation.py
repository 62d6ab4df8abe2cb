"""The text that the model would write next, all heads on beside some off, token by token.

Each token is one forward of `ablation.forward` with a key/value cache and the same heads ablated, so that a
head stays off in the prompt and in all that is written. The model's lock is held for that one forward: a
class can share the model while somebody's text is being written.

Sampled texts share their random numbers step by step (`token_choice`), so that they differ where the heads
make a difference, not where the random numbers differ.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from utils.effects.sampling import WritingOptions, check_options, choose
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode, check_heads, check_mode, forward
from utils.forward.attention_capture import check_ids
from utils.forward.interchange import Interchange
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.models.prompts import end_tokens
from utils.runtime.jobs import Progress

WHAT = "writing"

# Why a text ended: the model wrote its end token, as many tokens as were asked for, or all that it can read.
Stop = Literal["end", "limit", "context"]
Which = Literal["clean", "ablated"]


@dataclass(frozen=True)
class WrittenToken:
    """One token of a continuation.

    Attributes:
        index: its place in the continuation, from 0.
        token: its id.
        text: what it adds to the text; "" where it is part of a character that is not yet whole.
        probability: the model's own for it (temperature 1, all tokens), before any choice.
    """

    index: int
    token: int
    text: str
    probability: float


@dataclass(frozen=True)
class Continuation:
    """A text, finished or so far.

    Attributes:
        tokens: what was written, without the end token.
        stop: why it ended; None while it goes on.
    """

    tokens: tuple[WrittenToken, ...]
    stop: Stop | None

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of its tokens."""
        return tuple(token.token for token in self.tokens)

    @property
    def text(self) -> str:
        """Its tokens' text in a row."""
        return "".join(token.text for token in self.tokens)


@dataclass(frozen=True)
class ContinuationPair:
    """The same prompt continued with all heads on and with some off.

    Attributes:
        clean: with all heads on.
        ablated: with the heads ablated.
    """

    clean: Continuation
    ablated: Continuation

    @property
    def first_difference(self) -> int | None:
        """Index of the first token in which they differ, None where they do not.

        Where one has ended and the other goes on as it did, that is the length of the shorter; while both
        are being written, what one of them has yet to say is no difference.
        """
        clean, ablated = self.clean, self.ablated
        for index, (one, other) in enumerate(zip(clean.ids, ablated.ids, strict=False)):
            if one != other:
                return index
        shorter = min((clean, ablated), key=lambda text: len(text.tokens))
        if len(clean.tokens) == len(ablated.tokens) or shorter.stop is None:
            return None
        return len(shorter.tokens)


class TextGenerator:
    """Writes one continuation: iterate over it for its tokens.

    Args:
        loaded: the model.
        ids: the prompt, BOS included where the model has one.
        ablated: heads that are off at every step.
        mode: what is put in their place.
        options: how tokens are chosen.

    Raises:
        UserFacingError: a prompt that the model cannot run, a head that it does not have, no such mode, or
            options outside their bounds.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        ids: Sequence[int],
        ablated: Collection[Head] = (),
        mode: AblationMode = "zero",
        options: WritingOptions | None = None,
    ) -> None:
        self.options = options or WritingOptions()
        check_ids(loaded, ids)
        check_heads(ablated, loaded.geometry, loaded.name)
        check_mode(mode)
        if isinstance(mode, Interchange):
            raise UserFacingError(
                "What is written has no counterpart in a second prompt to take values from.",
                f"For continuations choose one of: {', '.join(ABLATION_MODES)}.",
            )
        check_options(self.options)
        self._loaded = loaded
        self._ids = list(ids)
        self._off = frozenset(ablated)
        self._mode: AblationMode = mode
        self._tokens: list[WrittenToken] = []
        self._stop: Stop | None = None

    @property
    def continuation(self) -> Continuation:
        """The text so far."""
        return Continuation(tuple(self._tokens), self._stop)

    def __iter__(self) -> Iterator[WrittenToken]:
        """Write the text; each token is one forward. Iterating again writes it again."""
        self._tokens, self._stop = [], None
        ends = end_tokens(self._loaded)
        rng = torch.Generator().manual_seed(self.options.seed)
        pieces = _Pieces(self._loaded, self._ids)
        fresh, cache = self._ids, None
        for index in range(self.options.new_tokens):
            if len(self._ids) + index > self._loaded.context_length:
                self._stop = "context"
                return
            logits, cache = self._step(fresh, cache)
            token = choose(logits, self.options, rng)
            if token in ends:
                self._stop = "end"
                return
            probability = float(logits.double().softmax(-1)[token])
            self._tokens.append(WrittenToken(index, token, pieces.add(token), probability))
            yield self._tokens[-1]
            fresh = [token]
        self._stop = "limit"

    def _step(self, fresh: list[int], cache: Any) -> tuple[Tensor, Any]:
        """The next token's logits [vocab] after the `fresh` tokens, and the cache with them in it."""
        inputs = {
            "input_ids": torch.tensor([fresh], device=self._loaded.model.device),
            "past_key_values": cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        output = forward(self._loaded, inputs, self._off, self._mode)
        return output.logits[0, -1].clone().float().cpu(), output.past_key_values


class PairGenerator:
    """Writes both texts by turns, a token each, until both have ended: iterate over it for their tokens.

    Arguments and errors as of `TextGenerator`; `ablated` are the heads that are off in the second text.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        ids: Sequence[int],
        ablated: Collection[Head],
        mode: AblationMode = "zero",
        options: WritingOptions | None = None,
    ) -> None:
        self._most = 2 * (options or WritingOptions()).new_tokens
        self._generators: dict[Which, TextGenerator] = {
            "clean": TextGenerator(loaded, ids, (), mode, options),
            "ablated": TextGenerator(loaded, ids, ablated, mode, options),
        }

    @property
    def pair(self) -> ContinuationPair:
        """Both texts so far."""
        clean, ablated = (self._generators[which].continuation for which in ("clean", "ablated"))
        return ContinuationPair(clean, ablated)

    def finish(self, progress: Progress = lambda what, done, total: None) -> ContinuationPair:
        """Write both texts to their ends.

        Args:
            progress: called after each token how many are written, both texts together; an exception from it
                ends the work.
        """
        for done, _ in enumerate(self, start=1):
            progress(WHAT, done, self._most)
        return self.pair

    def __iter__(self) -> Iterator[tuple[Which, WrittenToken]]:
        """Write both texts; iterating again writes them again."""
        going: dict[Which, Iterator[WrittenToken]] = {
            which: iter(generator) for which, generator in self._generators.items()
        }
        while going:
            for which, tokens in list(going.items()):
                token = next(tokens, None)
                if token is None:
                    del going[which]
                else:
                    yield which, token


class _Pieces:
    """What each token adds to the text.

    A token may be a part of a character, and some tokenizers drop the space before the first word: so each
    time the whole is decoded, and the piece is what has come to it.
    """

    def __init__(self, loaded: LoadedModel, prompt: Sequence[int]) -> None:
        self._tokenizer = loaded.tokenizer
        self._ids = list(prompt)
        self._said = len(self._decode())

    def add(self, token: int) -> str:
        self._ids.append(token)
        text = self._decode()
        # The replacement character stands for bytes that are no character yet, or never will be: wait.
        whole = text.rstrip("\ufffd")
        piece = whole[self._said :]
        self._said = max(self._said, len(whole))
        return piece

    def _decode(self) -> str:
        decoded: Any = self._tokenizer.decode(
            self._ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return decoded
