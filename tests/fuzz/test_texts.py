"""Any text goes through tokens, page, analysis and export: shown escaped, or refused in one sentence."""

import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

from components.live.role_cards import role_cards
from components.live.token_strip import token_strip
from components.plain_html import to_html
from tests.fixtures.nasty import outcomes, texts
from utils.errors import UserFacingError
from utils.export.analysis_json import Chosen, export_analysis, export_text
from utils.export.heads_csv import csv_text, heads_csv
from utils.live.service import LiveService

MODEL = "demo-gpt2"
# What begins a formula, whatever separates the cells.
FORMULA = re.compile(r'(^|[;,|\t\r\n])["\s]*[-=+@]')
OWN_TAGS = {
    "article",
    "li",
    "button",
    "bdi",
    "small",
    "span",
    "div",
    "section",
    "h2",
    "h3",
    "p",
    "ul",
    "strong",
    "em",
}
OWN_TAGS |= {"i", "a", "details", "summary", "table", "tbody", "thead", "tr", "td", "th", "abbr", "code"}


class Tags(HTMLParser):
    """The tags and the handlers of an HTML text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.handlers: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.handlers |= {name for name, _ in attrs if name.startswith("on")}


def check_page(page: str) -> None:
    tags = Tags(page)
    assert tags.found <= OWN_TAGS and not tags.handlers, (tags.found - OWN_TAGS, tags.handlers)


def check_cell(text: str) -> None:
    (row,) = list(csv.reader(io.StringIO(csv_text(["a"], [{"a": text}])), strict=True))[1:] or [[]]
    assert not row or not FORMULA.search(row[0]), text


def test_every_text_is_tokenized_shown_and_put_into_a_cell_or_refused(
    service: LiveService, amount: Callable[[int, int], int]
) -> None:
    def work(text: str) -> None:
        if not any("\ud800" <= character <= "\udfff" for character in text):
            check_cell(text)
        prompt = service.tokenize(MODEL, text)
        assert all(prompt.labels) and len(prompt.labels) == len(prompt.ids)
        check_page(to_html(token_strip(prompt)))

    taken, refused = outcomes(work, texts(amount(500, 10_000), seed=1), UserFacingError)
    assert taken and refused


def test_every_analysis_is_exported(service: LiveService, amount: Callable[[int, int], int]) -> None:
    def work(text: str) -> None:
        analysis = service.analyze(MODEL, text)
        check_page(to_html(role_cards(analysis.listed, {}, set())))
        rows = list(csv.DictReader(io.StringIO(heads_csv(analysis), newline=""), strict=True))
        assert rows and not any(FORMULA.search(row["prompt"]) for row in rows)
        json.loads(export_text(export_analysis(service, analysis, Chosen())))

    taken, refused = outcomes(work, texts(amount(20, 10_000), seed=2), UserFacingError)
    assert taken and refused
