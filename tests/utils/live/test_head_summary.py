"""The live check of a whole model: its catalog as plain data, and the summary of its listed heads."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fixtures.catalogs import write_catalog
from tests.fixtures.made_patterns import BOS, PLAIN, TOKENS, induction, looks_at, previous, uniform
from utils.errors import UserFacingError
from utils.head_detection import (
    get_active_head_summary,
    load_head_categories,
    verify_head_activation,
)
from utils.heads import Head
from utils.roles.random_heads import random_head_patterns
from utils.roles.registry import ROLES
from utils.roles.scores import chance_level

NAME = "someone/a-model"
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
        "copying": [],
        "copy_suppression": [],
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
