"""The interchange map's numbers are those of one swap after the other; two prompts made equally long."""

import pytest
import torch

from utils.effects.interchange_map import WHAT, interchange_map
from utils.effects.second_prompt import filler_token, pair_prompts
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.forward.interchange import Interchange
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.loading import LoadedModel
from utils.models.sources import REAL_MODEL
from utils.runtime.jobs import CancelledError

FIRST = (0, 5, 17, 60, 5, 17, 99, 3, 5)
SECOND = (0, 9, 8, 7, 6, 5, 4, 3, 2)


@pytest.mark.parametrize("into", ["second", "first"])
def test_every_head_alone(loaded: LoadedModel, into: str) -> None:
    found = interchange_map(loaded, FIRST, SECOND, 17, 60, into=into)  # pyright: ignore[reportArgumentType]
    run, source = (SECOND, FIRST) if into == "second" else (FIRST, SECOND)

    def difference(logits: torch.Tensor) -> float:
        return float(logits[-1, 17].double() - logits[-1, 60].double())

    assert found.clean == pytest.approx(difference(capture(loaded, FIRST).logits), abs=1e-4)
    assert found.corrupt == pytest.approx(difference(capture(loaded, SECOND).logits), abs=1e-4)
    for head in (Head(0, 0), Head(1, 3), Head(2, 1)):
        alone = difference(capture(loaded, run, [head], Interchange(source)).logits)
        assert float(found.patched[head]) == pytest.approx(alone, abs=1e-4)
        share = (alone - found.corrupt) / (found.clean - found.corrupt)
        assert float(found.recovered[head]) == pytest.approx(share, abs=1e-3)
        assert float(found.carried[head]) == pytest.approx(share if into == "second" else 1 - share, abs=1e-3)
    best = found.strongest(1)[0]
    assert float(found.carried.abs().max()) == abs(float(found.carried[best]))


def test_it_tells_how_far_it_is_and_can_be_stopped(tiny_gpt2: LoadedModel) -> None:
    told: list[tuple[str, int, int]] = []

    def tell(what: str, done: int, total: int) -> None:
        told.append((what, done, total))
        raise CancelledError

    with pytest.raises(CancelledError):
        interchange_map(tiny_gpt2, FIRST, SECOND, 17, 60, progress=tell)
    assert len(told) == 1 and told[0][0] == WHAT and told[0][2] == 12


@pytest.mark.parametrize(
    ("second", "message"), [(SECOND[:-1], "9 tokens and the second prompt 8"), (FIRST, "are the same")]
)
def test_what_cannot_be_swapped(tiny_gpt2: LoadedModel, second: tuple[int, ...], message: str) -> None:
    with pytest.raises(UserFacingError, match=message):
        interchange_map(tiny_gpt2, FIRST, second, 17, 60)


def test_prompts_with_the_same_answer_leave_nothing_to_recover(tiny_gpt2: LoadedModel) -> None:
    with pytest.raises(UserFacingError, match="nothing to recover"):
        interchange_map(tiny_gpt2, FIRST, SECOND, 17, 17)


def test_names_swapped_in_the_real_model(service: LiveService) -> None:
    """Wang et al. 2022: with the names' roles swapped, few heads carry the answer over."""
    loaded = service.store.get(REAL_MODEL)
    ids, second = (
        service.tokenize(REAL_MODEL, f"When Mary and John went to the store, {name} gave a drink to").ids
        for name in ("John", "Mary")
    )
    pair = pair_prompts(ids, second)
    assert pair.same_length and pair.differing == (10,)
    mary, john = service.token(loaded, "Mary"), service.token(loaded, "John")
    found = interchange_map(loaded, ids, second, mary, john)
    assert found.clean > 2 and found.corrupt < -2
    assert float((found.carried.abs() > 0.1).double().mean()) < 0.1
    assert float(found.carried.max()) > 0.2


def test_which_tokens_differ_and_how_they_are_told() -> None:
    pair = pair_prompts([0, 7, 8, 9], [0, 5, 8, 4])
    assert pair.same_length and pair.differing == (1, 3) and pair.offers == ()
    labels, others = ["B", "a", "b", "c"], ["B", "x", "b", "y"]
    assert pair.sentence(labels, others) == "Tokens 1 (“a” and “x”), 3 (“c” and “y”) differ."
    assert "nothing would change" in pair_prompts([0, 7], [0, 7]).sentence(labels, others)
    longer = pair_prompts([0, 7], [0, 7, 8])
    assert (
        not longer.same_length and longer.offers == ("align",) and "equally long" in longer.sentence([], [])
    )
    assert pair_prompts([0, 7, 8], [0, 7]).offers == ("pad", "align")


def test_a_second_prompt_is_padded_or_aligned() -> None:
    first = [0, 1, 2, 3, 4, 5]
    padded = pair_prompts(first, [0, 4, 5], "pad", 9)
    assert padded.second == (0, 9, 9, 9, 4, 5) and padded.filled == (1, 2, 3)
    aligned = pair_prompts(first, [0, 1, 7, 3, 5], "align", 9)
    assert aligned.second == (0, 1, 7, 3, 9, 5) and aligned.filled == (4,)
    # What the second one has besides is left out.
    assert pair_prompts(first, [0, 1, 2, 8, 8, 3, 4, 5], "align", 9).second == tuple(first)
    with pytest.raises(UserFacingError, match="cannot be filled up"):
        pair_prompts([0, 1], [0, 1, 2], "pad")
    with pytest.raises(UserFacingError, match="not a way to fit"):
        pair_prompts([0], [0, 1], "stretch")  # pyright: ignore[reportArgumentType]


def test_the_filler_is_the_start_token_or_a_blank(tiny_gpt2: LoadedModel, tiny_llama: LoadedModel) -> None:
    assert filler_token(tiny_gpt2) == tiny_gpt2.bos_id
    assert 0 <= filler_token(tiny_llama) < 320
