"""A forward that begins in the middle gives what a whole one gives, and leaves the model alone."""

import threading
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode, forward, forward_rows
from utils.forward.attention_capture import capture
from utils.forward.layer_replay import decoder_layer
from utils.forward.partial_forward import MIN_PRODUCT_ROWS, next_logits, run_clean
from utils.heads import Head
from utils.models.loading import LoadedModel

IDS = [0, 5, 17, 60, 5, 17, 99, 3, 5, 21, 8, 40, 77, 5, 17, 60, 2, 9, 33, 12, 64, 7]
SETS = [[Head(2, 1)], [Head(1, 0), Head(2, 3)], [Head(2, 0), Head(2, 2)], [Head(1, 3)]]


def alone(loaded: LoadedModel, heads: Sequence[Head], mode: AblationMode, position: int = -1) -> Tensor:
    return capture(loaded, IDS, heads, mode).logits[position]


def instance_forwards(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_it_equals_whole_forwards_one_by_one(loaded: LoadedModel, mode: AblationMode) -> None:
    clean = run_clean(loaded, IDS)
    torch.testing.assert_close(clean.logits, alone(loaded, [], "zero"), rtol=0, atol=1e-5)
    for sets in (SETS, SETS[:1], [[Head(0, 1)], *SETS], [[], [Head(1, 1)]], [[], []]):
        together = next_logits(loaded, clean, sets, mode)
        assert together.shape == (len(sets), loaded.model.config.vocab_size)
        for row, heads in zip(together, sets, strict=True):
            torch.testing.assert_close(row, alone(loaded, heads, mode), rtol=0, atol=1e-5)
            if heads:
                assert (row - clean.logits).abs().max() > 1e-3


@pytest.mark.parametrize(
    "position", [0, 1, MIN_PRODUCT_ROWS - 1, MIN_PRODUCT_ROWS, len(IDS) - 2, len(IDS) - 1]
)
def test_any_position_can_be_asked_for(loaded: LoadedModel, position: int) -> None:
    clean = run_clean(loaded, IDS, position)
    # Nothing behind the position is run, but for a product that rounds as a whole forward's.
    assert clean.ids.tolist() == [IDS[: max(position + 1, MIN_PRODUCT_ROWS)]]
    torch.testing.assert_close(clean.logits, alone(loaded, [], "zero", position), rtol=0, atol=1e-5)
    for row, heads in zip(next_logits(loaded, clean, SETS), SETS, strict=True):
        torch.testing.assert_close(row, alone(loaded, heads, "zero", position), rtol=0, atol=1e-5)


def test_a_text_shorter_than_what_is_kept(loaded: LoadedModel) -> None:
    clean = run_clean(loaded, IDS[:3], 1)
    expected = capture(loaded, IDS[:3], SETS[0]).logits[1]
    torch.testing.assert_close(next_logits(loaded, clean, SETS[:1])[0], expected, rtol=0, atol=1e-5)


def test_layers_below_the_lowest_head_are_not_computed(loaded: LoadedModel) -> None:
    clean = run_clean(loaded, IDS)
    computed: list[int] = []
    handles = []
    for layer in range(loaded.geometry.n_layers):

        def seen(module: nn.Module, args: object, layer: int = layer) -> None:
            computed.append(layer)

        # The first part of a decoder layer that every family runs.
        inside = next(iter(decoder_layer(loaded, layer).children()))
        handles.append(inside.register_forward_pre_hook(seen))
    next_logits(loaded, clean, [[Head(1, 2)], [Head(2, 1)]])
    for handle in handles:
        handle.remove()
    assert sorted(set(computed)) == list(range(1, loaded.geometry.n_layers))


def test_the_model_is_as_before_also_after_an_error(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = {"input_ids": torch.tensor([IDS]), "output_attentions": True}
    before = forward(loaded, inputs)
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in loaded.model.modules()]
    own = instance_forwards(loaded.model)
    clean = run_clean(loaded, IDS)
    next_logits(loaded, clean, SETS, "mean")
    with pytest.raises(UserFacingError, match="not a head of"):
        next_logits(loaded, clean, [[Head(1, 0)], [Head(77, 0)]])

    def broken(*args: object, **kwargs: object) -> None:
        assert instance_forwards(loaded.model) != own  # the layers are replaced at this moment
        raise RuntimeError("in the middle")

    monkeypatch.setattr("utils.forward.partial_forward.forward_replaced", broken)
    with pytest.raises(RuntimeError, match="in the middle"):
        next_logits(loaded, clean, SETS)
    assert instance_forwards(loaded.model) == own
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in loaded.model.modules()]
    after = forward(loaded, inputs)
    assert torch.equal(before.logits, after.logits)
    assert all(torch.equal(a, b) for a, b in zip(before.attentions, after.attentions, strict=True))


def test_a_forward_that_a_layer_already_had_comes_back(tiny_gpt2: LoadedModel) -> None:
    # Libraries that spread a model over devices put one there.
    layer = decoder_layer(tiny_gpt2, 0)
    calls: list[int] = []
    original = layer.forward

    def own(*args: object, **kwargs: object) -> object:
        calls.append(1)
        return original(*args, **kwargs)

    layer.forward = own
    try:
        clean = run_clean(tiny_gpt2, IDS)
        next_logits(tiny_gpt2, clean, SETS)
        assert len(calls) == 1  # the clean run alone
        assert vars(layer)["forward"] is own
    finally:
        del layer.forward


def test_what_was_kept_is_not_changed_by_later_runs(loaded: LoadedModel) -> None:
    clean = run_clean(loaded, IDS)
    first = next_logits(loaded, clean, SETS[:1])
    next_logits(loaded, clean, [[Head(1, 1)], [Head(2, 2)]], "mean")
    assert torch.equal(next_logits(loaded, clean, SETS[:1]), first)


def test_other_threads_see_whole_forwards(tiny_llama: LoadedModel) -> None:
    clean = run_clean(tiny_llama, IDS)
    ids = torch.tensor([IDS])
    expected = forward_rows(tiny_llama, ids, [[Head(1, 1)]]).logits
    partly = next_logits(tiny_llama, clean, SETS)
    wrong: list[str] = []

    def whole() -> None:
        for _ in range(15):
            if not torch.equal(forward_rows(tiny_llama, ids, [[Head(1, 1)]]).logits, expected):
                wrong.append("whole")

    def part() -> None:
        for _ in range(15):
            if not torch.equal(next_logits(tiny_llama, clean, SETS), partly):
                wrong.append("part")

    threads = [threading.Thread(target=work) for work in (whole, part, whole, part)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(("ids", "position"), [([], None), ([0, 5], 2), ([0, 5], -1), ([0, 9999], None)])
def test_what_cannot_be_run_is_refused(tiny_gpt2: LoadedModel, ids: list[int], position: int | None) -> None:
    with pytest.raises(UserFacingError):
        run_clean(tiny_gpt2, ids, position)
