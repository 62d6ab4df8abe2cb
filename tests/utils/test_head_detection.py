"""The live check: the three public functions, when a head is active, and the words that say why."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.catalogs import write_catalog
from utils.errors import UserFacingError
from utils.head_detection import (
    explain,
    get_active_head_summary,
    is_active,
    load_head_categories,
    role_input,
    summarize_heads,
    verify_head_activation,
)
from utils.head_roles import ROLES
from utils.heads import Head
from utils.random_heads import random_head_patterns
from utils.role_scores import MEASURED_ROLES, TOO_CLOSE, TOO_SHORT, chance_level, role_score

BOS = 0
NAME = "someone/a-model"
#         0    1   2   3   4   5   6   7   8
TOKENS = [BOS, 11, 12, 13, 14, 11, 12, 13, 14]
PLAIN = [BOS, 11, 12, 13, 14, 15, 16, 17, 18]


def looks_at(tokens: list[int], key: Callable[[int], int], share: float = 1.0) -> Tensor:
    """A head that gives `share` of each row to one key and the rest to the first token."""
    attention = torch.zeros(len(tokens), len(tokens))
    for i in range(len(tokens)):
        j = key(i)
        attention[i, 0] = 1.0
        if 0 < j <= i:
            attention[i, 0], attention[i, j] = 1 - share, share
    return attention


def previous(tokens: list[int], share: float = 1.0) -> Tensor:
    return looks_at(tokens, lambda i: i - 1, share)


def induction(tokens: list[int], share: float = 1.0) -> Tensor:
    return looks_at(tokens, lambda i: i - 3 if i > 4 else 0, share)


def uniform(tokens: list[int]) -> Tensor:
    n = len(tokens)
    return torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]


# verify_head_activation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", MEASURED_ROLES)
def test_live_and_catalog_scores_are_one_definition(role: str) -> None:
    attention = random_head_patterns(9, 2.0, count=1, seed=4)[0]
    info = {"layer": 1, "head": 2, "score": 0.7, "special_ids": [BOS]}
    expected = float(role_score(role, attention, TOKENS, {BOS}))
    assert verify_head_activation(attention, TOKENS, info, role) == pytest.approx(expected, abs=1e-6)
    assert verify_head_activation(attention.tolist(), TOKENS, info, role) == pytest.approx(expected, abs=1e-6)
    assert verify_head_activation(attention.double().numpy(), tuple(TOKENS), info, role) == pytest.approx(
        expected, abs=1e-6
    )
    assert verify_head_activation(attention.requires_grad_(), TOKENS, info, role) == pytest.approx(
        expected, abs=1e-6
    )


def test_a_perfect_head_scores_one_and_the_score_is_a_plain_number() -> None:
    score = verify_head_activation(induction(TOKENS), TOKENS, {"layer": 0, "head": 0}, "induction")
    assert type(score) is float and score == 1
    # float16 rounding may push a sum past 1; the score stays within [0, 1].
    over = previous(TOKENS) * 1.001
    assert verify_head_activation(over, TOKENS, {"layer": 0, "head": 0}, "previous_token") == 1


def test_special_ids_come_with_the_head() -> None:
    tokens = [BOS, 5, 6, BOS, 5, 7, BOS]
    sink = looks_at(tokens, lambda i: 3 if i > 3 else 0)
    record = {"layer": 0, "head": 0}
    assert verify_head_activation(sink, tokens, record, "duplicate_token") > 0
    assert verify_head_activation(sink, tokens, record | {"special_ids": {BOS}}, "duplicate_token") == 0


def test_other_and_what_does_not_apply_score_zero() -> None:
    head = {"layer": 0, "head": 0}
    assert verify_head_activation(uniform(TOKENS), TOKENS, head, "other") == 0
    assert verify_head_activation(uniform(PLAIN), PLAIN, head, "induction") == 0
    for role in ROLES:
        assert verify_head_activation([[1.0]], [5], head, role) == 0
        assert verify_head_activation([[1.0, 0.0], [0.5, 0.5]], [5, 5], head, role) == 0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[1.0, 0.0], [0.5, 0.5]], r"\(query, key\)=\(3, 3\)\. Got \(2, 2\)"),
        ([[[1.0, 0, 0]] * 3], r"Got \(1, 3, 3\)"),
        ([1.0, 0.0, 0.0], r"Got \(3,\)"),
        ([[1.0, 0, 0], [0.5, 0.5, 0]], r"Got \(2, 3\)"),
        ([[1.0, 0, 0], [0.5, 0.5]], "must hold numbers"),
        ([["a", "b", "c"]] * 3, "must hold numbers"),
        (None, "must hold numbers"),
        ([[9.0, 0, 0], [3, 4, 0], [1, 2, 3]], "sum to more than 1"),
        ([[1.0, 0, 0], [0.5, 0.5, 0], [-1, 1, 1]], "anything below 0"),
        ([[1.0, 0, 0], [0.5, 0.5, 0], [float("nan")] * 3], "sum to more than 1"),
    ],
)
def test_what_is_no_pattern_is_refused(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verify_head_activation(weights, [5, 6, 7], {"layer": 0, "head": 0}, "positional")


def test_rows_left_out_by_hand_are_taken_as_they_are() -> None:
    """A matrix with just the rows that count: what is not there scores nothing."""
    pattern = [[0.0] * 4, [0.0] * 4, [0, 1.0, 0, 0], [0, 0, 0.5, 0]]
    head = {"layer": 0, "head": 0}
    assert verify_head_activation(pattern, [5, 6, 7, 8], head, "previous_token") == pytest.approx(0.75)


def test_an_unknown_role_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match=r"previous_token, induction, .*other\. Got 'copying'"):
        verify_head_activation([[1.0]], [5], {"layer": 0, "head": 0}, "copying")


# When a head is active ------------------------------------------------------------------------------------


def test_half_of_the_catalog_score_or_of_the_threshold_is_needed() -> None:
    """A long text, so that luck is far away: then the share of the larger of the two decides."""
    tokens = [BOS, *range(10, 110)]
    asked = role_input("previous_token", tokens, {BOS})
    assert asked.bar < 0.2
    assert ROLES["previous_token"].threshold == 0.4
    assert asked.needed(0.9) == pytest.approx(0.45)
    assert asked.needed(0.3) == asked.needed(0.0) == pytest.approx(max(0.2, asked.bar))
    assert is_active(asked, 0.45, 0.9, peak=1.0) and not is_active(asked, 0.449, 0.9, peak=1.0)


@pytest.mark.parametrize("role", ["previous_token", "induction", "duplicate_token", "positional"])
def test_luck_needs_more_where_few_positions_count(role: str) -> None:
    asked = role_input(role, TOKENS, {BOS})
    chance, rows = chance_level(role, TOKENS, {BOS}), asked.target.rows
    by_luck = chance + max(0.15, 1.64 * math.sqrt(chance * (1 - chance) / rows))
    assert asked.bar == pytest.approx(by_luck)
    assert asked.needed(0.0) == pytest.approx(max(0.5 * ROLES[role].threshold, by_luck))
    assert not is_active(asked, by_luck - 0.001, 0.0, peak=1.0)


def test_the_term_for_few_positions_is_the_larger_one_where_it_matters() -> None:
    few = role_input("induction", [BOS, 5, 6, 7, 5], {BOS})
    assert few.target.rows == 1 and few.chance == pytest.approx(1 / 5)
    assert few.bar == pytest.approx(0.2 + 1.64 * 0.4)
    many = role_input("previous_token", [BOS, *range(1, 200)], {BOS})
    assert many.bar == pytest.approx(many.chance + 0.15)


def test_a_role_that_does_not_apply_is_never_active() -> None:
    asked = role_input("induction", PLAIN, {BOS})
    assert not is_active(asked, 1.0, 0.0, peak=1.0)
    assert asked.bar == 0 and math.isnan(asked.chance)


def test_diffuse_is_judged_by_entropy_and_peak() -> None:
    asked = role_input("diffuse", PLAIN)
    threshold = ROLES["diffuse"].threshold
    assert math.isnan(asked.chance) and asked.needed(0.99) == threshold
    assert is_active(asked, threshold, 0.99, peak=0.5)
    assert not is_active(asked, threshold - 0.01, 0.1, peak=0.2)
    assert not is_active(asked, 0.9, 0.9, peak=0.51)
    # The peak of any other role's head does not matter.
    assert is_active(role_input("positional", PLAIN), 1.0, 0.9, peak=1.0)


def test_a_windowed_layer_has_a_chance_of_its_own() -> None:
    everything, near = role_input("previous_token", PLAIN), role_input("previous_token", PLAIN, window=2)
    assert near.chance == pytest.approx(0.5) and everything.chance < 0.3
    assert near.bar > everything.bar


# The words ----------------------------------------------------------------------------------------------


def reason(role: str, tokens: list[int], attention: Tensor, catalog_score: float = 0.9) -> str:
    listed = {role: {"top_heads": [{"layer": 0, "head": 0, "score": catalog_score}]}}
    return summarize_heads(attention[None, None], tokens, listed, {BOS})[role][0]["reason"]


def test_a_gray_head_says_that_it_rests() -> None:
    tokens = [BOS, *range(10, 30)]
    rests = looks_at(tokens, lambda i: i, share=0.01)
    assert (
        reason("induction", tokens, rests)
        == "nothing repeats in your text; it rests on the first token (99%)"
    )
    assert (
        reason("previous_token", tokens, rests)
        == "scores 0.00 on your text, 0.45 would count; it rests on the first token (99%)"
    )
    # A head that does not rest does not say so, and for the first-token role resting is the job.
    assert reason("induction", tokens, previous(tokens)) == "nothing repeats in your text"
    assert reason("positional", tokens, rests) == "scores 0.99 on your text"
    short = [BOS, 5, 6]
    sink = looks_at(short, lambda i: 0)
    assert reason("positional", short, sink) == "too few places to tell it from chance"
    assert "; it rests on the first token (100%)" in reason("diffuse", short, sink)


def test_reasons_of_what_does_not_apply() -> None:
    close = [BOS, 5, 6, 5, 6]
    assert reason("induction", close, previous(close)) == TOO_CLOSE
    assert reason("induction", [BOS, 5], previous([BOS, 5])) == TOO_SHORT


def test_little_evidence_is_said() -> None:
    tokens = [BOS, 5, 6, 7, 5]
    copies = looks_at(tokens, lambda i: 2 if i == 4 else 0)
    assert (
        reason("induction", tokens, copies)
        == "scores 1.00 on your text (little evidence: only 1 place to look at)"
    )
    assert reason("induction", tokens, uniform(tokens)).endswith(
        " (little evidence: only 1 place to look at)"
    )
    two = [*tokens, 6]
    copies = looks_at(two, lambda i: i - 2 if i > 3 else 0)
    assert reason("induction", two, copies).endswith("(little evidence: only 2 places to look at)")
    assert "evidence" not in reason("induction", TOKENS, induction(TOKENS))


def test_where_no_score_could_count_it_says_so() -> None:
    """One position with three keys: a head that looks at nothing but its target may still be luck."""
    asked = role_input("previous_token", [BOS, 5, 6], {BOS})
    assert asked.target.rows == 1 and asked.needed(0.9) > 1
    assert reason("previous_token", [BOS, 5, 6], previous([BOS, 5, 6])) == (
        "too few places to tell it from chance"
    )


def test_a_diffuse_head_with_a_peak_says_what_is_wrong() -> None:
    # Half on one token, the rest spread thin over many: high entropy and a peak of more than half.
    n = 60
    tokens = [BOS, *range(10, 9 + n)]
    peaked = 0.4 * uniform(tokens)
    peaked[:, 0] += 0.6
    asked = role_input("diffuse", tokens)
    assert "so it is not spread out" in explain(asked, 0.8, 0.9, peak=0.61, resting=0.1)
    assert explain(asked, 0.8, 0.9, 0.61, 0.61) == (
        "one token takes 61% of its attention, so it is not spread out; it rests on the first token (61%)"
    )
    assert reason("diffuse", tokens, uniform(tokens)) == "scores 1.00 on your text"
    assert reason("diffuse", tokens, previous(tokens)).startswith(
        "scores 0.00 on your text, 0.55 would count"
    )


def test_the_reason_agrees_with_the_verdict() -> None:
    """Over many random heads and texts, only a gray head is told what would count."""
    for seed in range(6):
        tokens = TOKENS if seed % 2 else [*TOKENS, *range(20, 26), *TOKENS[1:]]
        patterns = random_head_patterns(len(tokens), 3.0, count=40, seed=seed)[None]
        listed = {
            role: {"top_heads": [{"layer": 0, "head": h, "score": 0.2} for h in range(40)]}
            for role in MEASURED_ROLES
        }
        for entries in summarize_heads(patterns, tokens, listed, {BOS}).values():
            for entry in entries:
                gray = any(word in entry["reason"] for word in ("would count", "too few", "not spread out"))
                assert entry["is_active"] is not gray
                assert entry["is_active"] is (
                    entry["activation_score"] >= entry["needed"] and "one token" not in entry["reason"]
                )


# load_head_categories and get_active_head_summary --------------------------------------------------------

LISTED = {
    "previous_token": [(Head(0, 1), 0.95)],
    "induction": [(Head(1, 0), 0.9), (Head(1, 2), 0.5)],
    "positional": [(Head(0, 0), 0.8)],
    "diffuse": [(Head(0, 2), 0.9)],
    "other": [(Head(1, 1), 0.3)],
}


@pytest.fixture
def catalogs(tmp_path: Path) -> Path:
    write_catalog(tmp_path, NAME, 2, 3, LISTED)
    return tmp_path


def activation_data(tokens: list[int]) -> dict[str, Any]:
    """2 layers of 3 heads that do what the catalog says of them."""
    sink = looks_at(tokens, lambda i: 0)
    heads = [sink, previous(tokens), uniform(tokens), induction(tokens), sink, induction(tokens, 0.01)]
    return {"attention": torch.stack(heads).view(2, 3, len(tokens), len(tokens)), "tokens": tokens}


def test_the_summary_has_every_listed_head_in_order(catalogs: Path) -> None:
    summary = get_active_head_summary(activation_data(TOKENS), NAME, catalogs)
    assert list(summary) == list(ROLES)
    for role, entries in summary.items():
        assert [(Head(e["layer"], e["head"]), e["score"]) for e in entries] == LISTED.get(role, [])
    active = {
        role: [Head(e["layer"], e["head"]) for e in entries if e["is_active"]]
        for role, entries in summary.items()
    }
    assert active == {
        "previous_token": [Head(0, 1)],
        "induction": [Head(1, 0)],
        "duplicate_token": [],
        "positional": [Head(0, 0)],
        "diffuse": [Head(0, 2)],
        "other": [],
    }
    induction_entry = summary["induction"][0]
    assert induction_entry["activation_score"] == 1
    assert induction_entry["chance"] == pytest.approx((1 / 6 + 1 / 7 + 1 / 8 + 1 / 9) / 4)
    assert induction_entry["positions"] == 4
    assert induction_entry["pairs"] == ((5, 2), (6, 3), (7, 4), (8, 5))
    assert summary["diffuse"][0]["chance"] is None
    assert summary["other"][0]["reason"] == "no catalogued role, so there is nothing to check"


def test_the_summary_of_a_text_without_repetition(catalogs: Path) -> None:
    summary = get_active_head_summary(activation_data(PLAIN), NAME, catalogs)
    assert [e["is_active"] for e in summary["induction"]] == [False, False]
    assert summary["induction"][1]["reason"].startswith("nothing repeats in your text; it rests on the first")
    assert summary["previous_token"][0]["is_active"]


@pytest.mark.parametrize("tokens", [TOKENS, PLAIN, [BOS, 5], [BOS]], ids=len)
def test_the_summary_is_plain_data_with_every_promised_key(catalogs: Path, tokens: list[int]) -> None:
    summary = get_active_head_summary(activation_data(tokens), NAME, catalogs)
    json.dumps(summary, allow_nan=False)
    promised = {"layer", "head", "score", "activation_score", "chance", "is_active", "reason", "pairs"}
    for entries in summary.values():
        for entry in entries:
            assert promised <= set(entry)
            assert 0 <= entry["activation_score"] <= 1 and entry["reason"]


def test_tensors_and_nested_lists_say_the_same(catalogs: Path) -> None:
    data = activation_data(TOKENS)
    lists = {"attention": data["attention"].tolist(), "tokens": torch.tensor(TOKENS)}
    before = data["attention"].clone()
    expected = get_active_head_summary(data, NAME, catalogs)
    assert get_active_head_summary(lists, NAME, catalogs) == expected
    assert torch.equal(data["attention"], before)


def test_each_entry_is_what_verify_says(catalogs: Path) -> None:
    data = activation_data(TOKENS)
    data["attention"] = random_head_patterns(9, 2.0, count=6, seed=9).view(2, 3, 9, 9)
    for role, entries in get_active_head_summary(data, NAME, catalogs).items():
        for entry in entries:
            matrix = data["attention"][entry["layer"], entry["head"]]
            verified = verify_head_activation(matrix, TOKENS, entry | {"special_ids": [BOS]}, role)
            assert entry["activation_score"] == pytest.approx(verified, abs=1e-6)


def test_special_ids_are_the_catalogs_unless_given(tmp_path: Path) -> None:
    tokens = [BOS, 5, 6, 7, BOS, 5, 8]
    write_catalog(tmp_path, "with", 2, 3, LISTED, special_ids=(BOS,))
    write_catalog(tmp_path, "without", 2, 3, LISTED, special_ids=())
    data = activation_data(tokens)

    def pairs(name: str, **more: Any) -> Any:
        return get_active_head_summary(data | more, name, tmp_path)["induction"][0]["pairs"]

    assert pairs("with") == ((5, 2),)
    assert pairs("without") == ((4, 1), (5, 2))
    assert pairs("without", special_ids=[BOS]) == ((5, 2),)


def test_windows_are_the_catalogs_unless_given(tmp_path: Path) -> None:
    listed = {"previous_token": [(Head(0, 1), 0.9), (Head(1, 1), 0.8)]}
    write_catalog(tmp_path, "windowed", 2, 3, listed, windows=(4, None))
    write_catalog(tmp_path, "whole", 2, 3, listed)
    data = activation_data(PLAIN)

    def chances(name: str, **more: Any) -> list[float]:
        summary = get_active_head_summary(data | more, name, tmp_path)["previous_token"]
        return [entry["chance"] for entry in summary]

    near, far = chance_level("previous_token", PLAIN, window=4), chance_level("previous_token", PLAIN)
    assert near > far + 0.05
    assert chances("windowed") == [near, far]
    assert chances("whole") == chances("windowed", windows=None) == [far, far]
    assert chances("whole", windows=[None, 4]) == [far, near]
    with pytest.raises(ValueError, match=r"one entry a layer, 2\. Got 3"):
        chances("whole", windows=[4, 4, 4])


def test_the_catalog_comes_as_plain_data(catalogs: Path) -> None:
    data = load_head_categories(NAME, catalogs)
    assert data["model_name"] == NAME and data["num_layers"] == 2
    assert data["categories"]["induction"]["top_heads"][0] == {"layer": 1, "head": 0, "score": 0.9}
    assert data == json.loads((catalogs / "someone--a-model.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": 1}', '{"categories": {}}'])
def test_a_damaged_catalog_is_said_in_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "broken.json").write_text(content, encoding="utf-8")
    for call in (
        lambda: load_head_categories("broken", tmp_path),
        lambda: get_active_head_summary(activation_data(TOKENS), "broken", tmp_path),
    ):
        with pytest.raises(UserFacingError, match=r"broken\.json is damaged") as caught:
            call()
        assert "scripts/analyze_heads.py --model broken" in caught.value.remedy


def test_a_missing_catalog_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="no catalog") as caught:
        load_head_categories("gone", tmp_path)
    assert "scripts/analyze_heads.py --model gone" in caught.value.remedy
    with pytest.raises(UserFacingError, match="no catalog"):
        load_head_categories("../../etc/passwd", tmp_path)


def test_a_catalog_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_catalog(tmp_path, "other-shape", 2, 4, {})
    with pytest.raises(UserFacingError, match=r"2 layers x 4 heads, this model has 2 x 3"):
        get_active_head_summary(activation_data(TOKENS), "other-shape", tmp_path)


def test_attention_that_does_not_fit_is_refused(catalogs: Path) -> None:
    attention = activation_data(TOKENS)["attention"]
    for wrong, message in (
        (attention[0], r"\(layer, head, query, key\)=\(\.\., \.\., 9, 9\)\. Got \(3, 9, 9\)"),
        (attention[..., :5, :5], r"Got \(2, 3, 5, 5\)"),
        (attention * 2, "sum to more than 1"),
    ):
        with pytest.raises(ValueError, match=message):
            get_active_head_summary({"attention": wrong, "tokens": TOKENS}, NAME, catalogs)
