"""How the next token is chosen: the most likely, or one drawn by the model's probabilities.

A draw adds random numbers to the scores and takes the largest sum: with Gumbel noise that is a draw from the
softmax of the scores. Two models with equally seeded generators get the same noise at the same step, and so
choose alike except where their scores differ (common random numbers).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from utils.errors import UserFacingError

NEW_TOKENS = 40
MAX_NEW_TOKENS = 200
MIN_TEMPERATURE = 0.01
MAX_TEMPERATURE = 5.0
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class WritingOptions:
    """How the next token is chosen, and how many are written.

    Attributes:
        new_tokens: most tokens to write.
        temperature: 0 for the most likely token at each step (greedy); else the scores are divided by it and
            a token is drawn: below 1 keeps to the likely ones, above 1 strays.
        top_k: draw from so many of the most likely tokens; None for all.
        seed: the same seed gives the same text.
    """

    new_tokens: int = NEW_TOKENS
    temperature: float = 0.0
    top_k: int | None = None
    seed: int = 0


def check_options(options: WritingOptions) -> None:
    """Raise UserFacingError for the first option that is outside its bounds."""
    if not 1 <= options.new_tokens <= MAX_NEW_TOKENS:
        raise UserFacingError(
            f"{options.new_tokens} new tokens cannot be written.",
            f"Choose a number from 1 to {MAX_NEW_TOKENS}.",
        )
    # Written so that NaN is refused too.
    if not (options.temperature == 0 or MIN_TEMPERATURE <= options.temperature <= MAX_TEMPERATURE):
        raise UserFacingError(
            f"A temperature of {options.temperature} cannot be used.",
            f"Choose 0 (always the most likely token), or a number from {MIN_TEMPERATURE:g} to "
            f"{MAX_TEMPERATURE:g}.",
        )
    if options.top_k is not None and options.top_k < 1:
        raise UserFacingError(
            f"A token cannot be drawn from the {options.top_k} most likely.",
            "Choose a number from 1, or leave it empty to draw from all tokens.",
        )
    if not 0 <= options.seed <= MAX_SEED:
        raise UserFacingError(
            f"{options.seed} cannot be used as a seed.", f"Choose a whole number from 0 to {MAX_SEED}."
        )


def choose(logits: Tensor, options: WritingOptions, rng: torch.Generator) -> int:
    """Choose a token by logits [vocab]; a draw uses as many numbers of `rng` as there are tokens."""
    if options.temperature == 0:
        return int(logits.argmax())
    uniform = torch.rand(len(logits), generator=rng, dtype=torch.float64)
    # Gumbel noise; the smallest positive number keeps the logarithm finite.
    noise = -(-uniform.clamp(min=torch.finfo(torch.float64).tiny).log()).log()
    scores = logits.double() / options.temperature
    if options.top_k is not None and options.top_k < len(scores):
        cached = torch.full_like(scores, -torch.inf)
        best = scores.topk(options.top_k).indices
        cached[best] = scores[best]
        scores = cached
    return int((scores + noise).argmax())
