"""The logits of one position a row: those of a whole forward, to the same bits whoever else is in it."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from utils.forward.ablation import forward_rows
from utils.forward.chosen_logits import COLUMNS, chosen_logits, output_rows
from utils.models.loading import LoadedModel

IDS = [0, 5, 17, 60, 5, 17, 99, 3, 5, 21, 8, 40, 77, 5, 17, 60, 2, 9, 33, 12, 64, 7]


def test_they_are_those_of_a_whole_forward(loaded: LoadedModel) -> None:
    rows = torch.tensor([IDS, IDS[::-1], IDS])
    positions = [0, 7, len(IDS) - 1]
    whole = forward_rows(loaded, rows, [()] * 3).logits
    with chosen_logits(loaded, positions):
        chosen = forward_rows(loaded, rows, [()] * 3).logits
    assert chosen.shape == (3, 1, loaded.model.config.vocab_size)
    for row, position in enumerate(positions):
        torch.testing.assert_close(chosen[row, 0], whole[row, position], rtol=0, atol=1e-5)
    # Afterwards the model gives all of them again.
    assert torch.equal(forward_rows(loaded, rows, [()] * 3).logits, whole)


@pytest.mark.parametrize(("vocabulary", "width"), [(49152, 576), (500, 48), (1000, 130)])
def test_a_row_gives_the_same_bits_alone_and_with_others(vocabulary: int, width: int) -> None:
    torch.manual_seed(0)
    layer = SimpleNamespace(weight=torch.randn(vocabulary, width), bias=None)
    hidden = torch.randn(2 * COLUMNS + 1, width)
    together = output_rows(layer, hidden)
    for row, expected in zip(hidden, together, strict=True):
        assert torch.equal(output_rows(layer, row[None])[0], expected)
    assert torch.equal(output_rows(layer, hidden.flip(0)).flip(0), together)
    torch.testing.assert_close(together, hidden @ layer.weight.T, rtol=1e-5, atol=1e-4)


def test_a_bias_is_added() -> None:
    layer = nn.Linear(6, 10).requires_grad_(False)
    hidden = torch.randn(3, 6)
    torch.testing.assert_close(output_rows(layer, hidden), layer(hidden))


def test_a_forward_that_breaks_off_leaves_the_output_layer_as_it_was(tiny_llama: LoadedModel) -> None:
    with pytest.raises(RuntimeError, match="in the middle"), chosen_logits(tiny_llama, [0]):
        raise RuntimeError("in the middle")
    assert "forward" not in vars(tiny_llama.model.get_output_embeddings())
