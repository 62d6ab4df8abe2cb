"""The thresholds in use hold what head_categories/README.md says of them."""

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.thresholds import THRESHOLDS, main, table_rows
from utils.roles.random_heads import MAX_ACTIVE
from utils.roles.registry import ROLES

README = Path(__file__).resolve().parents[2] / "head_categories" / "README.md"
MEASURED = [key for key, role in ROLES.items() if role.measured]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Fewer heads and sequences than the README has: it takes seconds, and the seed makes it hold."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["--json", "--heads", "75", "--sequences", "10"]) == 0
    return json.loads(out.getvalue())


def test_every_role_is_told(found: dict[str, Any]) -> None:
    assert list(found) == MEASURED
    for role, message in found.items():
        assert message["threshold"] == ROLES[role].threshold
        assert set(message["at"]) == {str(threshold) for threshold in THRESHOLDS}
        shares = [message["at"][str(threshold)]["random_share"] for threshold in THRESHOLDS]
        heads = [message["at"][str(threshold)]["demo-gpt2"] for threshold in THRESHOLDS]
        assert shares == sorted(shares, reverse=True) and heads == sorted(heads, reverse=True)
    rows = table_rows(found, ["demo-gpt2", "demo-llama"])
    assert len(rows) == len(MEASURED) * (len(THRESHOLDS) + 1)
    assert sum(row[1].strip().endswith("<") for row in rows) == len(MEASURED)


@pytest.mark.parametrize("role", [role for role in MEASURED if role != "diffuse"])
def test_random_heads_hardly_reach_a_threshold(found: dict[str, Any], role: str) -> None:
    assert found[role]["at"][str(ROLES[role].threshold)]["random_share"] < MAX_ACTIVE


def test_random_heads_would_reach_a_lower_threshold_for_duplicate_tokens(found: dict[str, Any]) -> None:
    assert found["duplicate_token"]["at"]["0.4"]["random_share"] > MAX_ACTIVE


def test_the_readme_has_the_thresholds_in_use() -> None:
    stated = dict(re.findall(r"^\| `(\w+)` \| (0\.\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert {role: float(threshold) for role, threshold in stated.items()} == {
        role: ROLES[role].threshold for role in MEASURED
    }
