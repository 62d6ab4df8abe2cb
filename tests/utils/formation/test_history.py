"""Training histories: the bundled logs as they are, made-up ones by hand, and damaged ones refused."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from training.recipes import LOG_RECIPES, RECIPES
from utils.errors import UserFacingError
from utils.formation.history import History, Scaffold
from utils.formation.log import LOG_NAME, load_history, log_path, logs_alone
from utils.formation.story import (
    before_induction_sentence,
    climb_sentence,
    grid_cells,
    jump_sentence,
    million,
    order_sentence,
    scaffold_sentences,
    story,
    unaided_sentence,
    untrained_sentence,
)
from utils.heads import Head
from utils.roles.registry import ROLES, measured_roles

MODELS = Path(__file__).resolve().parents[3] / "models"
SCAFFOLD = Scaffold(300, 500, {"previous_token": (Head(0, 1),), "induction": (Head(1, 0), Head(1, 1))})

# The roles that a training log has.
SHOWN_BY_PATTERNS = [role for role in measured_roles() if not ROLES[role].by_output]


def line(tokens: int, accuracy: float = 0.0, **scores: float) -> dict[str, Any]:
    """A log line of a model of 2 x 2 heads; each role's score is that of L1H0, the others have 0.1."""
    tables = {role: [[0.1, 0.1], [scores.get(role, 0.1), 0.1]] for role in SHOWN_BY_PATTERNS}
    return {
        "tokens": tokens,
        "context": 32,
        "losses": {"prose": 8.5, "repeated": 7.25},
        "repeated_accuracy": accuracy,
        "filing_accuracy": {"inc_state": 0.5},
        "best_heads": {role: {"head": "L1H0", "score": scores.get(role, 0.1)} for role in SHOWN_BY_PATTERNS},
        "role_scores": tables,
    }


LINES = (
    line(0),
    line(100, 0.1, previous_token=0.5),
    line(200, 0.3, previous_token=0.3),
    line(400, 0.2, previous_token=0.9, induction=0.45),
    line(800, 0.8, previous_token=0.9, induction=0.9),
)


def write(folder: Path, lines: Any) -> Path:
    text = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines)
    (folder / LOG_NAME).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def history(tmp_path: Path) -> History:
    return load_history("made-up", write(tmp_path, LINES), [SCAFFOLD])


@pytest.fixture(scope="module", params=[name for name, recipe in RECIPES.items() if recipe.base is None])
def bundled(request: pytest.FixtureRequest) -> History:
    return load_history(request.param, MODELS / request.param, RECIPES[request.param].scaffolds)


def test_a_history_has_what_its_log_has(history: History) -> None:
    assert history.tokens == (0, 100, 200, 400, 800)
    assert history.repeated_accuracy == (0.0, 0.1, 0.3, 0.2, 0.8)
    assert history.losses == {"prose": (8.5,) * 5, "repeated": (7.25,) * 5}
    assert history.filing_accuracy == {"inc_state": (0.5,) * 5}
    assert history.best_scores["induction"] == (0.1, 0.1, 0.1, 0.45, 0.9)
    assert history.shape == (2, 2)
    assert history.checkpoints[3].role_scores["induction"] == ((0.1, 0.1), (0.45, 0.1))
    assert history.checkpoints[3].best["induction"] == (Head(1, 0), 0.45)
    assert [history.nearest(tokens) for tokens in (-5, 0, 149, 151, 500, 700, 10**9)] == [0, 0, 1, 2, 3, 4, 4]


def test_the_slider_shows_the_heads_that_have_a_role_then(history: History) -> None:
    assert grid_cells(history, 0) == {}
    cells = grid_cells(history, 3)
    assert list(cells) == [Head(1, 0)]
    assert [(cell.key, cell.live, cell.active) for cell in cells[Head(1, 0)]] == [
        ("previous_token", 0.9, True),
        ("induction", 0.45, True),
    ]


