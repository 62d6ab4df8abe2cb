"""The views of the model's answer: effects, positions, continuations, random sets."""

from playwright.sync_api import Page, expect

from tests.fixtures.journeys import open_page


def test_the_effect_map_is_computed_and_leads_to_a_head(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    page.get_by_text("Which heads matter").click()
    expect(page.locator("#effects-figure .plot-container")).to_be_visible()
    first = page.locator("#view-effects tbody button").first
    head = first.inner_text()
    first.click()
    expect(page.locator("#head-title")).to_contain_text(head)
    page.locator("#effect-measure").select_option("kl")
    expect(page.locator("#view-effects")).to_contain_text("KL divergence")


def test_a_click_on_the_map_chooses_the_head(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&head=L3H15&view=effects")
    plot = page.locator("#effects-figure .nsewdrag").first
    expect(plot).to_be_visible()
    message = page.locator("#effects-figure .hovertext")
    # A click counts for what Plotly has found under the pointer, and it looks only when that moves: a figure
    # that has just been drawn anew under a resting one has found nothing.
    for step in range(100):
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        # The first of 16 columns and 4 rows.
        page.mouse.move(box["x"] + box["width"] / 32 + step % 2, box["y"] + box["height"] / 8)
        page.wait_for_timeout(200)
        if message.is_visible():
            break
    expect(message).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#head-title")).to_contain_text("L0H0 ")


def test_a_token_of_the_positions_leads_to_its_prediction(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&view=positions&off=L1H2")
    row = page.locator("#view-positions tbody tr").nth(3)
    row.locator("button").click()
    expect(page.locator("#view-next")).to_be_visible()
    expect(page.locator("#shown-position")).to_have_value("3")
    expect(page.locator("#prediction .hs-sentence")).to_contain_text("After “·gave”")


def test_both_continuations_are_written_and_the_difference_marked(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&view=continuations&off=L1H2,L1H14,L1H0,L1H12")
    expect(page.locator("#view-continuations")).to_contain_text("The texts part at token")
    expect(page.locator(".hs-continuation")).to_have_count(2)
    expect(page.locator(".hs-first-mark")).to_have_count(2)
    page.locator("#write-tokens").fill("5")
    page.locator("#write").click()
    expect(page.locator(".hs-continuation").first.locator(".hs-written")).to_have_count(5)


def test_a_set_of_heads_against_random_ones(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?v=1&model=demo-gpt2&off=L1H2,L1H14")
    page.get_by_text("Is this set of heads special?").click()
    page.locator("#random-run").click()
    expect(page.locator("#random-body")).to_contain_text("20 random sets of 2 heads from the same layers")
    # Another set: what stood there is no longer about it.
    page.locator("#ablation-chips .hs-chip").first.click()
    expect(page.locator("#random-body")).to_be_empty()
