"""Sentences, values in a text, and the sentence that tells a fact."""

import pytest

from retrieval.filings.sentences import find_fact, sentences, value_pattern


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Acme Inc. The maker of pumps grew.", ["Acme Inc. The maker of pumps grew."]),
        ("The U.S. company grew. It paid.", ["The U.S. company grew.", "It paid."]),
        ("John D. Smith leads it. He is old.", ["John D. Smith leads it.", "He is old."]),
        ("It made 3.5 tons. Then 4.", ["It made 3.5 tons.", "Then 4."]),
        ("A heading\nA line. Another", ["A heading", "A line.", "Another"]),
        ("Made by Acme Co.\nNext.", ["Made by Acme Co.", "Next."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("“Is it?” “Yes.” He\n\n left", ["“Is it?”", "“Yes.”", "He", "left"]),
        ("One", ["One"]),
        ("a...  b", ["a...  b"]),
        ("", []),
        ("  \n ", []),
        # Chinese, Japanese, Hindi, Urdu, Arabic.
        ("公司成立于1921年。总部在上海！是吗？对", ["公司成立于1921年。", "总部在上海！", "是吗？", "对"]),
        ("真的吗？！是的。", ["真的吗？！", "是的。"]),
        ("他说：“你好！”然后走了。再见。", ["他说：“你好！”然后走了。", "再见。"]),
        ("「はい。」と言った。『終わり。』 次", ["「はい。」と言った。", "『終わり。』", "次"]),
        ("本社はU.S. にある。大きい。", ["本社はU.S. にある。", "大きい。"]),
        ("苹果Inc. 很大。好", ["苹果Inc. 很大。", "好"]),
        ("यह दिल्ली में है। वह बड़ा है।अंत", ["यह दिल्ली में है।", "वह बड़ा है।", "अंत"]),
        ("یہ لاہور ہے۔ بڑا ہے۔", ["یہ لاہور ہے۔", "بڑا ہے۔"]),
        ("أين المقر؟ في القاهرة. شكرا!", ["أين المقر؟", "في القاهرة.", "شكرا!"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("1200", "has 1,200 employees", "1,200"),
        ("1200", "has 1200.", "1200"),
        ("1200", "in 1200, it", "1200"),
        ("1200", "(1200)", "1200"),
        ("1200", "11,200 or 1,200,000 or 12000 or 1200.5 or A1200", None),
        ("200", "1,200 people", None),
        ("929", "in 1929", None),
        ("New York", "in NEW\n  YORK.", "NEW\n  YORK"),
        ("Virginia", "in West Virginian towns", None),
        ("Kansas", "in Arkansas", None),
        ("A.B. Corp (Old)", "by A.B. Corp (Old), of", "A.B. Corp (Old)"),
        ("上海", "总部在上海市", "上海"),
        ("上海", "ABC上海DEF", "上海"),
        ("1921", "成立于1921年", "1921"),
        ("1234", "有1,234名员工", "1,234"),
        ("234", "有1,234名员工", None),
        ("Acme", "由Acme公司制造", "Acme"),
        ("Acme", "由Acmes公司制造", None),
        ("トヨタ", "本社はトヨタにある", "トヨタ"),
        ("दिल्ली", "यह दिल्ली में है", "दिल्ली"),
        ("दिल", "यह दिल्ली में है", None),
        ("القاهرة", "في القاهرة.", "القاهرة"),
        ("قاهرة", "في القاهرة.", None),
        ("O'Brien", "by O’BRIEN & Co", "O’BRIEN"),
        ("O’Brien", "by O'Brien", "O'Brien"),
    ],
)
def test_values_stand_alone(value: str, text: str, found: str | None) -> None:
    match = value_pattern(value).search(text)
    assert (match and match[0]) == found


def test_a_fact_is_in_a_sentence_that_speaks_of_it() -> None:
    text = (
        "Most sales are in Ohio. The Company was organized under Ohio law. It incorporated in Ohio in 1931."
    )
    found = find_fact(text, "inc_state", "Ohio")
    assert found is not None
    (start, end), (left, right) = found
    assert text[start:end] == "The Company was organized under Ohio law." and text[left:right] == "Ohio"
    assert start < left < right < end
    assert find_fact(text, "hq_state", "Ohio") is None
    assert find_fact(text, "inc_year", "1931") is not None
    assert find_fact(text, "employee_count", "1931") is None
    assert find_fact(text, "inc_state", "Utah") is None


@pytest.mark.parametrize(
    ("task", "value", "text"),
    [
        ("employee_count", "1450", "At year end the Registrant employed about 1,450 persons."),
        ("hq_state", "Texas", "Its executive offices are in Dallas, Texas."),
        ("inc_year", "1907", "Founded in 1907, it makes shoes."),
        ("inc_state", "New Jersey", "It exists under the laws of the State of New Jersey."),
    ],
)
def test_wordings_of_real_filings(task: str, value: str, text: str) -> None:
    assert find_fact(text, task, value) is not None