def test_when_a_role_first_passes_and_when_it_stays(history: History) -> None:
    previous = history.role_passes("previous_token")
    assert previous is not None
    assert (previous.tokens, previous.since, previous.value, previous.head) == (100, 0, 0.5, Head(1, 0))
    assert previous.stays_from == 400 and previous.standing == "before"
    induction = history.role_passes("induction")
    assert induction is not None and (induction.since, induction.tokens) == (200, 400)
    # The scaffold began between the two lines.
    assert induction.standing == "partly"
    assert history.role_passes("diffuse") is None
    accuracy = history.accuracy_passes()
    assert accuracy is not None and accuracy.tokens == 800 and accuracy.head is None
    early = history.accuracy_passes(0.25)
    assert early is not None and (early.tokens, early.stays_from) == (200, 800)
    assert history.accuracy_passes(0.9) is None


@pytest.mark.parametrize(
    ("scaffolds", "standing"),
    [
        ([], "none"),
        ([Scaffold(200, 400, {})], "while"),
        ([Scaffold(150, 900, {})], "while"),
        ([Scaffold(250, 900, {})], "partly"),
        ([Scaffold(0, 300, {})], "partly"),
        ([Scaffold(0, 200, {})], "after"),
        ([Scaffold(400, 500, {})], "before"),
        ([Scaffold(0, 50, {}), Scaffold(200, 400, {})], "while"),
    ],
)
def test_where_an_event_lies_by_the_scaffold(
    tmp_path: Path, scaffolds: list[Scaffold], standing: str
) -> None:
    passing = load_history("m", write(tmp_path, LINES), scaffolds).role_passes("induction")
    assert passing is not None and passing.standing == standing


def test_the_jump_is_the_largest_rise(history: History, tmp_path: Path) -> None:
    jump = history.jump
    assert jump is not None
    assert (jump.since, jump.tokens, jump.before, jump.after) == (400, 800, 0.2, 0.8)
    assert jump.standing == "partly"
    assert "20% to 80%, between 400 and 800 tokens" in jump_sentence(history)
    flat = load_history("m", write(tmp_path, [line(0, 0.5), line(5, 0.4)]))
    assert flat.jump is None and jump_sentence(flat) == ""
    assert load_history("m", write(tmp_path, [line(7)])).jump is None


def test_the_sentences_are_true_to_the_numbers(history: History) -> None:
    assert order_sentence(history) == (
        "Previous-token heads pass 0.4 by 100 tokens (L1H0), induction heads pass 0.4 by 400 tokens (L1H0), "
        "and accuracy on repeated sequences passes 50% by 800 tokens."
    )
    assert "Accuracy had reached 30% at 200 tokens, when no head had scored above 0.10 for induction" in (
        before_induction_sentence(history)
    )
    message = scaffold_sentences(history)
    for part in (
        "A scaffold stood from 300 to 500 tokens: an extra loss pointed L0H1 at the previous token, and L1H0 "
        "and L1H1 at what followed the earlier copy.",
        "Previous-token heads were there before it.",
        "Induction heads came in a stretch of the log in which it stood, so this does not show",
        "The largest rise in accuracy falls into that time too.",
        "Nothing pointed at anything after 500 tokens; the best scores at 800 are previous token 0.90 and "
        "induction 0.90.",
    ):
        assert part in message
    assert story(history).startswith(order_sentence(history)) and message in story(history)


def test_how_long_accuracy_took_from_little_to_nearly_all(tmp_path: Path) -> None:
    accuracies = (0.0, 0.2, 0.1, 0.5, 0.95, 0.05)
    lines = [line(100 * number, accuracy) for number, accuracy in enumerate(accuracies)]
    assert climb_sentence(load_history("m", write(tmp_path, lines))) == (
        "From 10% to 90% it goes between 200 and 400 tokens."
    )
    assert climb_sentence(load_history("m", write(tmp_path, lines[:4]))) == ""
    assert climb_sentence(load_history("m", write(tmp_path, lines[4:5]))) == ""


