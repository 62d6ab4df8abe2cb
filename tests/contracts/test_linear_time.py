"""No text that anybody can send takes time that grows with the square of its length.

Each text is so long that one of these patterns, written the obvious way, reads it for many minutes.
"""

import signal
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from retrieval.filings.grading import normalise
from retrieval.filings.real import read_truth
from retrieval.filings.sentences import find_fact, sentences
from retrieval.lab.samples import own_sample
from retrieval.lab.state import LONGEST_ANSWER, OWN, LabPrompt
from utils.errors import UserFacingError
from utils.export.record_formats import readable
from utils.heads import parse_head
from utils.links.page_links import from_query
from utils.teaching.head_references import parse_reference

N = 300_000
TEXTS = {
    "marks": f"a{'!' * N}b",
    "closed marks": "a" + '!"' * N + "b",
    "spaces": f"a{' ' * N}b",
    "spaces at the end": f"a.{' ' * N}",
    "lines": f"a{chr(10) * N}b",
    "abbreviations": "A. " * N,
    "digits": "1" * N + ".0x",
    "zeros": "1." + "0" * N + "1",
    "words": "a " * N,
    "backticks": "`" * N,
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


READERS: dict[str, Callable[[str], object]] = {
    "sentences": sentences,
    "the sentence of a fact": lambda text: find_fact(text, "inc_state", "Delaware"),
    "the lab's own text": _own,
    "an answer": normalise,
    "a cell of the ground truth": lambda text: read_truth("inc_state", text),
    "a number in it": lambda text: read_truth("inc_year", text),
    "the name of a head": parse_head,
    "a preset's head": parse_reference,
    "a link": lambda text: from_query(f"?prompt={text}"),
    "a lab record": readable,
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_time_grows_with_the_length_alone(reader: str, text: str) -> None:
    try:
        READERS[reader](TEXTS[text])
    except (UserFacingError, ValueError):
        pass  # refused is fine too: what counts is that it comes back


def test_the_sentences_of_such_texts_are_right() -> None:
    def found(name: str) -> list[str]:
        return [TEXTS[name][start:end] for start, end in sentences(TEXTS[name])]

    assert found("marks") == [TEXTS["marks"]] and found("spaces") == [TEXTS["spaces"]]
    assert found("spaces at the end") == ["a."] and found("lines") == ["a", "b"]
    assert found("abbreviations") == [TEXTS["abbreviations"].strip()]
