"""Lab records: complete, and whatever a student typed stands in them as text."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from utils.effects.prediction import compare
from utils.errors import UserFacingError
from utils.export.analysis_json import Chosen
from utils.export.lab_record import MAX_CHARACTERS, Answer, Effect, LabRecord, make_record
from utils.export.record_formats import as_html, as_markdown, readable
from utils.heads import Head
from utils.live.service import LiveService

TEXT = "The cat sat on the mat. The cat sat on the"
OFF = frozenset({Head(1, 14), Head(0, 5)})
LINK = "http://127.0.0.1:8050/?v=1&model=demo-gpt2&prompt=a%20b"
HARD = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</blockquote></pre></title><h1>big</h1>",
    "# heading",
    "- item",
    "+ item",
    "12. item",
    "3) item",
    "---",
    "===",
    "> quote",
    "| a | b |",
    "***bold*** __under__ ~~struck~~ `code` $x$",
    "[link](javascript:alert(1)) ![pic](http://x.y/z.png)",
    "<http://auto.link> &lt; &amp; &#60; \\ \\*",
    "```\nfence\n````\nmore",
    "    indented",
    "line one\nline two\r\nline three",
    "שלום עולם",
    "\u202egnol eht si txet siht",
    "\u2066isolate",
    "a\u0000b\u0007",
    "half \ud83d of one",
    "👨\u200d👩\u200d👧 é ﷽",
    "|",
    "a\n# heading\n\n1. one\n",
)


@pytest.fixture(scope="module")
def record(service: LiveService) -> LabRecord:
    analysis = service.analyze("demo-gpt2", TEXT)
    comparison = compare(analysis.logits, service.next_token_logits("demo-gpt2", TEXT, OFF))
    return make_record(
        analysis,
        Chosen(OFF, "zero", None, LINK),
        comparison,
        findings=["A finding."],
        answers=[Answer("What do you expect?", "the mat")],
        notes="My notes.",
        made_at=datetime(2025, 1, 31, 12, 0, tzinfo=UTC),
    )


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def flat(text: str) -> str:
    """Text without the differences in white space that a page may have."""
    return " ".join(text.replace("\u00a0", " ").split())


def from_markdown(text: str) -> Page:
    return Page(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


def test_the_record_has_all_of_it(record: LabRecord) -> None:
    for page in (as_markdown(record), as_html(record)):
        for part in (
            "demo-gpt2",
            TEXT,
            "L0H5, L1H14",
            "zero ablation",
            "A finding.",
            "What do you expect?",
            "the mat",
            "My notes.",
            "2025-01-31 12:00 UTC",
            "torch 2.",
            "headscope 0.",
            "backup heads",
            "KL divergence",
            "logit difference",
        ):
            assert part in page, part
        assert record.findings[0].startswith("Without L0H5 and L1H14 the model")
    assert f"<{LINK}>" in as_markdown(record)
    assert Page(as_html(record)).links == [LINK]


def test_the_numbers_are_the_comparisons(record: LabRecord, service: LiveService) -> None:
    analysis = service.analyze("demo-gpt2", TEXT)
    comparison = compare(analysis.logits, service.next_token_logits("demo-gpt2", TEXT, OFF))
    assert record.effects[0].clean == f"{comparison.top.clean:.1%}"
    assert record.effects[0].ablated == f"{comparison.top.ablated:.1%}"
    assert record.effects[-1].ablated == f"{comparison.kl:.3f}"
    assert [effect.what.startswith("probability of") for effect in record.effects[:5]] == [True] * 5


def test_with_nothing_off_there_is_no_second_column(service: LiveService) -> None:
    analysis = service.analyze("demo-gpt2", TEXT)
    comparison = compare(analysis.logits, analysis.logits)
    plain = make_record(analysis, Chosen(position=2), comparison)
    assert all(effect.ablated == "" for effect in plain.effects)
    assert "after token 2" in plain.effects[0].what
    for page in (as_markdown(plain), as_html(plain)):
        assert "heads ablated" not in page and "backup" not in page and "Notes" not in page
        assert "Questions" not in page and "The same page again" not in page
    assert "**Ablated heads:** none" in as_markdown(plain)


@pytest.mark.parametrize("hard", HARD)
def test_what_was_typed_is_text_everywhere(record: LabRecord, hard: str) -> None:
    filled = replace(
        record,
        title=f"T {hard}",
        model=hard,
        prompt=hard,
        findings=(hard,),
        effects=(Effect(hard, "1%", "2%"),),
        answers=(Answer(hard, hard),),
        notes=hard,
    )
    plain_markdown, plain_html = from_markdown(as_markdown(record)), Page(as_html(record))
    shown = flat(readable(hard))
    for page, plain in (
        (from_markdown(as_markdown(filled)), plain_markdown),
        (Page(as_html(filled)), plain_html),
    ):
        # Seven places in which it was typed, the question and the title among them; HTML has a <title> more.
        assert flat(page.text).count(shown) >= 7, hard
        assert set(page.tags) <= set(plain.tags) | {"br", "p"}
        assert page.tags.count("h1") == 1 and page.tags.count("h2") == plain.tags.count("h2")
        assert page.tags.count("table") == 1 and page.tags.count("li") <= plain.tags.count("li")
        assert page.links == [LINK]


@pytest.mark.parametrize("hard", HARD)
def test_outside_of_its_fence_markdown_has_no_tag_to_begin_with(record: LabRecord, hard: str) -> None:
    """Not every program that shows Markdown knows that an escaped tag is none: there is no < at all."""
    page = as_markdown(replace(record, title=hard, notes=hard, findings=(hard,), model=hard))
    bare = page.replace(f"<{LINK}>", "")
    assert "<" not in bare and all(line.startswith(">") or ">" not in line for line in bare.splitlines())


def test_typed_lines_stay_lines(record: LabRecord) -> None:
    notes = "one\ntwo\n\n    four # x\n- five"
    page = MarkdownIt().render(as_markdown(replace(record, notes=notes)))
    quoted = re.findall(r"<blockquote>(.*?)</blockquote>", page, flags=re.DOTALL)[-1]
    assert quoted.count("<p>") == 2 and quoted.count("<br") == 2
    assert notes in as_html(replace(record, notes=notes))


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "data:text/html,x", 'http://a"><script>', "http://a b", "//x.y", "ftp://x"],
)
def test_only_an_address_becomes_a_link(record: LabRecord, link: str) -> None:
    for page in (
        Page(as_html(replace(record, link=link))),
        from_markdown(as_markdown(replace(record, link=link))),
    ):
        assert page.links == [] and "script" not in page.tags
        assert link in page.text


def test_the_html_loads_and_runs_nothing(record: LabRecord) -> None:
    page = as_html(record)
    assert "default-src 'none'" in page
    assert not set(Page(page).tags) & {"script", "img", "iframe", "object", "embed", "link", "form"}
    assert page.startswith("<!DOCTYPE html>") and '<meta charset="utf-8">' in page


def test_both_can_be_written_to_a_file(record: LabRecord) -> None:
    hard = replace(record, prompt="".join(HARD), notes="".join(HARD), title="\ud800")
    for page in (as_markdown(hard), as_html(hard)):
        assert page.encode("utf-8")
        # Nothing is left that could turn the page's direction around.
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x00]", page)


def test_steering_characters_are_shown_and_letters_are_kept() -> None:
    assert readable("\u202eab\u2066") == "⟨U+202E⟩ab⟨U+2066⟩"
    assert readable("שלום\u200fé\u200d\t\n") == "שלום\u200fé\u200d\t\n"
    assert readable("a\r\nb\rc\u2028d") == "a\nb\nc\nd"
    assert readable("\ud83d\ude00 \ud83d") == "😀 \ufffd"


def test_a_text_that_is_too_long_is_one_sentence(record: LabRecord, service: LiveService) -> None:
    analysis = service.analyze("demo-gpt2", TEXT)
    comparison = compare(analysis.logits, analysis.logits)
    long = "a" * (MAX_CHARACTERS + 1)
    with pytest.raises(UserFacingError, match="Your notes have 20,001 characters"):
        make_record(analysis, Chosen(), comparison, notes=long)
    with pytest.raises(UserFacingError, match="An answer has 20,001 characters"):
        make_record(analysis, Chosen(), comparison, answers=[Answer("q", long)])
    assert make_record(analysis, Chosen(), comparison, notes=long[1:]).notes
