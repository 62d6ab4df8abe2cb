"""Attention patterns made by hand, on a text that repeats and on one that does not."""

from collections.abc import Callable

import torch
from torch import Tensor

BOS = 0
#         0    1   2   3   4   5   6   7   8
TOKENS = [BOS, 11, 12, 13, 14, 11, 12, 13, 14]
PLAIN = [BOS, 11, 12, 13, 14, 15, 16, 17, 18]


def looks_at(tokens: list[int], key: Callable[[int], int], share: float = 1.0) -> Tensor:
    """A head that gives `share` of each row to one key and the rest to the first token."""
    attention = torch.zeros(len(tokens), len(tokens))
    for i in range(len(tokens)):
        j = key(i)
        attention[i, 0] = 1.0
        if 0 < j <= i:
            attention[i, 0], attention[i, j] = 1 - share, share
    return attention


def previous(tokens: list[int], share: float = 1.0) -> Tensor:
    return looks_at(tokens, lambda i: i - 1, share)


def induction(tokens: list[int], share: float = 1.0) -> Tensor:
    return looks_at(tokens, lambda i: i - 3 if i > 4 else 0, share)


def uniform(tokens: list[int]) -> Tensor:
    n = len(tokens)
    return torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