def test_accuracy_that_comes_with_induction_heads_is_not_called_another_way(tmp_path: Path) -> None:
    rising = [line(0), line(100, 0.1, induction=0.15), line(200, 0.4, induction=0.38)]
    history = load_history("m", write(tmp_path, [*rising, line(300, 0.9, induction=0.6)]))
    assert before_induction_sentence(history) == ""


def test_help_is_denied_just_where_there_is_known_to_have_been_none(tmp_path: Path) -> None:
    known = load_history("m", write(tmp_path, LINES), unaided=True)
    assert "No scaffold stood" in unaided_sentence(known) and unaided_sentence(known) in story(known)
    assert unaided_sentence(load_history("m", tmp_path)) == ""


def test_another_log_makes_another_story(tmp_path: Path) -> None:
    lines = [line(0, 0.6, induction=0.9), line(200_000, 0.7, induction=0.9), line(4_590_000, 0.7)]
    plain = load_history("m", write(tmp_path, lines))
    assert order_sentence(plain) == (
        "Induction heads pass 0.4 from the first line of the log on (L1H0), accuracy on repeated sequences "
        "passes 50% from the first line of the log on, and no head passes 0.4 for previous token."
    )
    passing = plain.role_passes("induction")
    assert passing is not None and passing.stays_from is None
    assert scaffold_sentences(plain) == "" and before_induction_sentence(plain) == ""
    assert "scaffold" not in story(plain)
    assert "already pass for induction" in untrained_sentence(plain)
    assert untrained_sentence(load_history("m", write(tmp_path, [line(5, induction=0.9)]))) == ""
    late = load_history("m", write(tmp_path, LINES), [Scaffold(0, 50, {"induction": (Head(1, 0),)})])
    assert "Induction heads came only after it was gone." in scaffold_sentences(late)
    other = load_history("m", write(tmp_path, LINES), [Scaffold(150, 500, {"diffuse": (Head(0, 0),)})])
    assert "L0H0 at what diffuse (spread out) heads look at" in scaffold_sentences(other)
    assert "though it did not point at their targets" in scaffold_sentences(other)
    nothing = load_history("m", write(tmp_path, [line(0)]))
    assert "no head passes 0.4 for induction" in order_sentence(nothing)
    assert "stays below 50%" in order_sentence(nothing)


def test_numbers_of_tokens_are_readable() -> None:
    assert million(0) == "0" and million(69_632) == "69,632" and million(4_590_000) == "4.59 million"


def test_the_bundled_logs(bundled: History) -> None:
    recipe = RECIPES[bundled.model]
    assert bundled.shape == (4, 16) and len(bundled.checkpoints) >= 50
    # A run ends with the batch that reaches its tokens.
    assert 0 <= bundled.tokens[-1] - recipe.tokens < recipe.tokens_a_step
    assert set(bundled.best_scores) == set(SHOWN_BY_PATTERNS)
    for checkpoint in bundled.checkpoints:
        for role, (head, score) in checkpoint.best.items():
            table = checkpoint.role_scores[role]
            assert score == pytest.approx(max(max(row) for row in table), abs=6e-4)
            assert table[head.layer][head.head] == pytest.approx(score, abs=6e-4)
    previous, induction = bundled.role_passes("previous_token"), bundled.role_passes("induction")
    accuracy = bundled.accuracy_passes()
    assert previous and induction and accuracy
    assert previous.tokens < induction.tokens <= accuracy.tokens
    for passing in (previous, induction, accuracy):
        assert passing.stays_from == passing.tokens


