"""The pure scores against slow, obvious references on attention made by hand."""

import pytest
import torch
from torch import Tensor

from retrieval.rankings.scores import (
    copied_tokens,
    qrhead_score,
    reasoning_score,
    recency_control,
    summed_attention,
    wu24_score,
)
from tests.fixtures import slow_rankings as slow


def _rows(*shape: int, seed: int = 0, sharp: float = 4) -> Tensor:
    """Random attention rows: the last dimension sums to 1."""
    rng = torch.Generator().manual_seed(seed)
    return (sharp * torch.randn(*shape, generator=rng)).softmax(-1)


def _close(found: Tensor, expected: slow.Table) -> None:
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("span", [(0, 1), (3, 9), (0, 20), (19, 20)])
def test_summed_attention(span: tuple[int, int]) -> None:
    rows = _rows(3, 4, 20)
    _close(summed_attention(rows, span), slow.summed_attention(rows[:, :, None], span))


def test_summed_attention_by_hand() -> None:
    row = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]])
    assert float(summed_attention(row, (1, 3))) == pytest.approx(0.5)


PROMPT = [0, 7, 8, 9, 7, 8, 5, 6]
NEEDLE = (2, 6)


def _looking_at(*positions: int, keys: int = 11) -> Tensor:
    """Rows [step, 1, 1, key] that look mostly at one key a step."""
    rows = torch.full((len(positions), 1, 1, keys), 0.01)
    for step, position in enumerate(positions):
        rows[step, 0, 0, position] = 0.9
    return rows


@pytest.mark.parametrize(
    ("places", "written", "distinct", "count"),
    [
        # Needle: 8 9 7 8 at 2 to 5. Looked at the very token: copied.
        ((2, 3, 4), (8, 9, 7), 3 / 4, 3 / 4),
        # The same token twice, from two places: one distinct token, two steps.
        ((2, 5), (8, 8), 1 / 4, 2 / 4),
        # Token 7 outside the needle (place 1), another token within it, the first place after it.
        ((1, 3, 6), (7, 8, 5), 0, 0),
        # A written token that was just written (a key beyond the prompt).
        ((9,), (8,), 0, 0),
        # More steps than the needle has tokens: `count` passes 1.
        ((2, 2, 2, 2, 2), (8, 8, 8, 8, 8), 1 / 4, 5 / 4),
        ((), (), 0, 0),
    ],
)
def test_wu24_by_hand(
    places: tuple[int, ...], written: tuple[int, ...], distinct: float, count: float
) -> None:
    copied = copied_tokens(_looking_at(*places), written, PROMPT, NEEDLE)
    assert float(wu24_score(copied, written, NEEDLE)) == pytest.approx(distinct)
    assert float(wu24_score(copied, written, NEEDLE, count_steps=True)) == pytest.approx(count)


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_wu24_on_random_rows(seed: int, count: bool) -> None:
    prompt = [0, *[3, 4, 5, 4, 3, 5] * 3]
    written, needle = [3, 4, 4, 5, 3, 3, 4], (4, 15)
    rows = _rows(len(written), 3, 8, len(prompt) + len(written) - 1, seed=seed)
    found = wu24_score(copied_tokens(rows, written, prompt, needle), written, needle, count)
    expected = slow.wu24(rows.tolist(), written, prompt, needle, count)
    _close(found, expected)
    assert found.max() > 0 and len(found.unique()) > 2


def test_of_several_largest_the_first_counts() -> None:
    rows = torch.tensor([[[[0.1, 0.1, 0.4, 0.0, 0.4, 0.0]]]])
    assert copied_tokens(rows, [8], [0, 7, 8, 9, 7, 8], (2, 6)).item() is True
    assert copied_tokens(rows, [7], [0, 7, 8, 9, 7, 8], (2, 6)).item() is False


@pytest.mark.parametrize("calibrate", [True, False])
@pytest.mark.parametrize("remove_outliers", [True, False])
@pytest.mark.parametrize("span", [(1, 2), (2, 12), (0, 14)])
def test_qrhead_on_random_rows(span: tuple[int, int], calibrate: bool, remove_outliers: bool) -> None:
    # Two queries of unlike length: 6 tokens and 2.
    query, null = _rows(3, 5, 6, 22), _rows(3, 5, 2, 18, seed=1)
    found = qrhead_score(query, null, span, 14, calibrate, remove_outliers)
    _close(found, slow.qrhead(query.tolist(), null.tolist(), span, 14, calibrate, remove_outliers))
    assert found.abs().max() <= 1


