"""Trees of Dash's HTML components as text, which the browser fills in by itself (`assets/plain_html.js`).

Dash's renderer tells every component on the page of each one that is new, so a hundred new table cells on a
page of a thousand components cost seconds. What nobody calls back to (tables, the grid, the role cards) goes
to the browser as one attribute of one component instead: `Output(place, PLAIN)` with `to_html(tree)`, or
`static(tree)` within a layout. A head or a button in it names itself by `data-` attributes (`data-choose`,
`data-press`), for which the page's scripts listen.
"""

import re
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import Any

from dash import html, no_update
from dash.development.base_component import Component

from components.attributes import data

# The property of any HTML component that is filled in as HTML text.
PLAIN = "data-html"
_NAMES = {"className": "class", "htmlFor": "for"}
_WILDCARDS = ("data-", "aria-")
_EMPTY = {"br", "hr", "img", "input"}  # elements without an end


def to_html(tree: Any) -> str:
    """A tree as HTML text, all that is typed in it escaped.

    Args:
        tree: components of `dash.html`, strings, numbers, None, and lists of these.

    Raises:
        TypeError: something else is in it, such as a component of `dash.dcc` or a pattern-matching id.
    """
    if tree is None:
        return ""
    if isinstance(tree, str | int | float):
        return escape(str(tree))
    if isinstance(tree, list | tuple):
        return "".join(to_html(part) for part in tree)
    if not isinstance(tree, Component) or not isinstance(tree, getattr(html, type(tree).__name__, ())):
        raise TypeError(f"only components of dash.html can be plain HTML. Got {type(tree).__name__}.")
    # As `to_plotly_json` gives them, which takes three times as long to look for them.
    own = vars(tree)
    properties = {name: own[name] for name in tree._prop_names if name in own}
    properties |= {name: value for name, value in own.items() if name.startswith(_WILDCARDS)}
    inner = to_html(properties.pop("children", None)) + properties.pop(PLAIN, "")
    tag = type(tree).__name__.lower()
    attributes = "".join(_attribute(name, value) for name, value in properties.items())
    return f"<{tag}{attributes}>" if tag in _EMPTY else f"<{tag}{attributes}>{inner}</{tag}>"


def _attribute(name: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = _NAMES.get(name, name if "-" in name else name.lower())
    if value is True:
        return f" {name}"
    if name == "style":
        value = "; ".join(f"{_css_name(key)}: {part}" for key, part in value.items())
    if not isinstance(value, str | int | float):
        raise TypeError(f"plain HTML has no place for {name}={value!r}.")
    return f' {name}="{escape(str(value))}"'


def _css_name(name: str) -> str:
    return name if name.startswith("--") else re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", name)


def static(*tree: Any) -> html.Div:
    """A tree as one component of a layout.

    Raises:
        TypeError: as `to_html`.
    """
    return html.Div(className="hs-static", **data(html=to_html(list(tree))))


def as_html(answer: Callable[..., Any], *positions: int) -> Callable[..., Any]:
    """A callback's function whose trees go out as HTML text.

    Args:
        answer: gives one tree, or a tuple of outputs.
        *positions: which of the tuple's outputs are trees.
    """

    @wraps(answer)
    def as_text(*arguments: Any) -> Any:
        answers = answer(*arguments)
        if not positions:
            return answers if answers is no_update else to_html(answers)
        return tuple(
            to_html(part) if position in positions and part is not no_update else part
            for position, part in enumerate(answers)
        )

    return as_text
