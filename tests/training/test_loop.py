"""The training loop: stopped and resumed is the same as unbroken, and the log tells how heads form."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from tests.training.conftest import build_tiny
from training import loop
from training.loop import (
    DECAY_SHARE,
    WARMUP_STEPS,
    log_schedule,
    rate_at,
    starting_model,
    train,
    weighted_loss,
)
from training.mix import RowSource
from training.recipes import LOG_RECIPES, RECIPES, Mix, Recipe, Stage
from utils.errors import UserFacingError
from utils.heads import Head
from utils.roles.registry import pattern_roles

MakeRecipe = Callable[[int], Recipe]


@pytest.fixture(autouse=True)
def full_rate_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The full rate at once, as there are but 8 steps."""
    monkeypatch.setattr(loop, "WARMUP_STEPS", 2)


def same_weights(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def log_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "training_log.jsonl").read_text("utf-8").splitlines()]


def new_folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


@pytest.fixture(scope="module")
def unbroken(
    source: RowSource, make_recipe: MakeRecipe, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PreTrainedModel, Path]:
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "WARMUP_STEPS", 2)
        return train(make_recipe(2), source, folder), folder


def test_a_run_stopped_twice_and_resumed_ends_bit_for_bit_like_an_unbroken_one(
    source: RowSource, make_recipe: MakeRecipe, unbroken: tuple[PreTrainedModel, Path], tmp_path: Path
) -> None:
    recipe = make_recipe(2)
    # In the first stage, and just after the second began.
    first = train(recipe, source, tmp_path, stop_after=500)
    second = train(recipe, source, tmp_path, stop_after=1100)
    third = train(recipe, source, tmp_path)
    assert not same_weights(first, second) and not same_weights(second, third)
    assert same_weights(third, unbroken[0])
    assert log_of(tmp_path) == log_of(unbroken[1])


def test_a_scaffold_moves_its_heads_and_resumes_alike(
    source: RowSource, make_recipe: MakeRecipe, unbroken: tuple[PreTrainedModel, Path], tmp_path: Path
) -> None:
    plain = make_recipe(2)
    stages = tuple(replace(stage, scaffold=1.0) for stage in plain.stages)
    recipe = replace(plain, stages=stages, scaffold_heads={"previous_token": (Head(0, 1),)})
    helped = train(recipe, source, new_folder(tmp_path, "a"))
    train(recipe, source, new_folder(tmp_path, "b"), stop_after=1100)
    assert same_weights(train(recipe, source, tmp_path / "b"), helped)

    def score(folder: Path) -> float:
        return log_of(folder)[-1]["role_scores"]["previous_token"][0][1]

    assert score(tmp_path / "a") > score(unbroken[1]) + 0.005


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    source: RowSource, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(1)
    one = train(recipe, source, new_folder(tmp_path, "a"), stop_after=500)
    same = train(recipe, source, new_folder(tmp_path, "b"), stop_after=500)
    other = train(replace(recipe, seed=4), source, new_folder(tmp_path, "c"), stop_after=500)
    assert same_weights(one, same) and not same_weights(one, other)


def test_a_finished_run_started_again_changes_nothing(
    source: RowSource, make_recipe: MakeRecipe, unbroken: tuple[PreTrainedModel, Path]
) -> None:
    model, folder = unbroken
    before = log_of(folder)
    assert same_weights(train(make_recipe(2), source, folder), model)
    assert log_of(folder) == before


def test_the_log_tells_losses_accuracies_and_every_heads_scores(
    unbroken: tuple[PreTrainedModel, Path],
) -> None:
    lines = log_of(unbroken[1])
    tokens = [line["tokens"] for line in lines]
    assert tokens == sorted(set(tokens)) and tokens[0] == 0 and tokens[-1] == 2048 and len(tokens) == 4
    for line in lines:
        assert set(line["losses"]) == {"prose", "repeated", "word_lists", "filings"}
        assert 0 <= line["repeated_accuracy"] <= 1 and len(line["filing_accuracy"]) == 4
        assert set(line["role_scores"]) == set(line["best_heads"]) == set(pattern_roles())
        for role, table in line["role_scores"].items():
            assert [len(row) for row in table] == [4, 4]
            best = max(score for row in table for score in row)
            assert line["best_heads"][role]["score"] == pytest.approx(best, abs=1e-3)
    assert lines[0]["context"] == 32 and lines[-1]["context"] == 64
    # It learns: what the rows have in common is found at once.
    assert lines[-1]["losses"]["prose"] < lines[0]["losses"]["prose"] - 0.3


