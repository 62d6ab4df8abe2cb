"""Interchange: heads with their values on a second prompt, as hooks by hand put them there."""

from collections.abc import Callable
from typing import Any

import pytest
import pyvene as pv
import torch

from tests.fixtures.hooks_by_hand import IDS, SETS, assert_same
from utils.errors import UserFacingError
from utils.forward import interchange
from utils.forward.ablation import forward, forward_rows
from utils.forward.attention_capture import capture
from utils.forward.head_outputs import head_outputs
from utils.forward.interchange import MAX_CACHED, Interchange, interchange_values
from utils.forward.partial_forward import next_logits, run_clean
from utils.forward.pyvene_adapter import COMPONENT, OwnHooksIntervenable
from utils.heads import Head
from utils.models.families import output_projection
from utils.models.loading import LoadedModel

FIRST, SECOND = (tuple(row) for row in IDS.tolist())


def swapped_by_hand(loaded: LoadedModel, heads: list[Head]) -> torch.Tensor:
    """The logits of the first text with hooks that write the second's values in."""
    width = loaded.geometry.head_dim
    seen: dict[int, torch.Tensor] = {}
    handles = []
    for layer in range(loaded.geometry.n_layers):
        projection = output_projection(loaded.model, loaded.family, layer)

        def look(module: Any, args: Any, layer: int = layer) -> None:
            seen[layer] = args[0].clone()

        handles.append(projection.register_forward_pre_hook(look))
    with torch.inference_mode():
        loaded.model(torch.tensor([SECOND]))
    for handle in handles:
        handle.remove()
    handles = []
    for layer in range(loaded.geometry.n_layers):
        projection = output_projection(loaded.model, loaded.family, layer)

        def put(module: Any, args: Any, layer: int = layer) -> tuple[torch.Tensor]:
            value = args[0].clone()
            for head in heads:
                if head.layer == layer:
                    part = slice(head.head * width, (head.head + 1) * width)
                    value[..., part] = seen[layer][..., part]
            return (value,)

        handles.append(projection.register_forward_pre_hook(put))
    try:
        with torch.inference_mode():
            return loaded.model(torch.tensor([FIRST])).logits
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("heads", SETS.values(), ids=SETS)
def test_it_is_what_hooks_by_hand_do(loaded: LoadedModel, heads: list[Head]) -> None:
    clean = forward(loaded, {"input_ids": IDS[:1]}).logits
    ours = forward(loaded, {"input_ids": IDS[:1]}, heads, Interchange(SECOND)).logits
    assert_same(ours, swapped_by_hand(loaded, heads))
    assert (ours - clean).abs().max() > 1e-2
    assert torch.equal(forward(loaded, {"input_ids": IDS[:1]}).logits, clean)


def test_it_is_pyvenes_own_interchange(tiny_gpt2: LoadedModel) -> None:
    head = Head(1, 2)
    config = [
        {
            "layer": head.layer,
            "component": COMPONENT,
            "unit": "h",
            "intervention": pv.VanillaIntervention(keep_last_dim=True),
        }
    ]
    places = [[[head.head]]]
    with tiny_gpt2.lock, torch.inference_mode():
        wrapper = OwnHooksIntervenable(config, tiny_gpt2.model)
        _, theirs = wrapper(
            {"input_ids": IDS[:1]},
            [{"input_ids": IDS[1:]}],
            unit_locations={"sources->base": (places, places)},
        )
    ours = forward(tiny_gpt2, {"input_ids": IDS[:1]}, [head], Interchange(SECOND)).logits
    assert_same(ours, theirs.logits)


def test_rows_swap_heads_of_their_own_also_from_the_middle_on(loaded: LoadedModel) -> None:
    rows = [[Head(1, 2)], [Head(2, 0), Head(1, 1)], []]
    method = Interchange(SECOND)
    whole = forward_rows(loaded, IDS[:1].expand(3, -1), rows, method).logits
    for row, heads in zip(whole, rows, strict=True):
        alone = forward(loaded, {"input_ids": IDS[:1]}, heads, method).logits[0]
        torch.testing.assert_close(row, alone, rtol=0, atol=1e-5)
    together = next_logits(loaded, run_clean(loaded, FIRST), rows, method)
    torch.testing.assert_close(together, whole[:, -1], rtol=0, atol=1e-5)


def test_all_heads_of_the_same_prompt_change_nothing(loaded: LoadedModel) -> None:
    every = [Head(x, y) for x in range(loaded.geometry.n_layers) for y in range(loaded.geometry.n_heads)]
    found = capture(loaded, FIRST, every, Interchange(FIRST))
    torch.testing.assert_close(found.logits, capture(loaded, FIRST).logits, rtol=0, atol=1e-5)


def test_prompts_of_unlike_lengths_are_refused(tiny_gpt2: LoadedModel) -> None:
    for run in (
        lambda method: capture(tiny_gpt2, FIRST, [Head(0, 0)], method),
        lambda method: next_logits(tiny_gpt2, run_clean(tiny_gpt2, FIRST), [[Head(0, 0)]], method),
    ):
        with pytest.raises(UserFacingError, match="9 tokens and the second prompt 8"):
            run(Interchange(SECOND[:-1]))


def test_values_are_kept_for_a_few_second_prompts(
    tiny_model: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny_model("mistral")
    calls: list[int] = []
    monkeypatch.setattr(interchange, "head_outputs", lambda *args: calls.append(1) or head_outputs(*args))
    values = interchange_values(loaded, (1, 2, 3, 50))
    assert interchange_values(loaded, [1, 2, 3, 50]) is values and len(calls) == 1
    assert values.shape == (4, 6, 4, 16)
    for token in range(60, 60 + MAX_CACHED):
        interchange_values(loaded, (1, 2, 3, token))
    assert torch.equal(interchange_values(loaded, (1, 2, 3, 50)), values)
    assert len(calls) == MAX_CACHED + 2
