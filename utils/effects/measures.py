"""What ablating heads does to one prediction: four measures, pure functions on logits.

The effect map and the random sets share them with the prediction panel (`prediction.compare`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

MeasureKey = Literal["probability", "log_probability", "logit_difference", "kl"]


@dataclass(frozen=True)
class Measure:
    """One way to say how much a prediction changed; `glossary` explains it under the same key.

    Attributes:
        key: its name in results.
        label: its name for people.
    """

    key: MeasureKey
    label: str


MEASURES: Mapping[MeasureKey, Measure] = MappingProxyType(
    {
        measure.key: measure
        for measure in (
            Measure("probability", "Probability"),
            Measure("log_probability", "Log probability"),
            Measure("logit_difference", "Logit difference"),
            Measure("kl", "Whole prediction (KL)"),
        )
    }
)


@dataclass(frozen=True, eq=False)
class Values:
    """The measures of some predictions; each tensor has one entry a prediction, float64.

    Attributes:
        probability: of the target.
        log_probability: its natural logarithm.
        logit_difference: the target's logit minus the other token's.
        kl: KL(clean || this prediction), nats; 0 for the clean prediction itself.
    """

    probability: Tensor
    log_probability: Tensor
    logit_difference: Tensor
    kl: Tensor

    def __getitem__(self, measure: MeasureKey) -> Tensor:
        return {
            "probability": self.probability,
            "log_probability": self.log_probability,
            "logit_difference": self.logit_difference,
            "kl": self.kl,
        }[measure]


def values(clean: Tensor, logits: Tensor, target: int, other: int) -> Values:
    """Measure predictions against the clean one.

    Args:
        clean: logits [vocab] with all heads on.
        logits: logits [prediction, vocab].
        target: the chosen token.
        other: the token that it is compared with in the logit difference.

    Raises:
        ValueError: shapes that do not fit, or a token outside the vocabulary.
    """
    if clean.dim() != 1 or logits.dim() != 2 or clean.shape[0] != logits.shape[1]:
        raise ValueError(
            "logits must have the shapes (vocab,) and (prediction, vocab). "
            f"Got {tuple(clean.shape)} and {tuple(logits.shape)}."
        )
    for token in (target, other):
        if not 0 <= token < len(clean):
            raise ValueError(f"a token must be in [0, {len(clean)}). Got {token}.")
    logs = log_probabilities(logits)
    return Values(
        probability=logs[:, target].exp(),
        log_probability=logs[:, target].clone(),
        logit_difference=logits[:, target].double() - logits[:, other].double(),
        kl=divergence(log_probabilities(clean), logs),
    )


def log_probabilities(logits: Tensor) -> Tensor:
    """Natural logarithms of the probabilities [..., vocab], float64, of logits [..., vocab]."""
    return logits.double().log_softmax(-1)


def divergence(clean: Tensor, other: Tensor) -> Tensor:
    """KL(clean || other) [...], nats, of the log probabilities `clean` [vocab] and `other` [..., vocab]."""
    # Rounding can make it a little less than nothing.
    return (clean.exp() * (clean - other)).sum(-1).clamp(min=0)


def first_of(logits: Tensor, count: int) -> list[int]:
    """The `count` most likely tokens of logits [vocab], in order; of equal ones the lower id first."""
    least = logits.topk(min(count, len(logits))).values[-1]
    # More than `count` where several are as likely as the last. To sort a whole vocabulary takes far longer.
    tokens = (logits >= least).nonzero().flatten()
    return tokens[logits[tokens].argsort(descending=True, stable=True)][:count].tolist()


def ranks_of(logits: Tensor, tokens: Sequence[int]) -> list[int]:
    """The places of some tokens among all of logits [vocab], 1 for the most likely, as in `first_of`."""
    values = logits.numpy()
    return [
        1 + int((values > values[token]).sum()) + int((values[:token] == values[token]).sum())
        for token in tokens
    ]


def rival_of(clean: Tensor, target: int) -> int:
    """The most likely token besides `target` in logits [vocab]."""
    return next(token for token in first_of(clean, 2) if token != target)


def join(parts: list[tuple[list[int], Values]]) -> Values:
    """Values that were measured in pieces, each with its places, put together in order of the places."""
    order = torch.tensor([position for positions, _ in parts for position in positions]).argsort()
    return Values(
        *(
            torch.cat([part[key] for _, part in parts])[order]
            for key in ("probability", "log_probability", "logit_difference", "kl")
        )
    )
