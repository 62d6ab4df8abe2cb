"""Ablation by PyVene against hand-written hooks."""

import itertools
from typing import Any

import pytest
import torch

from tests.fixtures.hooks_by_hand import IDS, SETS, assert_same, by_hand, heads_put_by_hand
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode, forward, forward_rows, interventions
from utils.forward.mean_activations import mean_head_outputs
from utils.heads import Head
from utils.models.families import output_projection
from utils.models.loading import LoadedModel


def constants(loaded: LoadedModel, mode: AblationMode) -> torch.Tensor:
    means = mean_head_outputs(loaded)
    return means if mode == "mean" else torch.zeros_like(means)


@pytest.mark.parametrize("heads", SETS.values(), ids=SETS.keys())
def test_ablation_equals_a_hand_written_hook(loaded: LoadedModel, heads: list[Head]) -> None:
    plain = by_hand(loaded, [], input_ids=IDS, output_attentions=True)
    expected = by_hand(loaded, heads, input_ids=IDS, output_attentions=True)
    ours = forward(loaded, {"input_ids": IDS, "output_attentions": True}, heads)
    assert (expected.logits - plain.logits).abs().max() > 0.01  # else the comparison would show nothing
    assert_same(ours.logits, expected.logits)
    for layer, (pattern, wanted) in enumerate(zip(ours.attentions, expected.attentions, strict=True)):
        assert_same(pattern, wanted)
        # Layers up to the first ablated one see the same input as before.
        if layer <= min(head.layer for head in heads):
            assert torch.equal(pattern, plain.attentions[layer])


@pytest.mark.parametrize("heads", SETS.values(), ids=SETS.keys())
def test_mean_ablation_equals_a_hand_written_hook(loaded: LoadedModel, heads: list[Head]) -> None:
    with torch.inference_mode(), heads_put_by_hand(loaded, [heads, heads], mean_head_outputs(loaded)):
        expected = loaded.model(input_ids=IDS, output_attentions=True)
    ours = forward(loaded, {"input_ids": IDS, "output_attentions": True}, heads, "mean")
    zeroed = forward(loaded, {"input_ids": IDS}, heads)
    assert (expected.logits - zeroed.logits).abs().max() > 0.01  # else zero would do as well
    assert_same(ours.logits, expected.logits)
    for pattern, wanted in zip(ours.attentions, expected.attentions, strict=True):
        assert_same(pattern, wanted)


# Rows with heads in other layers than each other, with unlike many heads, and with none.
ROWS = [
    [],
    [Head(1, 2)],
    [Head(2, 0), Head(0, 3)],
    [Head(0, 0), Head(0, 1), Head(0, 2), Head(0, 3)],
    [Head(1, 2), Head(1, 0), Head(2, 3)],
]


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_each_row_has_its_own_heads_off(loaded: LoadedModel, mode: AblationMode) -> None:
    ids = IDS[[0, 1, 0, 1, 0]]
    values = constants(loaded, mode)
    with torch.inference_mode(), heads_put_by_hand(loaded, ROWS, values):
        expected = loaded.model(input_ids=ids, output_attentions=True)
    ours = forward_rows(loaded, ids, ROWS, mode, output_attentions=True)
    assert_same(ours.logits, expected.logits)
    for pattern, wanted in zip(ours.attentions, expected.attentions, strict=True):
        assert_same(pattern, wanted)
    seen = []
    for row, heads in enumerate(ROWS):
        alone = forward(loaded, {"input_ids": ids[row : row + 1]}, heads, mode).logits[0]
        torch.testing.assert_close(ours.logits[row], alone, rtol=0, atol=1e-5)
        seen.append(alone)
    assert all(
        (one - other).abs().max() > 0.01
        for one, other in itertools.combinations([seen[0], seen[2], seen[4]], 2)
    )


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_a_row_without_heads_is_the_plain_row_whatever_the_others_do(
    loaded: LoadedModel, mode: AblationMode
) -> None:
    ids = IDS[[0, 0, 1]]
    plain = by_hand(loaded, [], input_ids=ids, output_attentions=True)
    ours = forward_rows(
        loaded, ids, [[Head(0, 1), Head(2, 2)], [], [Head(1, 1)]], mode, output_attentions=True
    )
    assert torch.equal(ours.logits[1], plain.logits[1])
    assert (ours.logits[0] - plain.logits[0]).abs().max() > 1e-3
    empty = forward_rows(loaded, ids, [[], [], []], mode)
    assert torch.equal(empty.logits, plain.logits)


def test_as_many_sets_as_rows_are_wanted(loaded: LoadedModel) -> None:
    with pytest.raises(ValueError, match="one set a row, 2"):
        forward_rows(loaded, IDS, [[Head(0, 0)]])
    with pytest.raises(UserFacingError, match=f"not a head of {loaded.name}"):
        forward_rows(loaded, IDS, [[], [Head(0, 99)]])


def test_a_mode_that_does_not_exist_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(UserFacingError, match=r"'half' is not a way .* zero, mean"):
        forward(loaded, {"input_ids": IDS}, [Head(0, 0)], "half")  # pyright: ignore[reportArgumentType]


