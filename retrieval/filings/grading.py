"""When an answer is right, and how much of it is there (docs/METHODS.md, section 4)."""

import re
from functools import cache
from typing import Any

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
