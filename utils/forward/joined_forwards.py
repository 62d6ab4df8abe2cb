"""Forwards of several people's texts as one: a text a row, results as if each had run alone.

Short texts cost hardly more together than one alone, for most of the time goes into reading the weights.
Shorter rows are filled up behind their end: what comes later changes nothing before it. A text of fewer than
`MIN_PRODUCT_ROWS` tokens is filled up to that also when it runs alone, so that no product is of so few rows
that it rounds otherwise: on the bundled models a text's numbers are the same to the last bit whoever it runs
with.
"""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from utils.forward.ablation import AblationMethod, check_heads, forward_replaced, forward_rows, replacements
from utils.forward.attention_capture import MIN_PRODUCT_ROWS, Capture, capture, check_ids
from utils.forward.chosen_logits import chosen_logits
from utils.forward.layer_replay import Forward, recorded_layers, replaced_layers
from utils.forward.partial_forward import CleanRun, next_logits
from utils.forward.stream_capture import recorded_stream
from utils.heads import Head
from utils.models.loading import LoadedModel

# Tokens whose computation takes as long as reading the weights once: some 50 on two cores, where a forward of
# 30 layers takes 0.21 s for 16 tokens and 0.45 s for 128 (benchmarks/classroom.py tells what joining gains).
# A GPU has more.
WEIGHTS_IN_TOKENS = 40
# Bounds of one batch: whoever comes while it runs has to wait for all of it.
MAX_ROWS = 16
MAX_BATCH_TOKENS = 512


@dataclass(frozen=True)
class ForwardSize:
    """What a forward costs: the tokens of its text, and the layers that are run."""

    tokens: int
    layers: int


def _cost(sizes: Sequence[ForwardSize]) -> int:
    """The cost of some forwards as one batch: every row as long as the longest, from the lowest layer on."""
    tokens = len(sizes) * max(size.tokens for size in sizes)
    return max(size.layers for size in sizes) * (tokens + WEIGHTS_IN_TOKENS)


def choose_rows(sizes: Sequence[ForwardSize]) -> list[int]:
    """Which forwards go with the first one: those that cost less together with it than alone.

    Args:
        sizes: of all that wait, the first one's first.

    Returns:
        Places in `sizes`, 0 first.
    """
    first = sizes[0]
    chosen = [0]
    like_the_first = sorted(
        range(1, len(sizes)),
        key=lambda place: (
            abs(sizes[place].layers - first.layers) * first.tokens
            + abs(sizes[place].tokens - first.tokens) * first.layers
        ),
    )
    for place in like_the_first:
        rows = [sizes[number] for number in (*chosen, place)]
        if len(rows) > MAX_ROWS or len(rows) * max(row.tokens for row in rows) > MAX_BATCH_TOKENS:
            continue
        if _cost(rows) <= _cost(rows[:-1]) + _cost(rows[-1:]):
            chosen.append(place)
    return chosen


def can_be_joined(clean: CleanRun) -> bool:
    """Whether a layer hands on one tensor of hidden states, as in nearly all families."""
    return all(isinstance(output, Tensor) for output in clean.layers)


def _filled(texts: Sequence[Tensor], length: int) -> Tensor:
    """Texts [1, position, ...] as the rows of one tensor, filled up with zeros behind their ends."""
    ends = [(0, 0) * (text.dim() - 2) + (0, length - text.shape[1]) for text in texts]
    return torch.cat([pad(text, end) for text, end in zip(texts, ends, strict=True)])


def _common_length(loaded: LoadedModel, lengths: Sequence[int]) -> int:
    return max(*lengths, min(MIN_PRODUCT_ROWS, loaded.context_length))


def capture_together(loaded: LoadedModel, texts: Sequence[Sequence[int]], stream: bool) -> list[Capture]:
    """As `capture` of each text with all heads on, layers kept, for the last position alone.

    Args:
        loaded: the model.
        texts: token ids, a text a row.
        stream: also keep what each part writes into the residual stream.

    Returns:
        A capture a text; its `logits` are [1, vocab].

    Raises:
        UserFacingError: as `capture`.
    """
    if len(texts) == 1 and len(texts[0]) >= MIN_PRODUCT_ROWS:
        return [capture(loaded, texts[0], stream=stream, layers=True, last_only=True)]
    for ids in texts:
        check_ids(loaded, ids)
    lengths = [len(ids) for ids in texts]
    device = loaded.model.device
    length = _common_length(loaded, lengths)
    rows = _filled([torch.tensor([list(ids)], device=device) for ids in texts], length)
    with contextlib.ExitStack() as recording:
        recorder = recording.enter_context(recorded_stream(loaded)) if stream else None
        layers = recording.enter_context(recorded_layers(loaded))
        recording.enter_context(chosen_logits(loaded, [own - 1 for own in lengths]))
        output = forward_rows(loaded, rows, [()] * len(texts), output_attentions=True)
    patterns = output.attentions or ()
    if len(patterns) != loaded.geometry.n_layers:
        raise RuntimeError(
            f"{loaded.name} gave the patterns of {len(patterns)} layers, expected {loaded.geometry.n_layers}."
        )
    # Copies: a part of a row would keep the tensors of all rows alive.
    return [
        Capture(
            attention=torch.stack([pattern[row, :, :own, :own] for pattern in patterns]).float().cpu(),
            logits=output.logits[row].clone().float().cpu(),
            stream=None if recorder is None else recorder.parts(row, own),
            layers=tuple(_cut(found, row, own) for (found,) in layers),
        )
        for row, own in enumerate(lengths)
    ]


def _cut(output: Any, row: int, length: int) -> Any:
    """A layer's output for one row up to its text's end."""
    if isinstance(output, tuple):
        return tuple(_cut(part, row, length) for part in output)
    if not isinstance(output, Tensor):
        return output
    # GPT-Neo's layers hand on their pattern [row, head, query, key] too.
    cut = output[row : row + 1, :length] if output.dim() == 3 else output[row : row + 1, :, :length, :length]
    return cut.clone()


def next_logits_together(
    loaded: LoadedModel,
    runs: Sequence[CleanRun],
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMethod = "zero",
) -> list[Tensor]:
    """As `partial_forward.next_logits`, with a text of its own in each row.

    Args:
        loaded: the model.
        runs: the clean run of each row's text; `can_be_joined` holds for it.
        heads_by_row: the heads that are off, a set a row.
        mode: what is put in their place, alike in all rows: "zero" or "mean".

    Returns:
        Logits [vocab] of each run's position, float32 on the CPU.

    Raises:
        UserFacingError: as `next_logits`.
    """
    if len(runs) == 1 and runs[0].ids.shape[1] >= MIN_PRODUCT_ROWS:
        return [next_logits(loaded, runs[0], heads_by_row, mode)[0].clone()]
    for heads in heads_by_row:
        check_heads(heads, loaded.geometry, loaded.name)
    first = min((head.layer for heads in heads_by_row for head in heads), default=loaded.geometry.n_layers)
    values = replacements(loaded, mode)
    length = _common_length(loaded, [run.ids.shape[1] for run in runs])

    def replay(layer: int, forward: Forward) -> Forward:
        # Only what the last of them hands on is read.
        read = runs if layer == first - 1 else runs[:1]
        return lambda *args, **kwargs: _filled([run.layers[layer] for run in read], length)

    with (
        replaced_layers(loaded, range(first), replay),
        chosen_logits(loaded, [run.position for run in runs]),
    ):
        ids = _filled([run.ids for run in runs], length)
        output = forward_replaced(loaded, ids, heads_by_row, values)
    return [row[0].clone().float().cpu() for row in output.logits]
