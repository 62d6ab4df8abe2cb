"""What `--evaluate` measures, on models whose abilities are known."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from retrieval.filings.generated import MAIN_TASKS, make_filings
from tests.fixtures.makers import hand_built
from tests.training.conftest import build_tiny
from training import evaluate
from training.chat import with_chat_template
from utils.models.loading import LoadedModel, load_model


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """The hand-built model: an induction head, and nothing else that predicts."""
    folder = tmp_path_factory.mktemp("built")
    return load_model("built", hand_built.save_hand_built(folder))


def test_the_hand_built_model_repeats_what_it_saw(built: LoadedModel) -> None:
    assert evaluate.repeated_accuracy(built.model, built.tokenizer, count=20) >= 0.99


def test_a_random_model_can_do_nothing(tiny_gpt2: LoadedModel) -> None:
    assert evaluate.repeated_accuracy(tiny_gpt2.model, tiny_gpt2.tokenizer, count=10) < 0.1


def test_the_best_heads_are_those_built_for_it(built: LoadedModel) -> None:
    table = evaluate.role_score_table(built.model, built.tokenizer, sequences=4)
    assert {role: scores.shape for role, scores in table.items()} == dict.fromkeys(
        hand_built.BUILT, (hand_built.N_LAYERS, hand_built.N_HEADS)
    )
    best = evaluate.best_heads(table)
    for role, head in hand_built.BUILT.items():
        assert best[role]["head"] == str(head)
        assert 0.99 <= best[role]["score"] <= 1


class Oracle:
    """Predicts each next token rightly, but for the positions that `spoil` picks."""

    def __init__(self, vocabulary: int, spoil: Callable[[Tensor], Tensor]) -> None:
        self.vocabulary = vocabulary
        self.spoil = spoil

    def __call__(self, ids: Tensor, use_cache: bool) -> Any:
        following = torch.roll(ids, -1, dims=1)
        wrong = self.spoil(ids)
        following = torch.where(wrong, (following + 1) % self.vocabulary, following)
        return SimpleNamespace(logits=functional.one_hot(following, self.vocabulary).float())


def nothing(ids: Tensor) -> Tensor:
    return torch.zeros_like(ids, dtype=torch.bool)


def test_an_answer_is_right_when_all_of_it_is(tokenizer: PreTrainedTokenizerFast) -> None:
    def accuracy(spoil: Callable[[Tensor], Tensor]) -> dict[str, float]:
        model: Any = Oracle(len(tokenizer), spoil)
        return evaluate.filing_accuracy(model, tokenizer, count=5)

    def at(place: int) -> Callable[[Tensor], Tensor]:
        return lambda ids: nothing(ids).index_fill(1, torch.tensor([place % ids.shape[1]]), True)

    assert accuracy(nothing) == dict.fromkeys(MAIN_TASKS, 1.0)
    # The last prediction that counts is the end token, made at the answer's last token.
    assert accuracy(at(-2)) == accuracy(at(-3)) == dict.fromkeys(MAIN_TASKS, 0.0)
    # What it would have said within the prompt does not count.
    assert accuracy(at(5)) == accuracy(at(0)) == dict.fromkeys(MAIN_TASKS, 1.0)


def test_a_model_with_a_chat_template_is_asked_in_it(tokenizer: PreTrainedTokenizerFast) -> None:
    chatting = with_chat_template(tokenizer)
    read: list[str] = []

    def listen(ids: Tensor) -> Tensor:
        read.append(str(tokenizer.decode(ids[0])))
        return nothing(ids)

    model: Any = Oracle(len(tokenizer), listen)
    assert evaluate.filing_accuracy(model, chatting, count=2) == dict.fromkeys(MAIN_TASKS, 1.0)
    assert len(read) == 2 * len(MAIN_TASKS)
    samples = [
        sample
        for task in MAIN_TASKS
        for sample in make_filings(task, 2, evaluate.HELD_OUT_SEED, evaluate.EVALUATION_OPTIONS)
    ]
    for text, sample in zip(read, samples, strict=True):
        end = f"\n\nAssistant: {sample.answer}<|endoftext|>"
        assert text == f"<|endoftext|>User:\n{sample.prompt}{end}"

    # Only the answer and the end token count: the first is predicted by the token before it.
    def last_of_prompt(ids: Tensor) -> Tensor:
        text = str(tokenizer.decode(ids[0])).split("Assistant:")[0] + "Assistant:"
        position = len(tokenizer(text, add_special_tokens=False)["input_ids"]) - 1
        return nothing(ids).index_fill(1, torch.tensor([position]), True)

    wrong: Any = Oracle(len(tokenizer), last_of_prompt)
    assert evaluate.filing_accuracy(wrong, chatting, count=2) == dict.fromkeys(MAIN_TASKS, 0.0)


def test_filings_may_have_a_length(tokenizer: PreTrainedTokenizerFast) -> None:
    lengths: list[int] = []

    def measure(ids: Tensor) -> Tensor:
        lengths.append(ids.shape[1])
        return nothing(ids)

    model: Any = Oracle(len(tokenizer), measure)
    evaluate.filing_accuracy(model, tokenizer, 3, ["hq_state"], length=220)
    assert len(lengths) == 3 and all(180 < length <= 230 for length in lengths)


def test_the_first_token_of_the_answer_counts(tokenizer: PreTrainedTokenizerFast) -> None:
    """All wrong but the prompt: an off-by-one at the border would let some answers pass."""
    lengths = {}
    for task in MAIN_TASKS:
        for sample in make_filings(task, 5, evaluate.HELD_OUT_SEED, evaluate.EVALUATION_OPTIONS):
            prompt = tokenizer(sample.prompt, add_special_tokens=False)["input_ids"]
            lengths[tuple(prompt[:60])] = len(prompt)

    def first_wrong(ids: Tensor) -> Tensor:
        wrong = nothing(ids)
        wrong[0, lengths[tuple(ids[0, 1:61].tolist())]] = True
        return wrong

    model: Any = Oracle(len(tokenizer), first_wrong)
    assert evaluate.filing_accuracy(model, tokenizer, count=5) == dict.fromkeys(MAIN_TASKS, 0.0)


def test_the_repeated_half_counts_from_its_second_token(tokenizer: PreTrainedTokenizerFast) -> None:
    def accuracy(*wrong: int) -> float:
        def spoil(ids: Tensor) -> Tensor:
            return nothing(ids).index_fill(1, torch.tensor(wrong, dtype=torch.long), True)

        model: Any = Oracle(len(tokenizer), spoil)
        return evaluate.repeated_accuracy(model, tokenizer, count=3)

    # Position 25 predicts the first repeated token, which nobody can foresee; 26 to 49 predict the rest.
    assert accuracy() == accuracy(*range(26)) == 1
    assert accuracy(26) == accuracy(49) == pytest.approx(23 / 24)


def test_log_probabilities_are_the_librarys_loss(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    model = build_tiny(len(tokenizer)).eval()
    ids = torch.randint(1, len(tokenizer), (19, 12))
    with torch.inference_mode():
        found = evaluate.log_probabilities(model, ids)
        expected = model(ids, labels=ids).loss
    assert found.shape == (19, 11)
    assert -float(found.mean()) == pytest.approx(float(expected), rel=1e-5)


def test_prose_is_read_in_rows_that_begin_with_the_start_token(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    model = build_tiny(len(tokenizer)).eval()
    text = torch.randint(1, len(tokenizer), (23,))
    rows = torch.stack([torch.cat((torch.tensor([0]), text[start : start + 9])) for start in (0, 9)])
    with torch.inference_mode():
        expected = float(model(rows, labels=rows).loss)
    assert evaluate.prose_loss(model, tokenizer, text, 10) == pytest.approx(expected, rel=1e-5)


def test_ngram_baselines_by_hand() -> None:
    train, held_out = torch.tensor([0, 1, 0, 1, 2]), torch.tensor([0, 1, 2])
    unigram, bigram = evaluate.ngram_losses(train, held_out, vocabulary=3)
    # Counts 2, 2, 1, and one more for each.
    shares = [3 / 8, 3 / 8, 2 / 8]
    assert unigram == pytest.approx(-sum(math.log(share) for share in shares) / 3)
    # "0 1" was seen twice after two zeros, "1 2" once after two ones.
    losses = [
        -(math.log((2 + s * 3 / 8) / (2 + s)) + math.log((1 + s * 2 / 8) / (2 + s))) / 2
        for s in (1, 3, 10, 30, 100, 300, 1000)
    ]
    assert bigram == pytest.approx(min(losses))
    assert bigram < unigram


def test_a_word_never_seen_has_a_finite_loss() -> None:
    unigram, bigram = evaluate.ngram_losses(torch.tensor([0, 1, 0]), torch.tensor([2, 3, 2]), vocabulary=4)
    assert math.isfinite(unigram) and math.isfinite(bigram)


def test_continuations_go_on_from_their_openings_and_are_seeded(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(0)
    model = build_tiny(len(tokenizer)).eval()
    openings = ["The company"] * 4
    texts = evaluate.continuations(model, tokenizer, openings, tokens=6)
    assert texts == evaluate.continuations(model, tokenizer, openings, tokens=6)
    assert all(text.startswith("The company") for text in texts)
    # Each has a seed of its own.
    assert len(set(texts)) == 4


def test_a_continuation_stops_at_the_end_token(tokenizer: PreTrainedTokenizerFast) -> None:
    class Ends:
        def __call__(self, ids: Tensor, use_cache: bool) -> Any:
            logits = torch.full((1, ids.shape[1], len(tokenizer)), -1e9)
            logits[..., 0] = 0
            return SimpleNamespace(logits=logits)

    model: Any = Ends()
    assert evaluate.continuations(model, tokenizer, ["One day"], tokens=5) == ["One day"]
