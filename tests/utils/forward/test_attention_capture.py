"""Captured patterns and logits against a plain eager forward of transformers itself."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel

IDS = (0, 5, 17, 60, 5, 17, 99, 3, 5, 200, 7)


def test_equals_a_plain_eager_forward_of_a_fresh_model(loaded: LoadedModel) -> None:
    fresh = AutoModelForCausalLM.from_pretrained(
        loaded.path, attn_implementation="eager", dtype=torch.float32
    )
    with torch.no_grad():
        plain = fresh(torch.tensor([IDS]), output_attentions=True)
    ours = capture(loaded, IDS)
    geometry = loaded.geometry
    assert ours.attention.shape == (geometry.n_layers, geometry.n_heads, len(IDS), len(IDS))
    assert ours.logits.shape == (len(IDS), loaded.model.config.vocab_size)
    expected = torch.stack([pattern[0] for pattern in plain.attentions])
    torch.testing.assert_close(ours.attention, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.logits, plain.logits[0], rtol=0, atol=1e-6)


def test_patterns_are_causal_probabilities_and_differ_between_heads(loaded: LoadedModel) -> None:
    attention = capture(loaded, IDS).attention
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))
    assert attention.triu(1).count_nonzero() == 0
    rows = attention.flatten(0, 1).flatten(1)
    assert torch.pdist(rows).min() > 0.01


def test_still_whole_after_ablations_and_back_to_the_old_values(loaded: LoadedModel) -> None:
    before = capture(loaded, IDS)
    ablated = capture(loaded, IDS, {Head(0, 1), Head(1, 2)})
    after = capture(loaded, IDS)
    assert torch.equal(before.attention, after.attention)
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(ablated.attention[0], before.attention[0])
    assert not torch.allclose(ablated.attention[1], before.attention[1])
    assert not torch.allclose(ablated.logits, before.logits)


def test_the_tensors_are_ordinary_ones_and_not_shared(loaded: LoadedModel) -> None:
    first = capture(loaded, IDS)
    assert first.attention.dtype == first.logits.dtype == torch.float32
    assert not first.attention.is_inference() and not first.logits.is_inference()
    expected = first.logits.clone()
    second = capture(loaded, IDS)
    second.logits.zero_()
    second.attention.zero_()
    assert torch.equal(first.logits, expected)


def test_one_token_and_the_whole_context(loaded: LoadedModel) -> None:
    assert capture(loaded, [0]).attention.flatten().tolist() == [1.0] * (
        loaded.geometry.n_layers * loaded.geometry.n_heads
    )
    assert capture(loaded, [0] + [4] * (loaded.context_length - 1)).logits.isfinite().all()


@pytest.mark.parametrize("ids", [[], [0, 320], [0, -1], [1] * 129])
def test_impossible_tokens_are_refused(loaded: LoadedModel, ids: list[int]) -> None:
    with pytest.raises(UserFacingError):
        capture(loaded, ids)


def test_without_eager_attention_it_fails_loudly(tiny_llama: LoadedModel) -> None:
    # Not every family has another attention: GPT-Neo has only its own, Gemma 2 refuses sdpa.
    loaded = tiny_llama
    with loaded.lock:
        loaded.model.set_attn_implementation("sdpa")
        try:
            with pytest.raises(RuntimeError, match="patterns"):
                capture(loaded, IDS)
        finally:
            loaded.model.set_attn_implementation("eager")
    assert capture(loaded, IDS).attention.shape[0] == loaded.geometry.n_layers
