"""Unlisted heads that show a role's pattern: found where they are, and hardly ever by chance."""

from dataclasses import replace

import pytest
import torch

from tests.fixtures.activity import role_input
from tests.fixtures.catalogs import make_catalog
from tests.fixtures.makers.hand_built import BUILT, INDUCTION, WITHOUT_ROLE, save_hand_built
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.live.unlisted_heads import (
    MAX_SHOWN,
    UnlistedHeads,
    find_unlisted_heads,
)
from utils.models.prompts import tokenize_prompt
from utils.models.store import ModelStore
from utils.roles.activity import listed_activity, prompt_scores
from utils.roles.random_heads import LOGIT_STDS, random_head_patterns
from utils.roles.registry import ROLES, measured_roles
from utils.roles.role_score import max_attention

REPEATING = "jumbled foxy king. " * 6
PLAIN = "the quick."
JUDGED = [role for role in measured_roles() if role != "diffuse"]
TEXTS = (
    "One two three",
    "One fish two fish",
    "The cat. The cat",
    "a b a b a b a",
    "One day a boy saw a dog.",
    "The cat sat on the mat. The cat sat on the",
    "My friend Tom Green lives in the old mill. Yesterday my friend Tom Green",
    "red, blue, green, red, yellow, blue, red, white, green, blue",
    "My brother has a dog and a cat. The dog sleeps by the fire, and the cat sleeps on the bed.",
)


def listing(analysis: LiveAnalysis, listed: dict[str, list[tuple[Head, float]]]) -> LiveAnalysis:
    """The analysis with a catalog that lists just these heads."""
    geometry = analysis.loaded.geometry
    catalog = make_catalog(analysis.loaded.name, geometry.n_layers, geometry.n_heads, listed)
    listed_now = listed_activity(analysis.scores, catalog.listed_heads)
    carrying = listed_activity(analysis.scores, catalog.carrying_heads)
    return replace(analysis, catalog=catalog, catalog_problem="", listed=listed_now, carrying=carrying)


@pytest.fixture(scope="module")
def hand_built(tmp_path_factory: pytest.TempPathFactory) -> LiveService:
    folder = tmp_path_factory.mktemp("built")
    save_hand_built(folder / "hand-built")
    return LiveService(ModelStore([folder]), folder / "no-catalogs", max_tokens=128)


@pytest.mark.parametrize("role", list(BUILT))
def test_a_head_that_no_list_has_is_found(hand_built: LiveService, role: str) -> None:
    """Without a catalog, each built head does its job and is reported; those built for nothing never are."""
    analysis = hand_built.analyze("hand-built", REPEATING)
    assert analysis.catalog is None
    found = analysis.unlisted[role]
    heads = [acting.head for acting in found.heads]
    # On this text the resting heads rest little, so the built head is the best and nearly alone.
    assert heads[0] == BUILT[role]
    if role != "diffuse":
        assert not set(heads) & set(WITHOUT_ROLE)
    best = found.heads[0]
    assert best.live == pytest.approx(float(analysis.scores.live[role][best.head.layer, best.head.head]))
    assert best.catalog is None and best.roles == ()


def test_a_listed_head_is_not_told_again(hand_built: LiveService) -> None:
    analysis = hand_built.analyze("hand-built", REPEATING)
    known = listing(analysis, {"induction": [(INDUCTION, 0.9)]})
    assert INDUCTION not in [acting.head for acting in known.unlisted["induction"].heads]
    elsewhere = listing(analysis, {"previous_token": [(INDUCTION, 0.5)]})
    (acting,) = [a for a in elsewhere.unlisted["induction"].heads if a.head == INDUCTION]
    assert acting.roles == ("previous_token",) and acting.catalog == 0.1


def test_a_head_that_the_list_had_no_room_for_has_the_role_all_the_same(hand_built: LiveService) -> None:
    analysis = hand_built.analyze("hand-built", REPEATING)
    known = listing(analysis, {})
    assert known.catalog is not None
    scores = {role: [list(row) for row in table] for role, table in known.catalog.all_scores.items()}
    scores["induction"][INDUCTION.layer][INDUCTION.head] = 0.45
    catalog = known.catalog.model_copy(update={"all_scores": scores})
    carrying = listed_activity(known.scores, catalog.carrying_heads)
    full = replace(known, catalog=catalog, carrying=carrying)
    assert INDUCTION in [acting.head for acting in known.unlisted["induction"].heads]
    assert INDUCTION not in [acting.head for acting in full.unlisted["induction"].heads]
    assert list(full.roles_of(INDUCTION)) == ["induction"] and full.listed["induction"] == ()


