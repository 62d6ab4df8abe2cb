"""What the page says about single heads, on a tiny model with a catalog made to fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.fixtures.activity import role_input
from tests.fixtures.catalogs import write_catalog
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.live.head_facts import cell_roles, interesting_head, marked_pairs, role_facts
from utils.live.service import LiveService
from utils.models.loading import LoadedModel
from utils.models.prompts import TokenizedPrompt, lookalike_sentence, token_of_text, tokenize_prompt
from utils.models.store import ModelStore
from utils.roles.activity import CellRole
from utils.roles.registry import measured_roles

MODEL = "tiny-gpt2"
TEXT = "The cat sat on the mat. The cat sat on the"
LISTED = {
    "induction": [(Head(1, 2), 0.6), (Head(2, 0), 0.5)],
    "duplicate_token": [(Head(1, 2), 0.7)],
    "previous_token": [(Head(0, 1), 0.5)],
    "other": [(Head(0, 3), 0.2)],
}


@pytest.fixture(scope="module")
def service(tiny_models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LiveService:
    folder = tmp_path_factory.mktemp("catalogs")
    write_catalog(folder, MODEL, 3, 4, LISTED)
    return LiveService(ModelStore([tiny_models_folder]), folder)


@pytest.fixture(scope="module")
def analysis(service: LiveService) -> LiveAnalysis:
    return service.analyze(MODEL, TEXT)


@pytest.fixture(scope="module")
def no_catalog(service: LiveService) -> LiveAnalysis:
    return service.analyze("tiny-llama", TEXT)


def with_active(analysis: LiveAnalysis, *active: tuple[str, Head, float]) -> LiveAnalysis:
    """The analysis, but with just these heads active, each with its score."""
    wanted = {(role, head): score for role, head, score in active}
    carrying = {}
    for role, entries in analysis.carrying.items():
        scores = [wanted.get((role, entry.head)) for entry in entries]
        carrying[role] = tuple(
            replace(entry, is_active=score is not None, live=entry.live if score is None else score)
            for entry, score in zip(entries, scores, strict=True)
        )
    listed = {
        role: tuple(one for one in entries if one.head in {e.head for e in analysis.listed[role]})
        for role, entries in carrying.items()
    }
    return replace(analysis, listed=listed, carrying=carrying)


def test_the_grid_has_each_listed_heads_roles_but_no_other(analysis: LiveAnalysis) -> None:
    cells = cell_roles(with_active(analysis, ("duplicate_token", Head(1, 2), 0.9)))
    assert {head: [role.key for role in roles] for head, roles in cells.items()} == {
        Head(0, 1): ["previous_token"],
        Head(1, 2): ["induction", "duplicate_token"],
        Head(2, 0): ["induction"],
    }
    assert cells[Head(1, 2)][1] == CellRole("duplicate_token", 0.9, True)
    assert not cells[Head(2, 0)][0].active
    live = float(analysis.scores.live["previous_token"][0, 1])
    assert cells[Head(0, 1)][0].live == pytest.approx(live, abs=1e-6)


def test_without_a_catalog_the_grid_has_no_roles(no_catalog: LiveAnalysis) -> None:
    assert cell_roles(no_catalog) == {}
    assert interesting_head(no_catalog) == Head(0, 0)


def test_the_interesting_head_is_the_best_of_the_most_telling_active_role(analysis: LiveAnalysis) -> None:
    previous = ("previous_token", Head(0, 1), 1.0)
    assert interesting_head(with_active(analysis)) == Head(0, 0)
    assert interesting_head(with_active(analysis, previous)) == Head(0, 1)
    one = with_active(analysis, previous, ("duplicate_token", Head(1, 2), 0.5))
    assert interesting_head(one) == Head(1, 2)
    two = with_active(analysis, previous, ("induction", Head(1, 2), 0.5), ("induction", Head(2, 0), 0.6))
    assert interesting_head(two) == Head(2, 0)


def test_the_facts_of_a_head(analysis: LiveAnalysis) -> None:
    facts = {fact.role: fact for fact in role_facts(analysis, Head(1, 2))}
    assert list(facts) == list(measured_roles())
    assert [role for role, fact in facts.items() if fact.listed] == ["induction", "duplicate_token"]
    induction = facts["induction"]
    assert induction.catalog == 0.6 and induction.rank == 1 and induction.reason
    assert induction.live == pytest.approx(float(analysis.scores.live["induction"][1, 2]))
    asked = role_input("induction", analysis.prompt.ids, analysis.loaded.special_ids)
    assert induction.chance == pytest.approx(asked.chance)
    assert facts["diffuse"].chance is None
    assert facts["previous_token"].reason == "" and not facts["previous_token"].active
    # One head is above it; all the others have the same score.
    assert (facts["previous_token"].catalog, facts["previous_token"].rank) == (0.1, 2)
    entry = analysis.listed["induction"][0]
    assert induction.active is entry.is_active and induction.reason == entry.reason
    ranks = {fact.role: fact.rank for fact in role_facts(analysis, Head(2, 0))}
    assert ranks["induction"] == 2


def test_the_facts_without_a_catalog(no_catalog: LiveAnalysis) -> None:
    for fact in role_facts(no_catalog, Head(3, 5)):
        assert fact.catalog is fact.rank is None
        assert not fact.listed and not fact.active
        # What the model expects next need not stand in the text.
        assert fact.live is not None or fact.role == "copying"


def test_a_role_that_does_not_apply_has_no_live_score(service: LiveService) -> None:
    facts = {fact.role: fact for fact in role_facts(service.analyze(MODEL, "One day a"), Head(1, 2))}
    assert facts["induction"].live is None and facts["induction"].chance is None
    assert facts["induction"].reason.startswith("nothing repeats in your text")
    assert facts["previous_token"].live is not None
    assert all(fact.live is None for fact in role_facts(service.analyze(MODEL, "a"), Head(0, 0)))


def test_pairs_are_marked_where_the_head_is_active(analysis: LiveAnalysis) -> None:
    head = Head(1, 2)
    assert marked_pairs(with_active(analysis), head) == ((), "")
    assert marked_pairs(with_active(analysis, ("previous_token", Head(0, 1), 1.0)), Head(0, 1)) == ((), "")
    pairs, names = marked_pairs(with_active(analysis, ("induction", head, 0.9)), head)
    ids = analysis.prompt.ids
    assert pairs and all(ids[j - 1] == ids[i] and j + 1 < i for i, j in pairs)
    assert names == "induction (pattern completion)"
    both = with_active(analysis, ("induction", head, 0.9), ("duplicate_token", head, 0.9))
    more, names = marked_pairs(both, head)
    assert set(pairs) < set(more)
    assert names == "induction (pattern completion) and duplicate token"


def test_lookalikes_are_told(tiny_gpt2: LoadedModel) -> None:
    message = lookalike_sentence(tokenize_prompt(tiny_gpt2, "The mat on the"))
    assert message.startswith("“The” and “·the” look alike but are different tokens for the model")
    for text in (" a cat a cat a cat", "One day"):
        assert lookalike_sentence(tokenize_prompt(tiny_gpt2, text)) == ""


def test_lookalikes_are_words_of_the_text_and_not_too_many() -> None:
    labels = ("<BOS>", "The", "·The", "·", "··", "a", "·a", "·A", "b", "·b", "c", "·c", "·The")
    ids = (*range(12), 2)
    prompt = TokenizedPrompt("", ids, labels, (True, *[False] * 12))
    message = lookalike_sentence(prompt)
    assert message.startswith("“The” and “·The”; “a” and “·a” and “·A”; “b” and “·b” look alike")
    # A special token looks like nothing that is typed.
    special = TokenizedPrompt("", (0, 1), ("<BOS>", "<BOS>"), (True, False))
    assert lookalike_sentence(special) == ""


def test_a_watched_text_is_its_token_as_a_new_word(tiny_gpt2: LoadedModel) -> None:
    encode = tiny_gpt2.text_tokenizer.encode

    def id_of(text: str) -> int:
        (token,) = encode(text, add_special_tokens=False).ids
        return token

    assert token_of_text(tiny_gpt2, "cat") == token_of_text(tiny_gpt2, " cat") == id_of(" cat")
    assert token_of_text(tiny_gpt2, "·cat") == id_of(" cat")
    assert token_of_text(tiny_gpt2, ".") == id_of(".")
    # Of a word of several tokens, the first.
    several = encode(" catalogue", add_special_tokens=False).ids
    assert len(several) > 1 and token_of_text(tiny_gpt2, "catalogue") == several[0]
    for nothing in (None, "", "  ", "\n"):
        assert token_of_text(tiny_gpt2, nothing) is None
    for hard in ("\ud83d", "👍🏽", "·", "··", "<|endoftext|>", "\u202e"):
        token = token_of_text(tiny_gpt2, hard)
        assert token is None or 0 < token < len(tiny_gpt2.tokenizer)


def test_nothing_of_it_changes_the_analysis(analysis: LiveAnalysis) -> None:
    before = analysis.attention.clone()
    for head in (Head(0, 0), Head(1, 2)):
        role_facts(analysis, head)
        marked_pairs(analysis, head)
    cell_roles(analysis)
    interesting_head(analysis)
    assert torch.equal(before, analysis.attention)
