"""Continuations, clean beside ablated: those of a forward over the whole text at each step."""

import copy
import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.fixtures.forward_counter import counting_forwards
from utils.effects import continuation
from utils.effects.continuation import (
    WHAT,
    Continuation,
    ContinuationPair,
    PairGenerator,
    Stop,
    TextGenerator,
    WrittenToken,
)
from utils.effects.sampling import WritingOptions, choose
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.loading import LoadedModel
from utils.models.prompts import tokenize_prompt
from utils.runtime.jobs import CancelledError

PROMPT = "One day a little girl went to the park."
HEADS = [Head(0, 1), Head(1, 2), Head(2, 0)]
SHORT = WritingOptions(new_tokens=8)
SAMPLED = WritingOptions(new_tokens=12, temperature=0.8, top_k=20, seed=11)


def ids_of(loaded: LoadedModel, text: str = PROMPT) -> list[int]:
    return list(tokenize_prompt(loaded, text).ids)


def without_end(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """The model, which no token ends: a random one ends a text at random."""
    monkeypatch.setattr(continuation, "end_tokens", lambda loaded: frozenset())
    return loaded


def recomputed(
    loaded: LoadedModel,
    ids: Sequence[int],
    heads: Sequence[Head],
    mode: AblationMode,
    options: WritingOptions,
) -> list[int]:
    """Each step a forward over all tokens so far, without any cache."""
    rng = torch.Generator().manual_seed(options.seed)
    written: list[int] = []
    for _ in range(options.new_tokens):
        written.append(choose(capture(loaded, [*ids, *written], heads, mode).logits[-1], options, rng))
    return written


@pytest.mark.parametrize("mode", ABLATION_MODES)
@pytest.mark.parametrize("options", [SHORT, SAMPLED], ids=["greedy", "sampled"])
def test_heads_stay_off_at_every_step(
    loaded: LoadedModel, mode: AblationMode, options: WritingOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = without_end(loaded, monkeypatch)
    ids = ids_of(loaded)
    pair = PairGenerator(endless, ids, HEADS, mode, options).finish()
    assert list(pair.clean.ids) == recomputed(loaded, ids, [], mode, options)
    assert list(pair.ablated.ids) == recomputed(loaded, ids, HEADS, mode, options)
    assert pair.clean.stop == pair.ablated.stop == "limit"


def test_greedy_is_what_the_library_generates(service: LiveService) -> None:
    for name in ("demo-gpt2", "demo-llama"):
        bundled = service.store.get(name)
        ids = ids_of(bundled, "The cat sat on the mat. The cat")
        written = list(TextGenerator(bundled, ids, options=WritingOptions(new_tokens=12)))
        model: Any = bundled.model
        with bundled.lock, torch.inference_mode():
            prompt = torch.tensor([ids])
            expected = model.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False
            )
        assert [token.token for token in written] == expected[0, len(ids) :].tolist()
        assert [token.index for token in written] == list(range(12))
        whole = bundled.tokenizer.decode(ids + [token.token for token in written])
        assert str(whole).endswith("".join(token.text for token in written))
        for position, token in enumerate(written[:4]):
            logits = capture(bundled, ids + [before.token for before in written[:position]]).logits[-1]
            assert token.probability == pytest.approx(float(logits.softmax(-1)[token.token]), abs=1e-5)


def test_without_an_induction_head_the_text_changes(service: LiveService) -> None:
    bundled = service.store.get("demo-gpt2")
    ids = ids_of(bundled, "One day Lily went to the park with a big red ball. One day Lily went to the")
    heads = [Head(layer, head) for layer in (1, 2, 3) for head in range(16)]
    pair = PairGenerator(bundled, ids, heads, options=SHORT).finish()
    difference = pair.first_difference
    assert difference is not None
    assert pair.clean.ids[:difference] == pair.ablated.ids[:difference]
    assert pair.clean.ids[difference] != pair.ablated.ids[difference]
    assert pair.clean.text.startswith(" park with a big red ball")


def test_nothing_off_is_no_difference(loaded: LoadedModel) -> None:
    for options in (SHORT, SAMPLED):
        pair = PairGenerator(loaded, ids_of(loaded), [], options=options).finish()
        assert pair.clean == pair.ablated and pair.first_difference is None


def test_a_seed_gives_its_text(tiny_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = without_end(tiny_llama, monkeypatch)
    ids = ids_of(tiny_llama)
    texts = [
        PairGenerator(endless, ids, HEADS, options=dataclasses.replace(SAMPLED, seed=seed)).finish()
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1]
    assert texts[0].clean.ids != texts[2].clean.ids


def test_tokens_come_one_by_one(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = without_end(loaded, monkeypatch)
    generator = PairGenerator(endless, ids_of(loaded), HEADS, options=SHORT)
    with counting_forwards() as count:
        seen = []
        for which, token in generator:
            seen.append((which, token.index))
            # Nothing is computed ahead of what is asked for.
            assert count.passes == len(seen)
            assert len(generator.pair.clean.tokens) + len(generator.pair.ablated.tokens) == len(seen)
    assert seen == [(which, index) for index in range(8) for which in ("clean", "ablated")]
    assert generator.pair.clean.stop == "limit"


def test_the_lock_is_free_between_tokens(tiny_gpt2: LoadedModel) -> None:
    between: list[bool] = []

    for _ in TextGenerator(tiny_gpt2, ids_of(tiny_gpt2), HEADS, options=SHORT):
        between.append(not tiny_gpt2.lock.taken)
    assert between and all(between)


def test_a_class_writes_at_once(tiny_llama: LoadedModel) -> None:
    wishes = [([], SHORT), (HEADS, SHORT), (HEADS[:1], SAMPLED), (HEADS, SAMPLED)]
    ids = ids_of(tiny_llama)
    expected = [PairGenerator(tiny_llama, ids, heads, options=options).finish() for heads, options in wishes]
    wrong: list[object] = []

    def work(place: int) -> None:
        heads, options = wishes[place]
        for _ in range(3):
            if PairGenerator(tiny_llama, ids, heads, options=options).finish() != expected[place]:
                wrong.append(wishes[place])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(wishes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_it_ends_at_the_end_token(tiny_gpt2: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(tiny_gpt2)
    with monkeypatch.context() as patch:
        endless = list(TextGenerator(without_end(tiny_gpt2, patch), ids, options=SAMPLED))
    end = endless[5].token
    first = [token.token for token in endless].index(end)
    for ends in (end, [319, end]):
        monkeypatch.setattr(
            tiny_gpt2.model, "generation_config", type("Settings", (), {"eos_token_id": ends})()
        )
        generator = TextGenerator(tiny_gpt2, ids, options=SAMPLED)
        assert list(generator) == endless[:first]
        assert generator.continuation.stop == "end" and generator.continuation.tokens == tuple(
            endless[:first]
        )


def test_the_tokenizers_end_token_counts_where_the_model_names_none(
    tiny_gpt2: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ids_of(tiny_gpt2)
    with monkeypatch.context() as patch:
        endless = list(TextGenerator(without_end(tiny_gpt2, patch), ids, options=SAMPLED))
    monkeypatch.setattr(tiny_gpt2.model, "generation_config", None)
    tokenizer = copy.deepcopy(tiny_gpt2.tokenizer)
    tokenizer.eos_token = str(tokenizer.convert_ids_to_tokens(endless[0].token))
    generator = TextGenerator(dataclasses.replace(tiny_gpt2, tokenizer=tokenizer), ids, options=SAMPLED)
    assert list(generator) == [] and generator.continuation == Continuation((), "end")


def test_it_ends_where_the_context_ends(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = without_end(loaded, monkeypatch)
    ids = ([0, 5, 17, 60] * loaded.context_length)[: loaded.context_length - 3]
    generator = TextGenerator(endless, ids, HEADS, options=SHORT)
    # The last of them is read off the last position, and not read itself.
    assert len(list(generator)) == 4
    assert generator.continuation.stop == "context"
    full = TextGenerator(endless, ([0, 5] * loaded.context_length)[: loaded.context_length], options=SHORT)
    assert len(list(full)) == 1 and full.continuation.stop == "context"


def test_a_character_of_several_tokens_appears_when_it_is_whole(
    tiny_gpt2: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is made to write "é€x" byte by byte."""
    wanted = tiny_gpt2.tokenizer.encode("é€x", add_special_tokens=False)
    assert len(wanted) == 6
    script = iter(wanted)
    monkeypatch.setattr(continuation, "choose", lambda logits, options, rng: next(script))
    endless = without_end(tiny_gpt2, monkeypatch)
    written = list(TextGenerator(endless, ids_of(tiny_gpt2), options=WritingOptions(new_tokens=6)))
    assert [token.text for token in written] == ["", "é", "", "", "€", "x"]


def test_writing_again_gives_the_same(tiny_gpt2: LoadedModel) -> None:
    generator = TextGenerator(tiny_gpt2, ids_of(tiny_gpt2), HEADS, options=SAMPLED)
    assert list(generator) == list(generator) == list(generator.continuation.tokens)


def written(ids: Sequence[int], stop: Stop | None = "limit") -> Continuation:
    return Continuation(
        tuple(WrittenToken(position, token, "x", 0.5) for position, token in enumerate(ids)), stop
    )


@pytest.mark.parametrize(
    ("clean", "ablated", "expected"),
    [
        (written([1, 2, 3]), written([1, 2, 3]), None),
        (written([1, 2, 3]), written([1, 4, 3]), 1),
        (written([5]), written([6]), 0),
        (written([]), written([]), None),
        (written([1, 2], "end"), written([1, 2, 3]), 2),
        (written([1, 2, 3]), written([], "end"), 0),
        # Both are being written, and one is a token behind.
        (written([1, 2], None), written([1], None), None),
        (written([1, 2], None), written([1], "end"), 1),
    ],
)
def test_the_first_difference(clean: Continuation, ablated: Continuation, expected: int | None) -> None:
    assert ContinuationPair(clean, ablated).first_difference == expected
    assert ContinuationPair(ablated, clean).first_difference == expected


def test_progress_and_cancelling(tiny_gpt2: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = without_end(tiny_gpt2, monkeypatch)
    message: list[tuple[str, int, int]] = []
    PairGenerator(endless, ids_of(tiny_gpt2), HEADS, options=SHORT).finish(lambda *step: message.append(step))
    assert message == [(WHAT, done, 16) for done in range(1, 17)]

    def cancel(what: str, done: int, total: int) -> None:
        if done == 3:
            raise CancelledError

    with counting_forwards() as count, pytest.raises(CancelledError):
        PairGenerator(endless, ids_of(tiny_gpt2), HEADS, options=SHORT).finish(cancel)
    assert count.passes == 3


def test_the_model_is_as_before(loaded: LoadedModel) -> None:
    before = capture(loaded, ids_of(loaded))
    PairGenerator(loaded, ids_of(loaded), HEADS, "mean", SHORT).finish()
    after = capture(loaded, ids_of(loaded))
    assert torch.equal(before.logits, after.logits) and torch.equal(before.attention, after.attention)


def test_what_cannot_be_written_is_refused_before_the_first_token(tiny_gpt2: LoadedModel) -> None:
    ids = ids_of(tiny_gpt2)
    with pytest.raises(UserFacingError, match="There are no tokens"):
        TextGenerator(tiny_gpt2, [])
    with pytest.raises(UserFacingError, match="not a head of"):
        PairGenerator(tiny_gpt2, ids, [Head(9, 9)])
    with pytest.raises(UserFacingError, match="not a way to ablate heads"):
        TextGenerator(tiny_gpt2, ids, [], "half")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserFacingError, match="temperature"):
        TextGenerator(tiny_gpt2, ids, options=WritingOptions(temperature=-1))
