"""axe-core on every page, in light and dark: no serious or critical violation."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

AXE = Path(__file__).resolve().parent / "axe" / "axe.min.js"

# Path and query, and what is there once the page is whole.
PAGES = {
    "live": ("/", "#heatmap .plot-container"),
    "live, heads ablated": ("/?v=1&off=L1H14,L1H2&head=L1H2", ".hs-chip"),
    "live, effects": ("/?v=1&model=demo-gpt2&view=effects", "#view-effects .hs-table"),
    "live, positions": ("/?v=1&model=demo-gpt2&view=positions&off=L1H14", "#view-positions .hs-table"),
    "live, continuations": ("/?v=1&model=demo-gpt2&view=continuations&off=L1H14", ".hs-continuation"),
    "preset": ("/?v=1&preset=golden-ring", ".hs-guide"),
    "lesson": ("/?v=1&lesson=induction&step=1", ".hs-guide"),
    "lessons": ("/lessons", ".hs-lesson"),
    "catalog": ("/catalog?model=demo-llama&role=induction", "#catalog-body .plot-container"),
    "formation": ("/formation", "#page .plot-container"),
    "compare": ("/compare", "#page .hs-card >> nth=1"),
    "lab": ("/lab?model=demo-llama&k=2", "#lab-top .hs-lab-head"),
    "lab, own text": (
        "/lab?question=own&text=The+state+is+Ohio.+It+is+old.&asked=Which+state",
        "#lab-tokens p",
    ),
    "glossary": ("/glossary", "#page dt, #page .hs-card"),
    "instructor": ("/instructor", "#page .hs-table"),
    "nowhere": ("/nowhere", "#page .hs-card"),
}


def violations(page: Page) -> list[str]:
    """Serious and critical violations, one line each. The frame of BertViz is not ours to change."""
    page.add_script_tag(path=AXE)
    found = page.evaluate(
        """async () => (await axe.run(
            {exclude: ["#bertviz-place"]}, {resultTypes: ["violations"], iframes: false}
        )).violations"""
    )
    return [
        f"{entry['id']} ({entry['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for entry in found
        if entry["impact"] in ("serious", "critical")
        for node in entry["nodes"][:3]
    ]


def settle(page: Page) -> None:
    """Wait until nothing is on its way: what is, is faint, which is not how it stays."""
    page.evaluate(
        """async () => {
            for (let calm = 0; calm < 4; ) {
                await new Promise((resolve) => setTimeout(resolve, 200));
                calm = document.querySelector('[data-dash-is-loading="true"]') ? 0 : calm + 1;
            }
        }"""
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_violation_and_fits_a_phone(
    new_page: Callable[..., Page], app_url: str, name: str
) -> None:
    # Without the policy, which keeps scripts of others out, axe among them.
    page = new_page(
        color_scheme="light",
        viewport={"width": 1280, "height": 900},
        reduced_motion="reduce",
        bypass_csp=True,
    )
    path, whole = PAGES[name]
    page.goto(app_url + path)
    expect(page.locator(whole).first).to_be_visible()
    settle(page)
    message = [f"light: {line}" for line in violations(page)]
    page.locator("#theme-switch").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    settle(page)
    message += [f"dark: {line}" for line in violations(page)]
    page.set_viewport_size({"width": 390, "height": 844})
    message += [f"phone: {line}" for line in violations(page)]
    assert message == []
    # Figures follow the width a moment later.
    page.wait_for_function("() => document.documentElement.scrollWidth <= 390")


def test_the_check_finds_something_where_there_is_something(page: Page) -> None:
    page.set_content("<html><body><img src='data:,'><button></button></body></html>")
    assert any("button-name" in line for line in violations(page))
