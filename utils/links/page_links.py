"""The live page's state in its address, so that a link shows another person the same thing.

A link is readable and stays valid between releases; it has a version in it:

    ?v=1&model=demo-gpt2&prompt=The+cat+sat&head=L1H14&off=L1H14,L2H3&mode=mean&position=7&target=mat&view=next

Whatever a link made by hand gets wrong is said in one sentence each and left out; the rest is kept. Nothing
in a link is ever a path.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES
from utils.heads import Head, parse_head
from utils.links.page_state import VIEWS, PageState
from utils.wording import excerpt

VERSION = 1
# Web servers in front of the app commonly take lines of 8 to 16 thousand characters. A prompt of 256 English
# tokens needs some 1,500 of them.
LONGEST_QUERY = 16_000
LONGEST_PROMPT = 8_000
LONGEST_TOKEN = 40
LONGEST_KEY = 80
LONGEST_MODEL = 120
# That nothing is off, told apart from a link that does not speak of it.
NOTHING_OFF = "none"

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What sharing tools hang on a link; nobody needs to hear of it.
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|mc_[ce]id|_ga")


class _NonsenseError(Exception):
    """A part of a link that cannot be used; the message is the end of a sentence about it."""


def _one_of(options: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in options:
            raise _NonsenseError(f"it must be {' or '.join((', '.join(options[:-1]), options[-1]))}")
        return text

    return read


def _text(longest: int) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > longest:
            raise _NonsenseError(f"it has {len(text):,} characters, and at most {longest:,} are read")
        return text

    return read


def _read_model(text: str) -> str:
    if len(text) > LONGEST_MODEL or not _MODEL.fullmatch(text) or ".." in text:
        raise _NonsenseError("no model is named like this")
    return text


def _read_key(text: str) -> str:
    if len(text) > LONGEST_KEY or "/" in text or "\\" in text or not text.isprintable():
        raise _NonsenseError("no preset or lesson is named like this")
    return text


def _read_head(text: str) -> Head:
    try:
        return parse_head(text)
    except UserFacingError:
        raise _NonsenseError("a head is written like L5H5, layer and head from 0") from None


def _read_number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        # int() also takes "1_0", "+1" and digits of other scripts.
        if not re.fullmatch("[0-9]{1,6}", text) or not least <= int(text) <= most:
            raise _NonsenseError(f"it must be a whole number from {least} to {most}")
        return int(text)

    return read


@dataclass(frozen=True)
class _Part:
    """One part of a link.

    Attributes:
        key: its name in the link.
        field: its name in `PageState`.
        words: what it is called in a sentence.
        read: from its text to its value; raises _NonsenseError.
    """

    key: str
    field: str
    words: str
    read: Callable[[str], Any]


_OFF = "off"
# In the order in which a link has them; `view` comes last because programs that find links in a text often
# cut a full stop off their end, which a prompt may well have.
_PARTS: dict[str, _Part] = {
    part.key: part
    for part in (
        _Part("model", "model", "The model", _read_model),
        _Part("prompt", "prompt", "The prompt", _text(LONGEST_PROMPT)),
        _Part("head", "head", "The head", _read_head),
        _Part(_OFF, "ablated", "The list of heads that are off", _read_head),
        _Part("mode", "mode", "The way of switching off (mode)", _one_of(ABLATION_MODES)),
        _Part("position", "position", "The position", _read_number(0, 99_999)),
        _Part("target", "target", "The watched token (target)", _text(LONGEST_TOKEN)),
        _Part("against", "against", "The second token (against)", _text(LONGEST_TOKEN)),
        _Part("preset", "preset", "The preset", _read_key),
        _Part("lesson", "lesson", "The lesson", _read_key),
        _Part("step", "step", "The step", _read_number(1, 999)),
        _Part("view", "view", "The view", _one_of(tuple(VIEWS))),
    )
}


def to_query(state: PageState) -> str:
    """The state as the part of an address after the page's name, from "?v=1" on.

    The same state gives the same text. A text of nothing but spaces is left out.

    Raises:
        UserFacingError: the prompt is too long for a link, or holds half a character.
    """
    texts = {
        part.key: _write(value)
        for part in _PARTS.values()
        if (value := getattr(state, part.field)) is not None
    }
    if len(state.prompt or "") > LONGEST_PROMPT:
        raise _too_long()
    return write_query(texts)


def write_query(texts: Mapping[str, str]) -> str:
    """A query of these parts, in their order, with the version first; what is nothing but spaces is left out.

    Raises:
        UserFacingError: they are too long for a link, or hold half a character.
    """
    pairs = [f"v={VERSION}"]
    for key, text in texts.items():
        if half := _SURROGATE.search(text):
            raise UserFacingError(
                f"Character {half.start() + 1} of this text is half of a character (a lone surrogate).",
                "Delete it, or type it again.",
            )
        if text.strip():
            pairs.append(f"{key}={quote_plus(text, safe=',')}")
    query = "?" + "&".join(pairs)
    if len(query) > LONGEST_QUERY:
        raise _too_long()
    return query


def _too_long() -> UserFacingError:
    return UserFacingError(
        "The prompt is too long for a link.", "Shorten it, or share the prompt itself as a text."
    )


def _write(value: Any) -> str:
    if isinstance(value, frozenset):
        return ",".join(str(head) for head in sorted(value)) or NOTHING_OFF
    return str(value)


def from_query(query: str) -> tuple[PageState, list[str]]:
    """Read the part of an address after the page's name, with or without its "?".

    Returns:
        The state, and one sentence for each thing in the link that is wrong; that thing is left out of the
        state and the rest is kept. Never raises.
    """
    texts, problems = read_query(query, {part.key: part.words for part in _PARTS.values()})
    values: dict[str, Any] = {}
    for key, text in texts.items():
        part = _PARTS[key]
        if key == _OFF:
            values[part.field] = _read_heads(text, problems)
            continue
        try:
            values[part.field] = part.read(text if key in ("prompt", "target", "against") else text.strip())
        except _NonsenseError as error:
            problems.append(f"{part.words} {excerpt(text)} in this link is left out: {error}.")
    if "step" in values and "lesson" not in values:
        del values["step"]
        problems.append("This link names a step but no lesson.")
    return PageState(**values), problems


def read_query(query: str, words: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The texts of a query's parts, as they stand there.

    Args:
        query: with or without its "?".
        words: of each part that there may be, what it is called in a sentence.

    Returns:
        The texts that can be read, and one sentence for each thing that is wrong. Never raises.
    """
    if len(query) > LONGEST_QUERY:
        return {}, [
            f"This link has {len(query):,} characters, and at most {LONGEST_QUERY:,} are read: nothing of it "
            "was used."
        ]
    problems: list[str] = []
    texts: dict[str, str] = {}
    unknown: list[str] = []
    for pair in query.removeprefix("?").split("&"):
        key, equals, encoded = pair.partition("=")
        if key not in words and key != "v":
            if pair and not _TRACKING.fullmatch(key):
                unknown.append(key)
            continue
        name = words.get(key, "The version (v)")
        try:
            text = unquote_plus(encoded, errors="strict")
        except UnicodeDecodeError:
            text = None
        if text is None or _SURROGATE.search(text):
            problems.append(f"{name} in this link is damaged (it is not valid UTF-8 text) and is left out.")
        elif key in texts:
            problems.append(f"{name} stands in this link more than once; the first one is used.")
        elif not equals or not text.strip():
            problems.append(f"{name} in this link is empty.")
        else:
            texts[key] = text
    if unknown:
        few = ", ".join(excerpt(key) for key in unknown[:3]) + (" and more" if len(unknown) > 3 else "")
        problems.append(f"This link has parts that mean nothing here ({few}); they are left out.")
    version = texts.pop("v", str(VERSION))
    if version != str(VERSION):
        problems.insert(
            0,
            f"This link was made by another version of HeadScope ({excerpt(version)}; this one reads "
            f"{VERSION}); what could be read is shown.",
        )
    return texts, problems


def _read_heads(text: str, problems: list[str]) -> frozenset[Head] | None:
    """The heads that can be read, a sentence in `problems` for those that cannot; None if there is none."""
    if text.strip() == NOTHING_OFF:
        return frozenset()
    heads, bad = set(), []
    for name in text.split(","):
        try:
            heads.add(_read_head(name))
        except _NonsenseError:
            bad.append(name)
    if bad:
        few = ", ".join(excerpt(name) for name in bad[:3]) + (" and more" if len(bad) > 3 else "")
        problems.append(
            f"{_PARTS[_OFF].words} has {few} in it, which is left out: a head is written like L5H5, layer "
            "and head from 0."
        )
    return frozenset(heads) or None
