import pytest

from retrieval.filings.grading import normalise, rouge1_recall, values_match


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Delaware", "delaware"),
        ("  New \n York. ", "new york"),
        ("1,929", "1929"),
        ("1,234,567 people", "1234567 people"),
        ("12,34", "12,34"),
        ("1929.0", "1929"),
        ("1,929.00", "1929"),
        ("3.05", "3.05"),
        ("10.5", "10.5"),
        ("1.0.2", "1.0.2"),
        ("twelve", "12"),
        ("Two hundred and fifty-three employees", "253 employees"),
        ("one thousand two hundred", "1200"),
        ("Eleven thousand three hundred and two.", "11302"),
        ("two million five", "2000005"),
        ("nineteen twenty-nine", "1929"),
        ("five and six", "5 and 6"),
        ("two hundred and the", "200 and the"),
        ("five six", "5 6"),
        ("one, two", "1, 2"),
        ("and", "and"),
        ("someone", "someone"),
        ("hundred hundred", "10000"),
        ("hundred " * 2000, " ".join(["1" + "0" * 18] * 222 + ["10000"])),
        ("zero", "0"),
        ("", ""),
    ],
)
def test_texts_are_levelled(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(expected) == expected


@pytest.mark.parametrize(
    ("output", "truth", "right"),
    [
        ("delaware", "Delaware", True),
        ("Delaware.", "Delaware", True),
        ("New Jersey", "New York", False),
        ("1,929", "1929.0", True),
        ("twelve", "12", True),
        ("Delaware and more", "Delaware", False),
        ("DE", "Delaware", False),
        ("", "", False),
        ("anything", "", False),
        ("...", "...", False),
        ("", "Delaware", False),
    ],
)
def test_values_match(output: str, truth: str, right: bool) -> None:
    assert values_match(output, truth) is right


@pytest.mark.parametrize(
    ("answer", "output", "recall"),
    [
        ("Delaware", "It is Delaware, indeed.", 100),
        ("The company was incorporated in Delaware.", "Delaware the", 100 / 3),
        ("1,929.0", "in 1929", 100),
        ("twelve", "there are 12", 100),
        # Clipped counts: a word said once covers one of two.
        ("New York, New York", "new york", 50),
        ("Delaware", "", 0),
        ("", "Delaware", 0),
    ],
)
def test_rouge_recall_is_a_share_of_the_answers_words(answer: str, output: str, recall: float) -> None:
    assert rouge1_recall(answer, output) == pytest.approx(recall)
