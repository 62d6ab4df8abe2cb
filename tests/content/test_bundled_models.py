"""The bundled models keep what the issue of their making promised, measured as a user would."""

import pytest
import torch

from scripts.train_demo_model import evaluation
from training.recipes import RECIPES
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.families import output_projection
from utils.models.loading import LoadedModel
from utils.models.prompts import tokenize_prompt

PROMPTS = (
    "The cat sat on the mat. The cat sat on the",
    "Once upon a time a poor woodcutter lived in the forest with his wife and his three little children.",
)
BEST_HEAD = {
    "previous_token": 0.5,
    "induction": 0.5,
    "duplicate_token": 0.3,
    "positional": 0.5,
    "diffuse": 0.55,
}


@pytest.fixture(scope="module", params=list(RECIPES))
def bundled(request: pytest.FixtureRequest, service: LiveService) -> LoadedModel:
    return service.store.get(request.param)


def plain(bundled: LoadedModel, ids):
    with torch.inference_mode():
        return bundled.model(torch.tensor([ids]), output_attentions=True)


def test_it_has_the_heads_and_abilities_that_its_card_claims(bundled: LoadedModel):
    result = evaluation(bundled.path, None, None)
    for role, least in BEST_HEAD.items():
        assert result["best_heads"][role]["score"] >= least, role
    assert result["repeated_accuracy"] >= 0.9
    assert len(result["filing_accuracy"]) == 4
    for question, share in result["filing_accuracy"].items():
        assert share >= 0.9, question


def test_it_has_heads_to_spare(bundled: LoadedModel):
    assert bundled.geometry.n_layers * bundled.geometry.n_heads >= 64
    if bundled.family.model_type == "llama":
        assert bundled.geometry.n_kv_heads < bundled.geometry.n_heads


@pytest.mark.parametrize("prompt", PROMPTS)
def test_live_patterns_equal_a_plain_forward(bundled: LoadedModel, prompt: str):
    ids = tokenize_prompt(bundled, prompt).ids
    expected = torch.stack([layer[0] for layer in plain(bundled, ids).attentions])
    assert (capture(bundled, ids).attention - expected).abs().max() <= 1e-6


@pytest.mark.parametrize(
    "heads", [{Head(0, 0)}, {Head(1, 3), Head(1, 4), Head(3, 15)}, {Head(2, h) for h in range(16)}]
)
def test_ablation_equals_a_hook_written_by_hand(bundled: LoadedModel, heads: set[Head]):
    ids = tokenize_prompt(bundled, PROMPTS[0]).ids
    width = bundled.geometry.head_dim
    hooks = []
    for layer in {head.layer for head in heads}:
        numbers = [head.head for head in heads if head.layer == layer]

        def zero(module, args, numbers=numbers):
            hidden = args[0].clone()
            for number in numbers:
                hidden[..., number * width : (number + 1) * width] = 0
            return (hidden, *args[1:])

        hooks.append(output_projection(bundled.model, bundled.family, layer).register_forward_pre_hook(zero))
    try:
        expected = plain(bundled, ids).logits[0]
    finally:
        for hook in hooks:
            hook.remove()
    assert (capture(bundled, ids, heads).logits - expected).abs().max() <= 1e-6


def test_a_hundred_ablations_leave_it_bit_for_bit_as_it_was(bundled: LoadedModel):
    ids = tokenize_prompt(bundled, PROMPTS[0]).ids
    before = plain(bundled, ids).logits.clone()
    for number in range(100):
        capture(bundled, ids, {Head(number % 4, number % 16)})
    assert torch.equal(plain(bundled, ids).logits, before)
