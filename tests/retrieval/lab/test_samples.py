"""The lab's filings, generated and one's own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from retrieval.filings.prompting import encode_sample
from retrieval.filings.tasks import TASKS
from retrieval.lab.reading import encode_lab
from retrieval.lab.samples import (
    generated_sample,
    longest,
    needle_note,
    own_sample,
    suitable_length,
)
from retrieval.lab.state import LONGEST_ANSWER, LONGEST_QUESTION, LONGEST_TEXT, OWN, LabPrompt
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel

Bundled = Callable[[str], LoadedModel]
TEXT = "Acme makes pumps. It was founded in Ohio in 1921. Its 1 plant is in Utah.\nNobody knows why"


def own(**changes: Any) -> LabPrompt:
    return replace(LabPrompt("m", OWN, text=TEXT, asked="Where?"), **changes)


@pytest.mark.parametrize("model", ["demo-gpt2", "demo-llama", "demo-llama-instruct"])
@pytest.mark.parametrize("key", TASKS)
def test_a_filing_is_as_long_as_asked_for(bundled: Bundled, model: str, key: str):
    loaded = bundled(model)
    for length in (None, 120):
        wanted = suitable_length(loaded, key) if length is None else length
        encoded = encode_sample(loaded, generated_sample(LabPrompt(model, key, length), loaded))
        assert wanted - 15 <= len(encoded.ids) <= wanted
        assert {"needle", "answer", "question", "section"} <= set(encoded.spans)


def test_depth_moves_the_needle_and_the_seed_changes_the_facts(bundled: Bundled):
    loaded = bundled("demo-llama")
    at = [generated_sample(LabPrompt("demo-llama", depth=depth, seed=5), loaded) for depth in (0, 50, 100)]
    assert [sample.spans["needle"][0] for sample in at] == sorted(s.spans["needle"][0] for s in at)
    assert at[0].spans["needle"][0] == 0
    assert at[2].spans["needle"][1] == at[2].spans["section"][1]
    assert len({sample.answer for sample in at}) == 1
    others = {generated_sample(LabPrompt("demo-llama", seed=s), loaded).answer for s in range(8)}
    assert len(others) > 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 10}, "10 are too few"),
        ({"length": 489}, "489 tokens are too many for demo-llama"),
        ({"depth": 101}, "depth cannot be 101"),
        ({"seed": 10**9}, "number cannot be"),
        ({"question": "colour"}, "There is no question “colour”"),
    ],
)
def test_a_filing_that_cannot_be_is_told(bundled: Bundled, changes: dict[str, Any], message: str):
    assert longest(bundled("demo-llama")) == 488
    with pytest.raises(UserFacingError, match=message):
        generated_sample(replace(LabPrompt("demo-llama"), **changes), bundled("demo-llama"))


def spanned(prompt: LabPrompt) -> dict[str, str]:
    sample = own_sample(prompt)
    return {name: sample.prompt[start:end] for name, (start, end) in sample.spans.items()}


def test_the_needle_of_ones_own_text():
    assert spanned(own()) == {"section": TEXT, "question": "Where?"}
    found = spanned(own(answer="ohio"))
    assert (found["needle"], found["answer"]) == ("It was founded in Ohio in 1921.", "Ohio")
    # A whole word: the 1 of 1921 is none.
    assert spanned(own(answer="1"))["needle"] == "Its 1 plant is in Utah."
    chosen = spanned(own(needle=3))
    assert chosen["needle"] == "Nobody knows why" and "answer" not in chosen
    assert spanned(own(needle=2, answer="Utah"))["answer"] == "Utah"
    assert own_sample(own(needle=0)).depth == 0 and own_sample(own(needle=3)).depth == 1
    assert own_sample(own()).depth is None


def test_what_a_visitor_should_know_about_the_needle():
    def note(**changes: Any) -> str:
        return needle_note(own(**changes), own_sample(own(**changes)))

    assert "no needle yet" in note()
    assert "“Texas” stands in no sentence" in note(answer="Texas")
    assert "does not hold the answer" in note(answer="Texas", needle=1)
    assert note(answer="Ohio") == note(needle=1) == ""


def test_the_answer_is_found_as_whole_words_in_any_case() -> None:
    text = "In 1921 DELAWARE, not aware_1. The \u0130 of Delaware 1. \u039f\u0394\u039f\u03a3 in Stra\u00dfe."
    cases = (
        ("delaware", "DELAWARE"),
        ("1", "1"),
        ("aware_1", "aware_1"),
        ("i", "\u0130"),
        # A sigma at the end of a word has a form of its own.
        ("\u03bf\u03b4\u03bf\u03c2", "\u039f\u0394\u039f\u03a3"),
        ("stra\u00dfe", "Stra\u00dfe"),
    )
    assert "answer" not in own_sample(own(text=text, answer="aware")).spans
    for answer, where in cases:
        spans = own_sample(own(text=text, answer=answer)).spans
        assert text[slice(*spans["answer"])] == where, answer


@pytest.mark.parametrize(
    ("text", "answer", "needle", "found"),
    [
        ("公司在上海。成立于1921年。", "1921", "成立于1921年。", "1921"),
        ("总部在北京。工厂在上海市。", "上海", "工厂在上海市。", "上海"),
        ("本社は東京です。工場は名古屋にある。", "名古屋", "工場は名古屋にある。", "名古屋"),
        ("वह दिल्ली में है। यह दिल है।", "दिल", "यह दिल है।", "दिल"),
        ("المقر في الجيزة. المصنع في القاهرة.", "القاهرة", "المصنع في القاهرة.", "القاهرة"),
        ("It has 11,234 pumps. It employs 1,234 people.", "1234", "It employs 1,234 people.", "1,234"),
        ("It has 12345 pumps. It employs 1234 people.", "1,234", "It employs 1234 people.", "1234"),
        ("It paid $1,234.50 in May. It paid $1,234 in June.", "$1234", "It paid $1,234 in June.", "$1,234"),
        ("It has 1,200 pumps. It has 200 cars.", "200", "It has 200 cars.", "200"),
        ("It grew 3.14 times. It has 14.", "14", "It has 14.", "14"),
        ("Ann leads it. Tom O’Brien owns it.", "o'brien", "Tom O’Brien owns it.", "O’Brien"),
        ("Ann leads it. Tom O'Brien owns it.", "O’Brien", "Tom O'Brien owns it.", "O'Brien"),
        ("工場は一つ。社員は1,234人。", "1234", "社員は1,234人。", "1,234"),
    ],
)
def test_the_answer_is_found_in_any_script_and_way_of_writing(
    text: str, answer: str, needle: str, found: str
) -> None:
    spans = spanned(own(text=text, answer=answer))
    assert (spans["needle"], spans["answer"]) == (needle, found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": " \n"}, "There is no text"),
        ({"asked": " "}, "There is no question"),
        ({"asked": "a" * (LONGEST_QUESTION + 1)}, "The question has 2,001 characters"),
        ({"text": "a" * (LONGEST_TEXT + 1)}, "The text has 500,001 characters"),
        ({"answer": "a" * (LONGEST_ANSWER + 1)}, "The answer has 501 characters"),
        ({"text": "a\ud800"}, "Character 2 of the text is half"),
        ({"asked": "\udfff"}, "Character 1 of the question is half"),
        ({"needle": 4}, "no sentence 5"),
    ],
)
def test_ones_own_text_that_cannot_be_asked_about(changes: dict[str, Any], message: str):
    with pytest.raises(UserFacingError, match=message):
        own_sample(own(**changes))


def test_a_text_longer_than_the_context_is_one_sentence(bundled: Bundled):
    with pytest.raises(UserFacingError, match="reads at most 256"):
        encode_sample(bundled("demo-gpt2"), own_sample(own(text="word " * 400)))


class Unread:
    """A tokenizer that must not be asked."""

    def encode(self, *args: object, **kwargs: object) -> None:
        raise AssertionError("a text was tokenized")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "a" * 25_601}, "The text has 25,601 characters and at most 25,600 are read"),
        ({"text": " " * 10**7}, "The text has 10,000,000 characters and at most 25,600"),
        ({"asked": "a" * 10**7}, "The question has 10,000,000 characters and at most 2,000"),
        ({"answer": "a" * 10**7}, "The answer has 10,000,000 characters and at most 500"),
    ],
)
def test_ones_own_text_that_is_far_too_long_is_refused_before_it_is_tokenized(
    bundled: Bundled, changes: dict[str, Any], message: str
):
    loaded = replace(bundled("demo-gpt2"), text_tokenizer=Unread())
    with pytest.raises(UserFacingError, match=message):
        encode_lab(loaded, own(**changes))
