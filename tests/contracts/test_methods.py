"""docs/METHODS.md says what the code does: its examples run, its tables are those of the code."""

import doctest
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from retrieval.rankings.methods import METHODS
from utils.roles.registry import ROLES

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "docs" / "METHODS.md"
TEXT = PATH.read_text(encoding="utf-8")
CONSTANTS = re.findall(r"^\| `((?:utils|retrieval|study)\.[\w.]+)` \| ([\d.]+) \|", TEXT, re.MULTILINE)
# Modules whose docstrings have examples.
EXAMPLES = sorted(
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for room in ("utils", "retrieval", "study")
    for path in (ROOT / room).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of the table whose first column has this heading, by the name in the first."""
    table = TEXT.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {line[0].strip("`"): line[1:] for line in cells}


def value_of(dotted: str) -> Any:
    """A constant of a module, or a default of a class of one."""
    parts = dotted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(dotted)


@pytest.mark.parametrize(("dotted", "written"), CONSTANTS)
def test_every_constant_has_the_value_that_is_written(dotted: str, written: str) -> None:
    assert value_of(dotted) == float(written)


def test_there_are_constants() -> None:
    assert len(CONSTANTS) > 20


def test_the_roles_are_those_of_the_registry() -> None:
    table = rows("role")
    assert list(table) == list(ROLES)
    for key, (_, probes, threshold, lower) in table.items():
        role = ROLES[key]
        assert probes == ", ".join(role.probes)
        if role.measured:
            assert (float(threshold), float(lower)) == (role.threshold, role.lower_threshold)


def test_the_ranking_methods_are_those_of_the_registry() -> None:
    assert list(rows("method")) == list(METHODS)


def test_the_examples_of_the_page_run() -> None:
    found = doctest.testfile(str(PATH), module_relative=False)
    assert found.attempted > 8 and found.failed == 0


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_docstrings_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted and found.failed == 0


def test_the_public_functions_on_tensors_have_examples() -> None:
    assert {"utils.roles.scores", "utils.roles.role_score", "retrieval.rankings.scores"} <= set(EXAMPLES)
