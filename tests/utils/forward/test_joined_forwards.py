"""Several people's texts in one forward give each what it gives alone, in every family."""

from collections.abc import Callable

import pytest
import torch

from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode
from utils.forward.attention_capture import Capture, capture
from utils.forward.joined_forwards import (
    MAX_ROWS,
    ForwardSize,
    can_be_joined,
    capture_together,
    choose_rows,
    next_logits_together,
)
from utils.forward.partial_forward import CleanRun
from utils.forward.stream_capture import check_stream
from utils.heads import Head
from utils.models.loading import LoadedModel

LONG = [0, 5, 17, 60, 5, 17, 99, 3, 5, 21, 8, 40, 77, 5, 17, 60, 2, 9, 33, 12, 64, 7]
TEXTS = [LONG, LONG[:3], [0, 9, 9, 30], LONG[4:], [0], LONG[::-1]]
SETS = [[Head(2, 1)], [Head(1, 0), Head(2, 3)], [], [Head(2, 0)], [Head(0, 3)], [Head(1, 3)]]


def has_a_stream(loaded: LoadedModel) -> bool:
    try:
        check_stream(loaded)
    except UserFacingError:
        return False
    return True


def clean_of(loaded: LoadedModel, ids: list[int], captured: Capture) -> CleanRun:
    assert captured.layers is not None
    return CleanRun(torch.tensor([ids]), len(ids) - 1, captured.logits[-1], captured.layers)


def test_a_text_gives_with_others_what_it_gives_alone(loaded: LoadedModel) -> None:
    stream = has_a_stream(loaded)
    for ids, found in zip(TEXTS, capture_together(loaded, TEXTS, stream), strict=True):
        alone = capture_together(loaded, [ids], stream)[0]
        plain = capture(loaded, ids, stream=stream, layers=True)
        # A plain forward of fewer than 16 tokens rounds otherwise.
        for other, within in ((alone, 2e-6), (plain, 3e-5)):
            torch.testing.assert_close(found.attention, other.attention, rtol=0, atol=within)
            torch.testing.assert_close(found.logits[-1], other.logits[-1], rtol=0, atol=5 * within)
            for one, two in zip(found.layers or (), other.layers or (), strict=True):
                torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
            assert (found.stream is None) == (not stream)
            if found.stream is not None and other.stream is not None:
                assert found.stream.nbytes == other.stream.nbytes
                for part in ("head_outputs", "values", "mlps", "final"):
                    one, two = getattr(found.stream, part), getattr(other.stream, part)
                    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_a_toggle_gives_with_others_what_it_gives_alone(loaded: LoadedModel, mode: AblationMode) -> None:
    runs = [
        clean_of(loaded, ids, found)
        for ids, found in zip(TEXTS, capture_together(loaded, TEXTS, False), strict=True)
    ]
    # GPT-Neo's layers hand on more than hidden states.
    assert all(map(can_be_joined, runs)) == (loaded.family.model_type != "gpt_neo")
    if not can_be_joined(runs[0]):
        return
    for chosen in ([0, 1, 2, 3, 4, 5], [0, 3], [1, 2], [5]):
        together = next_logits_together(
            loaded, [runs[place] for place in chosen], [SETS[place] for place in chosen], mode
        )
        for place, found in zip(chosen, together, strict=True):
            plain = capture(loaded, TEXTS[place], SETS[place], mode).logits[-1]
            torch.testing.assert_close(found, plain, rtol=0, atol=3e-5)
            alone = next_logits_together(loaded, [runs[place]], [SETS[place]], mode)[0]
            torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


def test_the_numbers_are_the_same_to_the_last_bit_on_a_bundled_model(
    bundled: Callable[[str], LoadedModel],
) -> None:
    model = bundled("demo-llama")
    texts = [[0, *range(40, 40 + length)] for length in (2, 7, 15, 16, 30)]
    for ids, found in zip(texts, capture_together(model, texts, True), strict=True):
        alone = capture_together(model, [ids], True)[0]
        assert torch.equal(found.attention, alone.attention)
        assert torch.equal(found.logits[-1], alone.logits[-1])


def test_nothing_is_left_behind(tiny_llama: LoadedModel) -> None:
    before = capture(tiny_llama, LONG).logits
    runs = [clean_of(tiny_llama, ids, capture_together(tiny_llama, [ids], False)[0]) for ids in TEXTS[:2]]
    next_logits_together(tiny_llama, runs, SETS[:2])
    with pytest.raises(UserFacingError):
        next_logits_together(tiny_llama, runs, [[Head(99, 0)], []])
    assert torch.equal(capture(tiny_llama, LONG).logits, before)
    assert not any("forward" in vars(module) for module in tiny_llama.model.modules())


def test_what_goes_together_is_what_is_cheaper_together() -> None:
    short, long = ForwardSize(12, 30), ForwardSize(300, 30)
    assert choose_rows([short]) == [0]
    assert sorted(choose_rows([short, ForwardSize(15, 30), ForwardSize(9, 30)])) == [0, 1, 2]
    # A long row would make short ones as long as itself.
    assert sorted(choose_rows([short, long, short])) == [0, 2]
    assert choose_rows([long, short]) == [0]
    # One that begins near the end would have to begin at the other's layer.
    assert choose_rows([ForwardSize(200, 30), ForwardSize(200, 1)]) == [0]
    assert len(choose_rows([short] * 40)) == MAX_ROWS
