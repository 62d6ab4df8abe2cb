import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from retrieval.reading import query_rows as module
from retrieval.reading.query_rows import query_rows, read_on
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel

BundledModel = Callable[[str], LoadedModel]
# Longer than the windows of the tiny models (5).
LENGTH = 40


def _ids(loaded: LoadedModel, length: int = LENGTH, seed: int = 0) -> list[int]:
    rng = torch.Generator().manual_seed(seed)
    return [0, *torch.randint(5, 300, (length - 1,), generator=rng).tolist()]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """So few scores at once that a text of 40 tokens takes many forwards; the sizes of them."""
    monkeypatch.setattr(module, "SCORE_BYTES", 4 * 6 * 4 * 3 * LENGTH)
    sizes: list[int] = []
    forward_rows = module.forward_rows

    def counted(loaded: LoadedModel, ids: Tensor, *rest: object, **inputs: object) -> object:
        sizes.append(ids.shape[1])
        return forward_rows(loaded, ids, *rest, **inputs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(module, "forward_rows", counted)
    return sizes


def test_rows_of_every_family_are_those_of_the_whole_pattern(
    exact: LoadedModel, small_chunks: list[int]
) -> None:
    loaded = exact
    ids = _ids(loaded)
    rows = query_rows(loaded, ids, 17, 36)
    assert len(small_chunks) >= 4 and max(small_chunks) < 30
    whole = capture(loaded, ids).attention
    assert rows.shape == (*whole.shape[:2], 19, 36)
    torch.testing.assert_close(rows, whole[:, :, 17:36, :36], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["demo-gpt2", "demo-llama"])
def test_rows_of_the_bundled_models(bundled: BundledModel, name: str) -> None:
    loaded = bundled(name)
    ids = _ids(loaded, 200)
    torch.testing.assert_close(
        query_rows(loaded, ids, 150), capture(loaded, ids).attention[:, :, 150:], atol=1e-5, rtol=0
    )


def test_one_beginning_serves_two_endings_in_any_order(exact: LoadedModel, small_chunks: list[int]) -> None:
    loaded = exact
    ids, other = _ids(loaded), [*_ids(loaded)[:30], *_ids(loaded, seed=1)[1:9]]
    prefix = read_on(loaded, ids[:20])
    first = query_rows(loaded, ids, 30, cache=prefix)
    second = query_rows(loaded, other, 30, cache=prefix)
    torch.testing.assert_close(second, capture(loaded, other).attention[:, :, 30:], atol=1e-5, rtol=0)
    torch.testing.assert_close(query_rows(loaded, ids, 30, cache=prefix), first, atol=0, rtol=0)
    torch.testing.assert_close(first, capture(loaded, ids).attention[:, :, 30:], atol=1e-5, rtol=0)


def test_heads_may_be_off(tiny_gpt2: LoadedModel) -> None:
    ids, off = _ids(tiny_gpt2), [Head(0, 1), Head(1, 2)]
    rows = query_rows(tiny_gpt2, ids, 30, heads=off)
    torch.testing.assert_close(rows, capture(tiny_gpt2, ids, off).attention[:, :, 30:], atol=1e-5, rtol=0)
    assert not torch.allclose(rows, query_rows(tiny_gpt2, ids, 30), atol=1e-3)


def test_scores_in_work_stay_bounded() -> None:
    for past, total, held in ((0, 4000, 16), (3000, 16000, 64), (0, 100, 10**9)):
        chunks = list(module._chunks(past, total, held, "cpu"))
        assert chunks[0][0] == past and chunks[-1][1] == total
        assert all(before[1] == after[0] for before, after in itertools.pairwise(chunks))
        for start, end in chunks:
            assert end - start == 1 or 4 * held * (end - start) * end <= module.SCORE_BYTES


def test_the_model_is_as_it_was(tiny_llama: LoadedModel) -> None:
    ids = _ids(tiny_llama)
    before = capture(tiny_llama, ids)
    query_rows(tiny_llama, ids, 30, heads=[Head(0, 0)])
    after = capture(tiny_llama, ids)
    assert torch.equal(before.attention, after.attention) and torch.equal(before.logits, after.logits)


def test_what_cannot_be_asked_for(tiny_gpt2: LoadedModel) -> None:
    ids = _ids(tiny_gpt2)
    for start, end in ((5, 5), (-1, 5), (0, 41)):
        with pytest.raises(ValueError, match="start and end"):
            query_rows(tiny_gpt2, ids, start, end)
    with pytest.raises(ValueError, match="beginning"):
        query_rows(tiny_gpt2, ids, 3, cache=read_on(tiny_gpt2, ids[:4]))
    with pytest.raises(ValueError, match="beginning"):
        query_rows(tiny_gpt2, ids, 9, cache=read_on(tiny_gpt2, ids[1:5]))
    with pytest.raises(UserFacingError, match="128"):
        query_rows(tiny_gpt2, [0] * 129, 120)
