"""Ablation as it is defined: hooks written by hand, to compare PyVene's with."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from utils.heads import Head
from utils.model_families import output_projection
from utils.model_loading import LoadedModel

# Two texts of the tiny models' tokens, the first with a repetition.
IDS = torch.tensor([[0, 5, 17, 60, 5, 17, 99, 3, 5], [0, 9, 8, 7, 6, 5, 4, 3, 2]])
# Heads of the first three layers and first four heads, which every tiny model has.
SETS = {
    "one": [Head(1, 2)],
    "first": [Head(0, 0)],
    "two of a layer": [Head(1, 0), Head(1, 3)],
    "three layers, given out of order, one twice": [
        Head(2, 3),
        Head(0, 1),
        Head(1, 2),
        Head(0, 3),
        Head(0, 1),
    ],
}


@contextmanager
def heads_put_by_hand(
    loaded: LoadedModel, heads_by_row: Sequence[Collection[Head]], values: torch.Tensor | None = None
) -> Iterator[None]:
    """Pre-hooks on the output projections that write into the slices of each row's own heads.

    Args:
        loaded: the model.
        heads_by_row: the heads of each row of the batch.
        values: what is written, [layer, head, d_head]; None for zeros.
    """
    width = loaded.geometry.head_dim
    handles = []
    for layer in range(loaded.geometry.n_layers):

        def put(module: torch.nn.Module, args: tuple[Any, ...], layer: int = layer) -> tuple[torch.Tensor]:
            value = args[0].clone()
            for row, heads in enumerate(heads_by_row):
                for head in heads:
                    if head.layer == layer:
                        place = slice(head.head * width, (head.head + 1) * width)
                        value[row, :, place] = 0 if values is None else values[layer, head.head]
            return (value,)

        projection = output_projection(loaded.model, loaded.family, layer)
        handles.append(projection.register_forward_pre_hook(put))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def by_hand(loaded: LoadedModel, heads: Collection[Head], **inputs: Any) -> Any:
    """The model's output with these heads zeroed in every row."""
    with torch.inference_mode(), heads_put_by_hand(loaded, [heads] * len(inputs["input_ids"])):
        return loaded.model(**inputs)


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal but for the rounding of another order of sums."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
