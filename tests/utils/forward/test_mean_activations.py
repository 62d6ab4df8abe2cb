"""The constant of mean ablation: what a head puts out on average, by the definition."""

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from utils.forward import mean_activations
from utils.forward.ablation import forward
from utils.forward.mean_activations import mean_head_outputs
from utils.heads import Head
from utils.models.families import output_projection
from utils.models.loading import LoadedModel, load_model
from utils.roles.probe_inputs import NATURAL_SENTENCES


def means_by_hand(loaded: LoadedModel) -> torch.Tensor:
    """Pre-hooks on the output projections; every sentence in a forward of its own, summed in a loop."""
    geometry = loaded.geometry
    inputs: dict[int, list[torch.Tensor]] = {layer: [] for layer in range(geometry.n_layers)}
    handles = []
    for layer in range(geometry.n_layers):

        def keep(module: torch.nn.Module, args: tuple[Any, ...], layer: int = layer) -> None:
            inputs[layer].append(args[0][0, 1:].clone())

        projection = output_projection(loaded.model, loaded.family, layer)
        handles.append(projection.register_forward_pre_hook(keep))
    start = [] if loaded.bos_id is None else [loaded.bos_id]
    model: Any = loaded.model
    with torch.no_grad():
        for sentence in NATURAL_SENTENCES:
            ids = start + loaded.tokenizer.encode(sentence, add_special_tokens=False)
            model(input_ids=torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    means = torch.stack([torch.cat(inputs[layer]).mean(dim=0) for layer in range(geometry.n_layers)])
    return means.reshape(geometry.n_layers, geometry.n_heads, geometry.head_dim)


def test_means_are_those_of_the_natural_sentences_from_position_one_on(loaded: LoadedModel) -> None:
    means = mean_head_outputs(loaded)
    expected = means_by_hand(loaded)
    geometry = loaded.geometry
    assert means.shape == (geometry.n_layers, geometry.n_heads, geometry.head_dim)
    assert means.dtype == loaded.model.dtype and means.isfinite().all()
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(means, expected, rtol=0, atol=1e-6)


def test_they_are_computed_once_a_model(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    first = mean_head_outputs(loaded)
    monkeypatch.setattr(mean_activations, "_compute", lambda loaded: pytest.fail("computed again"))
    assert mean_head_outputs(loaded) is first


def test_the_model_and_its_hooks_are_as_before(loaded: LoadedModel) -> None:
    ids = torch.tensor([[0, 5, 17, 60]])
    before = forward(loaded, {"input_ids": ids, "output_attentions": True})
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in loaded.model.modules()]
    mean_activations._compute(loaded)
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in loaded.model.modules()]
    after = forward(loaded, {"input_ids": ids, "output_attentions": True})
    assert torch.equal(before.logits, after.logits) and len(after.attentions) == loaded.geometry.n_layers


def test_a_model_that_goes_takes_its_means_along(tiny_models_folder: Path) -> None:
    loaded = load_model("tiny-gpt2", tiny_models_folder / "tiny-gpt2")
    mean_head_outputs(loaded)
    means = weakref.ref(mean_activations._MEANS[loaded])
    del loaded
    gc.collect()
    assert means() is None


def test_who_asks_at_once_gets_the_same_and_ordinary_tensors(tiny_models_folder: Path) -> None:
    loaded = load_model("tiny-llama", tiny_models_folder / "tiny-llama")
    got: list[torch.Tensor] = []

    def ask() -> None:
        # As a caller would that is in the middle of a forward of its own.
        with torch.inference_mode():
            got.append(mean_head_outputs(loaded))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4 and all(means is got[0] for means in got)
    assert not got[0].is_inference()


def test_mean_ablation_uses_them(tiny_gpt2: LoadedModel) -> None:
    seen: list[torch.Tensor] = []
    projection = output_projection(tiny_gpt2.model, tiny_gpt2.family, 1)
    with projection.register_forward_hook(lambda _, args, __: seen.append(args[0].clone())):
        forward(tiny_gpt2, {"input_ids": torch.tensor([[0, 5, 17, 60]])}, [Head(1, 2)], "mean")
    width = tiny_gpt2.geometry.head_dim
    expected = mean_head_outputs(tiny_gpt2)[1, 2].expand(4, width)
    # At every position, the first included. Before it the means themselves may have been computed.
    assert torch.equal(seen[-1][0, :, 2 * width : 3 * width], expected)
