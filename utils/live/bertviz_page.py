"""BertViz's view of one head: a page for a sandboxed frame, its script, and the numbers that it draws.

The view is BertViz's own (``bertviz.head_view``, 1.4.1). It is taken from BertViz once, without data, so that
a browser keeps it and a head sends its numbers alone; the page gets them as a message. What is done to it:

* data comes by ``window.headscopeDraw(params)`` for each head, instead of standing in the script;
* its three CDN addresses become addresses of the app, so that it works offline;
* no script stands in the page, so that its policy allows none but the app's;
* colours for light and dark, as large as its frame, and nothing on the console.

Each change must find what it replaces: another BertViz release fails here and not in a student's browser.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bertviz
import torch
from torch import Tensor

from utils.heads import Head
from utils.live.vendor_files import VENDOR_FILES, VENDOR_PREFIX, content_hash

DECIMALS = 4
"""Digits kept of each weight: a line's opacity shows two."""

MAX_LABEL_WIDTH = 12
"""Width of a label in letters (wide scripts count two): BertViz has room for 110 px."""

MAX_LABEL_CHARACTERS = 40
"""Marks that take no width of their own end here, however many are stacked on a letter."""

VIEW_ID = "bertviz-view"
PAGE_NAME, SCRIPT_NAME = "head-frame.html", "head-frame.js"
"""Names of the frame's page and of its script below the prefix of the vendored scripts."""

_PADDING_PX = 8
_UNUSED_TOP_PX = 24  # of its upper edge, where the check boxes would be
_WIDTH_PX = 340  # of its lines and labels
_LEFT_PX = 16  # by which a wide label may reach over its left edge
_LEAST_SCALE = 0.7  # labels of 11 px

# Text, background, line and hovered token, light then dark; the backgrounds are Bootstrap's page colours.
_LIGHT = {"scheme": "light", "text": "#212529", "back": "#ffffff", "line": "#1f6fb2", "hover": "#d3d6d9"}
_DARK = {"scheme": "dark", "text": "#dee2e6", "back": "#212529", "line": "#9ec5fe", "hover": "#495057"}

_COLOURS = """
:root{mark} {{ color-scheme: {scheme}; --text: {text}; --back: {back}; --line: {line}; --hover: {hover}; }}"""

# The layer menu and the head's check box have one entry each here, so they are not shown. The left end of a
# wide label may reach over the edge. Style sheets win over the attributes that BertViz sets with .attr().
_STYLE = """
body {{ margin: 0; padding: {padding}px; background: var(--back); color: var(--text); }}
#{view_id} > span, #vis > svg > g:not([id]) {{ display: none; }}
#vis > svg {{ display: block; overflow: visible; margin: 0 auto; }}
#vis text {{ fill: currentColor; white-space: pre; unicode-bidi: isolate; }}
#vis line {{ stroke: var(--line); }}
#vis .attentionBoxes rect {{ fill: var(--line); }}
#vis rect.background {{ fill: var(--hover); }}
"""

# BertViz draws at one size. Its figure is scaled to the frame as far as all of it stays in sight, but
# never so small that labels cannot be read: then it scrolls. Hovering goes by element, so any size works.
# A frame of an origin of its own knows nobody by name: what counts is that the message is its parent's.
_AROUND = """
(function () {{
  const WIDTH = {width}, LEAST = {least}, MARGIN = {margin}, TOP = {unused_top}, PADDING = {padding};
  function fit() {{
    const svg = document.querySelector("#vis > svg");
    if (!svg || !svg.getAttribute("height")) return;
    if (!svg.dataset.height) svg.dataset.height = parseFloat(svg.getAttribute("height"));
    const height = svg.dataset.height - TOP;
    const wide = (window.innerWidth - 2 * PADDING) / (WIDTH + MARGIN);
    const whole = (window.innerHeight - 2 * PADDING) / height;
    const scale = Math.min(wide, Math.max(whole, LEAST));
    svg.setAttribute("viewBox", [-MARGIN, TOP, WIDTH + MARGIN, height].join(" "));
    svg.style.width = (WIDTH + MARGIN) * scale + "px";
    svg.style.height = height * scale + "px";
  }}
  new MutationObserver(fit).observe(document.getElementById("vis"), {{ childList: true }});
  window.addEventListener("resize", fit);
  window.addEventListener("message", function (event) {{
    const view = event.data;
    if (event.source !== window.parent || !view || !view.labels) return;
    document.title = "BertViz view of " + view.head;
    document.documentElement.dataset.theme = view.dark ? "dark" : "light";
    // Without the head before, which would hear of this one's layer.
    const layers = document.querySelector("#layer");
    layers.replaceWith(layers.cloneNode(false));
    const layer = Number(/L(\\d+)/.exec(view.head)[1]);
    window.headscopeDraw({{
      attention: [{{ name: null, attn: [[view.rows]], left_text: view.labels, right_text: view.labels }}],
      default_filter: "0",
      root_div_id: "{view_id}",
      layer: layer,
      heads: null,
      include_layers: [layer],
    }});
  }});
  window.parent.postMessage("headscope-frame-ready", "*");
}})();
"""


