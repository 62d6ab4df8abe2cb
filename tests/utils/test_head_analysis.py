import gc
import weakref
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from utils.errors import UserFacingError
from utils.head_analysis import (
    RoleMeasurement,
    measure,
    other_heads,
    roles_of_probe,
    score_sequences,
    top_heads,
)
from utils.head_roles import ROLES
from utils.heads import Head
from utils.role_scores import MEASURED_ROLES


def _pattern(length: int, back: int) -> Tensor:
    """One layer of one head that looks `back` places back (at the first token where there is none)."""
    pattern = torch.zeros(1, 1, length, length)
    for query in range(length):
        pattern[0, 0, query, max(query - back, 0)] = 1
    return pattern


def test_every_measured_role_has_its_probe() -> None:
    found = {role for probe in ("natural", "repeated", "word_lists") for role in roles_of_probe(probe)}
    assert found == set(MEASURED_ROLES)
    assert roles_of_probe("word_lists") == ["duplicate_token"]


def test_scores_are_one_row_a_sequence() -> None:
    tokens = [0, 5, 6, 7, 8]
    scores = score_sequences(
        ["previous_token", "positional"], [(tokens, _pattern(5, 1)), (tokens, _pattern(5, 2))]
    )
    assert scores["previous_token"].flatten().tolist() == [1, 0]
    # Two places back is the first token once in the three rows from row 2 on.
    assert scores["positional"].flatten().tolist() == pytest.approx([0, 1 / 3])


def test_a_sequence_that_cannot_show_the_role_is_left_out() -> None:
    repeating, plain = [0, 5, 6, 7, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6]
    scores = score_sequences(["duplicate_token"], [(plain, _pattern(7, 3)), (repeating, _pattern(7, 3))])
    assert scores["duplicate_token"].flatten().tolist() == [1]


def test_a_special_token_is_no_repetition() -> None:
    with pytest.raises(UserFacingError, match="duplicate_token"):
        score_sequences(["duplicate_token"], [([0, 5, 9, 6, 9], _pattern(5, 2))], special_ids={9})


def test_attention_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(UserFacingError, match="not a number"):
        score_sequences(["positional"], [([0, 5, 6], _pattern(3, 1) * torch.nan)])


def test_patterns_are_not_kept() -> None:
    alive: list[weakref.ref[Tensor]] = []

    def patterns() -> Iterator[tuple[Sequence[int], Tensor]]:
        for _ in range(6):
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1
            pattern = _pattern(8, 1)
            alive.append(weakref.ref(pattern))
            yield list(range(8)), pattern
            del pattern

    assert len(score_sequences(["previous_token"], patterns())["previous_token"]) == 6


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


def _listed(scores: list[list[float]]) -> list[str]:
    return [str(head) for head, _ in top_heads(torch.tensor(scores, dtype=torch.float64), 0.4, 0.25)]


def test_heads_at_the_threshold_are_listed_best_first() -> None:
    assert _listed([[0.4, 0.39, 0.9], [0.1, 0.5, 0.3]]) == ["L0H2", "L1H1", "L0H0"]


def test_equal_scores_stand_in_the_model_s_order() -> None:
    assert _listed([[0.5, 0.6], [0.6, 0.5]]) == ["L0H1", "L1H0", "L0H0", "L1H1"]


def test_no_head_near_the_threshold_none_listed() -> None:
    assert _listed([[0.39, 0.3], [0.0, 0.1]]) == []


def test_a_full_layer_makes_room_for_the_best_of_others() -> None:
    full = [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.44]
    other = [0.3, 0.26, 0.24, 0.0, 0.0, 0.0, 0.0]
    # Five of layer 0, two of layer 1 above 0.25, then the sixth of layer 0 for the place that is left.
    assert _listed([full, other]) == ["L0H0", "L0H1", "L0H2", "L0H3", "L0H4", "L0H5", "L1H0", "L1H1"]


def test_strong_heads_of_other_layers_come_before_weak_ones() -> None:
    full = [0.9, 0.8, 0.7, 0.6, 0.5, 0.45]
    assert _listed([full, [0.41] * 2 + [0.0] * 4, [0.3] * 3 + [0.0] * 3]) == [
        "L0H0",
        "L0H1",
        "L0H2",
        "L0H3",
        "L0H4",
        "L1H0",
        "L1H1",
        "L2H0",
    ]


def test_at_most_eight_and_at_most_five_of_one_layer_where_others_are_as_good() -> None:
    listed = _listed([[0.9] * 8, [0.8] * 8])
    assert listed == [f"L0H{head}" for head in range(5)] + [f"L1H{head}" for head in range(3)]


def test_a_full_layer_alone_fills_the_list() -> None:
    assert _listed([[0.9] * 10, [0.1] * 10]) == [f"L0H{head}" for head in range(8)]


def _measured(tables: dict[str, list[list[float]]]) -> dict[str, RoleMeasurement]:
    def one(table: list[list[float]]) -> RoleMeasurement:
        mean = torch.tensor(table, dtype=torch.float64)
        return RoleMeasurement(mean, torch.zeros_like(mean), {})

    return {role: one(table) for role, table in tables.items()}


def test_other_heads_are_all_those_below_every_threshold() -> None:
    low, high = ROLES["duplicate_token"].threshold, ROLES["induction"].threshold
    measured = _measured(
        {
            # The first head is at a threshold, the second at none though its score is the larger one.
            "induction": [[0.0, high * 0.9], [high, 0.0]],
            "duplicate_token": [[low, low / 2], [0.0, 0.0]],
        }
    )
    listed = other_heads(measured)
    assert [head for head, _ in listed] == [Head(0, 1), Head(1, 1)]
    assert listed[0][1] == pytest.approx(0.9)
    assert listed[1][1] == 0


def test_other_heads_are_not_capped_and_always_below_one() -> None:
    measured = _measured({"induction": [[ROLES["induction"].threshold - 1e-9] * 30]})
    listed = other_heads(measured)
    assert len(listed) == 30
    assert all(score < 1 for _, score in listed)
