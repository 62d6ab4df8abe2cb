"""What the documents say is what the registries hold."""

import re
from pathlib import Path

import pytest

from training.recipes import RECIPES
from utils.models.families import FAMILIES
from utils.roles.registry import ROLES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table_keys(heading: str) -> list[str]:
    """The first column of the README table whose head row starts with `heading`."""
    table = README.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([\w-]+)`", table, flags=re.MULTILINE)


def test_the_readme_lists_every_role():
    assert table_keys("role") == list(ROLES)


def test_the_readme_lists_every_bundled_model():
    assert table_keys("model") == list(RECIPES)


def test_the_readme_lists_every_family():
    assert table_keys("family") == list(FAMILIES)


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_bundled_model_is_small_and_has_its_papers(name: str):
    folder = ROOT / "models" / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20_000_000
    files = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "training_log.jsonl"} <= files


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/ARCHITECTURE.md",
        "docs/METHODS.md",
        "docs/OPERATING.md",
    ],
)
def test_every_file_that_a_document_links_is_there(document: str):
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "docs/ARCHITECTURE.md", "study/README.md"])
def test_every_module_that_a_document_names_is_there(document: str):
    modules = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if ".venv" not in path.parts}
    text = (ROOT / document).read_text(encoding="utf-8")
    for named in re.findall(r"`([a-z_]+(?:/[a-z_]+)+\.py)`", text):
        assert any(module == named or module.endswith(f"/{named}") for module in modules), named
