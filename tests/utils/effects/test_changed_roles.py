"""What becomes of the others: a circuit known by construction, and one in the real model."""

from pathlib import Path

import pytest
import torch

from tests.fixtures.makers.hand_built import DUPLICATE, INDUCTION, NAME, PREVIOUS
from utils.effects.changed_roles import ChangedRole, changed_roles, random_scores
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.loading import LoadedModel, load_model
from utils.models.prompts import tokenize_prompt
from utils.roles.activity import PromptScores, prompt_scores
from utils.roles.registry import pattern_roles

TEXT = "jumbled foxy king. " * 3


@pytest.fixture(scope="module")
def built(built_folder: Path) -> LoadedModel:
    return load_model(NAME, built_folder / NAME)


def scores_of(loaded: LoadedModel, off: tuple[Head, ...] = ()) -> tuple[tuple[int, ...], PromptScores]:
    ids = tokenize_prompt(loaded, TEXT).ids
    attention = capture(loaded, ids, off).attention
    return ids, prompt_scores(attention, ids, pattern_roles(), loaded.special_ids)


def test_the_induction_head_falls_without_the_previous_token_head(built: LoadedModel) -> None:
    ids, clean = scores_of(built)
    _, ablated = scores_of(built, (PREVIOUS,))
    random = random_scores(built, ids, [PREVIOUS], ["induction"], draws=5)
    found = changed_roles(clean, ablated, [PREVIOUS], None)
    (induction,) = [one for one in found if one.role == "induction"]
    assert induction.head == INDUCTION and induction.change < -0.8 and induction.beyond_chance is None
    # Nothing else that has a role falls: the duplicate-token head needs nobody.
    assert all(one.head == INDUCTION for one in found if one.change < 0)
    assert DUPLICATE not in [one.head for one in found]
    only = PromptScores(
        {"induction": clean.inputs["induction"]},
        {"induction": clean.live["induction"]},
        {},
        clean.sink_share,
        clean.max_attention,
    )
    (with_random,) = changed_roles(only, ablated, [PREVIOUS], random)
    assert len(with_random.random) == 5 and with_random.beyond_chance
    assert "induction" in with_random.sentence("L0H0") and "random heads" in with_random.sentence("L0H0")


def test_heads_below_and_the_ablated_ones_are_left_out(built: LoadedModel) -> None:
    _, clean = scores_of(built)
    changed = PromptScores(
        clean.inputs,
        {role: torch.zeros_like(table) for role, table in clean.live.items()},
        clean.checked,
        clean.sink_share,
        clean.max_attention,
    )
    off = [Head(1, 0), Head(3, 1)]
    found = changed_roles(clean, changed, off)
    assert found and all(one.head.layer > 1 and one.head not in off for one in found)
    assert changed_roles(clean, changed, []) == ()
    changes = [abs(one.change) for one in found]
    assert changes == sorted(changes, reverse=True)
    assert len(changed_roles(clean, changed, off, most=1)) == 1


@pytest.mark.parametrize(
    ("random", "share", "beyond"),
    [((0.9, 0.8), 0.0, True), ((0.1, 0.9), 0.5, False), ((0.1, 0.0), 1.0, False), ((), None, None)],
)
def test_a_change_beside_those_of_random_sets(
    random: tuple[float, ...], share: float | None, beyond: bool | None
) -> None:
    one = ChangedRole(Head(3, 1), "induction", 0.9, 0.1, random)
    assert one.share_as_strong == share and one.beyond_chance is beyond
    assert one.sentence("L0H0").startswith("L3H1 induction 0.90 to 0.10 without L0H0")


def test_random_sets_are_run_as_ablations(tiny_llama: LoadedModel) -> None:
    ids = (0, 5, 17, 60, 5, 17, 99, 3, 5)
    told: list[int] = []
    found = random_scores(
        tiny_llama,
        ids,
        [Head(1, 2), Head(2, 0)],
        ["previous_token", "copy_suppression"],
        draws=3,
        progress=lambda what, done, total: told.append(done),
    )
    assert found.live["previous_token"].shape == (3, 4, 6) and told[-1] == len(set(found.sets.sets))
    first = capture(tiny_llama, ids, found.sets.sets[0])
    expected = prompt_scores(first.attention, ids, ["previous_token"], tiny_llama.special_ids)
    torch.testing.assert_close(found.live["previous_token"][0], expected.live["previous_token"])
