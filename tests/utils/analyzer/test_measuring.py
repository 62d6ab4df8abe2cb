import gc
import weakref
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from utils.analyzer.measuring import (
    PatternChunk,
    measure,
    roles_of_probe,
    score_sequences,
)
from utils.errors import UserFacingError
from utils.roles.random_heads import random_head_patterns
from utils.roles.registry import pattern_roles
from utils.roles.scores import role_score, role_target


def _pattern(length: int, back: int) -> Tensor:
    """One layer of one head that looks `back` places back (at the first token where there is none)."""
    pattern = torch.zeros(1, 1, length, length)
    for query in range(length):
        pattern[0, 0, query, max(query - back, 0)] = 1
    return pattern


def test_every_measured_role_has_its_probe() -> None:
    found = {role for probe in ("natural", "repeated", "word_lists") for role in roles_of_probe(probe)}
    assert found == set(pattern_roles())
    assert roles_of_probe("word_lists") == ["duplicate_token"]


def _chunk(*patterns: tuple[Sequence[int], Tensor]) -> PatternChunk:
    """Sequences of one length with their patterns [layer, head, query, key]."""
    together = torch.stack([pattern for _, pattern in patterns], dim=1)
    return PatternChunk(tuple(tokens for tokens, _ in patterns), tuple(together))


def test_scores_are_one_row_a_sequence() -> None:
    tokens = [0, 5, 6, 7, 8]
    chunks = [_chunk((tokens, _pattern(5, 1)), (tokens, _pattern(5, 2))), _chunk((tokens, _pattern(5, 1)))]
    scores = score_sequences(["previous_token", "positional"], chunks)
    assert scores["previous_token"].shape == (3, 1, 1)
    assert scores["previous_token"].flatten().tolist() == [1, 0, 1]
    # Two places back is the first token once in the three rows from row 2 on.
    assert scores["positional"].flatten().tolist() == pytest.approx([0, 1 / 3, 0])


def test_chunks_of_many_layers_heads_and_sequences_are_scored_like_one_pattern_at_a_time() -> None:
    generator = torch.Generator().manual_seed(3)
    sequences = [[0, *torch.randint(1, 6, (11,), generator=generator).tolist()] for _ in range(7)]
    patterns = torch.stack(
        [random_head_patterns(12, 2.0, count=6, seed=seed).view(2, 3, 12, 12) for seed in range(7)]
    )
    chunks = [
        PatternChunk(tuple(sequences[part]), tuple(patterns[part].transpose(0, 1)))
        for part in (slice(0, 4), slice(4, 7))
    ]
    tables = score_sequences(pattern_roles(), chunks, special_ids={0})
    for role, table in tables.items():
        expected = [
            role_score(role, pattern, tokens, {0})
            for tokens, pattern in zip(sequences, patterns, strict=True)
            if role_target(role, tokens, {0}).applicable
        ]
        assert table.dtype == torch.float64
        torch.testing.assert_close(table.float(), torch.stack(expected), atol=1e-6, rtol=0)


def test_a_sequence_that_cannot_show_the_role_is_left_out() -> None:
    repeating, plain = [0, 5, 6, 7, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6]
    chunk = _chunk((plain, _pattern(7, 3)), (repeating, _pattern(7, 3)))
    assert score_sequences(["duplicate_token"], [chunk])["duplicate_token"].flatten().tolist() == [1]


@pytest.mark.parametrize("chunks", [[], [_chunk(([0, 5, 9, 6, 9], _pattern(5, 2)))]], ids=["none", "special"])
def test_nothing_that_repeats_but_special_tokens_is_refused(chunks: list[PatternChunk]) -> None:
    with pytest.raises(UserFacingError, match="duplicate_token"):
        score_sequences(["duplicate_token"], chunks, special_ids={9})


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("role", pattern_roles())
def test_attention_that_is_not_a_number_is_refused(role: str, bad: float) -> None:
    tokens = [0, 5, 6, 5, 6, 7, 5, 6]
    attention = _pattern(8, 1)
    assert bool(score_sequences([role], [_chunk((tokens, attention))])[role].isfinite().all())
    attention[0, 0, 7, 4] = bad
    with pytest.raises(UserFacingError, match="not a number"):
        score_sequences([role], [_chunk((tokens, attention))])


def test_patterns_are_not_kept() -> None:
    alive: list[weakref.ref[Tensor]] = []

    def chunks() -> Iterator[PatternChunk]:
        for _ in range(6):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            pattern = _pattern(8, 1)
            alive.append(weakref.ref(pattern))
            yield PatternChunk((range(8),), (pattern,))
            del pattern

    assert len(score_sequences(["previous_token"], chunks())["previous_token"]) == 6


def test_the_larger_mean_counts_head_by_head_with_its_own_spread() -> None:
    measured = measure(
        {
            "repeated": torch.tensor([[[0.2, 0.8]], [[0.4, 0.8]]], dtype=torch.float64),
            "word_lists": torch.tensor([[[0.9, 0.1]], [[0.5, 0.3]]], dtype=torch.float64),
        }
    )
    torch.testing.assert_close(measured.mean, torch.tensor([[0.7, 0.8]], dtype=torch.float64))
    torch.testing.assert_close(measured.std, torch.tensor([[0.2, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(measured.by_probe["repeated"], torch.tensor([[0.3, 0.8]], dtype=torch.float64))
    torch.testing.assert_close(
        measured.by_probe["word_lists"], torch.tensor([[0.7, 0.2]], dtype=torch.float64)
    )
