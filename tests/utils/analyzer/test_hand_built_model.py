"""On a model whose heads are known by construction, the analyzer and the live check must find just those."""

from pathlib import Path

import pytest

from tests.fixtures.activity import activities
from tests.fixtures.makers import hand_built
from tests.fixtures.makers.hand_built import BUILT, INDUCTION, NAME, PREVIOUS, WITHOUT_ROLE
from utils.catalog.catalog import Catalog, catalog_path, load_catalog
from utils.forward.attention_capture import capture
from utils.head_detection import get_active_head_summary
from utils.heads import Head
from utils.models.loading import LoadedModel, load_model
from utils.models.prompts import tokenize_prompt
from utils.roles.registry import ROLES
from utils.roles.scores import role_score

REPEATING = "The cat sat on the mat. The cat sat on the"
# So often that a head which rests on the first token while it has nothing to find does not rest there much;
# and no character comes again after a few places, which a head looking three tokens back could hit by chance.
REPEATING_OFTEN = "jumbled foxy king. " * 6
# No character twice.
NOT_REPEATING = "the quick."


@pytest.fixture(scope="module")
def catalog_folder(built_folder: Path) -> Path:
    return built_folder / "catalogs"


@pytest.fixture(scope="module")
def catalog(catalog_folder: Path) -> Catalog:
    return load_catalog(catalog_path(NAME, catalog_folder))


@pytest.fixture(scope="module")
def loaded(catalog_folder: Path) -> LoadedModel:
    return load_model(NAME, catalog_folder.parent / NAME)


@pytest.mark.parametrize("role", BUILT)
def test_the_catalog_lists_the_built_head_alone(catalog: Catalog, role: str) -> None:
    listed = [(Head(entry.layer, entry.head), entry.score) for entry in catalog.categories[role].top_heads]
    assert [head for head, _ in listed] == [BUILT[role]]
    assert listed[0][1] >= 0.99


def test_the_heads_built_for_nothing_have_no_role(catalog: Catalog) -> None:
    listed = {Head(entry.layer, entry.head) for entry in catalog.categories["other"].top_heads}
    assert listed == set(WITHOUT_ROLE)


@pytest.mark.parametrize("role", BUILT)
def test_every_suggested_prompt_activates_its_role(
    catalog: Catalog, catalog_folder: Path, loaded: LoadedModel, role: str
) -> None:
    assert catalog.categories[role].suggested_prompts
    for text in catalog.categories[role].suggested_prompts:
        tokens = tokenize_prompt(loaded, text).ids
        data = {"attention": capture(loaded, tokens).attention, "tokens": tokens}
        (entry,) = get_active_head_summary(data, NAME, catalog_folder)[role]
        assert entry["is_active"]


@pytest.mark.parametrize("role", BUILT)
def test_the_live_check_finds_the_built_head_alone(loaded: LoadedModel, role: str) -> None:
    """Every head of the model is judged, as a head of the role's threshold would be."""
    tokens = tokenize_prompt(loaded, REPEATING_OFTEN, limit=128).ids
    attention = capture(loaded, tokens).attention
    heads = [
        (Head(layer, head), ROLES[role].threshold)
        for layer in range(hand_built.N_LAYERS)
        for head in range(hand_built.N_HEADS)
    ]
    found = activities(attention, tokens, {role: heads}, loaded.special_ids)[role]
    active = [activity.head for activity in found if activity.is_active]
    assert active == [BUILT[role]]


@pytest.mark.parametrize("text", [REPEATING, NOT_REPEATING])
def test_the_summary_calls_inactive_what_the_text_does_not_call_for(
    loaded: LoadedModel, catalog_folder: Path, text: str
) -> None:
    tokens = tokenize_prompt(loaded, text).ids
    data = {"attention": capture(loaded, tokens).attention, "tokens": tokens}
    summary = get_active_head_summary(data, NAME, catalog_folder)
    for role in BUILT:
        (entry,) = summary[role]
        if text == NOT_REPEATING and ROLES[role].requires_repetition:
            assert not entry["is_active"]
            assert (
                "nothing repeats" in entry["reason"] and "rests on the first token (100%)" in entry["reason"]
            )
        else:
            assert entry["is_active"]
            assert entry["activation_score"] > 0.85


def test_the_induction_head_works_through_the_previous_token_head(loaded: LoadedModel) -> None:
    tokens = tokenize_prompt(loaded, REPEATING).ids
    for off, low, high in (((), 0.85, 1.0), ((PREVIOUS,), 0.0, 0.05)):
        attention = capture(loaded, tokens, off).attention
        score = float(role_score("induction", attention, tokens, loaded.special_ids)[INDUCTION])
        assert low <= score <= high + 1e-6  # the sum of a row of attention is rounded


@pytest.mark.parametrize("off", [(), (INDUCTION,), (PREVIOUS,)])
def test_it_continues_a_pattern_only_with_both_heads_on(loaded: LoadedModel, off: tuple[Head, ...]) -> None:
    # Each character stands once in the first half, so that there is one way to go on.
    tokens = tokenize_prompt(loaded, "spin by: sp").ids
    probabilities = capture(loaded, tokens, off).logits[-1].softmax(-1)
    expected = loaded.tokenizer.convert_tokens_to_ids("i")
    assert isinstance(expected, int)
    if off:
        assert probabilities[expected] < 0.05
    else:
        assert probabilities[expected] > 0.99
