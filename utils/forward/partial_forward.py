"""A forward that begins in the middle, for many ablations of one and the same text.

Switching off a head of layer l changes nothing in the layers below l: for this text they give out what they
gave with all heads on. So one clean forward keeps what each layer gave, and a forward with heads ablated in
the layers from l on hands out those results for the layers below instead of computing them again: in the mean
over all heads nearly half of the work. It holds for every family here, since what a layer gives out is all
that it hands on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserFacingError
from utils.forward.ablation import (
    AblationMethod,
    check_heads,
    check_mode,
    forward_replaced,
    forward_rows,
    replacements,
)
from utils.forward.attention_capture import MIN_PRODUCT_ROWS, check_ids
from utils.forward.chosen_logits import chosen_logits
from utils.forward.interchange import Interchange, check_lengths
from utils.forward.layer_replay import Forward, recorded_layers, repeated, replaced_layers
from utils.heads import Head
from utils.models.loading import LoadedModel

# Logits are asked for at one position of each text. A text is cut behind it, for nothing that comes later can
# change them, but not to fewer tokens than `MIN_PRODUCT_ROWS`.


@dataclass(frozen=True, eq=False)
class CleanRun:
    """One forward of one text with all heads on, for the prediction at one position.

    Attributes:
        ids: token ids [1, position], as far as the prediction depends on them.
        position: where the prediction is made: that of the token after this one.
        logits: of that position [vocab], float32 on the CPU.
        layers: what each decoder layer gave out: hidden states [1, position, width], or a tuple of such
            tensors where the family hands on more.
    """

    ids: Tensor
    position: int
    logits: Tensor
    layers: tuple[Any, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of what the layers gave out."""
        return sum(_bytes_of(output) for output in self.layers)


def _bytes_of(output: Any) -> int:
    if isinstance(output, Tensor):
        return output.nbytes
    return sum(map(_bytes_of, output)) if isinstance(output, tuple) else 0


def run_clean(loaded: LoadedModel, ids: Sequence[int], position: int | None = None) -> CleanRun:
    """Run `ids` (BOS included where the model has one) and keep what each layer gave.

    Args:
        loaded: the model.
        ids: the tokens.
        position: where the prediction is made, by default after the last token.

    Raises:
        UserFacingError: no tokens, too many, one outside the vocabulary, or no such position.
    """
    check_ids(loaded, ids)
    where = len(ids) - 1 if position is None else position
    if not 0 <= where < len(ids):
        raise UserFacingError(
            f"There is no token {where} in the prompt.", f"Choose a position from 0 to {len(ids) - 1}."
        )
    read = list(ids)[: max(where + 1, MIN_PRODUCT_ROWS)]
    rows = torch.tensor([read], device=loaded.model.device)
    with recorded_layers(loaded) as outputs, chosen_logits(loaded, [where]):
        output = forward_rows(loaded, rows, [()])
    layers = tuple(output for (output,) in outputs)
    return CleanRun(rows, where, output.logits[0, 0].clone().float().cpu(), layers)


def next_logits(
    loaded: LoadedModel,
    clean: CleanRun,
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMethod = "zero",
) -> Tensor:
    """The logits at the run's position with a set of heads ablated in each row, beginning at the lowest head.

    Args:
        loaded: the model.
        clean: its clean run on the text.
        heads_by_row: the heads that are off, a set a row; every row is the same text.
        mode: what is put in their place.

    Returns:
        Logits [row, vocab], float32 on the CPU.

    Raises:
        UserFacingError: a head that the model does not have, or no such mode.
    """
    rows = len(heads_by_row)
    for heads in heads_by_row:
        check_heads(heads, loaded.geometry, loaded.name)
    first = min((head.layer for heads in heads_by_row for head in heads), default=loaded.geometry.n_layers)
    check_mode(mode)
    if isinstance(mode, Interchange):
        check_lengths(clean.ids.shape[1], len(mode.ids))
    # What is put in the heads' place comes from whole forwards, so it is taken before layers are left out.
    values = replacements(loaded, mode)

    def replay(layer: int, forward: Forward) -> Forward:
        # Only what the last of them hands on is read.
        times = rows if layer == first - 1 else 1
        return lambda *args, **kwargs: repeated(clean.layers[layer], times)

    chosen = chosen_logits(loaded, [clean.position] * rows)
    with replaced_layers(loaded, range(first), replay), chosen:
        output = forward_replaced(loaded, clean.ids.expand(rows, -1), heads_by_row, values)
    return output.logits[:, 0].clone().float().cpu()
