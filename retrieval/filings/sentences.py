"""Sentences of a running text, and the one among them that tells a fact."""

import re
import unicodedata
from functools import cache

# Scripts that put no spaces between words, or join particles to them, so that a word may begin and end
# anywhere: Thai, Lao, Tibetan, Burmese, Khmer, Chinese, Japanese, Korean.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u3130-\u318f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
_IN_UNSPACED = re.compile(f"[{_UNSPACED}]")
# Marks that end a sentence without a space after them: those of Chinese and Japanese, and those of Hindi,
# Urdu and Arabic, after which it may lack.
_OWN_MARKS = "。！？｡।॥۔؟"
# Where a sentence may end: at its marks with what closes a quotation, and at white space.
_END = re.compile(rf"[.!?{_OWN_MARKS}]+[\"”’'）)\]」』】》]*|\s+")
_HAS_OWN_MARK = re.compile(f"[{_OWN_MARKS}]")
_SPACE = re.compile(r"\s*")
_TEXT = re.compile(r"\S")
# Words whose full stop ends no sentence, whatever follows.
_ABBREVIATION = re.compile(
    rf"(?<![^\W{_UNSPACED}])(?:Inc|Corp|Co|Ltd|Bros|No|Nos|Mr|Mrs|Ms|Dr|St|U\.S|[A-Z])\.$"
)
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

    A sentence ends with its mark before white space, unless a small letter follows ("the U.S. company"), with
    a mark such as "。", unless more follows the quotation that it ends, or with its line. The time is linear
    in the length: anybody's text comes here.
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
        if _HAS_OWN_MARK.search(possible[0]) and (after > end or _HAS_OWN_MARK.match(text, end - 1)):
            return end
        if after == len(text) or (after > end and not "a" <= text[after] <= "z"):
            return end
    return len(text)


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _is_abbreviation(text: str, start: int, end: int) -> bool:
    """Whether the part of the text ends with an abbreviation. Only its end is read: many may be joined."""
    return _ABBREVIATION.search(text, max(start, end - _LONGEST_ABBREVIATION), end) is not None


def joins_words(character: str) -> bool:
    """Whether a character beside a word is a part of it: a letter, a digit, "_", a vowel sign; "" is none.

    In a script that puts no spaces between words, none is.
    """
    if not character or _IN_UNSPACED.match(character):
        return False
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def unspaced(character: str) -> bool:
    """Whether a character is of a script in which a word may begin and end anywhere."""
    return _IN_UNSPACED.match(character) is not None


@cache
def _marks() -> str:
    """The combining marks of all other scripts, for a character class: the class of letters lacks them."""
    marks = [code for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M")]
    return "".join(chr(code) for code in marks if not unspaced(chr(code)))


# One apostrophe, however it is typed.
APOSTROPHES = "'’‘ʼ"


def value_pattern(value: str) -> re.Pattern[str]:
    """Where a value stands in a text: as whole words in any case, a number also with commas."""
    before, after = f"(?<![^\\W{_UNSPACED}])(?<![{_marks()}])", f"(?![^\\W{_UNSPACED}])(?![{_marks()}])"
    if value.isdecimal():
        written = f"(?:{value}|{int(value):,})"
        return re.compile(rf"{before}(?<!\d[.,]){written}{after}(?![.,]\d)")
    words = r"\s+".join(_escaped(word) for word in value.split())
    first, last = (
        "" if unspaced(edge) else guard for edge, guard in ((value[:1], before), (value[-1:], after))
    )
    return re.compile(f"{first}{words}{last}", re.IGNORECASE)


def _escaped(word: str) -> str:
    return "".join(f"[{APOSTROPHES}]" if letter in APOSTROPHES else re.escape(letter) for letter in word)


def tells(sentence: str, task_key: str) -> bool:
    """Whether a sentence has a word of what one of the four main tasks asks about."""
    return re.search(_TELLING[task_key], sentence, re.IGNORECASE) is not None


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