def test_the_bundled_stories_do_not_hide_the_scaffold(bundled: History) -> None:
    recipe = RECIPES[bundled.model]
    (scaffold,) = bundled.scaffolds
    card = (MODELS / bundled.model / "README.md").read_text(encoding="utf-8")
    shares = (
        f"From {scaffold.start / recipe.tokens:.1%} to {scaffold.end / recipe.tokens:.1%} of the training"
    )
    assert shares in card
    for role, heads in scaffold.heads.items():
        assert f"- {role}: {', '.join(str(head) for head in heads)}" in card
    message = story(bundled)
    assert million(scaffold.start) in message and million(scaffold.end) in message
    assert all(str(head) in message for heads in scaffold.heads.values() for head in heads)
    induction = bundled.role_passes("induction")
    assert induction and induction.standing in ("while", "partly")
    assert "does not show that they would have come by themselves" in message
    # At the start every head is diffuse by chance, and the page says so.
    assert "diffuse" in untrained_sentence(bundled)
    assert len(grid_cells(bundled, 0)) == 64


@pytest.mark.parametrize("name", list(LOG_RECIPES))
def test_the_log_of_heads_that_formed_without_help(name: str) -> None:
    """Previous-token heads first, in a layer before the induction heads, and accuracy jumps with these."""
    recipe, folder = LOG_RECIPES[name], logs_alone()[name]
    history = load_history(name, folder, recipe.scaffolds, unaided=True)
    config = recipe.build().config
    assert history.shape == (config.num_hidden_layers, config.num_attention_heads)
    assert list(history.tokens) == sorted(history.tokens) and len(history.tokens) >= 60
    assert 0 <= history.tokens[-1] - recipe.tokens < recipe.tokens_a_step
    previous, induction = history.role_passes("previous_token"), history.role_passes("induction")
    accuracy, jump = history.accuracy_passes(), history.jump
    assert previous and induction and accuracy and jump and previous.head and induction.head
    assert previous.head.layer < induction.head.layer
    assert previous.tokens < induction.tokens <= accuracy.tokens
    for passing in (previous, induction, accuracy):
        assert passing.standing == "none" and passing.stays_from == passing.tokens
    assert abs(jump.tokens - induction.tokens) < 0.1 * recipe.tokens
    # Nothing can be copied before: until previous-token heads are there, not one in ten is right.
    early = [point for point in history.checkpoints if point.tokens <= previous.tokens]
    assert max(point.repeated_accuracy for point in early) < 0.1
    message = story(history)
    assert message.startswith("Previous-token heads pass 0.4 by ")
    assert "nothing ever told a head where to look" in message and "A scaffold stood" not in message
    assert "answered in some other way" not in message
    # Where it changes fast the log has more lines.
    steps = [after - before for before, after in pairwise(history.tokens) if before < induction.tokens]
    assert steps[-1] < max(steps) / 2
    card = (folder / "README.md").read_text(encoding="utf-8")
    for passing in (previous, induction, accuracy):
        assert f"{passing.tokens:,} tokens | {passing.since:,} |" in card
    assert f"{recipe.tokens:,} tokens in batches of\n  {recipe.tokens_a_step:,}, seed {recipe.seed}" in card
    assert f"learning rate {recipe.learning_rate:g}" in card and f"{recipe.vocabulary} tokens" in card


def test_logs_without_models_are_those_of_their_recipes() -> None:
    assert list(logs_alone()) == sorted(LOG_RECIPES)
    assert not set(logs_alone()) & {path.name for path in MODELS.iterdir()}


def test_a_tuned_models_log_goes_on_from_its_base() -> None:
    recipe = RECIPES["demo-llama-instruct"]
    assert recipe.base is not None
    tuned, base = (
        load_history(name, MODELS / name, RECIPES[name].scaffolds) for name in (recipe.name, recipe.base)
    )
    assert tuned.base == recipe.base and base.base is None and tuned.scaffolds == ()
    assert tuned.tokens[0] == 0 and 0 <= tuned.tokens[-1] - recipe.tokens < recipe.tokens_a_step
    for role, table in tuned.checkpoints[0].role_scores.items():
        ended = base.checkpoints[-1].role_scores[role]
        # float16 weights, and no more than that, lie between.
        assert (
            max(
                abs(a - b)
                for one, two in zip(table, ended, strict=True)
                for a, b in zip(one, two, strict=True)
            )
            < 0.02
        )
    message = story(tuned)
    assert message.startswith(
        "demo-llama-instruct went on from demo-llama: at the first line of this log it is"
    )
    assert "untrained" not in message and untrained_sentence(tuned) == "" == jump_sentence(tuned)
    # It learns what its base cannot do: to answer in the chat template.
    assert max(tuned.checkpoints[0].filing_accuracy.values()) < 0.2
    assert min(tuned.checkpoints[-1].filing_accuracy.values()) >= 0.9
    assert tuned.losses["chat"][-1] < tuned.losses["chat"][0] / 2