def test_qrhead_takes_the_mean_over_queries_first() -> None:
    query = torch.tensor([[[[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.1, 0.7, 0.2]]]])
    null = torch.tensor([[[[0.4, 0.3]]]])
    # Means 0.3 and 0.5; minus 0.4 and 0.3.
    assert float(qrhead_score(query, null, (0, 2), 2)) == pytest.approx(0.1)
    assert float(qrhead_score(query, null, (0, 2), 2, calibrate=False)) == pytest.approx(0.8)


def test_qrhead_leaves_out_keys_far_below_the_mean() -> None:
    """Ten keys with mean 0: the threshold is at -0.63, and one key is at -0.9."""
    values = [0.1] * 9 + [-0.9]
    query = torch.tensor([[[[max(value, 0.0) for value in values]]]])
    null = torch.tensor([[[[max(-value, 0.0) for value in values]]]])
    assert float(qrhead_score(query, null, (0, 10), 10)) == pytest.approx(0.9)
    assert float(qrhead_score(query, null, (0, 10), 10, remove_outliers=False)) == pytest.approx(
        0.0, abs=1e-6
    )
    _close(qrhead_score(query, null, (0, 10), 10), slow.qrhead(query.tolist(), null.tolist(), (0, 10), 10))


def test_the_deviation_is_the_unbiased_one() -> None:
    """Seven keys; the lowest, 2.05 biased deviations below the mean, is left out by that one alone."""
    values = torch.tensor([0.13, 0.18, 0.2, 0.2, 0.2, 0.22, 0.24])
    below = (values.mean() - values.min()) / values.std(correction=0)
    assert 2.02 < below < 2 * (7 / 6) ** 0.5 - 0.02
    found = qrhead_score(values[None, None, None], torch.zeros(1, 1, 1, 7), (0, 7), 7)
    assert float(found) == pytest.approx(float(values.sum()))


def test_all_equal_and_a_single_token_are_kept() -> None:
    query = torch.full((1, 1, 3, 6), 0.125)
    null = torch.zeros(1, 1, 1, 6)
    assert float(qrhead_score(query, null, (0, 4), 4)) == pytest.approx(0.5)
    assert float(qrhead_score(query, null, (2, 3), 4)) == pytest.approx(0.125)
    assert float(qrhead_score(null, query, (2, 3), 4)) == pytest.approx(-0.125)


def test_a_span_beyond_the_shared_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="5 shared tokens"):
        qrhead_score(_rows(1, 1, 2, 8), _rows(1, 1, 2, 8), (3, 6), 5)


@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("sharp", [0.5, 6])
def test_reasoning_on_random_rows(per_step: bool, sharp: float) -> None:
    rows = _rows(6, 3, 4, 25, sharp=sharp)
    for step in range(6):
        rows[step, :, :, 20 + step :] = 0
    found = reasoning_score(rows, 20, (11, 15), per_step)
    _close(found, slow.reasoning(rows.tolist(), 20, (11, 15), per_step))
    assert found.min() < found.max()


def test_reasoning_by_hand() -> None:
    # 8 prompt tokens, question at 3 and 4, two written tokens; six keys above 0, the smallest is the sixth.
    row = torch.tensor([0.0, 0.05, 0, 0.3, 0.1, 0, 0, 0.25, 0.2, 0.1])
    found = reasoning_score(row[None, None, None], 8, (3, 5))
    assert float(found) == pytest.approx(0.2 + 0.1 + 0.5 * (0.3 + 0.1))


def test_of_keys_that_tie_for_the_fifth_place_the_earlier_counts() -> None:
    row = torch.tensor([0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1])
    assert float(reasoning_score(row[None, None, None], 4, (0, 0))) == pytest.approx(0.1)
    assert float(reasoning_score(row[None, None, None], 5, (0, 0))) == 0


def test_nothing_written_scores_nothing() -> None:
    assert reasoning_score(torch.zeros(0, 2, 3, 9), 9, (2, 4)).tolist() == [[0] * 3] * 2
    assert recency_control(0, 9, (2, 4)) == 0


@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize(
    ("steps", "prompt", "question"), [(8, 20, (11, 15)), (3, 20, (16, 18)), (4, 3, (1, 2))]
)
def test_the_control_is_the_score_of_a_head_that_looks_at_the_last_five(
    steps: int, prompt: int, question: tuple[int, int], per_step: bool
) -> None:
    rows = torch.zeros(steps, 1, 1, prompt + steps - 1)
    for step in range(steps):
        end = prompt + step
        rows[step, 0, 0, max(end - 5, 0) : end] = 1 / min(end, 5)
    expected = slow.reasoning(rows.tolist(), prompt, question, per_step)[0][0]
    assert recency_control(steps, prompt, question, per_step) == pytest.approx(expected, abs=1e-6)
