"""What goes over the wire, on the real model: a first visit, a second, a Run, a toggle, a click on a head."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.fixtures.journeys import show_lines

REAL = "smollm2-135m-instruct"
# Bytes that come, HTTP's headers included.
FIRST, SECOND, RUN, TOGGLE, HEAD = 2_000_000, 40_000, 20_000, 8_000, 8_000
# 15 tokens, the start token included.
PROMPT = "The old man took the boat to the old island and the small cat"
# What a click leads to is all asked for within this time of the last answer.
QUIET_MS = 1_500


class Wire:
    """Counts what comes for a page, until nothing more does."""

    def __init__(self, page: Page) -> None:
        self.page, self.received, self.open = page, 0, set[str]()
        session: CDPSession = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", lambda event: self.open.add(event["requestId"]))
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.enable")

    def _finished(self, event: dict) -> None:
        self.open.discard(event["requestId"])
        self.received += round(event["encodedDataLength"])

    def settled(self) -> int:
        """The bytes since the last call, once the page asks for nothing more."""
        before = -1
        while before != self.received:
            before = self.received
            self.page.wait_for_timeout(QUIET_MS)
        self.received = 0
        return before


def test_a_visit_and_each_click_stay_small(app_url: str, new_page: Callable[..., Page]):
    page = new_page(viewport={"width": 1440, "height": 900})
    address = f"{app_url}/?v=2&model={REAL}&prompt=The+cat+sat.+The+cat"
    wire = Wire(page)
    page.goto(address)
    if REAL not in page.locator("#model-menu").inner_text():
        pytest.skip("the real model is not here: make model")
    expect(page.locator("#prediction tr").first).to_be_visible()
    assert wire.settled() <= FIRST
    # Another page of the same browser, so that files kept in memory count as they do the next day.
    again = page.context.new_page()
    page.close()
    wire = Wire(again)
    again.goto(address)
    expect(again.locator("#prediction tr").first).to_be_visible()
    assert wire.settled() <= SECOND
    again.locator("#prompt").fill(PROMPT)
    wire.settled()
    again.locator("#run").click()
    expect(again.locator(".hs-token")).to_have_count(15)
    assert 1_000 < wire.settled() <= RUN
    # What is kept of the role cards is there, and the map marks what is ablated by itself.
    expect(again.locator("#about-induction p").first).not_to_be_empty()
    expect(again.locator("#prompts-induction button").first).to_be_attached()
    head = again.locator(".hs-cell-chosen").get_attribute("data-head")
    cell = again.locator(f'.hs-cell[data-head="{head}"]')
    again.locator("#toggle-head").click()
    expect(cell).to_contain_class("hs-cell-off")
    expect(cell).to_have_attribute("aria-label", re.compile("; ablated$"))
    assert 1_000 < wire.settled() <= TOGGLE
    again.locator("[data-choose='L5H5']").first.click()
    expect(again.locator("#head-title")).to_contain_text("L5H5")
    assert 1_000 < wire.settled() <= HEAD
    # A cell names its two tokens, by the ticks.
    box = again.locator("#heatmap .heatmaplayer image").bounding_box()
    assert box is not None
    again.mouse.move(box["x"] + box["width"] * 1.5 / 15, box["y"] + box["height"] * 4.5 / 15)
    expect(again.locator("#heatmap .hovertext")).to_contain_text("The")
    show_lines(again)
    wire.settled()
    again.locator("[data-choose='L6H6']").first.click()
    expect(again.locator("#head-title")).to_contain_text("L6H6")
    assert 1_000 < wire.settled() <= HEAD
