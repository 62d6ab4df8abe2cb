"""Links read and written: each page's link is a pydantic model, a field per part.

What a link made by hand gets wrong is said in one sentence each and left out; the rest is read. Nothing in a
link is ever a path. What a browser's store holds is read by the same library (`read_store`).
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import quote_plus, unquote_plus

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    Strict,
    TypeAdapter,
    ValidationError,
)

from utils.errors import UserFacingError
from utils.heads import Head, parse_head
from utils.wording import excerpt

VERSION = 1
# Web servers in front of the app commonly take lines of 8 to 16 thousand characters. A prompt of 256 English
# tokens needs some 1,500 of them.
LONGEST_QUERY = 16_000
LONGEST_PROMPT = 8_000

_SURROGATE = re.compile("[\ud800-\udfff]")
# What sharing tools hang on a link; nobody needs to hear of it.
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|mc_[ce]id|_ga")

Value = TypeVar("Value")
AnyLink = TypeVar("AnyLink", bound="Link")


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be a text")
    return value


# What a store has in its fields. A text may hold half a character (a lone surrogate), which pydantic refuses:
# whoever reads the text says so. A number is no text and no truth value that looks like one.
Text = Annotated[str, PlainValidator(_as_text)]
Whole = Annotated[int, Strict()]


@dataclass(frozen=True)
class Part:
    """What a part of a link is called in a sentence, beside the type of its field.

    Attributes:
        words: "The watched token (target)".
        as_typed: whether spaces around it belong to it.
    """

    words: str
    as_typed: bool = False


class Link(BaseModel):
    """A link's parts, in the order in which it has them; a part that it does not have is None."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    # What a link of this page says of itself. Those of earlier versions are read all the same: later ones
    # have more parts, and none means another thing.
    version: ClassVar[int] = VERSION

    @classmethod
    def parts(cls) -> dict[str, Part]:
        """What each part is called, by its name in the link."""
        return {
            key: next(one for one in field.metadata if isinstance(one, Part))
            for key, field in cls.model_fields.items()
        }


def one_of(options: Callable[[], Collection[str]], last: str = ", ") -> AfterValidator:
    """A text that is one of some options, which are looked up when it is read.

    Args:
        options: gives them.
        last: what stands before the last one in a sentence.
    """

    def check(text: str) -> str:
        known = list(options())
        if text not in known:
            start = ", ".join(known[:-1])
            raise ValueError(f"it must be {'one of ' if last == ', ' else ''}{start}{last}{known[-1]}")
        return text

    return AfterValidator(check)


def at_most(longest: int) -> AfterValidator:
    """A text of at most so many characters."""

    def check(text: str) -> str:
        if len(text) > longest:
            raise ValueError(f"it has {len(text):,} characters, and at most {longest:,} are read")
        return text

    return AfterValidator(check)


def whole_number(least: int, most: int) -> BeforeValidator:
    """A whole number in digits, and nothing that only int() takes for one: "1_0", "+1", other scripts."""

    def read(text: str) -> int:
        if not re.fullmatch(f"[0-9]{{1,{len(str(most)) + 1}}}", text) or not least <= int(text) <= most:
            raise ValueError(f"it must be a whole number from {least} to {most}")
        return int(text)

    return BeforeValidator(read)


def _read_head(text: str) -> Head:
    try:
        return parse_head(text)
    except UserFacingError:
        raise ValueError("a head is written like L5H5, layer and head from 0") from None


HeadPart = Annotated[Head, BeforeValidator(_read_head)]


def read_link(kind: type[AnyLink], query: str) -> tuple[AnyLink, list[str]]:
    """Read the part of an address after the page's name.

    Args:
        kind: the page's link.
        query: with or without its "?".

    Returns:
        The parts that can be read, and one sentence for each thing that is wrong. Never raises.
    """
    parts = kind.parts()
    texts, problems = read_query(query, {key: part.words for key, part in parts.items()}, kind.version)
    texts = {key: text if parts[key].as_typed else text.strip() for key, text in texts.items()}
    while True:
        notes: list[str] = []
        try:
            return kind.model_validate(texts, context=notes), problems + notes
        except ValidationError as error:
            for one in error.errors(include_url=False):
                key = str(one["loc"][0])
                if key in texts:
                    what = one["msg"].removeprefix("Value error, ")
                    text = excerpt(texts.pop(key))
                    problems.append(f"{parts[key].words} {text} in this link is left out: {what}.")


def write_query(texts: Mapping[str, str], version: int = VERSION) -> str:
    """A query of these parts, in their order, with the version first; what is nothing but spaces is left out.

    Raises:
        UserFacingError: they are too long for a link, or hold half a character.
    """
    pairs = [f"v={version}"]
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
        raise too_long()
    return query


def too_long() -> UserFacingError:
    """The error of a prompt that no link can hold."""
    return UserFacingError(
        "The prompt is too long for a link.", "Shorten it, or share the prompt itself as a text."
    )


def read_query(
    query: str, words: Mapping[str, str], latest: int = VERSION
) -> tuple[dict[str, str], list[str]]:
    """The texts of a query's parts, as they stand there.

    Args:
        query: with or without its "?".
        words: of each part that there may be, what it is called in a sentence.
        latest: the last version that is read.

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
    if version not in map(str, range(1, latest + 1)):
        problems.insert(
            0,
            f"This link was made by another version of HeadScope ({excerpt(version)}; this one reads "
            f"{latest}); what could be read is shown.",
        )
    return texts, problems


@cache
def _adapter(kind: type[Value]) -> TypeAdapter[Value]:
    return TypeAdapter(kind)


def read_store(kind: type[Value], data: Any) -> Value | None:
    """What a browser's store holds as the value it was written from.

    Args:
        kind: a dataclass whose fields are `Text` and `Whole`.
        data: the store's data, which anybody may have changed.

    Returns:
        The value; None for nothing, or for something that is no such value.
    """
    try:
        return _adapter(kind).validate_python(data)
    except ValidationError:
        return None
