"""The lab's prompt and answer as HTML."""

import re
from dataclasses import replace

import pytest

from components.lab.text import answer_view, prompt_text, sentence_list, shown_places, writing_view
from components.plain_html import to_html
from retrieval.filings.generated import Sample
from retrieval.filings.prompting import EncodedPrompt
from retrieval.lab.reading import LabReading, Written
from retrieval.lab.state import LabPrompt
from retrieval.reading.decoding import Decoded

LABELS = ("<BOS>", "A", "·<b>", "·x", ".", "⏎", "Q", "?", "⏎")
SPANS = {"section": (1, 5), "needle": (2, 5), "answer": (3, 4), "question": (6, 8)}
SAMPLE = Sample("inc_state", "", "x", {}, {}, 0.0)
READING = LabReading(
    prompt=LabPrompt("m"),
    encoded=EncodedPrompt(SAMPLE, "", tuple(range(9)), SPANS, (), {}, 0),
    labels=LABELS,
    context_length=64,
    note="",
    answer=Decoded((3,), "x"),
    written=Written(("·x",), (0.25,)),
    right=True,
    rankings={},
)


def test_the_needle_is_marked_and_named_and_nothing_typed_is_html():
    message = to_html(prompt_text(READING))
    mark = re.findall("<mark.*?</mark>", message)
    assert len(mark) == 1 and ">needle<" in mark[0] and "&lt;b&gt;" in mark[0] and "<b>" not in message
    assert re.findall(r'data-t="(\d+)"', mark[0]) == ["2", "3", "4"]
    assert re.findall(r'class="hs-lab-answer" data-t="(\d+)"', message) == ["3"]
    assert ">question<" in message and re.findall(r'data-t="(\d+)"', message) == [str(i) for i in range(9)]


def test_without_a_needle_nothing_is_marked():
    spans = {"section": (1, 5), "question": (6, 8)}
    message = to_html(prompt_text(replace(READING, encoded=replace(READING.encoded, spans=spans))))
    assert "<mark" not in message and ">question<" in message


@pytest.mark.parametrize(
    ("length", "spans", "shown"),
    [
        (1500, [(5, 9)], [(0, 1500)]),
        (5000, [(2000, 2010), (4900, 4980)], [(0, 60), (1875, 2135), (4750, 5000)]),
        (5000, [(20, 40)], [(0, 165), (4750, 5000)]),
    ],
)
def test_a_long_prompt_is_shown_around_what_matters(length: int, spans: list, shown: list):
    assert shown_places(length, spans) == shown


def test_the_answer_says_whether_it_is_right():
    assert "✓ right" in to_html(answer_view(READING)) and "25.0%" in to_html(answer_view(READING))
    assert "✗ wrong" in to_html(answer_view(replace(READING, right=False)))
    silent = replace(READING, answer=Decoded((), ""), written=Written(), right=False)
    assert "nothing" in to_html(answer_view(silent))
    half = to_html(writing_view(READING.written))
    assert "is writing" in half and "25.0%" in half and "right" not in half


def test_only_so_many_sentences_are_listed():
    message = to_html(sentence_list("ab" * 500, [(i, i + 1) for i in range(500)], 3))
    assert message.count("<button") == 400 and "first 400" in message
