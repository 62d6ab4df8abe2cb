"""Two analyses side by side: true to both, by head on one model and by rank on two, said in words."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from utils.compare.sentences import prediction_sentence, role_sentence, summary_sentence
from utils.compare.side_by_side import TOP, RoleComparison, SideBySide, score_differences, side_by_side
from utils.effects.prediction import compare
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.roles.registry import ROLES, measured_roles

REPEATING = "The cat sat on the mat. The cat sat on the"
PLAIN = "Once there was a poor man who lived in the forest."
LIST = "red, blue, green, red, yellow, blue, red, white, green, blue"


@pytest.fixture(scope="module")
def plain(service: LiveService) -> LiveAnalysis:
    return service.analyze("demo-gpt2", PLAIN)


@pytest.fixture(scope="module")
def repeating(service: LiveService) -> LiveAnalysis:
    return service.analyze("demo-gpt2", REPEATING)


def role(comparison: SideBySide, key: str) -> RoleComparison:
    return next(each for each in comparison.roles if each.role == key)


def said(comparison: SideBySide, key: str) -> str:
    return role_sentence(role(comparison, key), comparison.same_model)


def test_induction_wakes_on_the_side_that_repeats(plain: LiveAnalysis, repeating: LiveAnalysis) -> None:
    comparison = side_by_side(plain, repeating)
    induction = role(comparison, "induction")
    assert (induction.left.state, induction.right.state, induction.changed) == ("inactive", "active", True)
    best = max(repeating.listed["induction"], key=lambda entry: entry.live)
    message = said(comparison, "induction")
    assert message.startswith("Induction becomes active on the right: ")
    assert f"{best.head} ({best.live:.2f})" in message
    assert message.endswith("On the left: nothing repeats.")
    assert "induction on the right" in summary_sentence(comparison)
    # What cannot be judged has no score and no difference.
    assert all(pair.left and pair.left.live is None for pair in induction.pairs)
    assert all(pair.difference is None for pair in induction.pairs)
    mirrored = side_by_side(repeating, plain)
    assert "becomes active on the left" in said(mirrored, "induction")
    assert "induction on the left" in summary_sentence(mirrored)
    # A role that rests on two places is no headline.
    weak = replace(
        comparison,
        roles=tuple(
            replace(each, right=replace(each.right, positions=2)) if each.role == "induction" else each
            for each in comparison.roles
        ),
    )
    headline, _, aside = summary_sentence(weak).partition("Too little to tell: ")
    assert "induction" not in headline and "induction on the right (little evidence: 2 places)" in aside


def test_on_one_model_each_head_stands_beside_itself(service: LiveService, repeating: LiveAnalysis) -> None:
    other = service.analyze("demo-gpt2", LIST)
    comparison = side_by_side(repeating, other)
    assert comparison.same_model and not comparison.same_prompt and comparison.shared_tokens == 1
    assert [each.role for each in comparison.roles] == list(measured_roles())
    for each in comparison.roles:
        assert len(each.pairs) == len(repeating.listed[each.role])
        for pair, here, there in zip(
            each.pairs, repeating.listed[each.role], other.listed[each.role], strict=True
        ):
            assert pair.left and pair.right and pair.left.head == pair.right.head
            assert pair.left.active is here.is_active and pair.right.active is there.is_active
            # None where the role asks nothing of the text: what the model expects is not in it, say.
            if pair.left.live is None or pair.right.live is None:
                assert pair.difference is None and each.role == "copying"
                continue
            assert pair.left.live == here.live and pair.right.live == there.live
            assert pair.difference == pytest.approx(there.live - here.live)
    induction = role(comparison, "induction")
    moved = max(induction.pairs, key=lambda pair: abs(pair.difference or 0))
    assert moved.left and moved.right
    message = f"{moved.left.head} changes most, from {moved.left.live:.2f} to {moved.right.live:.2f}."
    assert said(comparison, "induction").endswith(message)


def test_every_heads_difference(service: LiveService, plain: LiveAnalysis, repeating: LiveAnalysis) -> None:
    other = service.analyze("demo-gpt2", LIST)
    differences = score_differences(repeating, other)
    assert set(measured_roles()) - {"copying"} <= set(differences)
    torch.testing.assert_close(
        differences["induction"], other.scores.live["induction"] - repeating.scores.live["induction"]
    )
    assert set(score_differences(plain, repeating)) >= {"previous_token", "positional", "diffuse"}
    with pytest.raises(ValueError, match="demo-gpt2 and demo-llama"):
        score_differences(plain, service.analyze("demo-llama", PLAIN))


def test_two_models_are_compared_by_rank_and_depth(service: LiveService, repeating: LiveAnalysis) -> None:
    other = service.analyze("demo-llama", REPEATING)
    comparison = side_by_side(repeating, other)
    assert not comparison.same_model and comparison.same_prompt and comparison.shared_tokens is None
    duplicate = role(comparison, "duplicate_token")
    assert len(duplicate.pairs) == max(
        len(analysis.listed["duplicate_token"]) for analysis in (repeating, other)
    )
    assert duplicate.pairs[-1].right is None or duplicate.pairs[-1].left is None
    assert duplicate.pairs[-1].difference is None
    for position, pair in enumerate(role(comparison, "induction").pairs, start=1):
        assert pair.left and pair.right and pair.left.rank == pair.right.rank == position
        assert pair.left.depth == pytest.approx(pair.left.head.layer / 3)
    message = said(comparison, "induction")
    assert (
        "33% of the way up the layers" in message and "on the left" in message and "on the right" in message
    )
    assert "in the first layer" in said(comparison, "previous_token")
    assert "demo-gpt2 expects" in prediction_sentence(comparison)
    assert "demo-llama expects" in prediction_sentence(comparison)


def test_predictions_are_the_five_likeliest_of_each_side(service: LiveService, plain: LiveAnalysis) -> None:
    other = service.analyze("demo-llama", LIST)
    comparison = side_by_side(plain, other)
    for analysis, candidates in zip((plain, other), comparison.predictions, strict=True):
        rows = compare(analysis.logits, analysis.logits).rows[:TOP]
        assert [candidate.token for candidate in candidates] == [row.token for row in rows]
        assert [candidate.probability for candidate in candidates] == pytest.approx([r.clean for r in rows])
        assert all(candidate.label for candidate in candidates)
    message = prediction_sentence(comparison)
    for candidates in comparison.predictions:
        assert f"“{candidates[0].label}” ({candidates[0].probability:.0%})" in message


def test_the_same_twice_differs_in_nothing(repeating: LiveAnalysis) -> None:
    comparison = side_by_side(repeating, repeating)
    assert summary_sentence(comparison).endswith("so nothing differs.")
    assert comparison.shared_tokens == len(repeating.prompt.ids)
    for each in comparison.roles:
        assert not each.changed and all(not pair.difference for pair in each.pairs)
    assert said(comparison, "induction").endswith("with scores alike.")
    assert prediction_sentence(comparison).startswith("On both sides the model expects")


def test_little_evidence_is_told(service: LiveService, repeating: LiveAnalysis) -> None:
    one_place = service.analyze("demo-gpt2", "One day a boy saw a dog by the old mill.")
    message = said(side_by_side(one_place, repeating), "induction")
    assert "on the left (little evidence: 1 place)" in message and message.count("little evidence") == 1


def test_why_a_role_is_quiet_is_told_for_its_best_head(repeating: LiveAnalysis) -> None:
    unmoved = role(side_by_side(repeating, repeating), "duplicate_token")
    assert unmoved.left.state == "inactive"
    best = max(repeating.listed["duplicate_token"], key=lambda entry: entry.live)
    assert f"its best head, {best.head}: scores {best.live:.2f}" in (unmoved.left.reason)
    assert "your text" not in unmoved.left.reason


def test_a_short_text_has_no_roles(service: LiveService, repeating: LiveAnalysis) -> None:
    comparison = side_by_side(service.analyze("demo-gpt2", "a"), repeating)
    assert role(comparison, "previous_token").left.reason.startswith("the text is too short")
    alone = side_by_side(*[service.analyze("demo-gpt2", "a")] * 2)
    assert all(not each.changed for each in alone.roles)
    assert said(alone, "diffuse").startswith("Diffuse is inactive on both sides: the text is too short")


def test_a_model_without_catalog_or_without_heads_of_a_role(
    service: LiveService, repeating: LiveAnalysis, tmp_path: Path
) -> None:
    unknown = LiveService(service.store, tmp_path).analyze("demo-llama", REPEATING)
    comparison = side_by_side(repeating, unknown)
    induction = role(comparison, "induction")
    assert induction.right.state == "unknown" and not induction.changed
    assert all(pair.right is None and pair.difference is None for pair in induction.pairs)
    message = said(comparison, "induction")
    assert message.startswith("Induction is active on the left: ") and "demo-llama has no catalog" in message
    assert "not known to be active" in said(side_by_side(unknown, unknown), "induction")
    bare = replace(repeating, listed={**repeating.listed} | {"induction": ()})
    comparison = side_by_side(bare, repeating)
    assert role(comparison, "induction").left.state == "no heads"
    assert "no head of demo-gpt2 does this" in said(comparison, "induction")


def test_one_head_alone_is_named(repeating: LiveAnalysis, plain: LiveAnalysis) -> None:
    def only(analysis: LiveAnalysis) -> LiveAnalysis:
        return replace(analysis, listed={**analysis.listed} | {"induction": analysis.listed["induction"][:1]})

    message = said(side_by_side(only(plain), only(repeating)), "induction")
    entry = repeating.listed["induction"][0]
    assert f"its one head, {entry.head}" in message


@pytest.mark.parametrize("key", list(measured_roles()))
def test_every_role_is_said_in_a_sentence(service: LiveService, key: str) -> None:
    analyses = [
        service.analyze(model, text)
        for model in ("demo-gpt2", "demo-llama")
        for text in ("a", PLAIN, REPEATING, LIST)
    ]
    for left in analyses:
        for right in analyses:
            message = said(side_by_side(left, right), key)
            assert message.startswith(ROLES[key].display_name.split(" (")[0]) and message.endswith(".")
            assert ".." not in message and "None" not in message
