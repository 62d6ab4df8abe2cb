"""The lab's readings, rankings and ablations against plain forwards and small hand-made cases."""

from collections.abc import Callable

import pytest
import torch

from retrieval.lab.ablation import (
    DRAWS,
    LEAST_TOKENS,
    ablate_top,
    most_heads,
    suitable_k,
    truth_tokens,
)
from retrieval.lab.agreement import agreement, scored_heads
from retrieval.lab.reading import LabReading, read_lab
from retrieval.lab.rows import QuestionRows, look_of, read_question_rows
from retrieval.lab.samples import NEW_TOKENS
from retrieval.lab.state import OWN, LabPrompt
from retrieval.rankings.methods import METHODS
from retrieval.reading.decoding import greedy_answers
from utils.catalog.rankings import rank_order
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.runtime.jobs import CancelledError

Bundled = Callable[[str], LoadedModel]
NAMES = ("demo-gpt2", "demo-llama")


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest, bundled: Bundled) -> LoadedModel:
    return bundled(request.param)


@pytest.fixture(scope="module")
def read(model: LoadedModel) -> tuple[LabReading, QuestionRows]:
    return read_lab(model, LabPrompt(model.name, "employee_count", seed=3))


def test_the_answer_and_its_probabilities_are_the_models(model, read):
    reading, _ = read
    ids = reading.encoded.ids
    assert reading.answer == greedy_answers(model, [ids], [()])[0]
    assert reading.right is True and reading.answer.text == reading.encoded.sample.answer
    logits = capture(model, [*ids, *reading.answer.ids]).logits.double().softmax(-1)
    for step, (token, chance) in enumerate(zip(reading.answer.ids, reading.written.chances, strict=True)):
        assert chance == pytest.approx(float(logits[len(ids) - 1 + step, token]), abs=1e-5)
    assert reading.prompt.length is not None and len(reading.labels) == len(ids) <= reading.prompt.length


def test_all_methods_rank_and_summed_attention_is_the_patterns(model, read):
    reading, _ = read
    assert set(reading.rankings) == set(METHODS)
    attention = capture(model, reading.encoded.ids).attention
    start, end = reading.encoded.spans["needle"]
    scores = reading.rankings["summed_attention"].scores
    torch.testing.assert_close(scores, attention[:, :, -1, start:end].sum(-1).double(), atol=1e-5, rtol=0)
    assert "the needle's share" in reading.rankings["summed_attention"].control
    assert "recency control" in reading.rankings["reasoning"].control
    assert all(ranking.problem == "" for ranking in reading.rankings.values())


def test_where_heads_look_is_the_pattern(model, read):
    reading, rows = read
    again = read_question_rows(model, reading.encoded)
    attention = capture(model, reading.encoded.ids).attention
    assert rows.positions == again.positions and rows.positions[-1] == len(reading.encoded.ids) - 1
    for one in (rows, again):
        torch.testing.assert_close(one.rows, attention[:, :, list(rows.positions)], atol=1e-5, rtol=0)
    start, end = reading.encoded.spans["needle"]
    look = look_of(rows, Head(1, 2))
    shares = attention[1, 2][list(rows.positions), start:end].sum(-1)
    assert look.on_needle == pytest.approx(shares.tolist(), abs=1e-5)
    assert look.question_share == pytest.approx(float(shares[:-1].mean()), abs=1e-5)
    even = [(end - start) / (position + 1) for position in rows.positions[:-1]]
    assert look.even_share == pytest.approx(sum(even) / len(even))
    with pytest.raises(IndexError):
        look_of(rows, Head(4, 0))


def test_ones_own_text_without_a_needle_still_reads(bundled: Bundled):
    loaded = bundled("demo-llama")
    prompt = LabPrompt(
        "demo-llama", OWN, text="The company makes boots. It has 431 employees in total.", asked="How many?"
    )
    reading, rows = read_lab(loaded, prompt)
    assert "no needle yet" in reading.note and reading.right is None and rows.needle is None
    for key in ("summed_attention", "wu24", "qrhead"):
        assert reading.rankings[key].scores is None and "Choose the sentence" in reading.rankings[key].problem
    assert reading.rankings["reasoning"].scores is not None
    assert "Without a true answer" in reading.rankings["reasoning"].problem
    assert look_of(rows, Head(0, 0)).question_share is None


def test_work_that_nobody_waits_for_ends(bundled: Bundled):
    def leave(what: str, done: int, total: int) -> None:
        raise CancelledError

    loaded, prompt = bundled("demo-gpt2"), LabPrompt("demo-gpt2", length=100)
    with pytest.raises(CancelledError):
        read_lab(loaded, prompt, leave)
    with pytest.raises(CancelledError):
        ablate_top(loaded, [0, 1, 2], "", [Head(0, 0)], progress=leave)

    def leave_within(what: str, done: int, total: int) -> None:
        if done:
            raise CancelledError

    with pytest.raises(CancelledError):
        read_lab(loaded, prompt, leave_within)
    hooks = [len(module._forward_hooks) for module in loaded.model.modules()]
    with pytest.raises(CancelledError):
        ablate_top(loaded, [0, 1, 2], "", [Head(0, 0)], progress=leave_within)
    assert [len(module._forward_hooks) for module in loaded.model.modules()] == hooks


