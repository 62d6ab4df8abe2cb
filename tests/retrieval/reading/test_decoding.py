from collections.abc import Callable, Sequence

import pytest
import torch

from retrieval.reading import decoding
from retrieval.reading.decoding import Decoded, greedy_answers, greedy_with_rows
from retrieval.reading.query_rows import read_on
from utils.errors import UserFacingError
from utils.forward.ablation import forward
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.models.prompts import end_tokens

OFF = [Head(0, 1), Head(1, 0), Head(2, 3)]


def _prompts(lengths: Sequence[int]) -> list[list[int]]:
    rng = torch.Generator().manual_seed(3)
    return [[0, *torch.randint(5, 300, (length - 1,), generator=rng).tolist()] for length in lengths]


def _slow(loaded: LoadedModel, ids: Sequence[int], heads: Sequence[Head], new_tokens: int) -> tuple[int, ...]:
    """Greedy decoding, a whole forward without a cache for each token."""
    written: list[int] = []
    for _ in range(min(new_tokens, loaded.context_length - len(ids) + 1)):
        inputs = {"input_ids": torch.tensor([[*ids, *written]]), "use_cache": False}
        token = int(forward(loaded, inputs, heads).logits[0, -1].argmax())
        if token in end_tokens(loaded):
            break
        text = str(loaded.tokenizer.decode([*written, token], skip_special_tokens=True)).lstrip()
        if "\n" in text:
            before = str(loaded.tokenizer.decode(written, skip_special_tokens=True)).strip()
            if text.split("\n")[0].strip() != before:
                written.append(token)
            break
        written.append(token)
    return tuple(written)


def test_answers_of_every_family_are_those_of_whole_forwards(loaded: LoadedModel) -> None:
    prompts = _prompts([20, 9])
    prompts.insert(1, prompts[0])
    heads = [[], OFF, [Head(0, 0)]]
    answers = greedy_answers(loaded, prompts, heads, new_tokens=4)
    expected = [_slow(loaded, ids, off, 4) for ids, off in zip(prompts, heads, strict=True)]
    assert [answer.ids for answer in answers] == expected


def test_rows_of_every_family_are_those_of_the_choosing_tokens(exact: LoadedModel) -> None:
    ids = _prompts([20])[0]
    decoded, rows = greedy_with_rows(exact, ids, 4, OFF)
    assert decoded.ids == _slow(exact, ids, OFF, 4)
    whole = capture(exact, [*ids, *decoded.ids], OFF).attention
    assert len(decoded.ids) >= 2
    assert rows.shape == (len(decoded.ids), *whole.shape[:2], len(ids) + len(decoded.ids) - 1)
    for step in range(len(decoded.ids)):
        row = whole[:, :, len(ids) + step - 1, : rows.shape[-1]]
        torch.testing.assert_close(rows[step], row, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["zero", "mean"])
def test_a_reading_of_the_prompt_saves_reading_it_again(tiny_gpt2: LoadedModel, mode: str) -> None:
    ids = _prompts([25])[0]
    start = read_on(tiny_gpt2, ids, rows=True)
    decoded, rows = greedy_with_rows(tiny_gpt2, ids, 5, before=start)
    again, same = greedy_with_rows(tiny_gpt2, ids, 5, before=start)
    assert (decoded, rows.tolist()) == (again, same.tolist())
    assert decoded == greedy_with_rows(tiny_gpt2, ids, 5)[0]
    assert decoded == greedy_answers(tiny_gpt2, [ids], [()], mode, new_tokens=5)[0]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="last token's row"):
        greedy_with_rows(tiny_gpt2, ids, 5, before=read_on(tiny_gpt2, ids))


def test_batches_change_nothing(
    bundled: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = bundled("demo-llama")
    texts = ["The cat sat on", "One day a little girl went to", "The cat sat on the mat. The cat", "She was"]
    prompts = [[0, *loaded.text_tokenizer.encode(text).ids] for text in texts]
    heads = [(), OFF, (), [Head(0, 0)]]
    together = greedy_answers(loaded, prompts, heads, new_tokens=8)
    monkeypatch.setattr(decoding, "MAX_ROWS", 1)
    assert together == greedy_answers(loaded, prompts, heads, new_tokens=8)
    assert len({answer.text for answer in together}) == 4


def _always(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch, tokens: Sequence[int]) -> None:
    """Have the model choose these tokens one after another, whatever it reads (one prompt, one batch)."""
    advance = decoding.advance
    queue = list(tokens)

    def scripted(*args: object, **options: object) -> object:
        step = advance(*args, **options)  # pyright: ignore[reportArgumentType]
        step.logits[:] = 0
        step.logits[:, queue.pop(0)] = 1
        return step

    monkeypatch.setattr(decoding, "advance", scripted)


@pytest.mark.parametrize(
    ("pieces", "kept", "text"),
    [
        (["A", "b", "\n", "c"], 2, "Ab"),
        (["\n", "A", "b", "\n"], 3, "Ab"),
        (["A", None, "b"], 1, "A"),
        ([None], 0, ""),
        ([" ", "\n", "A", " ", "b"], 5, "A b"),
    ],
)
def test_an_answer_ends_at_the_end_token_or_after_its_line(
    tiny_gpt2: LoadedModel, monkeypatch: pytest.MonkeyPatch, pieces: list[str | None], kept: int, text: str
) -> None:
    ids = [0 if piece is None else tiny_gpt2.text_tokenizer.encode(piece).ids[0] for piece in pieces]
    _always(tiny_gpt2, monkeypatch, ids)
    assert greedy_answers(tiny_gpt2, [[0, 5]], [()], new_tokens=5) == [Decoded(tuple(ids[:kept]), text)]


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neo", "mistral"])
def test_answers_end_where_the_context_does(
    tiny_model: Callable[[str], LoadedModel], model_type: str
) -> None:
    loaded = tiny_model(model_type)
    full, nearly = _prompts([128, 126])
    answers = greedy_answers(loaded, [full, nearly, nearly], [(), (), OFF], new_tokens=9)
    assert all(len(answer.ids) <= most for answer, most in zip(answers, (1, 3, 3), strict=True))
    assert max(len(answer.ids) for answer in answers) > 0
    assert greedy_with_rows(loaded, nearly, 9)[0] == answers[1]


def test_what_cannot_be_asked_for(tiny_gpt2: LoadedModel) -> None:
    with pytest.raises(ValueError, match="one set a prompt"):
        greedy_answers(tiny_gpt2, [[0, 1]], [])
    with pytest.raises(ValueError, match="new_tokens"):
        greedy_answers(tiny_gpt2, [[0, 1]], [()], new_tokens=0)
    with pytest.raises(UserFacingError, match="L9H9"):
        greedy_answers(tiny_gpt2, [[0, 1]], [[Head(9, 9)]])
    with pytest.raises(UserFacingError, match="128"):
        greedy_with_rows(tiny_gpt2, [0] * 129, 3)
    assert greedy_answers(tiny_gpt2, [], []) == []