def test_every_single_head_and_every_whole_layer(loaded: LoadedModel) -> None:
    geometry = loaded.geometry
    everything = [
        Head(*pair) for pair in itertools.product(range(geometry.n_layers), range(geometry.n_heads))
    ]
    layers = [[head for head in everything if head.layer == layer] for layer in range(geometry.n_layers)]
    seen = []
    for heads in [*([head] for head in everything), *layers, everything]:
        ours = forward(loaded, {"input_ids": IDS}, heads).logits
        assert_same(ours, by_hand(loaded, heads, input_ids=IDS).logits)
        seen.append(ours)
    assert all(not torch.allclose(one, other) for one, other in itertools.combinations(seen, 2))


def test_a_query_head_goes_and_those_that_share_its_keys_and_values_stay(tiny_llama: LoadedModel) -> None:
    captured: list[torch.Tensor] = []
    projection = output_projection(tiny_llama.model, tiny_llama.family, 1)
    ids = {"input_ids": IDS}
    plain_input: list[torch.Tensor] = []
    with projection.register_forward_pre_hook(lambda _, args: plain_input.append(args[0].clone())):
        forward(tiny_llama, ids)
    # A hook on the output sees the input as PyVene's pre-hook left it.
    with projection.register_forward_hook(lambda _, args, __: captured.append(args[0].clone())):
        forward(tiny_llama, ids, [Head(1, 1)])
    width = tiny_llama.geometry.head_dim
    assert captured[0][..., width : 2 * width].count_nonzero() == 0
    assert plain_input[0][..., width : 2 * width].count_nonzero() > 0
    assert torch.equal(captured[0][..., :width], plain_input[0][..., :width])
    assert torch.equal(captured[0][..., 2 * width :], plain_input[0][..., 2 * width :])


def test_with_no_heads_it_is_the_plain_forward(loaded: LoadedModel) -> None:
    ours = forward(loaded, {"input_ids": IDS, "output_attentions": True})
    plain = by_hand(loaded, [], input_ids=IDS, output_attentions=True)
    assert torch.equal(ours.logits, plain.logits)
    assert all(torch.equal(a, b) for a, b in zip(ours.attentions, plain.attentions, strict=True))


def test_decoding_with_a_cache_keeps_the_heads_off(loaded: LoadedModel) -> None:
    heads = SETS["two of a layer"]
    with torch.inference_mode(), heads_put_by_hand(loaded, [heads, heads]):
        model: Any = loaded.model
        expected = model.generate(
            IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=6, do_sample=False, pad_token_id=0
        )
    inputs: dict[str, Any] = {"input_ids": IDS, "use_cache": True, "logits_to_keep": 1}
    tokens = IDS
    for _ in range(6):
        output = forward(loaded, inputs, heads)
        following = output.logits[:, -1].argmax(-1, keepdim=True)
        tokens = torch.cat([tokens, following], dim=1)
        inputs |= {"input_ids": following, "past_key_values": output.past_key_values}
    # generate() pads a row once it has ended, which is with token 0 here.
    for row, wanted in zip(tokens.tolist(), expected.tolist(), strict=True):
        end = wanted.index(0, 1) + 1 if 0 in wanted[1:] else len(wanted)
        assert row[:end] == wanted[:end]


def test_the_whole_sequence_and_step_by_step_agree(loaded: LoadedModel) -> None:
    heads = SETS["three layers, given out of order, one twice"]
    whole = forward(loaded, {"input_ids": IDS}, heads).logits
    prefill = forward(loaded, {"input_ids": IDS[:, :5], "use_cache": True}, heads)
    rest = forward(loaded, {"input_ids": IDS[:, 5:], "past_key_values": prefill.past_key_values}, heads)
    steps = torch.cat([prefill.logits, rest.logits], dim=1)
    torch.testing.assert_close(steps, whole, rtol=0, atol=1e-4)


def test_input_ids_need_not_come_first_and_the_inputs_are_not_changed(loaded: LoadedModel) -> None:
    inputs = {"logits_to_keep": 1, "input_ids": IDS}
    output = forward(loaded, inputs, [Head(1, 1)])
    assert_same(output.logits, by_hand(loaded, [Head(1, 1)], **inputs).logits)
    assert list(inputs) == ["logits_to_keep", "input_ids"]


@pytest.mark.parametrize("head", [Head(9, 0), Head(0, 9), Head(-1, 0), Head(0, -1)])
def test_a_head_that_the_model_does_not_have_is_refused(loaded: LoadedModel, head: Head) -> None:
    with pytest.raises(UserFacingError, match=f"not a head of {loaded.name}"):
        forward(loaded, {"input_ids": IDS}, [Head(0, 0), head])


def test_configuration_has_one_entry_a_layer_and_a_row_a_sequence() -> None:
    config, locations = interventions([[Head(2, 1), Head(0, 3), Head(0, 1), Head(0, 3)]] * 2)
    assert [entry["layer"] for entry in config] == [0, 2]
    assert locations == {"sources->base": (None, [[[1, 3], [1, 3]], [[1], [1]]])}
    assert interventions([[], []]) == ([], None)
