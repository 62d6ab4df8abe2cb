"""The four scores of a retrieval head on one sample, from attention rows and token positions alone.

Every function is docs/METHODS.md, section 3, on tensors; where the rows come from is `ranking`'s business.
Rows are post-softmax attention, spans are token positions [start, end) in the prompt, BOS counted. Sums are
made in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

# Who asks the registry for names alone, as the check of catalogs does, should not wait for torch: it is
# imported where it is used.
if TYPE_CHECKING:
    from torch import Tensor

Span = tuple[int, int]

# Reasoning heads: how many keys of a step count, and what a question token's attention is worth.
TOP_KEYS = 5
QUESTION_SHARE = 0.5
# QRHead: how many standard deviations below the mean a key is left out.
OUTLIER_DEVIATIONS = 2


def summed_attention(last_row: Tensor, span: Span) -> Tensor:
    """How much of the last prompt token's attention goes to the span.

    >>> import torch
    >>> summed_attention(torch.tensor([[[0.5, 0.25, 0.25]]]), (1, 3)).tolist()
    [[0.5]]

    Args:
        last_row: [layer, head, key].
        span: the tokens that count.

    Returns:
        [layer, head], from 0 to 1.
    """
    import torch

    return last_row[..., slice(*span)].sum(-1, dtype=torch.float64)


def copied_tokens(rows: Tensor, written: Sequence[int], prompt: Sequence[int], needle: Span) -> Tensor:
    """Which heads copied at which step: they look most at a needle token that is the token being written.

    Args:
        rows: [step, layer, head, key]; of the token whose logits choose the written one.
        written: the token of each step.
        prompt: the prompt's tokens, the first keys.
        needle: the sentence with the fact.

    Returns:
        Boolean [step, layer, head]. Of several keys with the most attention the first counts.
    """
    import torch

    position = rows.argmax(-1)
    inside = (position >= needle[0]) & (position < needle[1])
    looked_at = torch.tensor(list(prompt))[position.clamp(max=len(prompt) - 1)]
    return inside & (looked_at == torch.tensor(list(written), dtype=torch.long)[:, None, None])


def wu24_score(copied: Tensor, written: Sequence[int], needle: Span, count_steps: bool = False) -> Tensor:
    """How much of the needle a head copied into the answer (Wu et al. 2024).

    >>> import torch
    >>> copied = torch.tensor([[[True]], [[True]], [[False]]])  # the same token twice
    >>> wu24_score(copied, [8, 8, 9], (2, 6)).tolist()
    [[0.25]]

    Args:
        copied: boolean [step, layer, head] (`copied_tokens`).
        written: the token of each step.
        needle: the sentence with the fact.
        count_steps: count one for each step, as the released code does, instead of distinct tokens; the score
            can then pass 1.

    Returns:
        [layer, head].
    """
    import torch

    if not count_steps:
        steps = torch.tensor(list(written), dtype=torch.long)
        same = [copied[steps == token].any(0) for token in dict.fromkeys(written)]
        copied = torch.stack(same) if same else copied
    return copied.sum(0).double() / (needle[1] - needle[0])


def qrhead_score(
    query_rows: Tensor,
    null_rows: Tensor,
    span: Span,
    shared: int,
    calibrate: bool = True,
    remove_outliers: bool = True,
) -> Tensor:
    """How much the question's tokens look at the span, beyond what any question's would (Zhang et al. 2025).

    Args:
        query_rows: of all query tokens [layer, head, query, key].
        null_rows: of the null query's tokens, of which there may be fewer or more.
        span: the tokens that count; within the prefix that both prompts share.
        shared: length of that prefix.
        calibrate: subtract the null query's attention.
        remove_outliers: leave out keys at or below mean - 2 standard deviations (unbiased) of the span's.

    Returns:
        [layer, head], from -1 to 1.

    Raises:
        ValueError: the span is not within the shared prefix.
    """
    import torch

    if span[1] > shared:
        raise ValueError(f"span must lie within the {shared} shared tokens. Got {span}.")
    # Over queries first: the two differ in length.
    scores = query_rows[..., :shared].mean(2, dtype=torch.float64)
    if calibrate:
        scores = scores - null_rows[..., :shared].mean(2, dtype=torch.float64)
    scores = scores[..., slice(*span)]
    if not remove_outliers or scores.shape[-1] < 2:
        return scores.sum(-1)
    threshold = scores.mean(-1, keepdim=True) - OUTLIER_DEVIATIONS * scores.std(-1, keepdim=True)
    equal = scores.amax(-1, keepdim=True) == scores.amin(-1, keepdim=True)
    return scores.where((scores > threshold) | equal, 0).sum(-1)


def reasoning_score(rows: Tensor, prompt_tokens: int, question: Span, per_step: bool = True) -> Tensor:
    """How much a head looks back at what is written already, and half as much at the question.

    Over the 5 keys of each step with most attention; of keys that tie the earlier counts.

    Args:
        rows: [step, layer, head, key]; keys from `prompt_tokens` on are written tokens.
        prompt_tokens: length of the prompt.
        question: the question's text.
        per_step: divide by the number of steps.

    Returns:
        [layer, head]; 0 where nothing was written.
    """
    worth = _worth(rows.shape[-1], prompt_tokens, question)
    total = (rows.where(_top_keys(rows), 0).double() * worth).sum(-1).sum(0)
    return total / len(rows) if per_step and len(rows) else total


def recency_control(steps: int, prompt_tokens: int, question: Span, per_step: bool = True) -> float:
    """The reasoning score of a head that looks at the last 5 keys alike: what looking back alone is worth."""
    worth = _worth(prompt_tokens + steps, prompt_tokens, question)
    ends = range(prompt_tokens, prompt_tokens + steps)
    total = sum(float(worth[max(end - TOP_KEYS, 0) : end].mean()) for end in ends)
    return total / steps if per_step and steps else total


def _worth(keys: int, prompt_tokens: int, question: Span) -> Tensor:
    import torch

    worth = torch.zeros(keys, dtype=torch.float64)
    worth[prompt_tokens:] = 1
    worth[slice(*question)] = QUESTION_SHARE
    return worth


def _top_keys(rows: Tensor) -> Tensor:
    """The 5 keys with most attention, boolean in the shape of `rows`; `topk` leaves open which of equals."""
    least = rows.topk(min(TOP_KEYS, rows.shape[-1]), dim=-1).values[..., -1:]
    more, equal = rows > least, rows == least
    room = TOP_KEYS - more.sum(-1, keepdim=True)
    return more | (equal & (equal.cumsum(-1) <= room))
