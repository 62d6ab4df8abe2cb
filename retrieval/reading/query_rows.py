"""Attention rows for a few queries of a long text, without ever holding the pattern of the whole.

The text is read through the key/value cache, a chunk of queries at a time, and patterns are asked for in the
chunks that hold the wanted queries alone. So nothing of size T x T over layers and heads is held: scores in
work are bounded (`SCORE_BYTES`), the cache and the rows grow with T. A reading can be read on from in several
ways: QRHead's null query goes on from where the real one began (docs/METHODS.md, section 3).

Every forward is `forward_rows` of `utils.forward.ablation`, PyVene's way,
 and not a plain call of the model: the rows are
then those of the live page, heads may be off in them, and the model's lock is held for one chunk at a time,
so that others can use the model while a long filing is being read.
"""

import copy
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from utils.forward.ablation import AblationMode, forward_rows
from utils.forward.attention_capture import check_ids
from utils.heads import Head
from utils.models.loading import LoadedModel

# Bounds on the attention scores of one chunk, in float32: of one layer where no patterns are asked for, of
# all layers where they are. Eager attention holds a few copies of a layer's. On a processor more is slower:
# scores that leave its caches take longer than more forwards do.
SCORE_BYTES = 16 * 2**20
GPU_SCORE_BYTES = 2**30


@dataclass(frozen=True, eq=False)
class Advance:
    """What reading some more tokens gave, for a batch of rows.

    Attributes:
        cache: the key/value cache after them.
        logits: after the last token [row, vocab], float32 on the CPU.
        rows: attention of the new tokens [layer, head, query, key], float32 on the CPU, keys from the start
            of the text, zero where a query does not look; None where they were not asked for.
    """

    cache: Any
    logits: Tensor
    rows: Tensor | None


@dataclass(frozen=True, eq=False)
class Reading:
    """One text as far as it is read; nothing changes it, so it can be read on from several times.

    Attributes:
        ids: the tokens read so far.
        cache: the key/value cache after them.
        logits: after the last token [vocab], float32 on the CPU.
        rows: of the tokens that this reading added, [layer, head, query, key]; None where not asked for.
    """

    ids: tuple[int, ...]
    cache: Any
    logits: Tensor
    rows: Tensor | None


def query_rows(
    loaded: LoadedModel,
    ids: Sequence[int],
    start: int,
    end: int | None = None,
    cache: Reading | None = None,
    heads: Collection[Head] = (),
    mode: AblationMode = "zero",
) -> Tensor:
    """The attention rows of the queries `start` to `end` (excluded).

    Args:
        loaded: the model.
        ids: the text, BOS included where the model has one.
        start: the first query.
        end: the one after the last, by default the text's length.
        cache: a reading of the text's beginning, at most `start` tokens; it stays as it is.
        heads: heads that are off in all of this.
        mode: what is put in their place.

    Returns:
        [layer, head, query, key], float32 on the CPU, keys 0 to `end` (excluded). Each row sums to 1; keys
        that the query does not see, or that lie outside a layer's window, have 0.

    Raises:
        UserFacingError: tokens that the model cannot run, or a head that it does not have.
        ValueError: no such queries, or `cache` is no reading of the text's beginning.
    """
    end = len(ids) if end is None else end
    check_ids(loaded, ids)
    if not 0 <= start < end <= len(ids):
        raise ValueError(f"start and end must be within 0 to {len(ids)} in this order. Got {start}, {end}.")
    read = cache.ids if cache is not None else ()
    if len(read) > start or tuple(ids[: len(read)]) != read:
        raise ValueError("cache must be a reading of the text's beginning, up to start at most.")
    if len(read) < start:
        cache = read_on(loaded, ids[len(read) : start], cache, heads=heads, mode=mode)
    rows = read_on(loaded, ids[start:end], cache, rows=True, heads=heads, mode=mode).rows
    assert rows is not None
    return rows


