"""A local model without a catalog is chosen, analyzed with visible progress, and its roles appear."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from app import Settings, create_app
from tests.fixtures.journeys import open_page
from tests.fixtures.makers.tiny_models import save_tiny_model


def test_a_local_model_is_analyzed_from_the_page(page: Page, new_page, serve, tmp_path: Path) -> None:
    save_tiny_model("qwen2", tmp_path / "my-qwen")
    catalogs = tmp_path / "catalogs"
    url = serve(create_app(Settings(model_dirs=(tmp_path / "my-qwen",), catalogs=catalogs)).server)
    open_page(page, url)
    page.locator("#model-menu").select_option("my-qwen")
    expect(page.locator("#role-cards")).to_contain_text("roles of this model's heads are not known")
    page.get_by_role("button", name="Analyze my-qwen").click()
    expect(page.locator(".hs-progress-box")).to_contain_text("Analyzing my-qwen")
    # Who comes while it runs sees its progress, and the roles when it is done, without asking.
    second = new_page()
    second.goto(page.url)
    for visitor in (page, second):
        expect(visitor.locator('article[data-role="diffuse"]')).to_be_visible(timeout=180_000)
        expect(visitor.locator(".hs-analysis")).to_have_count(0)
    assert [path.name for path in catalogs.iterdir()] == ["my-qwen.json"]
    page.get_by_role("link", name="Catalog").click()
    page.locator("#catalog-model").select_option("my-qwen")
    expect(page.locator("#catalog-body")).to_contain_text("layers of")


def test_an_analysis_can_be_cancelled(page: Page, serve, tmp_path: Path) -> None:
    save_tiny_model("llama", tmp_path / "my-llama")
    catalogs = tmp_path / "catalogs"
    url = serve(create_app(Settings(model_dirs=(tmp_path / "my-llama",), catalogs=catalogs)).server)
    page.goto(f"{url}/catalog?model=my-llama")
    page.get_by_role("button", name="Analyze my-llama").click()
    page.locator(".hs-progress-box").get_by_role("button", name="Cancel").click()
    expect(page.locator(".hs-analysis")).to_contain_text(re.compile("cancelled|Analyze my-llama"))
    expect(page.get_by_role("button", name="Analyze my-llama")).to_be_visible()
    assert not catalogs.exists() or not list(catalogs.iterdir())


def test_a_folder_of_any_name_is_chosen_analyzed_linked_and_exported(
    page: Page, serve, tmp_path: Path
) -> None:
    name = 'modèle <b>v2.0 "hi" & it\'s (copy)'
    save_tiny_model("gpt2", tmp_path / "models" / name)
    catalogs = tmp_path / "catalogs"
    url = serve(create_app(Settings(model_dirs=(tmp_path / "models",), catalogs=catalogs)).server)
    open_page(page, url)
    page.locator("#model-menu").select_option(name)
    expect(page.locator("#role-cards")).to_contain_text("roles of this model's heads are not known")
    page.get_by_role("button", name=f"Analyze {name}").click()
    expect(page.locator('article[data-role="diffuse"]')).to_be_visible(timeout=180_000)
    assert [path.name for path in catalogs.iterdir()] == [f"{name}.json"]
    # Opened anew by its link, the page shows the same model and complains of nothing.
    page.goto(page.url)
    expect(page.locator(".hs-token").first).to_be_visible()
    expect(page.locator("#model-menu")).to_have_value(name)
    expect(page.locator("#notice")).not_to_contain_text("left out")
    page.get_by_role("link", name="Catalog").click()
    page.locator("#catalog-model").select_option(name)
    expect(page.locator("#catalog-body")).to_contain_text("layers of")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download (JSON)").click()
    assert download.value.suggested_filename.endswith(".json")
