"""The catalog page as plain functions, on the catalogs that come with the project."""

import json
from pathlib import Path

import pytest
from dash import no_update

from callbacks.pages.catalog_page import CatalogPage
from tests.fixtures.reading_trees import find, text_of
from utils.catalog.catalog import CATALOG_FOLDER, catalog_path, load_catalog
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.sources import REAL_MODEL
from utils.models.store import ModelStore
from utils.roles.registry import ROLES


@pytest.fixture(scope="module")
def page(service: LiveService) -> CatalogPage:
    return CatalogPage(service)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("theme", ["light", "dark", None])
def test_every_role_is_shown_with_its_heads(page: CatalogPage, role: str, theme: str | None):
    body, nothing, analyze = page.show("demo-gpt2", role, theme)
    catalog = load_catalog(catalog_path("demo-gpt2", CATALOG_FOLDER))
    message = text_of(body)
    assert (nothing, analyze) == (False, None)
    for entry in catalog.categories[role].top_heads:
        assert f" {Head(entry.layer, entry.head)} " in message
        assert f" {entry.score:.3f} " in message
    assert f"seed {catalog.settings.seed}" in message
    assert "python scripts/analyze_heads.py --model demo-gpt2" in message


def test_the_address_chooses_model_and_role_and_nonsense_does_not(page: CatalogPage):
    chosen = page.layout("?model=demo-llama&role=induction")
    assert find(chosen, value="demo-llama") and find(chosen, value="induction")
    other = page.layout("?model=../../etc&role=%00&x")
    assert "etc" not in text_of(other) and find(other, value=REAL_MODEL)


def test_a_model_without_a_catalog_is_offered_an_analysis(tmp_path: Path):
    page = CatalogPage(LiveService(ModelStore(), tmp_path))
    body, nothing, analyze = page.show("demo-gpt2", "induction", "light")
    assert (nothing, analyze) == (True, "demo-gpt2")
    assert "no catalog" in text_of(body)
    assert page.download("demo-gpt2") is no_update


def test_a_catalog_without_its_model_is_shown_unless_the_class_is_locked(tmp_path: Path):
    text = catalog_path("demo-gpt2", CATALOG_FOLDER).read_text(encoding="utf-8")
    (tmp_path / "far--away.json").write_text(text.replace("demo-gpt2", "far/away"), encoding="utf-8")
    service = LiveService(ModelStore(), tmp_path)
    assert CatalogPage(service).show("far/away", "induction", "light")[1:] == (False, None)
    message, nothing, analyze = CatalogPage(service, locked=True).show("far/away", "induction", "light")
    assert (nothing, analyze) == (True, None)
    assert "no such model" in text_of(message)


def test_gpt2_stands_beside_what_the_literature_says(tmp_path: Path):
    text = catalog_path("demo-gpt2", CATALOG_FOLDER).read_text(encoding="utf-8")
    (tmp_path / "gpt2.json").write_text(text.replace("demo-gpt2", "gpt2"), encoding="utf-8")
    body, _, _ = CatalogPage(LiveService(ModelStore(), tmp_path)).show("gpt2", "induction", "light")
    assert "L5H1, L5H5, L6H9, L7H2, L7H10" in text_of(body)


def test_the_download_is_the_catalog(page: CatalogPage):
    sent = page.download("demo-llama")
    assert sent["filename"] == "demo-llama.json"
    assert json.loads(sent["content"])["model_name"] == "demo-llama"


def test_no_model_no_page(page: CatalogPage):
    assert page.show(None, "induction", None) == ([], True, None)
    assert page.download(None) is no_update
