"""What several journeys do on the live page."""

from playwright.sync_api import Locator, Page, expect


def open_page(page: Page, url: str) -> None:
    """Open the app and wait for the first analysis."""
    page.goto(url)
    expect(page.locator(".hs-token").first).to_be_visible()
    expect(page.locator(".hs-sentence").first).to_be_visible()
    expect(page.locator("#heatmap .plot-container")).to_be_visible()


def run_prompt(page: Page, text: str) -> None:
    """Type a prompt and run it by keyboard."""
    page.locator("#prompt").fill(text)
    page.locator("#prompt").press("Control+Enter")


def role(page: Page, key: str) -> Locator:
    """The card of a role."""
    return page.locator(f'article[data-role="{key}"]')


def probability(page: Page, token: str, column: int) -> float:
    """A token's probability in per cent; column 3 is clean, 4 ablated."""
    row = page.locator(f'#prediction tr[data-token="{token}"] > *').nth(column)
    return float(row.inner_text().rstrip("%"))


def tokens(page: Page) -> list[str]:
    """The texts of the token strip."""
    return page.locator(".hs-token-text").all_inner_texts()
