"""Heads that do nothing in particular: attention from random queries and keys, to measure chance by.

A threshold or a suggested prompt is worth something only where such heads hardly ever pass (docs/METHODS.md,
section 1, "Active"). The analyzer checks the prompts that it lists against them, the tests the thresholds.
"""

import torch
from torch import Tensor

# Width of the random queries and keys; GPT-2's heads have it.
HEAD_DIM = 64
# From nearly uniform attention (1) to attention on one or two keys (4).
LOGIT_STDS = (1.0, 2.0, 4.0)
RANDOM_HEADS = 200
# At most this share of random heads may pass for active.
MAX_ACTIVE = 0.05


def random_head_patterns(
    length: int, logit_std: float, count: int = RANDOM_HEADS, seed: int = 0, window: int | None = None
) -> Tensor:
    """Causal attention patterns [head, query, key] from random queries and keys.

    Args:
        length: number of tokens.
        logit_std: standard deviation of the logits before the softmax.
        count: how many heads.
        seed: the same seed gives the same heads.
        window: how many keys they see, None for all.
    """
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(count, length, HEAD_DIM, generator=generator)
    key = torch.randn(count, length, HEAD_DIM, generator=generator)
    logits = logit_std * (query @ key.transpose(-1, -2)) / HEAD_DIM**0.5
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
    if window is not None:
        hidden |= torch.ones_like(hidden).tril(-window)
    return logits.masked_fill(hidden, -torch.inf).softmax(-1)
