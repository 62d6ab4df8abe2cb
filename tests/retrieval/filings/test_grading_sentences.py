"""Grading of outputs as chat models write them (docs/METHODS.md, section 8)."""

import pytest

from retrieval.filings.grading import decided_end, first_sentence, is_right, sentence_end, values_match

CASES = [
    # Sentences.
    ("The company was incorporated in the state of Delaware.", "Delaware", True),
    ("Delaware", "Delaware", True),
    (" delaware.", "Delaware", True),
    ("The company was incorporated in Ohio in 1929.", "1929", True),
    ("It is New  York, as the filing says.", "New York", True),
    ("the state of\nNew\nYork", "New York", True),
    ("Based on the filing,\n\nthe answer is Texas.", "Texas", True),
    ("The answer is below. It is Texas.", "Texas", False),
    ("Delaware.\nThe company was later moved to Ohio.", "Ohio", False),
    # Whole words, and the first state.
    ("West Virginia", "Virginia", False),
    ("Arkansas", "Kansas", False),
    ("Delawarean law", "Delaware", False),
    ("It moved from Ohio to Texas.", "Texas", False),
    ("It moved from Ohio to Texas.", "Ohio", True),
    ("Massachusetts, near Maine", "Maine", False),
    ("Washington, D.C.", "Washington", False),
    ("in Washington.", "Washington", True),
    ("DE", "Delaware", False),
    # Markdown.
    ("**Delaware**", "Delaware", True),
    ("The answer is: **1,234** employees.", "1234", True),
    ("- *New York*", "New York", True),
    ("### Answer\n\n`1929`", "1929", True),
    ("**Twelve** people", "12", True),
    # Numbers.
    ("1,234 employees.", "1234", True),
    ("approximately 1,234", "1,234", True),
    ("No. 1,234", "1234", True),
    ("$1,234", "1234", True),
    ("1929.0", "1929", True),
    ("1929", "1929.0", True),
    ("In 1929, it had 35 employees.", "35", False),
    ("It has 300 employees, not 1,234.", "300", True),
    ("It has 1,234 employees, 300 of them abroad.", "300", False),
    ("12340", "1234", False),
    ("1234.5", "1234", False),
    ("12,34", "1234", False),
    ("two hundred and fifty-three people", "253", True),
    ("nineteen twenty-nine", "1929", True),
    ("According to the 10-K, there are 500 employees.", "500", True),
    ("As of December 31, 1995, it had 35 employees.", "35", False),
    ("a 500-person company", "500", True),
    ("F1929", "1929", False),
    # Refusals.
    ("The filing does not say.", "Delaware", False),
    ("I'm sorry, but I cannot find the year of incorporation.", "1929", False),
    ("N/A", "1929", False),
    ("", "1929", False),
    ("...", "...", False),
    ("anything", "", False),
    # Negations.
    ("It was not incorporated in Delaware.", "Delaware", False),
    ("Not in Delaware but in Ohio.", "Ohio", True),
    ("Not in Delaware but in Ohio.", "Delaware", False),
    ("It isn't 1929, it was 1931.", "1931", True),
    ("The filing does not say so, but it is probably Iowa.", "Iowa", True),
    ("neither Ohio nor Iowa", "Iowa", False),
    # Names: contained as whole words.
    ("The registrant is Acorn Mills Inc.", "Acorn Mills Inc", True),
    ("The chief executive is Anna Baker, who", "Baker", True),
    ("Bakersfield", "Baker", False),
    ("It is not Baker.", "Baker", False),
]


@pytest.mark.parametrize(("output", "truth", "right"), CASES)
def test_an_answer_is_right_by_what_its_first_sentence_says(output: str, truth: str, right: bool) -> None:
    assert is_right(output, truth) is right


@pytest.mark.parametrize(("output", "truth", "right"), CASES)
def test_an_answer_cut_where_it_is_decided_is_graded_alike(output: str, truth: str, right: bool) -> None:
    longer = output + " and the company makes shoes, as it says. Ohio, 77 and Baker are others."
    for end in range(len(longer) + 1):
        cut = decided_end(longer[:end], truth)
        if cut is not None:
            assert is_right(longer[:end][:cut], truth) == is_right(longer, truth), longer[:end]


def test_most_answers_are_decided_before_their_sentence_ends() -> None:
    text = "1,234 people in the whole company"
    assert [decided_end(text[:end], "1234") for end in (5, 6, 12)] == [None, None, None]
    assert decided_end(text[:13], "1234") == 13
    assert decided_end("Virginia and", "Ohio") is None
    assert decided_end("Virginia by the", "Ohio") is not None
    assert decided_end("It is Acorn Mills of the", "Acorn") is None


@pytest.mark.parametrize(
    ("output", "graded"),
    [
        ("Delaware", "Delaware"),
        ("Delaware. It makes shoes.", "Delaware."),
        ("Delaware\n\nIt makes", "Delaware\n\nIt makes"),
        ("No. 1,234 of all", "No. 1,234 of all"),
        ("Acorn Inc. of Ohio. It", "Acorn Inc. of Ohio."),
        ("\n\n1,234.5 people! More", "1,234.5 people!"),
        ("", ""),
    ],
)
def test_the_first_sentence_is_graded(output: str, graded: str) -> None:
    assert first_sentence(output) == graded


def test_a_sentence_has_ended_when_another_begins() -> None:
    assert sentence_end("Delaware.") is None
    assert sentence_end("Delaware. ") is None
    assert sentence_end("Delaware. I") == 9
    assert sentence_end("about 1.5") is None


def test_exact_match_is_stricter() -> None:
    assert is_right("It is Delaware.", "Delaware")
    assert not values_match("It is Delaware.", "Delaware")
