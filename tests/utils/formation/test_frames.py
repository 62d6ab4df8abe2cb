"""Checkpoints as the page about how heads form shows them."""

from dataclasses import replace

import pytest

from training.recipes import RECIPES
from utils.formation.frames import events, frame_at
from utils.formation.history import Checkpoint, History, Scaffold
from utils.formation.log import load_history, logs_alone
from utils.heads import Head
from utils.models.sources import BUNDLED
from utils.roles.registry import ROLES

MODELS = ("demo-gpt2", "demo-llama")


def point(tokens: int, previous: float, induction: float, accuracy: float) -> Checkpoint:
    """A model of one layer of two heads, whose first head has the scores."""
    tables = {"previous_token": ((previous, 0.1),), "induction": ((induction, 0.0),)}
    best = {role: (Head(0, 0), table[0][0]) for role, table in tables.items()}
    return Checkpoint(tokens, 8, {"prose": 2.0}, accuracy, {}, best, tables)


HISTORY = History(
    "tiny",
    (
        point(0, 0.1, 0.0, 0.0),
        point(1_000_000, 0.5, 0.1, 0.1),
        point(2_000_000, 0.9, 0.6, 0.2),
        point(3_000_000, 0.41, 0.9, 0.9),
    ),
    (Scaffold(1_500_000, 2_500_000, {"induction": (Head(0, 0),)}),),
)


def test_the_role_that_is_passed_most_comes_first():
    assert frame_at(HISTORY, 0).heads[0].roles == ()
    assert frame_at(HISTORY, 1).heads[0].roles == (("previous_token", 0.5),)
    assert frame_at(HISTORY, 2).heads[0].roles == (("previous_token", 0.9), ("induction", 0.6))
    assert frame_at(HISTORY, 3).heads[0].roles == (("induction", 0.9), ("previous_token", 0.41))
    assert all(frame_at(HISTORY, index).heads[1].roles == () for index in range(4))


def test_roles_are_counted_with_their_best_head():
    roles = frame_at(HISTORY, 2).roles
    assert [(role.role, role.passing, str(role.best), role.score) for role in roles] == [
        ("previous_token", 1, "L0H0", 0.9),
        ("induction", 1, "L0H0", 0.6),
    ]


def test_the_sentence_says_where_the_scaffold_stands():
    message = [frame_at(HISTORY, index).sentence for index in range(4)]
    assert [("scaffold" in sentence) for sentence in message] == [False, False, True, False]
    assert "After 3.00 million tokens" in message[3] and "90%" in message[3] and "1 of 2 heads" in message[3]


def test_events_are_in_order_of_time_and_a_checkpoint_is_named_once():
    assert [(event.name, event.index) for event in events(HISTORY)] == [
        ("Untrained", 0),
        ("Previous-token heads, before the scaffold", 1),
        ("Induction heads, scaffold stands", 2),
        ("Accuracy passes 50%, trained", 3),
    ]


def test_events_of_heads_that_formed_without_help_name_no_scaffold():
    history = load_history("formation-llama", logs_alone()["formation-llama"], unaided=True)
    named = {event.name: event.index for event in events(history)}
    assert not any("scaffold" in name.lower() for name in named)
    assert named["Untrained"] == 0 < named["Previous-token heads"]
    places = list(named.values())
    assert places == sorted(places) and any("nduction heads" in name for name in named)
    assert all("scaffold" not in frame_at(history, index).sentence for index in range(len(history.tokens)))


def test_events_without_a_scaffold_or_any_head():
    bare = replace(HISTORY, checkpoints=(point(5, 0.1, 0.1, 0.1), point(9, 0.1, 0.1, 0.1)), scaffolds=())
    assert [(event.name, event.index) for event in events(bare)] == [("First checkpoint", 0), ("Trained", 1)]


@pytest.mark.parametrize("model", MODELS)
def test_bundled_logs_frame_by_frame(model: str):
    history = load_history(model, BUNDLED / model, RECIPES[model].scaffolds)
    layers, heads = history.shape
    for index, checkpoint in enumerate(history.checkpoints):
        frame = frame_at(history, index)
        assert len(frame.heads) == layers * heads
        for entry in frame.heads:
            scores = {
                role: table[entry.head.layer][entry.head.head]
                for role, table in checkpoint.role_scores.items()
            }
            passed = {role: score for role, score in scores.items() if score >= ROLES[role].threshold}
            assert dict(entry.roles) == passed
            ratios = [score / ROLES[role].threshold for role, score in entry.roles]
            assert ratios == sorted(ratios, reverse=True)
    named = {event.name: event.index for event in events(history)}
    assert named["Untrained"] == 0
    assert history.best_scores["previous_token"][named["Previous-token heads"]] >= 0.4
    assert history.best_scores["previous_token"][named["Previous-token heads"] - 1] < 0.4
