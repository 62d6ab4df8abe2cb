"""The logits of one position of each row of a forward, and no others.

A product of the output layer with few columns, its weight on the left, takes a third of the time of the
product with all positions of a short text (MKL on a CPU: it reads the weights once, and does nothing but
read). A column gives the same bits whatever stands beside it, as long as there are as many columns: so they
are always taken by `COLUMNS`, and a text's logits do not depend on whose forward it runs in.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from utils.forward.layer_replay import replaced_forward
from utils.models.loading import LoadedModel

# Two columns already take the quick way, but round in another one; with eight nothing is gained.
COLUMNS = 4
# Words of the vocabulary at once: a product that stays small takes no memory that is new to the process.
MAX_WORDS = 8192


def output_rows(layer: Any, hidden: Tensor) -> Tensor:
    """What an output layer makes of some rows, [row, width] to [row, vocab].

    Args:
        layer: with a `weight` [vocab, width] and perhaps a `bias` [vocab].
        hidden: the rows.
    """
    weight: Tensor = layer.weight
    logits = weight.new_empty(len(hidden), len(weight))
    for rows, found in zip(hidden.split(COLUMNS), logits.split(COLUMNS), strict=True):
        # Always laid out alike, which is part of taking the same way.
        columns = hidden.new_zeros(COLUMNS, hidden.shape[1])
        columns[: len(rows)] = rows
        for words, part in zip(weight.split(MAX_WORDS), found.split(MAX_WORDS, dim=1), strict=True):
            part.copy_((words @ columns.T).T[: len(rows)])
    bias: Tensor | None = getattr(layer, "bias", None)
    return logits if bias is None else logits + bias


@contextlib.contextmanager
def chosen_logits(loaded: LoadedModel, positions: Sequence[int]) -> Iterator[None]:
    """Have the forwards within the block compute one position's logits a row; under the model's lock.

    Their `logits` are [row, 1, vocab].

    Args:
        loaded: the model.
        positions: one a row.
    """
    layer: Any = loaded.model.get_output_embeddings()

    def compute(hidden: Tensor) -> Tensor:
        rows = torch.arange(len(positions), device=hidden.device)
        return output_rows(layer, hidden[rows, torch.tensor(positions, device=hidden.device)])[:, None]

    with replaced_forward(loaded, layer, compute):
        yield
