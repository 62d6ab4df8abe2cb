"""The glossary, the marks that lead to it, and the help dialog, all from the one glossary."""

import json
import re
from html import unescape
from typing import Any

import pytest

from callbacks.pages.glossary_page import GlossaryPage
from components import ids
from components.glossary.page import glossary_layout, sources, word_id
from components.help_mark import help_mark, term_link
from components.help_text import help_dialog
from components.plain_html import PLAIN
from components.section import section
from components.terms import GLOSSARY
from utils.glossary.term import GROUPS
from utils.roles.registry import ROLES


def pieces(tree: Any) -> list[Any]:
    """A tree's components and texts, in order."""
    if isinstance(tree, list | tuple):
        return [piece for part in tree for piece in pieces(part)]
    children = getattr(tree, "children", None)
    return [tree, *(pieces(children) if children is not None else [])]


def words_of(tree: Any) -> str:
    message = (piece if isinstance(piece, str) else static_text(piece) for piece in pieces(tree))
    return " ".join(text for text in message if text)


def static_text(piece: Any) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", getattr(piece, PLAIN, "")))


def test_every_word_has_its_anchor_once_and_its_text():
    found = {getattr(piece, "id", None): piece for piece in pieces(glossary_layout())}
    for key, term in GLOSSARY.items():
        message = words_of(found[word_id(key)])
        assert term.term in message and term.plain in message and term.more in message and term.see in message
    names = [piece.id for piece in pieces(glossary_layout()) if getattr(piece, "id", None)]
    assert len(names) == len(set(names))


def test_no_word_has_the_id_of_something_else_in_the_app():
    taken = {value for name, value in vars(ids).items() if name.isupper() and isinstance(value, str)}
    assert not taken & {getattr(piece, "id", None) for piece in pieces(glossary_layout())} - {
        ids.GLOSSARY_FILTER,
        ids.GLOSSARY_STATUS,
        ids.GLOSSARY_LIST,
    }


def test_roles_are_told_in_full_with_their_letter():
    found = {getattr(piece, "id", None): piece for piece in pieces(glossary_layout())}
    for key, role in ROLES.items():
        message = words_of(found[word_id(key)])
        assert role.explanation in message and message.startswith(role.letter)


def test_the_filter_searches_all_that_is_told_of_a_word():
    for piece in pieces(glossary_layout()):
        if getattr(piece, "className", None) == "hs-word":
            searched = getattr(piece, "data-word")
            for part in re.split(r"\W+", GLOSSARY[piece.id.removeprefix("word-")].plain.lower()):
                assert part in searched


def test_every_link_to_a_word_leads_to_one():
    page = glossary_layout()
    names = {getattr(piece, "id", None) for piece in pieces(page)}
    links = [piece.href for piece in pieces(page) if getattr(piece, "href", None)]
    assert len(links) > len(GLOSSARY) + len(GROUPS)
    for link in links:
        key = link.split("#")[1]
        assert key in names or word_id(key) in names


def test_every_paper_is_among_the_sources():
    named = {term.see for term in GLOSSARY.values() if term.see}
    assert set(sources()) == named
    assert [term.key for terms in sources().values() for term in terms if term.see == ""] == []


@pytest.mark.parametrize("key", GLOSSARY)
def test_a_mark_tells_its_word_and_leads_to_it(key: str):
    mark = help_mark(key)
    message = getattr(mark, PLAIN)
    assert message.startswith("<details ")
    summary = re.search(r'<summary aria-label="([^"]*)">', message)
    assert summary and GLOSSARY[key].term in unescape(summary[1])
    assert (ROLES[key].explanation if key in ROLES else GLOSSARY[key].plain) in words_of(mark)
    assert re.findall(r'href="([^"]*)"', message) == [f"/glossary#{key}"]


def test_a_mark_of_a_word_that_there_is_not_is_refused():
    for make in (help_mark, term_link):
        with pytest.raises(KeyError):
            make("nonsense")


def test_a_card_has_a_mark_beside_its_heading_where_it_names_a_word():
    plain = json.dumps(
        section("T", "h", name="x").to_plotly_json(), default=lambda part: part.to_plotly_json()
    )
    assert "hs-help" not in plain
    marked = section("T", "h", name="x", term=("kl", "logit"))
    headings = [piece for piece in pieces(marked) if type(piece).__name__ == "H2"]
    assert [words_of(heading) for heading in headings] == ["T"]  # the mark is no part of the card's name
    assert GLOSSARY["kl"].plain in words_of(marked) and GLOSSARY["logit"].plain in words_of(marked)


def test_the_help_dialog_tells_the_glossarys_words():
    message = words_of(help_dialog())
    for key in ("token", "bos", "chance", "zero", "kl"):
        assert GLOSSARY[key].plain in message


def test_the_page_is_the_same_whatever_its_query():
    page = GlossaryPage()
    assert words_of(page.layout("?x=<script>")) == words_of(page.layout(""))
