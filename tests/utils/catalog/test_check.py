import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.catalogs import make_catalog
from utils.catalog.catalog import Catalog, save_catalog
from utils.catalog.check import catalog_problems, find_catalogs
from utils.catalog.listing import other_heads, top_heads
from utils.heads import Head
from utils.roles.registry import ROLES

ROOT = Path(__file__).resolve().parents[3]
BUNDLED = sorted((ROOT / "head_categories").glob("*.json"))


def _catalog() -> dict[str, Any]:
    """A catalog of 2 layers of 4 heads that agrees with itself, as JSON."""
    listed = {"induction": [(Head(1, 2), 0.9), (Head(0, 3), 0.5)], "diffuse": [(Head(0, 0), 0.8)]}
    data = make_catalog("org/model", 2, 4, listed).model_dump(mode="json")
    thresholds = data["settings"]["thresholds"]
    for role in thresholds:
        thresholds[role] = {
            "threshold": ROLES[role].threshold,
            "lower_threshold": ROLES[role].lower_threshold,
        }
    data["categories"]["induction"]["suggested_prompts"] = ["one two one two"]
    other = other_heads(data["all_scores"], {role: ROLES[role].threshold for role in thresholds})
    data["categories"]["other"]["top_heads"] = [
        {"layer": head.layer, "head": head.head, "score": score} for head, score in other
    ]
    data["probe_scores"] = {"induction": {"a": data["all_scores"]["induction"], "b": [[0.0] * 4] * 2}}
    return data


def _save(data: dict[str, Any], folder: Path) -> Path:
    return save_catalog(Catalog.model_validate_json(json.dumps(data)), folder)


def test_a_catalog_that_agrees_with_itself_has_no_problem(tmp_path: Path) -> None:
    assert catalog_problems(_save(_catalog(), tmp_path)) == []


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.name)
def test_the_bundled_catalogs_have_no_problem(path: Path) -> None:
    assert catalog_problems(path) == []
    # They are made with today's texts.
    for key, category in json.loads(path.read_text(encoding="utf-8"))["categories"].items():
        row = ROLES[key]
        assert (category["display_name"], category["description"]) == (row.display_name, row.description)
        assert (category["explanation"], category["icon"]) == (row.explanation, row.icon)
        assert set(category["suggested_prompts"]) <= set(row.example_prompts)


def _ranking(**changes: Any) -> dict[str, Any]:
    """A record of the catalog's 8 heads."""
    heads = [str(Head(layer, head)) for layer in range(2) for head in range(4)]
    return {
        "method": "wu24",
        "model_key": "org/model",
        "model_name": "org/model",
        "question": "inc_state",
        "question_prompt": "Where?",
        "total_tokens": 128,
        "span": "needle",
        "successful_samples": 1,
        "samples_processed": 2,
        "settings": {},
        "timestamp": "2025-11-21",
        "head_rankings": [
            {"head": head, "score": 0.5, "rank": rank, "std": 0.0, "count": 1, "max": 0.5}
            for rank, head in enumerate(heads, start=1)
        ],
        "top_50_heads": heads,
    } | changes


def test_rankings_that_are_whole(tmp_path: Path) -> None:
    data = _catalog()
    data["rankings"]["wu24"] = [_ranking(), _ranking(total_tokens=256), _ranking(question="inc_year")]
    assert catalog_problems(_save(data, tmp_path)) == []


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([_ranking(), {"method": "wu24"}], "ranking 2 by wu24 is damaged: model_key"),
        ([_ranking(method="qrhead")], "one by qrhead"),
        ([_ranking(model_name="other")], "is of other"),
        ([_ranking(), _ranking()], "the second for inc_state at 128 tokens"),
        (
            [
                _ranking(
                    head_rankings=_ranking()["head_rankings"][:-1],
                    top_50_heads=_ranking()["top_50_heads"][:-1],
                )
            ],
            "must rank the 8 heads",
        ),
        ([_ranking(timestamp="now")], "timestamp"),
    ],
)
def test_rankings_that_are_not(tmp_path: Path, records: list[dict[str, Any]], problem: str) -> None:
    data = _catalog()
    data["rankings"]["wu24"] = records
    (message,) = catalog_problems(_save(data, tmp_path))
    assert problem in message and "\n" not in message