def read_on(
    loaded: LoadedModel,
    ids: Sequence[int],
    before: Reading | None = None,
    rows: bool = False,
    heads: Collection[Head] = (),
    mode: AblationMode = "zero",
) -> Reading:
    """Read the tokens `ids` after those of `before`, which stays as it is.

    Args:
        loaded: the model.
        ids: at least one token; BOS first at the beginning of a text.
        before: what was read already.
        rows: whether to keep the new tokens' attention rows.
        heads: heads that are off; the same as in `before`.
        mode: what is put in their place.

    Raises:
        UserFacingError: tokens that the model cannot run, or a head that it does not have.
    """
    whole = (*(before.ids if before is not None else ()), *ids)
    check_ids(loaded, whole)
    cache = None if before is None else branch(before.cache)
    new = torch.tensor([list(ids)], device=loaded.model.device)
    step = advance(loaded, new, cache, [heads], mode, rows)
    return Reading(whole, step.cache, step.logits[0], step.rows)


def branch(cache: Any) -> Any:
    """A key/value cache that can be read on with while the old one stays as it is.

    Layers grow by making new tensors, never in place, so both share what they have in common.
    """
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def advance(
    loaded: LoadedModel,
    ids: Tensor,
    cache: Any,
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMode = "zero",
    rows: bool = False,
    mask: Tensor | None = None,
) -> Advance:
    """Read `ids` [row, position] after what is in `cache`, in chunks; the cache is used up.

    Args:
        loaded: the model.
        ids: new tokens, on the model's device.
        cache: what was read before, of as many rows; None at the beginning.
        heads_by_row: heads that are off, a set a row.
        mode: what is put in their place.
        rows: whether to keep the attention rows; for a batch of one row only.
        mask: 1 for a token and 0 for padding [row, tokens read before and now]; None without padding.
    """
    past = 0 if cache is None else int(cache.get_seq_length())
    total = past + ids.shape[1]
    geometry = loaded.geometry
    cached = None
    if rows:
        if len(ids) != 1:
            raise ValueError(f"rows are kept for a batch of one. Got {len(ids)}.")
        cached = torch.zeros(geometry.n_layers, geometry.n_heads, ids.shape[1], total)
    inputs: dict[str, Any] = {"use_cache": True, "logits_to_keep": 1}
    if rows:
        inputs["output_attentions"] = True
    logits = torch.empty(0)
    held = geometry.n_heads * (geometry.n_layers if rows else len(ids))
    # Fused attention holds no scores.
    eager = rows or getattr(loaded.model.config, "_attn_implementation", "eager") == "eager"
    chunks = _chunks(past, total, held, loaded.model.device.type) if eager else [(past, total)]
    for start, end in chunks:
        if mask is not None:
            inputs["attention_mask"] = mask[:, :end]
            positions = mask[:, :end].cumsum(1) - 1
            inputs["position_ids"] = positions.clamp(min=0)[:, start:end]
        new = ids[:, start - past : end - past]
        output = forward_rows(loaded, new, heads_by_row, mode, past_key_values=cache, **inputs)
        cache, logits = output.past_key_values, output.logits
        if cached is not None:
            _keep(cached[:, :, start - past : end - past], output.attentions, end)
    return Advance(cache, logits[:, -1].clone().float().cpu(), cached)


def _keep(cached: Tensor, patterns: Sequence[Tensor], end: int) -> None:
    """Put a chunk's patterns, a layer each, into `cached` [layer, head, query, key]."""
    # transformers gives an empty tuple, not an error, where its hooks are gone or attention is not eager.
    if len(patterns or ()) != len(cached):
        raise RuntimeError(f"the model gave the patterns of {len(patterns or ())} layers, not {len(cached)}.")
    for layer, pattern in enumerate(patterns):
        # The cache of a layer with a window has dropped the oldest keys: those that it has are the last ones.
        cached[layer, :, :, end - pattern.shape[-1] : end] = pattern[0].float().cpu()


def _chunks(past: int, total: int, held: int, device: str) -> Iterator[tuple[int, int]]:
    """Positions [start, end) of each chunk, so that `held` x queries x keys stays within the bound."""
    most = (SCORE_BYTES if device == "cpu" else GPU_SCORE_BYTES) // 4 // held
    start = past
    while start < total:
        # The largest n with n * (start + n) <= most.
        size = max(1, (math.isqrt(start * start + 4 * most) - start) // 2)
        end = min(total, start + size)
        yield start, end
        start = end
