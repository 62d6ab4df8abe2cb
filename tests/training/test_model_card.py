"""The model card says what the recipe and the measurements say."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from training import model_card
from training.recipes import Mix, Recipe
from utils.heads import Head

RESULT: dict[str, Any] = {
    "best_heads": {
        "induction": {"head": "L1H2", "score": 0.8712},
        "diffuse": {"head": "L0H3", "score": 0.9},
    },
    "repeated_accuracy": 0.9876,
    "filing_accuracy": {"inc_state": 0.96, "hq_state": 1.0},
    "prose_loss": 3.2101,
    "unigram_loss": 5.1234,
    "bigram_loss": 4.0567,
}
STORIES = [f"Story {number}\nof two lines." for number in range(10)]


@pytest.fixture
def recipe(make_recipe: Callable[[int], Recipe]) -> Recipe:
    return make_recipe(2)


def test_the_card_has_its_figures(recipe: Recipe) -> None:
    card = model_card.text(recipe, recipe.build(), 1_234_567, RESULT, STORIES)
    assert card.startswith("# tiny\n")
    for figure in (
        "`GPT2LMHeadModel`, 2 layers x 4 heads x 32 wide",
        "context 256, float16",
        "1,234,567 tokens of prose",
        "learning rate\n  0.01, weight decay 0.1, 2,048 tokens in batches of\n  256, seed 3;",
        "answers weigh 4 times",
        "| induction | L1H2 | 0.87 |",
        "| diffuse | L0H3 | 0.90 |",
        "random sequences: 98.8%",
        "| inc_state | 96% |",
        "| hq_state | 100% |",
        "3.210 nats a token",
        "unigram counts 5.123",
        "bigram counts with fallback 4.057",
        "--evaluate models/tiny",
        "| 50.0% | 32 | 1 | 40% | 30% | 10% | 0% | 20% |",
        "| 100.0% | 64 | 1 | 40% | 20% | 20% | 20% | 0% |",
        "\n1. Story 0 of two lines.\n",
        "\n10. Story 9 of two lines.\n",
    ):
        assert figure in card
    assert f"{recipe.build().num_parameters():,} parameters" in card


def test_what_was_not_measured_is_not_on_the_card(recipe: Recipe) -> None:
    less = {key: value for key, value in RESULT.items() if not key.endswith("loss")}
    card = model_card.text(recipe, recipe.build(), 0, less, STORIES)
    assert "nats a token" not in card and "children's books" not in card
    assert "None" not in card and "nan" not in card
    alone = model_card.text(recipe, recipe.build(), 5, less | {"prose_loss": 3.0}, STORIES)
    assert "Prose: 3.000 nats a token on held-out books.\n" in alone and "unigram" not in alone


def test_the_card_says_which_heads_were_shown_where_to_look(recipe: Recipe) -> None:
    assert "scaffold" not in model_card.text(recipe, recipe.build(), 1, RESULT, STORIES)
    stages = (recipe.stages[0], replace(recipe.stages[1], scaffold=0.5))
    helped = replace(recipe, stages=stages, scaffold_heads={"induction": (Head(1, 2), Head(1, 3))})
    card = model_card.text(helped, helped.build(), 1, RESULT, STORIES)
    assert "From 50.0% to 100.0% of the training a scaffold stood" in card
    assert "\n- induction: L1H2, L1H3\n" in card


def test_the_card_of_a_tuned_model_names_its_base_and_compares_them(recipe: Recipe) -> None:
    plain = model_card.text(recipe, recipe.build(), 1, RESULT, STORIES)
    assert "Begins with" not in plain and "chats" not in plain and "by length" not in plain
    stages = (recipe.stages[0], replace(recipe.stages[1], mix=Mix(0.2, 0.2, 0.0, 0.0, chat=0.6)))
    tuned = replace(recipe, stages=stages, base="tiny-base")
    accuracies = {
        "tiny-base": {130: {"inc_state": 0.5, "hq_state": 0.25}, 350: {"inc_state": 0.0, "hq_state": 0.1}},
        "tiny": {130: {"inc_state": 1.0, "hq_state": 0.75}, 350: {"inc_state": 0.9, "hq_state": 0.6}},
    }
    card = model_card.text(tuned, tuned.build(), 1, RESULT | {"by_length": accuracies}, STORIES)
    for part in (
        "Begins with the weights and the tokenizer of [tiny-base](../tiny-base/README.md)",
        "- Chat template: `<|endoftext|>User:`",
        "| 50.0% | 32 | 1 | 40% | 30% | 10% | 0% | 20% | 0% | 0% |",
        "| 100.0% | 64 | 1 | 20% | 20% | 0% | 0% | 0% | 0% | 60% |",
        "| alternating pairs | repeated prose | chats |",
        "`tiny-base`:\n\n| question | 130 tokens | 350 tokens |\n|---|---|---|\n| inc_state | 50% | 0% |",
        "`tiny`:\n\n| question | 130 tokens | 350 tokens |\n|---|---|---|\n| inc_state | 100% | 90% |",
        "| hq_state | 75% | 60% |",
    ):
        assert part in card
    for table in re.findall(r"(?:^\|.*\n)+", card, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_tables_are_whole(recipe: Recipe) -> None:
    card = model_card.text(recipe, recipe.build(), 1, RESULT, STORIES)
    tables = re.findall(r"(?:^\|.*\n)+", card, flags=re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_ten_openings() -> None:
    assert len(set(model_card.OPENINGS)) == 10
