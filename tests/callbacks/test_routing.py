"""Addresses and pages."""

from dash import html

from callbacks.routing import Page, show_page
from tests.fixtures.reading_trees import text_of

PAGES = (
    Page("live", "/", "Live", lambda query: html.P(f"live {query}")),
    Page("catalog", "/catalog", "Catalog", lambda query: html.P(f"catalog {query}"), ("/roles",)),
)


def test_each_page_stands_at_its_address_and_gets_the_query():
    assert "live " in text_of(show_page(PAGES, "/", None)[0])
    assert "catalog ?model=x" in text_of(show_page(PAGES, "/catalog", "?model=x")[0])
    assert "catalog " in text_of(show_page(PAGES, "/catalog/", "")[0])


def test_the_path_of_the_page_that_is_shown_is_told():
    assert show_page(PAGES, "/catalog/", "")[1] == "/catalog"
    assert show_page(PAGES, "/roles", "")[1] == "/catalog"


def test_an_unknown_address_says_so():
    tree, here = show_page(PAGES, "/nowhere<script>", "")
    assert "no such page" in text_of(tree)
    assert here not in [page.path for page in PAGES]


def test_before_the_address_is_known_the_first_page_is_shown():
    assert "live" in text_of(show_page(PAGES, None, None)[0])
