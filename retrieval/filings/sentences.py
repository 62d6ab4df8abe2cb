"""Sentences of a running text, and the one among them that tells a fact."""

import re

# Where a sentence may end: at its marks with what closes a quotation, and at white space.
_END = re.compile(r"[.!?]+[\"”')\]]*|\s+")
_SPACE = re.compile(r"\s*")
_TEXT = re.compile(r"\S")
# Words whose full stop ends no sentence, whatever follows.
_ABBREVIATION = re.compile(r"\b(?:Inc|Corp|Co|Ltd|Bros|No|Nos|Mr|Mrs|Ms|Dr|St|U\.S|[A-Z])\.$")
_LONGEST_ABBREVIATION = len("Corp.")
# What stands beside a value in the sentence that tells it, by task: "Delaware" alone may be anything.
_TELLING = {
    "inc_state": r"incorporat|organi[sz]ed|laws of|chartered|corporation",
    "inc_year": r"incorporat|organi[sz]ed|founded|formed|establish|chartered",
    "employee_count": r"employ|personnel|work ?force",
    "hq_state": r"headquarter|(?:executive|principal|main|home|corporate) offices?",
}


def sentences(text: str) -> list[tuple[int, int]]:
    """Where each sentence of a text stands, [start, end) in characters, in order.

    A sentence ends with its mark before white space, unless a small letter follows ("the U.S. company"), or
    with its line. The time is linear in the length: anybody's text comes here.
    """
    found: list[tuple[int, int]] = []
    at = 0
    while first := _TEXT.search(text, at):
        start, end = first.start(), _end(text, first.start())
        if found and "\n" not in text[at:start] and _is_abbreviation(text, *found[-1]):
            start = found.pop()[0]
        found.append((start, end))
        at = end
    return found


def _end(text: str, start: int) -> int:
    """Where the sentence that starts at `start` ends."""
    for possible in _END.finditer(text, start + 1):
        if possible[0].isspace():
            if "\n" in possible[0] or possible.end() == len(text):
                return possible.start()
            continue
        end = possible.end()
        after = _after_space(text, end)
        if after == len(text) or (after > end and not "a" <= text[after] <= "z"):
            return end
    return len(text)


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _is_abbreviation(text: str, start: int, end: int) -> bool:
    """Whether the part of the text ends with an abbreviation. Only its end is read: many may be joined."""
    return _ABBREVIATION.search(text, max(start, end - _LONGEST_ABBREVIATION), end) is not None


def value_pattern(value: str) -> re.Pattern[str]:
    """Where a value stands in a text: as whole words in any case, a number also with commas."""
    if value.isdecimal():
        written = f"(?:{value}|{int(value):,})"
        return re.compile(rf"(?<!\w)(?<!\d[.,]){written}(?!\w)(?![.,]\d)")
    words = r"\s+".join(re.escape(word) for word in value.split())
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def find_fact(text: str, task_key: str, value: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The first sentence that holds the value and a word of what is asked, and the value in it.

    Args:
        text: a filing.
        task_key: one of the four main tasks.
        value: the fact's value.

    Returns:
        The character spans [start, end) of the sentence and of the value, or None where there is no such
        sentence: the value may be written otherwise, or stand where it means something else.
    """
    pattern = value_pattern(value)
    telling = re.compile(_TELLING[task_key], re.IGNORECASE)
    for start, end in sentences(text):
        found = pattern.search(text, start, end)
        if found and telling.search(text, start, end):
            return (start, end), found.span()
    return None
