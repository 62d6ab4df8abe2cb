"""One head's BertViz view as an HTML page, for ``html.Iframe(srcDoc=..., sandbox="allow-scripts")``.

The view is BertViz's own (``bertviz.head_view``, 1.4.1). Four things are done to what it returns:

* only one head goes in, rounded: all heads of a small model would be tens of megabytes;
* its three CDN addresses become addresses of the app, so that it works offline;
* the tokens go in last and escaped, because BertViz writes them into a ``<script>`` as they are;
* colours for light and dark, as large as its frame, and nothing on the console.

Each change must find what it replaces: another BertViz release fails here and not in a student's browser.
"""

import json
import re
import unicodedata
from collections.abc import Sequence

import bertviz
import torch
from torch import Tensor

from utils.heads import Head
from utils.live.vendor_files import VENDOR_FILES, VENDOR_PREFIX

DECIMALS = 4
"""Digits kept of each weight: a line's opacity shows two."""

MAX_LABEL_WIDTH = 12
"""Width of a label in letters (wide scripts count two): BertViz has room for 110 px."""

MAX_LABEL_CHARACTERS = 40
"""Marks that take no width of their own end here, however many are stacked on a letter."""

_PADDING_PX = 8
_UNUSED_TOP_PX = 24  # of its upper edge, where the check boxes would be
_WIDTH_PX = 340  # of its lines and labels
_LEFT_PX = 16  # by which a wide label may reach over its left edge
_LEAST_SCALE = 0.7  # labels of 11 px

# Text, background, line and hovered token, light then dark; the backgrounds are Bootstrap's page colours.
_LIGHT = {"scheme": "light", "text": "#212529", "back": "#ffffff", "line": "#1f6fb2", "hover": "#d3d6d9"}
_DARK = {"scheme": "dark", "text": "#dee2e6", "back": "#212529", "line": "#9ec5fe", "hover": "#495057"}

# The layer menu and the head's check box have one entry each here, so they are not shown. The left end of a
# wide label may reach over the edge. Style sheets win over the attributes that BertViz sets with .attr().
_STYLE = """
:root {{ color-scheme: {scheme}; }}
body {{ margin: 0; padding: {padding}px; background: {back}; color: {text}; }}
#{view_id} > span, #vis > svg > g:not([id]) {{ display: none; }}
#vis > svg {{ display: block; overflow: visible; margin: 0 auto; }}
#vis text {{ fill: currentColor; white-space: pre; unicode-bidi: isolate; }}
#vis line {{ stroke: {line}; }}
#vis .attentionBoxes rect {{ fill: {line}; }}
#vis rect.background {{ fill: {hover}; }}
"""

# BertViz draws at one size. Its figure is scaled to the frame as far as all of it stays in sight, but
# never so small that labels cannot be read: then it scrolls. Hovering goes by element, so any size works.
_FIT = """
<script>
(function () {{
  const WIDTH = {width}, LEAST = {least}, MARGIN = {margin}, TOP = {unused_top};
  function fit() {{
    const svg = document.querySelector("#vis > svg");
    if (!svg || !svg.getAttribute("height")) return;
    if (!svg.dataset.height) svg.dataset.height = parseFloat(svg.getAttribute("height"));
    const height = svg.dataset.height - TOP;
    const wide = (window.innerWidth - 2 * {padding}) / (WIDTH + MARGIN);
    const whole = (window.innerHeight - 2 * {padding}) / height;
    const scale = Math.min(wide, Math.max(whole, LEAST));
    svg.setAttribute("viewBox", [-MARGIN, TOP, WIDTH + MARGIN, height].join(" "));
    svg.style.width = (WIDTH + MARGIN) * scale + "px";
    svg.style.height = height * scale + "px";
  }}
  new MutationObserver(fit).observe(document.getElementById("vis"), {{ childList: true }});
  window.addEventListener("resize", fit);
}})();
</script>
"""