Damage = Callable[[dict[str, Any]], Any]
INDUCTION = ("categories", "induction", "top_heads")
DAMAGES: dict[str, tuple[Damage, str]] = {
    "a head too many": (
        lambda data: data["categories"]["induction"]["top_heads"].append(
            {"layer": 0, "head": 0, "score": 0.1}
        ),
        "induction lists L1H2, L0H3, L0H0, by its scores it should be L1H2, L0H3",
    ),
    "a head too few": (
        lambda data: data["categories"]["diffuse"].update(top_heads=[]),
        "diffuse lists no head, by its scores it should be L0H0",
    ),
    "another score": (
        lambda data: data["categories"]["induction"]["top_heads"][0].update(score=0.91),
        "induction lists L1H2 with another score",
    ),
    "another order": (
        lambda data: data["categories"]["induction"]["top_heads"].reverse(),
        "induction does not list its heads best first",
    ),
    "other without its heads": (lambda data: data["categories"]["other"].update(top_heads=[]), "other lists"),
    "a score that changes the lists": (
        lambda data: data["all_scores"]["previous_token"][1].__setitem__(0, 0.7),
        "previous_token lists no head, by its scores it should be L1H0",
    ),
    "earlier thresholds": (
        lambda data: data["settings"]["thresholds"]["induction"].update(threshold=0.45),
        "induction was listed from 0.45 (other layers 0.25), now it is",
    ),
    "thresholds the wrong way round": (
        lambda data: data["settings"]["thresholds"]["induction"].update(lower_threshold=0.5),
        "the lower threshold of induction is above its threshold",
    ),
    "no threshold": (
        lambda data: data["settings"]["thresholds"].pop("induction"),
        "settings.thresholds must hold just",
    ),
    "an empty prompt": (
        lambda data: data["categories"]["induction"]["suggested_prompts"].append("  "),
        "a suggested prompt of induction is empty",
    ),
    "a prompt twice": (
        lambda data: data["categories"]["induction"]["suggested_prompts"].append("one two one two"),
        "induction suggests a prompt twice",
    ),
    "a prompt without a head": (
        lambda data: data["categories"]["positional"]["suggested_prompts"].append("one"),
        "positional suggests prompts and has no head",
    ),
    "a mean that is not the larger one": (
        lambda data: data["probe_scores"]["induction"]["b"].__setitem__(0, [0.95] * 4),
        "the score of L0H0 for induction is not the largest",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_agree_is_told(name: str, tmp_path: Path) -> None:
    damage, message = DAMAGES[name]
    data = json.loads(json.dumps(_catalog()))
    damage(data)
    assert any(problem.startswith(message) for problem in catalog_problems(_save(data, tmp_path)))


def test_another_file_name_is_told(tmp_path: Path) -> None:
    renamed = _save(_catalog(), tmp_path).rename(tmp_path / "mine.json")
    expected = "it is the catalog of org/model and should be named org--model.json"
    assert catalog_problems(renamed) == [expected]


def test_a_missing_role_and_a_damaged_file_are_told(tmp_path: Path) -> None:
    data = _catalog()
    del data["categories"]["other"]
    assert catalog_problems(_save(data, tmp_path)) == ["categories lacks other"]
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert "is damaged" in catalog_problems(broken)[0]


def test_files_and_folders_are_found(tmp_path: Path) -> None:
    path = _save(_catalog(), tmp_path / "some")
    (tmp_path / "some" / ".org--model.json.x.part").write_text("")
    (tmp_path / "some" / "README.md").write_text("")
    (tmp_path / "none").mkdir()
    found, problems = find_catalogs([tmp_path / "some", path, tmp_path / "none", tmp_path / "gone"])
    assert found == [path, path]
    assert [str(problem).split(".")[0] for problem in problems] == [
        f"There is no catalog in {tmp_path / 'none'}",
        f"{tmp_path / 'gone'} does not exist",
    ]


@pytest.mark.parametrize("module", ["utils.catalog.check", "retrieval.rankings.methods"])
def test_torch_is_not_needed(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_a_ranking_by_no_method_is_told(tmp_path: Path) -> None:
    path = _save(_catalog() | {"rankings": {"unheard_of": []}}, tmp_path)
    assert catalog_problems(path) == []
    assert catalog_problems(path, ("wu24", "qrhead")) == [
        "rankings has 'unheard_of', and the methods are wu24, qrhead"
    ]


def test_the_lists_of_a_catalog_are_those_of_its_scores() -> None:
    assert [str(head) for head, _ in top_heads(_catalog()["all_scores"]["induction"], 0.4, 0.25)] == [
        "L1H2",
        "L0H3",
    ]
