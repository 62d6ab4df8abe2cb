"""That nothing of an ablation stays behind, for others who use the model too."""

import threading
from collections.abc import Callable

import pytest
import pyvene as pv
import torch

from tests.fixtures.hooks_by_hand import IDS, by_hand
from utils.forward.ablation import ABLATION_MODES, forward, forward_rows, interventions
from utils.heads import Head
from utils.models.loading import LoadedModel


def hooks_of(model: torch.nn.Module) -> list[tuple[str, int, int]]:
    return [
        (name, len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in model.named_modules()
    ]


def test_the_model_is_bit_for_bit_the_old_one_after_many_ablations(loaded: LoadedModel) -> None:
    plain = by_hand(loaded, [], input_ids=IDS, output_attentions=True)
    weights = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    hooks = hooks_of(loaded.model)
    for step in range(100 if loaded.family.model_type in ("gpt2", "llama") else 25):
        heads = [Head(step % 3, step % 4), Head((step + 1) % 3, step % 2)]
        forward(loaded, {"input_ids": IDS}, heads, ABLATION_MODES[step % 2])
        forward_rows(loaded, IDS, [heads, heads[:1]], ABLATION_MODES[step % 2])
    after = by_hand(loaded, [], input_ids=IDS, output_attentions=True)
    assert torch.equal(after.logits, plain.logits)
    assert len(after.attentions) == loaded.geometry.n_layers
    assert all(torch.equal(a, b) for a, b in zip(after.attentions, plain.attentions, strict=True))
    assert hooks_of(loaded.model) == hooks
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())
    assert not loaded.model.training


def test_a_foreign_hook_survives_and_ours_do_not(loaded: LoadedModel) -> None:
    calls: list[int] = []
    with loaded.model.register_forward_hook(lambda *_: calls.append(1)):
        for _ in range(3):
            forward(loaded, {"input_ids": IDS}, [Head(0, 0)])
    assert len(calls) == 3


def test_hooks_are_gone_after_a_forward_that_fails(loaded: LoadedModel) -> None:
    plain = forward(loaded, {"input_ids": IDS, "output_attentions": True}).logits
    hooks = hooks_of(loaded.model)
    with pytest.raises(IndexError):
        forward(loaded, {"input_ids": torch.tensor([[10_000]])}, [Head(0, 0), Head(2, 1)])
    assert hooks_of(loaded.model) == hooks
    assert torch.equal(forward(loaded, {"input_ids": IDS}).logits, plain)


@pytest.mark.parametrize("model_type", ["gpt2", "gemma2"])
def test_threads_at_once_get_their_own_results(
    model_type: str, tiny_model: Callable[[str], LoadedModel]
) -> None:
    loaded = tiny_model(model_type)
    questions = [[], [Head(0, 1)], [Head(1, 3), Head(2, 0)], [Head(2, 2)]]
    expected = [by_hand(loaded, heads, input_ids=IDS).logits for heads in questions]
    wrong: list[str] = []
    start = threading.Barrier(len(questions))

    def work(heads: list[Head], wanted: torch.Tensor) -> None:
        start.wait()
        for _ in range(15):
            try:
                if (forward(loaded, {"input_ids": IDS}, heads).logits - wanted).abs().max() > 1e-6:
                    wrong.append(f"another result with {heads} off")
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(questions, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_pyvene_as_shipped_removes_the_hooks_of_others(tiny_gpt2: LoadedModel) -> None:
    # Why OwnHooksIntervenable exists. When this fails PyVene has been mended and the class can go.
    config, locations = interventions([[Head(0, 0)]] * 2)
    calls: list[int] = []
    with tiny_gpt2.lock, torch.inference_mode():
        before = [(m, dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in tiny_gpt2.model.modules()]
        handle = tiny_gpt2.model.register_forward_hook(lambda *_: calls.append(1))
        pv.IntervenableModel(config, tiny_gpt2.model)({"input_ids": IDS}, unit_locations=locations)
        handle.remove()
        for module, hooks, pre_hooks in before:
            module._forward_hooks.update(hooks)
            module._forward_pre_hooks.update(pre_hooks)
    assert calls == []