def test_a_recipe_without_a_scaffold_has_none() -> None:
    recipe = RECIPES["demo-gpt2"]
    bare = replace(recipe, stages=tuple(replace(stage, scaffold=0.0) for stage in recipe.stages))
    assert bare.scaffolds == ()
    first = replace(recipe, stages=(replace(recipe.stages[0], scaffold=1.0), *recipe.stages[1:]))
    assert first.scaffolds[0].start == 0


def changed(**changes: Any) -> dict[str, Any]:
    return line(50) | changes


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        (["", "  "], "is empty"),
        ([line(0), '{"tokens": 5, "cont'], "Line 2"),
        ([line(0), "[]"], "Line 2"),
        ([line(0), "not json"], "Line 2"),
        ([line(0), "", line(0)], "Line 3 of the training log of demo is damaged (tokens must rise"),
        ([changed(tokens=-1)], "tokens"),
        ([changed(tokens="many")], "tokens"),
        ([json.dumps(changed(repeated_accuracy=7))], "repeated_accuracy"),
        ([json.dumps(changed(losses={"prose": float("nan")}))], "losses"),
        ([changed(losses={"prose": None})], "losses.prose"),
        ([changed(role_scores={})], "scores none of the known roles"),
        ([changed(role_scores={"induction": []})], "layers"),
        ([changed(role_scores={"induction": [[0.1], [0.1, 0.2]]})], "layers"),
        ([changed(role_scores={"induction": [[0.1, 2.0]]})], "role_scores"),
        ([changed(best_heads={"induction": {"head": "L9H9", "score": 0.1}})], "L9H9 is not a head"),
        ([changed(best_heads={"induction": {"head": "nine", "score": 0.1}})], "not the name of a head"),
        ([line(0), changed(losses={"prose": 1.0})], "than the line before"),
        ([line(0), changed(filing_accuracy={})], "than the line before"),
        (
            [line(0), changed(role_scores={role: [[0.1] * 3] * 2 for role in SHOWN_BY_PATTERNS})],
            "than the line before",
        ),
    ],
)
def test_a_damaged_log_is_one_sentence(tmp_path: Path, lines: list[Any], message: str) -> None:
    write(tmp_path, lines)
    with pytest.raises(UserFacingError) as caught:
        load_history("demo", tmp_path)
    assert message in caught.value.message and "demo" in caught.value.message
    assert "\n" not in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert caught.value.remedy


def test_a_missing_or_unreadable_log_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="There is no training log of demo"):
        load_history("demo", tmp_path)
    log_path(tmp_path).write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(UserFacingError, match="cannot be read"):
        load_history("demo", tmp_path)
    log_path(tmp_path).unlink()
    log_path(tmp_path).mkdir()
    with pytest.raises(UserFacingError, match="cannot be read"):
        load_history("demo", tmp_path)


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    extra = [
        {**each, "weather": "fine", "role_scores": {**each["role_scores"], "unheard_of": [[0.5]]}}
        for each in LINES
    ]
    assert (
        load_history("m", write(tmp_path, extra)).checkpoints
        == load_history("m", write(tmp_path, LINES)).checkpoints
    )
    assert all(role in ROLES for role in load_history("m", write(tmp_path, extra)).best_scores)


def test_a_huge_log_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "training_log.jsonl").open("wb") as file:
        file.truncate(20 * 2**20)
    with pytest.raises(UserFacingError, match="too large: at most 4 MB"):
        load_history("mine", tmp_path)
