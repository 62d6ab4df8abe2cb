"""The views of the model's answer: effects, positions, continuations, random sets."""

from playwright.sync_api import Page, expect

from tests.fixtures.journeys import open_page, open_role, show_view


def test_the_effect_map_is_computed_and_leads_to_a_head(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    show_view(page, "Which heads matter")
    expect(page.locator("#head-grid .hs-grid")).to_have_attribute("data-scale", "signed")
    expect(page.locator("#map-view")).to_have_value("effect")
    first = page.locator("#view-effects tbody button").first
    head = first.inner_text()
    first.click()
    expect(page.locator("#head-title")).to_contain_text(head)
    page.locator(f'.hs-cell[data-head="{head}"]').hover()
    expect(page.locator("#hover-card")).to_contain_text("Ablation effect: ")
    page.locator("#effect-measure").select_option("kl")
    expect(page.locator("#head-grid .hs-grid")).to_have_attribute("data-scale", "positive")
    expect(page.locator("#view-effects")).to_contain_text("KL divergence")


def test_the_map_shows_a_live_score_of_every_head_and_a_roles_heads_alone(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    page.locator("#map-view").select_option("live-previous_token")
    expect(page.locator("#head-grid .hs-grid")).to_have_attribute("data-scale", "share")
    page.locator('.hs-cell[data-head="L3H3"]').hover()
    expect(page.locator("#hover-card")).to_contain_text("Live score: Previous token: 0.")
    expect(page.locator("#map-table")).to_contain_text("The map as a table")
    page.wait_for_function("() => location.search.includes('map=live-previous_token')")
    page.locator("#map-view").select_option("role")
    open_role(page, "induction")
    listed = page.locator("#head-grid .hs-cell[data-roles~='induction']").count()
    expect(page.locator("#head-grid .hs-cell:not(.hs-cell-dim)")).to_have_count(listed)
    # Another role's list closes the first; closing it shows all heads again.
    open_role(page, "previous_token").locator(".hs-role-title").click()
    expect(page.locator("#head-grid .hs-cell-dim")).to_have_count(0)
    expect(page.locator(".hs-role-fold[open]")).to_have_count(0)


def test_a_token_of_the_positions_leads_to_its_prediction(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&view=positions&off=L1H2")
    row = page.locator("#view-positions tbody tr").nth(3)
    row.locator("button").click()
    expect(page.locator("#shown-position")).to_have_value("3")
    expect(page.locator("#headline .hs-sentence")).to_contain_text("After “·gave”")


def test_both_continuations_are_written_and_the_difference_marked(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&view=continuations&off=L1H2,L1H14,L1H0,L1H12")
    expect(page.locator("#view-continuations")).to_contain_text("The texts part at token")
    expect(page.locator(".hs-continuation")).to_have_count(2)
    expect(page.locator(".hs-first-mark")).to_have_count(2)
    page.locator("#write-tokens").fill("5")
    page.locator("#write").click()
    expect(page.locator(".hs-continuation").first.locator(".hs-written")).to_have_count(5)
    # A number that a box does not take: nothing is asked, and what stands there stays.
    page.locator("#write-tokens").fill("0")
    page.locator("#write").click()
    expect(page.locator("#write-tokens")).to_be_focused()
    page.locator("#write-tokens").fill("4")
    page.locator("#write-temperature").fill("0.7")
    page.locator("#write").click()
    expect(page.locator(".hs-continuation").first.locator(".hs-written")).to_have_count(4)


def test_a_set_of_heads_against_random_ones(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&off=L1H2,L1H14")
    show_view(page, "Random control")
    page.locator("#random-run").click()
    expect(page.locator("#random-body")).to_contain_text("random sets of 2 heads from the same layers")
    # Another set: what stood there is no longer about it.
    page.locator("#ablation-chips .hs-chip").first.click()
    expect(page.locator("#random-body")).to_be_empty()
