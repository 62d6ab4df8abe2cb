"""Answers with clean layers reused and attention fused are those of plain decoding, in every family."""

import random
from collections.abc import Callable, Collection
from typing import Any

import pytest
import torch

from retrieval.reading import ablated_answers
from retrieval.reading.ablated_answers import answers_with_heads_off, fused_attention
from retrieval.reading.decoding import Ends, greedy_answers
from tests.fixtures.hooks_by_hand import by_hand
from utils.forward.ablation import forward_rows
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.models.prompts import end_tokens


def some_sets(loaded: LoadedModel, count: int) -> list[tuple[Head, ...]]:
    """Sets that begin in every layer, and the empty one."""
    rng = random.Random(1)
    layers, heads = loaded.geometry.n_layers, loaded.geometry.n_heads
    sets: list[tuple[Head, ...]] = [()]
    for number in range(count):
        lowest = number % layers
        free = [Head(layer, head) for layer in range(lowest, layers) for head in range(heads)]
        sets.append(tuple(rng.sample(free, rng.randint(1, len(free) // 2))))
    return sets


def test_the_same_as_plain_decoding(exact: LoadedModel) -> None:
    ids = [exact.bos_id or 1, *range(3, 14)]
    sets = some_sets(exact, 5)
    plain = greedy_answers(exact, [ids] * len(sets), sets, "zero", 2)
    assert answers_with_heads_off(exact, ids, sets, "zero", 2, rows=2) == plain
    # The heads matter; Gemma 2's tiny model repeats its last token whatever happens.
    assert len({answer.ids for answer in plain}) > 1 or exact.family.model_type == "gemma2"


def greedy_by_hand(
    loaded: LoadedModel, ids: list[int], heads: Collection[Head], count: int
) -> tuple[tuple[int, ...], torch.Tensor]:
    """A whole forward a token, no cache, slices zeroed by hooks: the tokens, and the first logits."""
    written: list[int] = []
    first = torch.empty(0)
    while len(written) < count:
        inputs = {"input_ids": torch.tensor([[*ids, *written]]), "use_cache": False}
        logits = by_hand(loaded, heads, **inputs).logits[0, -1]
        first = first if written else logits.float()
        token = int(logits.argmax())
        if token in end_tokens(loaded):
            break
        written.append(token)
    return tuple(written), first


def test_the_same_as_a_plain_loop_with_hooks_by_hand(
    exact: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every family: shared keys and values, windows, soft caps and parallel blocks among them."""
    ids = [exact.bos_id or 1, *range(3, 14)]
    sets = some_sets(exact, 5)
    logits: dict[tuple[Head, ...], torch.Tensor] = {}
    advance = ablated_answers.advance

    def watched(loaded: LoadedModel, new: Any, cache: Any, off: Any, *args: Any, **kwargs: Any) -> Any:
        step = advance(loaded, new, cache, off, *args, **kwargs)
        if cache is None:
            logits.update(zip(map(tuple, off), step.logits.clone(), strict=True))
        return step

    monkeypatch.setattr(ablated_answers, "advance", watched)
    with fused_attention(exact):
        answers = answers_with_heads_off(exact, ids, sets, "zero", 3, 2, [lambda text: None] * len(sets))
    for heads, answer in zip(sets, answers, strict=True):
        written, first = greedy_by_hand(exact, ids, heads, 3)
        assert answer.ids == written
        scale = max(1.0, float(first.abs().max()))
        torch.testing.assert_close(logits[heads], first, atol=1e-5 * scale, rtol=0)


def test_an_answer_stops_where_it_is_said_to_and_progress_is_told(tiny_llama: LoadedModel) -> None:
    ids, sets, told = list(range(3, 14)), some_sets(tiny_llama, 5), []
    never: list[Ends] = [lambda text: None] * len(sets)
    whole = answers_with_heads_off(tiny_llama, ids, sets, "zero", 6, 2, never, told.append)
    assert told[-1] == len(sets) and told == sorted(told) and len(told) >= 3
    at_once: list[Ends] = [lambda text: len(text) or None] * len(sets)
    cut = answers_with_heads_off(tiny_llama, ids, sets, "zero", 6, 2, [*at_once[:-1], never[-1]])
    assert [len(answer.ids) for answer in cut[:-1]] == [1] * (len(sets) - 1)
    assert [answer.ids[0] for answer in cut] == [answer.ids[0] for answer in whole]
    assert cut[-1] == whole[-1]


def test_mean_ablation_too(tiny_gpt2: LoadedModel) -> None:
    ids = list(range(3, 14))
    sets = some_sets(tiny_gpt2, 4)
    plain = greedy_answers(tiny_gpt2, [ids] * len(sets), sets, "mean", 2)
    assert answers_with_heads_off(tiny_gpt2, ids, sets, "mean", 2, rows=2) == plain


def test_a_bundled_model_answers_as_in_plain_decoding(bundled: Callable[[str], LoadedModel]) -> None:
    loaded = bundled("demo-llama")
    text = (
        "It is a corporation under the laws of Ohio.\n\n"
        "Question: In which state was the company incorporated?\nAnswer in one word:"
    )
    ids = [0, *loaded.text_tokenizer.encode(text).ids]
    sets = some_sets(loaded, 12)
    plain = greedy_answers(loaded, [ids] * len(sets), sets, "zero", 4)
    with fused_attention(loaded):
        assert answers_with_heads_off(loaded, ids, sets, "zero", 4, rows=5) == plain


def test_layers_below_are_not_computed_again(tiny_llama: LoadedModel) -> None:
    ids = list(range(3, 15))
    last = tiny_llama.geometry.n_layers - 1
    sets = [(Head(last, head),) for head in range(3)]
    widths: list[int] = []
    projection = tiny_llama.model.get_submodule("model.layers.0.self_attn.o_proj")
    handle = projection.register_forward_hook(lambda module, args, output: widths.append(len(args[0])))
    try:
        answers_with_heads_off(tiny_llama, ids, sets, "zero", 1, rows=3)
    finally:
        handle.remove()
    assert widths == [1]  # the clean reading, of one row


def test_the_model_is_as_before(tiny_llama: LoadedModel) -> None:
    ids = torch.arange(3, 13)[None]
    before = forward_rows(tiny_llama, ids, [()], output_attentions=True)
    with fused_attention(tiny_llama):
        answers_with_heads_off(tiny_llama, ids[0].tolist(), some_sets(tiny_llama, 6), "zero", 2, rows=4)
        assert tiny_llama.model.config._attn_implementation == "sdpa"
    after = forward_rows(tiny_llama, ids, [()], output_attentions=True)
    assert torch.equal(before.logits, after.logits)
    assert len(after.attentions) == tiny_llama.geometry.n_layers
    assert all("forward" not in vars(module) for module in tiny_llama.model.model.layers)


def test_fused_attention_gives_the_same_logits(exact: LoadedModel) -> None:
    ids = torch.arange(3, 15).repeat(2, 1)
    off = [[Head(0, 0)], [Head(1, 1)]]
    eager = forward_rows(exact, ids, off).logits
    with fused_attention(exact):
        fused = forward_rows(exact, ids, off).logits
        # Gemma 2 caps its scores, which the fused form does not, and GPT-Neo has no fused form.
        expected = "eager" if exact.family.model_type in ("gemma2", "gpt_neo") else "sdpa"
        assert exact.model.config._attn_implementation == expected
    assert torch.allclose(eager, fused, atol=1e-5 * float(eager.abs().max()))