def test_progress_moves_with_each_layer_and_the_answer_comes_token_by_token(bundled: Bundled):
    loaded, told, published = bundled("demo-llama"), [], []
    prompt = LabPrompt("demo-llama", "employee_count", seed=3, length=100)
    reading, _ = read_lab(loaded, prompt, lambda *step: told.append(step), published.append)
    numbers = [(done, total) for _, done, total in told[1:]]
    assert numbers == sorted(numbers) and len({done for done, _ in numbers}) > 2 * loaded.geometry.n_layers
    assert len({total for _, total in numbers}) == 1 and numbers[-1][0] <= numbers[-1][1]
    assert published[-1] == reading.written and len(reading.written.chances) == len(reading.answer.ids) > 1
    assert [len(one.labels) for one in published] == list(range(1, len(published) + 1))


def test_the_bar_of_an_ablation_leaves_room_for_the_answers_which_can_be_left(model, read):
    ids, truth = read[0].encoded.ids, read[0].encoded.sample.answer
    told: list[tuple[int, int]] = []
    ablate_top(model, ids, truth, [Head(1, 3)], progress=lambda what, done, total: told.append((done, total)))
    # The prompt is read, with all heads on and by each set; then come the answers' tokens.
    total = told[0][1]
    reading = total - NEW_TOKENS * LEAST_TOKENS * model.geometry.n_layers
    assert told == sorted(told) and reading < told[-1][0] < total
    writing = [done for done, _ in told if done > reading]
    assert len(set(writing)) > 2 * model.geometry.n_layers

    def leave(what: str, done: int, total: int) -> None:
        seen.append(done)
        if done > reading:
            raise CancelledError

    seen: list[int] = []
    with pytest.raises(CancelledError):
        ablate_top(model, ids, truth, [Head(1, 3)], progress=leave)
    # At the first token's end, not with the last.
    assert seen[-1] < writing[-1]


def test_ablation_against_its_parts(model, read):
    reading, _ = read
    ids, truth = reading.encoded.ids, reading.encoded.sample.answer
    top = [Head(1, 3), Head(0, 2), Head(2, 5)]
    done = ablate_top(model, ids, truth, top, seed=2)
    assert (done.clean.text, done.clean.right, done.clean.same) == (truth, True, True)
    assert done.tested.heads == (Head(0, 2), Head(1, 3), Head(2, 5))
    assert done.tested.text == greedy_answers(model, [ids], [top])[0].text
    assert set(done.controls) == {"uniform", "layer-matched"}
    for kind, draws in done.controls.items():
        assert len(draws) == DRAWS
        for draw in draws:
            assert len(set(draw.heads)) == 3 and not set(draw.heads) & set(top)
            if kind == "layer-matched":
                assert sorted(head.layer for head in draw.heads) == [0, 1, 2]
            assert draw.text == greedy_answers(model, [ids], [draw.heads])[0].text
    written = truth_tokens(model, ids, truth)
    logits = capture(model, [*ids, *written[:-1]], top).logits[len(ids) - 1 :].double().softmax(-1)
    alone = logits[range(len(written)), list(written)].prod()
    assert done.tested.truth_probability == pytest.approx(float(alone), abs=1e-6)
    assert done == ablate_top(model, ids, truth, top, seed=2)


def test_no_heads_and_no_truth(bundled: Bundled):
    loaded = bundled("demo-gpt2")
    ids = loaded.tokenizer("red blue red")["input_ids"]
    none = ablate_top(loaded, ids, "red", [])
    assert none.tested == none.clean and none.controls == {} == none.caveats
    some = ablate_top(loaded, ids, "", [Head(1, 1)], mode="mean", draws=2)
    outcomes = [some.clean, some.tested, *some.controls["uniform"]]
    assert all(one.right is None and one.truth_probability is None for one in outcomes)
    assert some.clean.same and some.mode == "mean"


def test_heads_that_cannot_be_ablated(bundled: Bundled):
    loaded = bundled("demo-gpt2")
    assert (most_heads(loaded), suitable_k(loaded)) == (32, 8)
    with pytest.raises(UserFacingError, match="not a head"):
        ablate_top(loaded, [0, 1], "x", [Head(9, 0)])
    with pytest.raises(UserFacingError, match="more than half"):
        ablate_top(loaded, [0, 1], "x", [Head(i // 16, i % 16) for i in range(33)])


def test_order_of_heads():
    scores = torch.tensor([[0.0, 0.5, 0.5], [0.9, -0.2, 0.0]])
    order = [Head(1, 0), Head(0, 1), Head(0, 2), Head(0, 0), Head(1, 2), Head(1, 1)]
    assert rank_order(scores) == order
    assert scored_heads(scores) == 3


def test_agreement_of_rankings():
    one = torch.arange(20.0).reshape(2, 10)
    same = agreement(one, one * 3 + 1)
    assert (same.correlation, same.top, same.shared, same.by_chance) == (pytest.approx(1), 2, 2, 0.2)
    assert agreement(one, -one).correlation == pytest.approx(-1)
    assert agreement(one, -one).shared == 0
    # By hand: ranks (1.5, 1.5, 3) and (1, 2, 3) correlate by 1.5 / sqrt(1.5 * 2).
    tied = agreement(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[1.0, 2.0, 3.0]]))
    assert tied.correlation == pytest.approx(1.5 / (1.5 * 2) ** 0.5)
    assert agreement(one, torch.zeros_like(one)).correlation is None
