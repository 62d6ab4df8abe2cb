"""No text that anybody can send takes time that grows with the square of its length.

Each text is so long that one of these patterns, written the obvious way, reads it for many minutes.
"""

import importlib
import pkgutil
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import FrameType

import pytest

import retrieval
import study
import utils
from retrieval.filings.grading import normalise
from retrieval.filings.real import read_truth
from retrieval.filings.sentences import find_fact, sentences
from retrieval.filings.texts import plain_name
from retrieval.lab import state as lab_state
from retrieval.lab.samples import own_sample
from retrieval.lab.state import LONGEST_ANSWER, OWN, LabPrompt
from retrieval.rankings.file_formats import NotARankingError, read_json, read_yaml
from utils.errors import UserFacingError
from utils.export.lab_record import Answer, LabRecord
from utils.export.record_formats import as_html, as_markdown
from utils.heads import parse_head
from utils.links.page_links import from_query
from utils.teaching.head_references import parse_reference

N = 300_000
TEXTS = {
    "marks": f"a{'!' * N}b",
    "closed marks": "a" + '!"' * (N // 2) + "b",
    "spaces": f"a{' ' * N}b",
    "spaces at the end": f"a.{' ' * N}",
    "spaces and lines": "a" + " \n" * (N // 2) + "b",
    "lines": f"a{chr(10) * N}b",
    "abbreviations": "A. " * (N // 3),
    "digits": "1" * N + ".0x",
    "digits alone": "1" * N,
    "thousands": "1" + ",111" * (N // 4) + "1",
    "zeros": "1." + "0" * N + "1",
    "words": "a " * (N // 2),
    "hundreds": "hundred " * (N // 8),
    "hyphens": "a-" * (N // 2),
    "semicolons": "; " * (N // 2) + "a",
    "backticks": "`" * N,
    "brackets": "[(" * (N // 2),
    "attributes": ' id="' * (N // 5),
}


@pytest.fixture(autouse=True)
def _no_hanging() -> Iterator[None]:
    """A pattern that hangs fails here instead of holding the suite; no time is measured."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("a text is read for more than a minute")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _own(text: str) -> None:
    answer = text[:LONGEST_ANSWER]
    own_sample(LabPrompt("any", question=OWN, text=text, asked="Which?", answer=answer))


def _record(text: str) -> None:
    record = LabRecord(
        title=text,
        model="any",
        prompt=text,
        heads=(),
        mode="zero",
        findings=(),
        effects=(),
        answers=(Answer("Why?", text),),
        notes="",
        link=text,
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
        versions={},
    )
    as_markdown(record)
    as_html(record)


# What refuses some of the texts says so by this error; any other is a fault.
READERS: dict[str, tuple[Callable[[str], object], tuple[type[Exception], ...]]] = {
    "sentences": (sentences, ()),
    "the sentence of a fact": (lambda text: find_fact(text, "inc_state", "Delaware"), ()),
    "the sentence of a year": (lambda text: find_fact(text, "inc_year", "1929"), ()),
    "the lab's own text": (_own, (UserFacingError,)),
    "an answer": (normalise, ()),
    "a cell of the ground truth": (lambda text: read_truth("inc_state", text), ()),
    "a number in it": (lambda text: read_truth("inc_year", text), ()),
    "the name of a filing": (plain_name, ()),
    "the name of a head": (parse_head, (UserFacingError,)),
    "a preset's head": (parse_reference, (ValueError,)),
    "a link": (lambda text: from_query(f"?prompt={text}"), ()),
    "a link to the lab": (lambda text: lab_state.from_query(f"?text={text}", ["any"]), ()),
    "a ranking": (read_yaml, (NotARankingError,)),
    "a lab record": (_record, ()),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_time_grows_with_the_length_alone(reader: str, text: str) -> None:
    read, refusals = READERS[reader]
    try:
        read(TEXTS[text])
    except refusals:
        pass  # refused is fine too: what counts is that it comes back


# Patterns that are asked only whether they fit a text as a whole: looked for everywhere in it, the white
# space that they may begin with would be read over and over.
WHOLE = {"utils.heads._HEAD", "retrieval.rankings.file_formats._PAIR"}


def _patterns() -> dict[str, re.Pattern[str]]:
    """The patterns of all modules that texts go through, those of tomorrow included."""
    found: dict[str, re.Pattern[str]] = {}
    for package in (utils, retrieval, study):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    found[f"{module.name}.{name}"] = value
    return found


PATTERNS = _patterns()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_read_a_text_once(name: str, text: str) -> None:
    pattern = PATTERNS[name]
    pattern.fullmatch(TEXTS[text])
    if name not in WHOLE:
        for _ in pattern.finditer(TEXTS[text]):
            pass


def test_the_patterns_that_fit_a_whole_text_are_there() -> None:
    assert set(PATTERNS) >= WHOLE


def test_a_rank_that_stands_twice_is_found_at_the_end() -> None:
    ranks = [*range(100_000), 99_999]
    rows = [{"head": f"L{at // 1000}H{at % 1000}", "rank": rank} for at, rank in enumerate(ranks)]
    with pytest.raises(NotARankingError, match="rank 99999 stands twice"):
        read_json({"head_rankings": rows})


def test_the_sentences_of_such_texts_are_right() -> None:
    def found(name: str) -> list[str]:
        return [TEXTS[name][start:end] for start, end in sentences(TEXTS[name])]

    assert found("marks") == [TEXTS["marks"]] and found("spaces") == [TEXTS["spaces"]]
    assert found("spaces at the end") == ["a."] and found("lines") == ["a", "b"]
    assert found("spaces and lines") == ["a", "b"]
    assert found("abbreviations") == [TEXTS["abbreviations"].strip()]
