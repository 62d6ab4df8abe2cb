"""What is expected after every token, clean beside ablated."""

import math

import pytest
import torch

from utils.effects.positions import view_positions
from utils.effects.prediction import compare
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel


def logits_of(*rows: list[float]) -> torch.Tensor:
    """Logits whose softmax is these probabilities, each row moved by something of its own."""
    return torch.stack([torch.tensor(row).log() + 2 * position for position, row in enumerate(rows)])


CLEAN = logits_of([0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.25, 0.25])
ABLATED = logits_of([0.6, 0.3, 0.1], [0.8, 0.1, 0.1], [0.2, 0.5, 0.3])


def test_by_hand() -> None:
    view = view_positions([2, 0, 1], CLEAN, ABLATED)
    assert [row.position for row in view.rows] == [0, 1, 2]
    assert [row.token for row in view.rows] == [2, 0, 1]
    assert [row.following for row in view.rows] == [0, 1, None]
    assert [row.clean_token for row in view.rows] == [0, 2, 0]
    assert [row.ablated_token for row in view.rows] == [0, 0, 1]
    assert [row.clean_probability for row in view.rows] == pytest.approx([0.7, 0.6, 0.5], abs=1e-6)
    assert [row.ablated_probability for row in view.rows] == pytest.approx([0.6, 0.8, 0.5], abs=1e-6)
    assert [row.changed for row in view.rows] == [False, True, True] and view.changed == (1, 2)
    assert [row.clean_loss for row in view.rows][:2] == pytest.approx(
        [-math.log(0.7), -math.log(0.3)], abs=1e-6
    )
    assert [row.ablated_loss for row in view.rows][:2] == pytest.approx(
        [-math.log(0.6), -math.log(0.1)], abs=1e-6
    )
    # Nobody knows what comes after the last token.
    assert view.rows[-1].clean_loss is None and view.rows[-1].ablated_loss is None
    assert view.clean_loss == pytest.approx((-math.log(0.7) - math.log(0.3)) / 2, abs=1e-6)
    assert view.ablated_loss == pytest.approx((-math.log(0.6) - math.log(0.1)) / 2, abs=1e-6)


def test_one_token_has_no_loss() -> None:
    view = view_positions([1], CLEAN[:1], ABLATED[:1])
    assert len(view.rows) == 1 and view.clean_loss is None and view.ablated_loss is None


def test_with_nothing_off_nothing_changes(loaded: LoadedModel) -> None:
    ids = [0, 5, 17, 60, 5, 17]
    logits = capture(loaded, ids).logits
    view = view_positions(ids, logits, logits)
    assert view.changed == () and view.clean_loss == view.ablated_loss
    assert all(row.clean_probability == row.ablated_probability for row in view.rows)


def test_it_says_what_the_model_and_the_prediction_panel_say(loaded: LoadedModel) -> None:
    ids = [0, 5, 17, 60, 5, 17]
    clean, off = capture(loaded, ids).logits, capture(loaded, ids, [Head(0, 1), Head(1, 2)]).logits
    untouched = clean.clone()
    view = view_positions(ids, clean, off)
    assert torch.equal(clean, untouched)
    for row in view.rows:
        panel = compare(clean[row.position], off[row.position])
        assert (row.clean_token, row.ablated_token) == (panel.top.token, panel.ablated_top.token)
        assert row.clean_probability == pytest.approx(panel.top.clean)
        assert row.ablated_probability == pytest.approx(panel.ablated_top.ablated)
    # The model's own loss is the mean over the positions that have a next token.
    model = loaded.model
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss
    assert view.clean_loss == pytest.approx(float(expected), abs=1e-5)
    assert view.ablated_loss != pytest.approx(view.clean_loss, abs=1e-3)


@pytest.mark.parametrize(
    ("ids", "clean", "ablated"),
    [
        ([0, 1], CLEAN, ABLATED),
        ([0, 1, 2], CLEAN, ABLATED[:2]),
        ([0], CLEAN[0], ABLATED[0]),
        ([0, 1, 3], CLEAN, ABLATED),
        ([-1, 1, 2], CLEAN, ABLATED),
    ],
)
def test_what_does_not_fit_is_refused(ids: list[int], clean: torch.Tensor, ablated: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="must"):
        view_positions(ids, clean, ablated)
