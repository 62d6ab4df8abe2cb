"""BertViz's view of one head in a real browser, framed as the app frames it."""

import json
from typing import Any

import flask
import pytest
import torch
from playwright.sync_api import FrameLocator, Page

from callbacks.serving.vendor_route import register_vendor_route
from utils.heads import Head
from utils.live.bertviz_page import head_view

NASTY_LABELS = (
    "</script><script>document.title='out'</script>",
    "<!--",
    "<script>",
    "\"'`\\",
    "${1}&amp;&lt;",
    "\u2028\u2029\x00",
    "👩‍👩‍👧🏽",
    "שלום",
    "é" + "\u0301" * 60,
    "⟨E2⟩",
    "PYTHON_PARAMS",
    "https://cdnjs.cloudflare.com/ajax/libs/d3/5.7.0/d3.min",
    "headscope-token-3",
    "\ud800",
    "]]>",
)


def causal_pattern(length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.softmax(
        torch.randn(length, length, generator=generator).masked_fill(
            torch.ones(length, length).triu(1).bool(), float("-inf")
        ),
        dim=-1,
    )


def framing_app(view: dict[str, Any], prefix: str = "/vendor/") -> flask.Flask:
    """A page below a path of its own, as the app's may be, holding the view in a sandboxed frame."""
    app = flask.Flask("framing_app")
    register_vendor_route(app, prefix)
    # As the app sends it: nothing in it can end the script.
    data = json.dumps(view).replace("<", "\\u003c")

    @app.get("/class/room")
    def page() -> str:
        return (
            '<!DOCTYPE html><html lang="en"><link rel="icon" href="data:,"><title>frame</title><body>'
            '<iframe sandbox="allow-scripts" width="420" height="800" '
            f'src="{prefix}head-frame.html"></iframe>'
            f"<script>const view = {data}; addEventListener('message', (event) => "
            "document.querySelector('iframe').contentWindow.postMessage(view, '*'))</script>"
        )

    return app


def open_view(page: Page, address: str) -> FrameLocator:
    page.goto(f"{address}/class/room")
    frame = page.frame_locator("iframe")
    frame.locator("#attention line").first.wait_for(state="attached")
    return frame


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_draws_one_line_a_pair_in_a_frame_of_another_origin(page, serve, dark):
    labels = ["<BOS>", "The", "·cat", "·sat"]
    pattern = causal_pattern(4)
    view = head_view(pattern, labels, Head(3, 5), dark)
    frame = open_view(page, serve(framing_app(view)))

    assert frame.locator("#left text").all_text_contents() == labels
    assert frame.locator("#right text").all_text_contents() == labels
    lines = frame.locator("#attention line")
    opacities = lines.evaluate_all("lines => lines.map(line => Number(line.getAttribute('stroke-opacity')))")
    assert opacities == pytest.approx(pattern.flatten().tolist(), abs=5e-5)
    assert frame.locator("body").evaluate("() => window.origin") == "null"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_background(page, serve, dark):
    view = head_view(causal_pattern(3), ["a", "b", "c"], Head(0, 0), dark)
    frame = open_view(page, serve(framing_app(view)))

    ink = frame.locator("#left text").first.evaluate("text => getComputedStyle(text).fill")
    paper = frame.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    assert contrast(ink, paper) >= 7


def test_any_token_is_shown_as_text_and_runs_nothing(page, serve):
    view = head_view(causal_pattern(len(NASTY_LABELS)), NASTY_LABELS, Head(1, 2), dark=False)
    frame = open_view(page, serve(framing_app(view)))

    shown = frame.locator("#left text").all_text_contents()
    assert len(shown) == len(NASTY_LABELS)
    for label, text in zip(NASTY_LABELS, shown, strict=True):
        if label == "\ud800":
            continue  # half a character cannot come back over the wire
        assert label == text or (text.endswith("…") and label.startswith(text[:-1]))
    assert frame.locator("script").count() == 4, (
        "require.js, BertViz's with ours, and the d3 and jQuery it adds"
    )
    assert frame.locator("head title").text_content() == "BertViz view of L1H2"


def test_hovering_a_token_shows_where_it_looks(page, serve):
    view = head_view(causal_pattern(4), ["a", "b", "c", "d"], Head(0, 1), dark=True)
    frame = open_view(page, serve(framing_app(view)))

    frame.locator("#left text").nth(2).hover()
    shown = frame.locator("#attention line[visibility='visible']")
    assert shown.count() == 4
    assert {shown.nth(i).get_attribute("left-token-index") for i in range(4)} == {"2"}


def test_works_below_another_prefix(page, serve):
    view = head_view(causal_pattern(2), ["a", "b"], Head(0, 0), False)
    frame = open_view(page, serve(framing_app(view, "/class/vendor/")))
    assert frame.locator("#attention line").count() == 4


@pytest.mark.parametrize("length", [4, 30])
def test_fills_its_frame_as_far_as_its_shape_allows(page, serve, length):
    labels = [f"t{position}" for position in range(length)]
    view = head_view(causal_pattern(length), labels, Head(0, 0), dark=False)
    frame = open_view(page, serve(framing_app(view)))
    # The frame has 420 x 800 pixels: few tokens fill its width, many its height.
    box = frame.locator("#vis > svg").bounding_box()
    assert box is not None
    assert max(box["width"] / 420, box["height"] / 800) > 0.94
    html = frame.locator("html")
    assert html.evaluate("html => html.scrollWidth <= html.clientWidth && html.scrollHeight <= innerHeight")


def test_many_tokens_stay_readable_and_scroll(page, serve):
    view = head_view(causal_pattern(100), ["word"] * 100, Head(0, 0), dark=False)
    frame = open_view(page, serve(framing_app(view)))
    text = frame.locator("#left text").first
    assert text.evaluate("text => text.getBoundingClientRect().height") > 9
    assert frame.locator("html").evaluate("html => html.scrollHeight > innerHeight")


def contrast(first: str, second: str) -> float:
    """WCAG 2 contrast of two ``rgb(r, g, b)`` colours."""
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