def head_view_html(
    attention: Tensor,
    labels: Sequence[str],
    head: Head,
    dark: bool,
    vendor_prefix: str = VENDOR_PREFIX,
) -> str:
    """Build the page with BertViz's view of one head.

    A root-relative ``vendor_prefix`` is right inside a ``srcDoc`` frame too: such a frame takes its base
    address from the page around it, even when its sandbox gives it an origin of its own.

    Args:
        attention: The head's pattern, ``[query, key]``; not modified.
        labels: What to show for each token, in order; any text, it is shown as text.
        head: The head that the pattern is of.
        dark: Whether the page around it is dark.
        vendor_prefix: Where the app serves the vendored scripts.

    Returns:
        A whole HTML document; the same arguments give the same document.

    Raises:
        ValueError: the pattern is not square, not finite, or of another length than the labels.
        RuntimeError: BertViz's page is not the one that this module knows.
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
    weights = attention.detach().to("cpu", torch.float64).round(decimals=DECIMALS)
    placeholders = [f"headscope-token-{position}" for position in range(length)]
    page = bertviz.head_view(
        [None] * head.layer + [weights[None, None]],
        placeholders,
        prettify_tokens=False,
        layer=head.layer,
        include_layers=[head.layer],
        html_action="return",
    )
    if page is None or not isinstance(page.data, str):
        raise RuntimeError("BertViz's head_view must return its page: another release?")

    body = _without_second_copy(page.data)
    body = _replaced(body, 'console.log("d3 version", d3.version)', "", 1)
    body, view_id = _with_stable_id(body, head)
    for vendor_file in VENDOR_FILES:
        body = _replaced(body, vendor_file.cdn_address, vendor_file.address(vendor_prefix), 1)
    # Last, so that nothing above can match in a prompt.
    body = _replaced(body, json.dumps(placeholders), _script_json([_shortened(label) for label in labels]), 2)

    theme = _DARK if dark else _LIGHT
    style = _STYLE.format(view_id=view_id, padding=_PADDING_PX, **theme)
    fit = _FIT.format(
        width=_WIDTH_PX, least=_LEAST_SCALE, margin=_LEFT_PX, unused_top=_UNUSED_TOP_PX, padding=_PADDING_PX
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>BertViz view of {head}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}{fit}</body>\n</html>\n"
    )


def _replaced(text: str, old: str, new: str, count: int) -> str:
    """Replace ``old``, which must stand in ``text`` exactly ``count`` times."""
    found = text.count(old)
    if found != count:
        raise RuntimeError(
            f"BertViz's page must have {old[:90]!r} {count} times. Got {found}: another release?"
        )
    return text.replace(old, new)


def _without_second_copy(text: str) -> str:
    """Drop the comment into which BertViz writes all the data a second time."""
    shorter, found = re.subn(r"(?m)^(\s*const params = .*\}); // HACK: .*$", r"\1;", text)
    if found != 1:
        raise RuntimeError(f"BertViz's page must have its data in 1 line. Got {found}: another release?")
    return shorter


def _with_stable_id(text: str, head: Head) -> tuple[str, str]:
    """Put the head's name where BertViz draws a random id; returns the text and the id."""
    match = re.search(r'id="(bertviz-[0-9a-f]{32})"', text)
    if match is None:
        raise RuntimeError(
            "BertViz's page must have an element whose id begins with bertviz-: another release?"
        )
    view_id = f"bertviz-{head}"
    return text.replace(match[1], view_id), view_id


def _script_json(labels: list[str]) -> str:
    """Labels as JSON that cannot end a ``<script>`` or begin a comment in it.

    ``json.dumps`` already escapes all but ASCII, U+2028 and lone surrogates included.
    """
    text = json.dumps(labels)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shortened(label: str) -> str:
    """The label, or as much of it as BertViz has room for and an ellipsis."""
    width = 0
    for position, character in enumerate(label):
        if unicodedata.category(character) not in ("Mn", "Me", "Cf"):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > MAX_LABEL_WIDTH or position >= MAX_LABEL_CHARACTERS:
            return label[: max(position - 1, 1)] + "…"
    return label
