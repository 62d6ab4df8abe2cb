"""One prompt answered many times, with another set of heads ablated each time.

Switching off a head of layer l changes nothing below l. So one clean reading of the prompt keeps what
each layer gave out and what it put into the key/value cache, and rows whose lowest head is in layer l
take both from there for the layers below l: of the prompt, which is nearly all of the work, only the
rest is computed. The few tokens of the answer go through all layers, of many sets at once: on two cores
a step of the real model takes some three times as long for a dozen rows as for one.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from retrieval.reading.decoding import Decoded, Ends, answers_after, check_asked, line_end, max_rows
from retrieval.reading.query_rows import Advance, advance, read_on
from utils.forward.ablation import AblationMode
from utils.forward.layer_replay import Forward, recorded_layers, repeated, replaced_layers
from utils.forward.mean_activations import mean_head_outputs
from utils.heads import Head
from utils.models.loading import LoadedModel

# Prompts that are read wait for others to be answered together with, until their caches take so much.
MAX_CACHE_BYTES = 2**29


@dataclass(frozen=True, eq=False)
class _CleanPrompt:
    """What one clean reading of a prompt left.

    Attributes:
        hidden: what each layer gave out [1, position, width].
        keys: of each layer's cache [1, kv head, position, d_head].
        values: likewise.
    """

    hidden: list[Tensor]
    keys: list[Tensor]
    values: list[Tensor]


def answers_with_heads_off(
    loaded: LoadedModel,
    ids: Sequence[int],
    sets: Sequence[Collection[Head]],
    mode: AblationMode,
    new_tokens: int,
    rows: int,
    ends_by_set: Sequence[Ends] = (),
    done: Callable[[int], None] = lambda sets: None,
    truth: Sequence[int] = (),
) -> list[Decoded]:
    """Answer one prompt greedily with each of `sets` off.

    Args:
        loaded: the model.
        ids: the prompt, BOS included where the model has one.
        sets: the heads that are off, a set an answer; a set may be empty.
        mode: what is put in their place.
        new_tokens: at most so many tokens an answer.
        rows: at most so many prompts are read at once.
        ends_by_set: where each answer ends before `new_tokens` are written; none for the end of the line.
        done: called with how many sets' prompts are read, after each batch of prompts and again before each
            token of their answers. An exception from it ends the work.
        truth: the true answer's tokens, whose probability with each set off is wanted too; none for not.

    Returns:
        One answer a set, in the same order.

    Raises:
        UserFacingError: a prompt that the model cannot run, or a head that it does not have.
    """
    check_asked(loaded, [ids] * len(sets), sets, mode, new_tokens)
    n_layers = loaded.geometry.n_layers
    # The last layer is always run, so that there is something to decode from.
    lowest = [min((head.layer for head in heads), default=n_layers - 1) for heads in sets]
    clean = _read_clean(loaded, ids) if any(lowest) and not any(loaded.geometry.windows) else None
    if mode == "mean":
        mean_head_outputs(loaded)  # from whole forwards, so before layers are left out
    answers: dict[int, Decoded] = {}
    read: list[Advance] = []
    positions: list[int] = []

    def answer() -> None:
        off = [sets[position] for position in positions]
        lengths = [len(ids)] * len(positions)
        ends = [ends_by_set[position] if ends_by_set else line_end for position in positions]
        known = len(answers) + len(positions)
        found = answers_after(
            loaded, _joined(read), lengths, off, mode, new_tokens, ends, truth, stepped=lambda: done(known)
        )
        answers.update(zip(positions, found, strict=True))
        read.clear()
        positions.clear()

    for batch in _batches(lowest, min(rows, max_rows(loaded))):
        first = min(lowest[position] for position in batch)
        tokens = torch.tensor([list(ids)] * len(batch), device=loaded.model.device)
        with _replayed(loaded, clean, first) if clean else contextlib.nullcontext():
            read.append(advance(loaded, tokens, None, [sets[position] for position in batch], mode))
        positions.extend(batch)
        if _cache_bytes(read) >= MAX_CACHE_BYTES:
            answer()
        done(len(answers) + len(positions))
    if positions:
        answer()
    return [answers[position] for position in range(len(sets))]


def _cache_bytes(read: Sequence[Advance]) -> int:
    return sum(layer.keys.nbytes + layer.values.nbytes for each in read for layer in each.cache.layers)


def _joined(read: Sequence[Advance]) -> Advance:
    """Readings of one prompt as one reading, whose rows are those of all; they are used up."""
    if len(read) == 1:
        return read[0]
    cache = read[0].cache
    for place, layer in enumerate(cache.layers):
        alike = [each.cache.layers[place] for each in read]
        layer.keys = torch.cat([one.keys for one in alike])
        layer.values = torch.cat([one.values for one in alike])
        for one in alike[1:]:
            one.keys = one.values = None
    return Advance(cache, torch.cat([each.logits for each in read]), None)


def _batches(lowest: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Places of the sets in batches of at most `rows`, those with the same lowest layer together."""
    for layer in sorted(set(lowest)):
        positions = [position for position, one in enumerate(lowest) if one == layer]
        for start in range(0, len(positions), rows):
            yield positions[start : start + rows]


def _read_clean(loaded: LoadedModel, ids: Sequence[int]) -> _CleanPrompt:
    with recorded_layers(loaded) as outputs:
        cache = read_on(loaded, ids).cache
    blocks = [[each if isinstance(each, Tensor) else each[0] for each in found] for found in outputs]
    return _CleanPrompt(
        hidden=[torch.cat(found, dim=1) for found in blocks],
        keys=[layer.keys for layer in cache.layers],
        values=[layer.values for layer in cache.layers],
    )


def _replayed(loaded: LoadedModel, clean: _CleanPrompt, first: int) -> AbstractContextManager[None]:
    """Let the layers below `first` take the prompt's positions from the clean reading; under the lock."""
    return replaced_layers(loaded, range(first), lambda layer, forward: _Replay(forward, clean, layer))


class _Replay:
    """A decoder layer's forward that computes only positions beyond the clean prompt."""

    def __init__(self, forward: Forward, clean: _CleanPrompt, layer: int) -> None:
        self._forward = forward
        self._clean = clean
        self._layer = layer

    def __call__(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        cache = next(part for part in (*args, *kwargs.values()) if isinstance(part, Cache))
        start = cache.get_seq_length(self._layer)
        end = start + hidden.shape[1]
        if start >= self._clean.hidden[self._layer].shape[1]:
            return self._forward(hidden, *args, **kwargs)
        rows = len(hidden)
        keys = self._clean.keys[self._layer][:, :, start:end].expand(rows, -1, -1, -1)
        values = self._clean.values[self._layer][:, :, start:end].expand(rows, -1, -1, -1)
        cache.update(keys, values, self._layer)
        return repeated(self._clean.hidden[self._layer][:, start:end], rows)


@contextlib.contextmanager
def fused_attention(loaded: LoadedModel) -> Iterator[None]:
    """Let the model run with torch's fused attention within the block, where its family allows that.

    The model's lock is held: whoever shares the model waits, and gets it back as it was. A family that caps
    its attention scores stays eager, since the fused form knows no cap.

    Args:
        loaded: the model.
    """
    model = loaded.model
    capped = getattr(model.config, "attn_logit_softcapping", None) is not None
    if capped or not getattr(model, "_supports_sdpa", False):
        yield
        return
    with loaded.lock:
        model.set_attn_implementation("sdpa")
        try:
            yield
        finally:
            model.set_attn_implementation("eager")
