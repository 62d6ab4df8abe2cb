"""HTML trees as text: what is typed stays text, what Dash would have to call back to is refused."""

from html.parser import HTMLParser
from typing import Any

import pytest
from dash import dcc, html, no_update

from components.attributes import aria, data
from components.plain_html import PLAIN, as_html, static, to_html


class Reader(HTMLParser):
    """What a browser makes of a text: (tag, attributes) in order, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_a_tree_keeps_its_elements_attributes_and_text():
    tree = html.Div(
        [
            html.Button(
                ["A", html.S("b")],
                className="x y",
                tabIndex=-1,
                style={"--strength": "0.5", "gridTemplateColumns": "1fr 2fr"},
                **aria(label="head"),
                **data(head="L0H1"),
            ),
            html.Br(),
            html.Details(html.Summary("more"), open=True),
            html.Details("less", open=False),
            html.Td(3, colSpan=2),
            None,
        ]
    )
    read = Reader(to_html(tree))
    assert read.tags == [
        ("div", {}),
        (
            "button",
            {
                "class": "x y",
                "tabindex": "-1",
                "style": "--strength: 0.5; grid-template-columns: 1fr 2fr",
                "aria-label": "head",
                "data-head": "L0H1",
            },
        ),
        ("s", {}),
        ("br", {}),
        ("details", {"open": None}),
        ("summary", {}),
        ("details", {}),
        ("td", {"colspan": "2"}),
    ]
    assert read.text == "Abmoreless3"


@pytest.mark.parametrize(
    "typed", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b", "'"]
)
def test_what_is_typed_stays_text(typed):
    read = Reader(to_html(html.P(typed, title=typed)))
    assert read.tags == [("p", {"title": typed})] and read.text == typed


NO_CHILD: Any = {"a": 1}


@pytest.mark.parametrize(
    "tree", [dcc.Link("x", href="/"), html.Div(dcc.Store("x")), html.P(NO_CHILD), html.P(id={"type": "x"})]
)
def test_what_needs_dash_is_refused(tree):
    with pytest.raises(TypeError):
        to_html(tree)


def test_a_static_part_within_another_is_written_out():
    inner = static(html.B("word"))
    assert getattr(inner, PLAIN) == "<b>word</b>"
    assert Reader(to_html(html.P(inner))).tags == [("p", {}), ("div", {"class": "hs-static"}), ("b", {})]


def test_a_callback_tells_its_trees_as_text_and_leaves_the_rest():
    assert as_html(lambda word: html.B(word))("x") == "<b>x</b>"
    assert as_html(lambda: no_update)() is no_update
    mixed = as_html(lambda: ([html.B("x")], {"rows": [1]}, no_update), 0, 2)
    assert mixed() == ("<b>x</b>", {"rows": [1]}, no_update)