@dataclass(frozen=True)
class HeadFrame:
    """The frame that draws whichever head it is sent.

    Attributes:
        page: its HTML document, without any script of its own.
        script: BertViz's script, and what surrounds it.
    """

    page: str
    script: str


def head_view(attention: Tensor, labels: Sequence[str], head: Head, dark: bool) -> dict[str, Any]:
    """What the frame draws one head from; plain JSON data.

    Args:
        attention: the head's pattern, ``[query, key]``; not modified.
        labels: what to show for each token, in order; any text, it is shown as text.
        head: the head that the pattern is of.
        dark: whether the page around it is dark.

    Returns:
        ``head``, ``labels`` (shortened), ``rows`` [query][key] (rounded), ``dark``.

    Raises:
        ValueError: the pattern is not square, not finite, or of another length than the labels.
    """
    length = len(labels)
    if length == 0 or tuple(attention.shape) != (length, length):
        raise ValueError(
            f"attention must have shape (query, key)=({length}, {length}), one row a label and at least one."
            f" Got {tuple(attention.shape)}."
        )
    if not bool(torch.isfinite(attention).all()):
        raise ValueError(f"attention of {head} must be finite everywhere.")
    # In float64, or 0.1 would be written as 0.10000000149011612.
    rows = attention.detach().to("cpu", torch.float64).round(decimals=DECIMALS).tolist()
    return {
        "head": str(head),
        "labels": [_shortened(label) for label in labels],
        # "0" instead of "0.0": half of a causal pattern are zeros.
        "rows": [[value or 0 for value in row] for row in rows],
        "dark": dark,
    }


@functools.cache
def head_frame(vendor_prefix: str = VENDOR_PREFIX) -> HeadFrame:
    """The frame, taken from BertViz.

    Args:
        vendor_prefix: where the app serves the vendored scripts.

    Raises:
        RuntimeError: BertViz's page is not the one that this module knows.
    """
    placeholder = torch.ones(1, 1, 1, 1)
    page = bertviz.head_view([placeholder], ["headscope"], prettify_tokens=False, html_action="return")
    if page is None or not isinstance(page.data, str):
        raise RuntimeError("BertViz's head_view must return its page: another release?")
    text = page.data
    for vendor_file in VENDOR_FILES:
        text = _replaced(text, vendor_file.cdn_address, vendor_file.address(vendor_prefix), 1)
    body, script = _parted(text)
    script, found = re.subn(r"(?m)^\s*const params = .*; // HACK: .*$", "", script)
    if found != 1:
        raise RuntimeError(f"BertViz's page must have its data in 1 line. Got {found}: another release?")
    script = _replaced(script, 'console.log("d3 version", d3.version)', "", 1)
    script = _replaced(script, "requirejs(['jquery', 'd3'], function ($, d3) {", _DRAW, 1)
    match = re.search(r'id="(bertviz-[0-9a-f]{32})"', body)
    if match is None:
        raise RuntimeError(
            "BertViz's page must have an element whose id begins with bertviz-: another release?"
        )
    body = body.replace(match[1], VIEW_ID)
    style = (
        _COLOURS.format(mark="", **_LIGHT)
        + _COLOURS.format(mark='[data-theme="dark"]', **_DARK)
        + _STYLE.format(view_id=VIEW_ID, padding=_PADDING_PX)
    )
    script += _AROUND.format(
        width=_WIDTH_PX,
        least=_LEAST_SCALE,
        margin=_LEFT_PX,
        unused_top=_UNUSED_TOP_PX,
        padding=_PADDING_PX,
        view_id=VIEW_ID,
    )
    return HeadFrame(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>BertViz view</title>\n<style>{style}</style>\n</head>\n"
        f'<body>\n{body}<script src="{SCRIPT_NAME}?v={content_hash(script.encode())}"></script>'
        "</body>\n</html>\n",
        script,
    )


# BertViz's function is called with each head's data.
_DRAW = "window.headscopeDraw = (params) => requirejs(['jquery', 'd3'], function ($, d3) {"


def _parted(text: str) -> tuple[str, str]:
    """BertViz's markup, and its script."""
    found = re.findall(r"(?s)<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", text)
    if len(found) != 1:
        raise RuntimeError(
            f"BertViz's page must have 1 script of its own. Got {len(found)}: another release?"
        )
    return re.sub(r"(?s)<script(?![^>]*\bsrc=)[^>]*>.*?</script>", "", text), found[0]


def _replaced(text: str, old: str, new: str, count: int) -> str:
    """Replace ``old``, which must stand in ``text`` exactly ``count`` times."""
    found = text.count(old)
    if found != count:
        raise RuntimeError(
            f"BertViz's page must have {old[:90]!r} {count} times. Got {found}: another release?"
        )
    return text.replace(old, new)


def _shortened(label: str) -> str:
    """The label, or as much of it as BertViz has room for and an ellipsis."""
    width = 0
    for position, character in enumerate(label):
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > MAX_LABEL_WIDTH or position >= MAX_LABEL_CHARACTERS:
            return label[: max(position - 1, 1)] + "…"
    return label