def test_nothing_repeats_nothing_is_found(hand_built: LiveService) -> None:
    found = hand_built.analyze("hand-built", PLAIN).unlisted
    for role in ("induction", "duplicate_token"):
        assert found[role] == UnlistedHeads(role, (), 0, "nothing repeats in your text")
        assert found[role].sentence == "Nothing to look for: nothing repeats in your text."
    # With nothing to find the induction and the duplicate head rest on the first token.
    sinks = {acting.head for acting in found["positional"].heads}
    assert {BUILT["positional"], BUILT["induction"], BUILT["duplicate_token"]} <= sinks


def test_a_resting_head_is_told_to_be_one(hand_built: LiveService) -> None:
    analysis = listing(hand_built.analyze("hand-built", PLAIN), {"induction": [(INDUCTION, 0.9)]})
    notes = {acting.head: acting.note for acting in analysis.unlisted["positional"].heads}
    assert "it is induction" in notes[INDUCTION] and "resting" in notes[INDUCTION]
    assert notes[BUILT["positional"]] == ""


def test_at_most_eight_are_told_and_all_are_counted(service: LiveService) -> None:
    analysis = service.analyze("demo-gpt2", TEXTS[-2])
    everything = find_unlisted_heads(analysis.scores, analysis.by_head, analysis.catalog, most=64)
    few = analysis.unlisted
    counts = {role: found.count for role, found in few.items()}
    assert max(counts.values()) > MAX_SHOWN
    for role, found in few.items():
        assert found.count == everything[role].count == len(everything[role].heads)
        assert found.heads == everything[role].heads[:MAX_SHOWN]
        lives = [acting.live for acting in everything[role].heads]
        assert lives == sorted(lives, reverse=True)
        assert f"the best {MAX_SHOWN} are shown" in found.sentence or found.count <= MAX_SHOWN


def test_on_a_bundled_model_all_that_is_told_is_true(service: LiveService) -> None:
    """Each head reported passes the rule, each head not reported is listed or fails it."""
    analysis = service.analyze("demo-llama", TEXTS[5])
    largest = max_attention(analysis.attention)
    everything = find_unlisted_heads(analysis.scores, analysis.by_head, analysis.catalog, most=64)
    for role, found in everything.items():
        role_input, shows = analysis.scores.inputs[role][0], analysis.scores.clear_pattern(role)
        message = {acting.head for acting in found.heads}
        listed = {entry.head for entry in analysis.carrying[role]}
        assert not message & listed
        for layer in range(4):
            for number in range(16):
                head = Head(layer, number)
                live = float(analysis.scores.live[role][layer, number])
                passes = bool(shows[layer, number])
                assert passes == (head in message) or head in listed
                if passes:
                    assert live >= ROLES[role].threshold
                    assert role_input.is_active(live, 0.0, float(largest[layer, number]))
    assert any(found.count for found in everything.values())


def test_it_changes_nothing_and_works_on_a_short_text(service: LiveService) -> None:
    analysis = service.analyze("demo-gpt2", TEXTS[4])
    before = analysis.attention.clone()
    assert analysis.unlisted and torch.equal(before, analysis.attention)
    for found in service.analyze("demo-gpt2", "a").unlisted.values():
        assert found.count == 0 and "too short" in found.sentence


def test_a_window_changes_what_is_needed() -> None:
    # Uniform attention over 4 keys hits the first token less often, but the one before more often.
    tokens = list(range(12))
    for role, more in (("previous_token", True), ("positional", False)):
        wide, narrow = role_input(role, tokens), role_input(role, tokens, window=4)
        assert (narrow.chance_bound(3.1) > wide.chance_bound(3.1)) is more
        assert narrow.needed_unlisted() >= ROLES[role].threshold


def test_random_heads_are_hardly_ever_told(service: LiveService) -> None:
    """300 heads, three spreads, nine texts: hardly any passes the rule of the search, more pass the usual."""
    loaded = service.store.get("demo-gpt2")
    shares: list[float] = []
    usual: list[float] = []
    for seed, text in enumerate(TEXTS):
        tokens = tokenize_prompt(loaded, text).ids
        for std in LOGIT_STDS:
            patterns = random_head_patterns(len(tokens), std, 300, seed=100 + seed)
            scores = prompt_scores(patterns[None], tokens, JUDGED, loaded.special_ids)
            for role in JUDGED:
                if not scores.target(role).applicable:
                    continue
                shares.append(float(scores.clear_pattern(role).double().mean()))
                heads = [scores.activity(role, Head(0, number)) for number in range(300)]
                usual.append(sum(head.is_active for head in heads) / 300)
    assert sum(shares) / len(shares) <= 0.001 < sum(usual) / len(usual)
    assert max(shares) <= 0.01 < max(usual)
