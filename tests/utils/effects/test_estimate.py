"""The first-order estimate of the effect map: a derivative, and a useful order of the heads."""

from dataclasses import replace

import pytest
import torch

from utils.effects.effect_map import EffectMapProgress, effect_map
from utils.effects.estimate import ESTIMATED, correlate, estimate_effects, rank_correlation
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMethod, forward_replaced, replacements
from utils.forward.attention_capture import capture
from utils.forward.head_outputs import head_outputs
from utils.forward.interchange import Interchange
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.loading import LoadedModel
from utils.models.sources import REAL_MODEL

# Not beginning with token 0: Gemma's embedding of it is zero, where a norm has hardly a derivative.
IDS = (11, 5, 17, 60, 5, 17, 99, 3, 5)
SECOND = (0, 9, 8, 7, 6, 5, 4, 3, 2)


@pytest.mark.parametrize("mode", [*ABLATION_MODES, Interchange(SECOND)], ids=str)
def test_it_is_the_derivative_towards_the_ablated_values(exact: LoadedModel, mode: AblationMethod) -> None:
    """A small part of the way to the ablated values changes the prediction by that part of the estimate."""
    found = estimate_effects(exact, IDS, 17, 60, 7, mode)
    own, put = head_outputs(exact, IDS), replacements(exact, mode)
    step = 1e-4
    for head in (Head(0, 1), Head(1, 3), Head(2, 0)):
        to = torch.zeros_like(own) if put is None else put
        target = to if to.dim() == 4 else to[:, :, None]
        near = own + step * (target - own)
        ids = torch.tensor([IDS])
        moved, clean = (
            forward_replaced(exact, ids, [heads], near).logits[0, 7].clone().double()
            for heads in ([head], [])
        )
        expected = {
            "logit_difference": (moved[17] - moved[60]) - (clean[17] - clean[60]),
            "log_probability": moved.log_softmax(-1)[17] - clean.log_softmax(-1)[17],
            "probability": moved.softmax(-1)[17] - clean.softmax(-1)[17],
        }
        for measure in ESTIMATED:
            estimate = float(found.change(measure)[head])
            size = float(found.change(measure).abs().max())
            assert float(expected[measure]) / step == pytest.approx(estimate, rel=0.02, abs=0.02 * size)


def test_it_leaves_the_model_as_it_was(loaded: LoadedModel) -> None:
    before = capture(loaded, IDS)
    found = estimate_effects(loaded, IDS)
    assert found.position == len(IDS) - 1 and found.target == int(before.logits[-1].argmax())
    assert found.changes["logit_difference"].shape == (loaded.geometry.n_layers, loaded.geometry.n_heads)
    after = capture(loaded, IDS)
    assert torch.equal(before.logits, after.logits) and torch.equal(before.attention, after.attention)
    assert not any(weight.requires_grad or weight.grad is not None for weight in loaded.model.parameters())


def test_it_is_ranked_against_the_exact_map(tiny_gpt2: LoadedModel) -> None:
    estimate, exact_map = estimate_effects(tiny_gpt2, IDS, 17, 60), effect_map(tiny_gpt2, IDS, 17, 60)
    found = rank_correlation(estimate, exact_map, "logit_difference")
    assert found is not None and -1 <= found <= 1
    some = [Head(0, 1), Head(1, 2), Head(2, 0), Head(2, 3)]
    assert rank_correlation(estimate, exact_map, "logit_difference", some) is not None
    assert rank_correlation(estimate, exact_map, "logit_difference", some[:2]) is None
    with pytest.raises(UserFacingError, match="different predictions"):
        rank_correlation(replace(estimate, target=5), exact_map, "logit_difference")
    with pytest.raises(UserFacingError, match="no estimate"):
        rank_correlation(estimate, exact_map, "kl")


def test_ranks_and_not_values_are_correlated() -> None:
    one = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert correlate(one, one**3) == pytest.approx(1)
    assert correlate(one, -one) == pytest.approx(-1)
    assert correlate(one, torch.ones(2, 2)) is None


def test_it_is_ranked_against_the_rows_that_are_there(tiny_llama: LoadedModel) -> None:
    estimate, seen = estimate_effects(tiny_llama, IDS, 17, 60), []

    def publish(so_far: EffectMapProgress) -> None:
        heads = [Head(*place) for place in so_far.measured.nonzero().tolist()]
        seen.append((len(heads), rank_correlation(estimate, so_far.effects, "logit_difference", heads)))

    found = effect_map(tiny_llama, IDS, 17, 60, publish=publish)
    assert seen[-1] == (24, rank_correlation(estimate, found, "logit_difference"))


def test_it_ranks_the_real_models_heads(service: LiveService) -> None:
    loaded = service.store.get(REAL_MODEL)
    ids = service.tokenize(REAL_MODEL, "When Mary and John went to the store, John gave a drink to").ids
    estimate = estimate_effects(loaded, ids)
    exact_map = effect_map(loaded, ids, estimate.target, estimate.other)
    found = rank_correlation(estimate, exact_map, "logit_difference")
    assert found is not None and found > 0.5


@pytest.mark.parametrize(("target", "position"), [(1_000_000, None), (5, 99)])
def test_bad_input(tiny_gpt2: LoadedModel, target: int, position: int | None) -> None:
    with pytest.raises(UserFacingError):
        estimate_effects(tiny_gpt2, IDS, target, None, position)