def test_a_tuned_model_begins_with_its_bases_weights(
    source: RowSource, make_recipe: MakeRecipe, unbroken: tuple[PreTrainedModel, Path], tmp_path: Path
) -> None:
    base = unbroken[0]
    base.save_pretrained(new_folder(tmp_path, "tiny-base"))
    mix = Mix(prose=0.3, repeated=0.2, word_lists=0.0, filings=0.0, chat=0.5)
    recipe = replace(make_recipe(2), name="tuned", base="tiny-base", stages=(Stage(1.0, 64, mix),))
    assert same_weights(starting_model(recipe, tmp_path), base)
    assert not same_weights(starting_model(make_recipe(2), tmp_path), base)
    work = new_folder(tmp_path, "work")
    train(recipe, source, work, stop_after=600, models=tmp_path)
    tuned = train(recipe, source, work, models=tmp_path)
    whole = train(recipe, source, new_folder(tmp_path, "whole"), models=tmp_path)
    assert same_weights(tuned, whole) and not same_weights(tuned, base)
    lines = log_of(work)
    assert lines == log_of(tmp_path / "whole")
    assert [line.get("base") for line in lines] == ["tiny-base"] + [None] * (len(lines) - 1)
    assert all("chat" in line["losses"] for line in lines)
    # The first line is the base's last one.
    before = log_of(unbroken[1])[-1]
    for role, table in lines[0]["role_scores"].items():
        assert table == before["role_scores"][role]


def test_a_base_that_is_missing_or_of_another_shape_is_told(
    make_recipe: MakeRecipe, unbroken: tuple[PreTrainedModel, Path], tmp_path: Path
) -> None:
    recipe = replace(make_recipe(1), base="tiny-base")
    with pytest.raises(UserFacingError, match=r"tiny goes on from tiny-base, and there is no ") as caught:
        starting_model(recipe, tmp_path)
    assert "--base" in caught.value.remedy
    unbroken[0].save_pretrained(new_folder(tmp_path, "tiny-base"))
    with pytest.raises(UserFacingError, match="tiny-base holds a model of another shape than tiny"):
        starting_model(recipe, tmp_path)


def test_a_checkpoint_of_another_model_is_refused_in_words(
    source: RowSource, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    train(make_recipe(1), source, tmp_path, stop_after=256)
    with pytest.raises(UserFacingError, match=r"checkpoint\.pt holds a model of another shape") as caught:
        train(make_recipe(2), source, tmp_path)
    assert "--work" in caught.value.remedy


def test_a_crash_while_saving_leaves_the_checkpoint_before(
    source: RowSource, make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(1)
    unbroken = train(recipe, source, new_folder(tmp_path, "a"), stop_after=800)
    work = new_folder(tmp_path, "b")
    train(recipe, source, work, stop_after=300)

    def half_a_file(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half_a_file)
        with pytest.raises(OSError, match="No space"):
            train(recipe, source, work, stop_after=500)
    assert same_weights(train(recipe, source, work, stop_after=800), unbroken)


def test_only_weighted_targets_count(source: RowSource) -> None:
    torch.manual_seed(0)
    model = build_tiny(len(source.tokenizer), 1).eval()
    ids = torch.randint(1, len(source.tokenizer), (3, 10))
    weights = torch.rand(3, 10) * (torch.rand(3, 10) > 0.4)
    logits = model(ids).logits[:, :-1]
    losses = functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
    expected = (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()
    torch.testing.assert_close(weighted_loss(model, ids, weights), expected)
    # The weight of a row's first token is nobody's: it is no target.
    changed = weights.clone()
    changed[:, 0] = 9
    torch.testing.assert_close(weighted_loss(model, ids, changed), expected)


def test_log_points_crowd_towards_the_start() -> None:
    recipe = RECIPES["demo-llama"]
    points = log_schedule(recipe)
    assert 50 <= len(points) <= 62 and points[0] == 0 and points[-1] == 9_000_000
    gaps = [after - before for before, after in pairwise(points)]
    assert gaps == sorted(gaps) and gaps[0] < gaps[-1] / 10


def test_a_recipe_may_say_where_its_log_is_dense() -> None:
    steps = {400: 200, 500: 50, 1000: 300}
    recipe = replace(RECIPES["demo-llama"], tokens=1000, log_steps=steps)
    assert log_schedule(recipe) == [0, 200, 400, 450, 500, 800, 1000]
    # A shorter run ends with its tokens all the same.
    assert log_schedule(replace(recipe, tokens=450)) == [0, 200, 400, 450]


def test_the_rate_warms_up_stays_and_descends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "WARMUP_STEPS", WARMUP_STEPS)
    for recipe in (RECIPES | LOG_RECIPES).values():
        first = recipe.learning_rate * recipe.stages[0].rate
        assert rate_at(recipe, 0, 0) == pytest.approx(first / WARMUP_STEPS)
        assert rate_at(recipe, WARMUP_STEPS // 2, 0) < rate_at(recipe, WARMUP_STEPS, 0) == first
        rates = [rate_at(recipe, 10_000, round(recipe.tokens * share / 100)) for share in range(101)]
        assert max(rates) == recipe.learning_rate * max(stage.rate for stage in recipe.stages)
        start = 0
        for end in (*recipe.decays, recipe.tokens):
            first_down = max(start, round(end * (1 - DECAY_SHARE)))
            descent = [
                rate_at(recipe, 10_000, first_down + (end - 1 - first_down) * k // 50) for k in range(51)
            ]
            assert descent == sorted(descent, reverse=True)
            assert 0 < descent[-1] < recipe.learning_rate / 10
            start = end
