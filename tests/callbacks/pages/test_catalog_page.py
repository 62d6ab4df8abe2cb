"""The catalog page as plain functions, on the catalogs that come with the project."""

import json
from pathlib import Path
from typing import Any

import pytest
from dash import no_update

from callbacks.pages.catalog_page import CatalogPage
from components import ids
from components.catalog.scores import score_heatmap
from tests.fixtures.reading_trees import find, text_of
from utils.catalog.catalog import CATALOG_FOLDER, catalog_path, load_catalog
from utils.heads import Head
from utils.links.page_links import from_query
from utils.links.page_state import PageState
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


@pytest.mark.parametrize(("role", "shown"), [("positional", "8 of 165 shown"), ("induction", "8 of 9 shown")])
def test_the_list_tells_how_many_it_leaves_out(page: CatalogPage, role: str, shown: str):
    message = text_of(page.show(REAL_MODEL, role, "light")[0])
    assert f"{shown}: a role lists at most 8" in message
    assert f"{shown.split()[2]} heads reach the threshold, 0.4, of the model's 270." in message


def test_heads_lead_to_the_live_page_on_a_prompt_that_shows_them(page: CatalogPage):
    body = page.show(REAL_MODEL, "induction", "light")[0]
    catalog = load_catalog(catalog_path(REAL_MODEL, CATALOG_FOLDER))
    best = catalog.categories["induction"].top_heads[0]
    link: Any = find(body, "hs-catalog-head", children="L18H6")[0]
    state, problems = from_query(link.href.removeprefix("/"))
    assert problems == [] and (best.layer, best.head) == (18, 6)
    assert state == PageState(
        model=REAL_MODEL, prompt=catalog.categories["induction"].suggested_prompts[0], head=Head(18, 6)
    )
    # A cell's head takes the place of the one in this address.
    (place,) = find(body, **{"data-head": "L0H0"})
    assert getattr(place, "data-live").count("head=L0H0") == 1
    drawn: Any = find(place, id=ids.CATALOG_SCORES)[0]
    figure = drawn.figure
    assert figure.data[0].customdata[18][6] == "L18H6"


def test_the_scale_changes_where_the_role_begins(page: CatalogPage):
    catalog = load_catalog(catalog_path(REAL_MODEL, CATALOG_FOLDER))
    for role in ("induction", "diffuse"):
        threshold = catalog.settings.thresholds[role].threshold
        trace: Any = score_heatmap(catalog, role, "dark").data[0]
        stops = [stop for stop, _ in trace.colorscale]
        assert stops[0] == 0 and stops[-1] == 1 and stops == sorted(stops) and stops.count(threshold) == 2
        assert trace.colorbar.tickvals == (0, threshold, 1)


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
    body, *rest = CatalogPage(service).show("far/away", "induction", "light")
    assert rest == [False, None]
    # The live page cannot open it, so nothing leads there.
    assert not find(body, "hs-catalog-head") and "/?v=1" not in str(body)
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
