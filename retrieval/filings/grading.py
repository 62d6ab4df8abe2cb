"""When an answer is right, and how much of it is there (docs/METHODS.md, sections 4 and 8).

A chat model answers in a sentence, so an answer is graded by what its first sentence says (`is_right`). The
exact match (`values_match`) is kept beside it.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from retrieval.filings.sentences import sentences, value_pattern
from retrieval.filings.vocabulary import ALL_STATES

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
_ONES += " sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: value for value, word in enumerate(_ONES.split())}
_SMALL |= {word: 10 * value for value, word in enumerate(_TENS.split(), start=2)}
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
# "hundred hundred ..." is cut into several numbers from here on: each would make the next one longer.
_MAX_CURRENT = 10**18
_NUMBER_WORDS = {*_SMALL, "hundred", *_LARGE}
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# "1929.0" as spreadsheets write years; not the 1.0 of 1.0.2.
_EMPTY_DECIMALS = re.compile(r"(?<![\d.])(\d+)\.0+(?!\.?\d)")
_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])")
# What answers are put into or ended with.
_AROUND = " \t\r\n.,;:!?\"'“”\u2018\u2019()[]"

# Marks of Markdown, which chat models put around what matters.
_MARKDOWN = re.compile(r"[*_`#~|]+")
# A number as a whole, with its decimals; "10-K" is the name of a form.
_A_NUMBER = re.compile(r"(?<![\w.,])(?!10-[kq]\b)\d+(?:[.,]\d+)*(?!\w)")
# What takes back the value that follows in the same clause: "not in Delaware", "isn't 1929".
_NEGATION = re.compile(r"\b(?:not|never|neither|nor|cannot|rather than|other than|instead of)\b|n['’]t\b")
_CLAUSE = re.compile(r"[,;:(]|\b(?:but|however|although|though|while|and|it is|it was|rather it)\b")
_STATES = tuple(sorted((state.casefold() for state in ALL_STATES), key=len, reverse=True))
_A_STATE = re.compile(
    r"(?<!\w)(?:washington,? d\.? ?c\b|" + "|".join(re.escape(state) for state in _STATES) + r")(?!\w)"
)
_WORD = re.compile(r"\w+")
# Words that would make another value of it: "12 hundred", "Washington, D.C."
_GO_ON = {"d", "dc", "and", "hundred", "thousand", "million", "billion"}


def normalise(text: str) -> str:
    """A text as values are compared: case, commas in numbers, number words, spaces and "1929.0" are levelled.

    Marks around the whole ("Delaware.") are left out too. Abbreviations of states stay what they are.
    """
    text = _THOUSANDS.sub("", text.casefold())
    text = _EMPTY_DECIMALS.sub(r"\1", text)
    return " ".join(_words_to_digits(text.split())).strip(_AROUND)


def values_match(output: str, truth: str) -> bool:
    """Whether both are the same once normalised; an empty truth matches nothing."""
    expected = normalise(truth)
    return bool(expected) and normalise(output) == expected


def is_right(output: str, truth: str) -> bool:
    """Whether a model's answer says the expected value (docs/METHODS.md, section 8).

    Both are normalised. The value has to stand as whole words in the output's first sentence; a number has to
    be the first number there, a state the first state. What is denied ("not in Ohio but in Iowa") does not
    count as said. An empty truth matches nothing.

    >>> is_right("The company was incorporated in **Delaware**, in 1929.", "Delaware")
    True
    >>> is_right("It has 1,234 employees, 300 of them abroad.", "300")
    False
    """
    expected = normalise(truth)
    if not expected:
        return False
    said = _levelled(first_sentence(output))
    kind = _kind(expected)
    if not kind:
        return next(_said(value_pattern(expected), said), None) is not None
    return next((found[0] for found in _said(_PATTERNS[kind], said)), None) == expected


def first_sentence(output: str) -> str:
    """What of an output is graded: its first sentence; a line break ends none.

    >>> first_sentence("Delaware. The company makes shoes.")
    'Delaware.'
    """
    return output[: sentence_end(output)].strip()


def sentence_end(output: str) -> int | None:
    """Where the first sentence of an output ends, in characters; None while it may still go on.

    It has ended where another begins. So "U.S." or "1." ends nothing before something follows.
    """
    flat = re.sub(r"\s", " ", output)
    found = sentences(flat)
    return found[0][1] if len(found) > 1 else None


def decided_end(output: str, truth: str) -> int | None:
    """Where an output can be cut because `is_right` cannot change any more, None while it may.

    That is where the first sentence ends, or a word after the first number or state: earlier than a sentence
    mostly does, and worth it where thousands of answers are graded and only right or wrong is kept.
    """
    if (end := sentence_end(output)) is not None:
        return end
    kind = _kind(normalise(truth))
    if not kind:
        return None
    plain = re.sub(r"\s", " ", output.casefold())
    # Number words and denials are left to the whole sentence: they depend on what follows.
    found = _PATTERNS[kind].search(_MARKDOWN.sub(" ", plain))
    behind = _MARKDOWN.sub(" ", plain)[found.end() :] if found else ""
    if found is None or _unsettled(plain) or not _word_behind(behind):
        return None
    return len(output)


def _word_behind(text: str) -> bool:
    """Whether a whole word stands behind a value, after which the value cannot change any more."""
    word = _WORD.search(text)
    if word is None or word[0] in _GO_ON:
        return False
    rest = text[word.end() :]
    after = _WORD.search(rest)
    gaps = (text[: word.start()], rest[: after.start()] if after else rest)
    return all(any(map(str.isspace, gap)) for gap in gaps)


def _unsettled(text: str) -> bool:
    words = {part for word in text.split() for part in _HYPHEN.sub(" ", word.strip(_AROUND)).split()}
    return bool(words & _NUMBER_WORDS) or _NEGATION.search(text) is not None


def _kind(expected: str) -> Literal["number", "state", ""]:
    """What the expected value is one of, so that the first of these counts."""
    if expected.isdecimal():
        return "number"
    return "state" if expected in _STATES else ""


_PATTERNS = {"number": _A_NUMBER, "state": _A_STATE}


def _levelled(sentence: str) -> str:
    return normalise(_MARKDOWN.sub("", re.sub(r"\s", " ", sentence)))


def _said(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """What a pattern finds in a normalised sentence, without what is denied there."""
    for found in pattern.finditer(text):
        before = text[: found.start()]
        clause = [*_CLAUSE.finditer(before)]
        if not _NEGATION.search(before, clause[-1].end() if clause else 0):
            yield found


def rouge1_recall(answer: str, output: str) -> float:
    """How much of the expected answer's words are in the output, in percent: ROUGE-1 recall of rouge-score.

    Both are normalised first. 0 where the answer is empty.
    """
    return 100 * _scorer().score(normalise(answer), normalise(output))["rouge1"].recall


@cache
def _scorer() -> Any:
    # It brings nltk and scipy along, a second and more: nobody who does not rank heads should wait for it.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1"])


def _words_to_digits(words: list[str]) -> list[str]:
    """Each run of number words as its digits: "two hundred and fifty-three" becomes "253"."""
    done: list[str] = []
    run: list[str] = []
    end = ""
    for word in [*words, ""]:
        bare = word.rstrip(_AROUND)
        parts = _HYPHEN.sub(" ", bare).split()
        numeric = bool(parts) and all(part in _NUMBER_WORDS for part in parts)
        if (numeric or (bare == word == "and" and run)) and not end:
            run += parts
            end = word[len(bare) :] if numeric else ""
            continue
        done += _spoken(run, end)
        run, end = (parts, word[len(bare) :]) if numeric else ([], "")
        done += [word] if word and not numeric else []
    return done + _spoken(run, end)


def _spoken(run: list[str], end: str) -> list[str]:
    """A run of number words, in which "and" may stand, as words with digits; `end` goes after the last."""
    cached = len(run)
    while cached and run[cached - 1] == "and":
        cached -= 1
    numbers = [str(value) for value in _values(run[:cached])]
    return [*numbers[:-1], *(number + end for number in numbers[-1:]), *run[cached:]]


def _values(run: list[str]) -> list[int | str]:
    """The numbers that a run of number words says, one after another; "and" between two of them is kept."""
    values: list[int | str] = []
    total = current = 0
    open_number = False

    def close() -> None:
        nonlocal total, current, open_number
        if open_number:
            values.append(total + current)
        total, current, open_number = 0, 0, False

    for position, word in enumerate(run):
        if word == "and":
            # "two hundred and six" is one number, "five and six" are two.
            if not (open_number and run[position - 1] in {"hundred", *_LARGE}):
                close()
                values.append("and")
            continue
        if word in _LARGE:
            total, current, open_number = total + max(current, 1) * _LARGE[word], 0, True
        elif word == "hundred":
            if current >= _MAX_CURRENT:
                close()
            current, open_number = max(current, 1) * 100, True
        else:
            value = _SMALL[word]
            rest = current % 100
            # A second number begins where the first has no room: "twenty twenty", "five six".
            if open_number and rest and not (rest >= 20 and rest % 10 == 0 and 0 < value < 10):
                close()
            current, open_number = current + value, True
    close()
    return _with_years(values)


def _with_years(values: list[int | str]) -> list[int | str]:
    """Two numbers of two digits in a row are a year as it is spoken: nineteen twenty-nine."""
    joined: list[int | str] = []
    for value in values:
        first = joined[-1] if joined else None
        if isinstance(first, int) and 10 <= first <= 20 and isinstance(value, int) and 10 <= value <= 99:
            joined[-1] = 100 * first + value
        else:
            joined.append(value)
    return joined
