"""The live page's state in its address, so that a link shows another person the same thing.

A link is readable and stays valid between releases; it has a version in it:

    ?v=2&model=demo-gpt2&prompt=The+cat+sat&head=L1H14&off=L1H14,L2H3&mode=mean&position=7&target=mat&view=next
"""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from utils.effects.second_prompt import FITS
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_METHODS
from utils.heads import Head, parse_head
from utils.links.page_state import HEAD_VIEWS, VIEWS, PageState
from utils.links.reading import (
    LONGEST_PROMPT,
    HeadPart,
    Link,
    Part,
    at_most,
    one_of,
    read_link,
    too_long,
    whole_number,
    write_query,
)
from utils.live.map_views import MAP_VIEWS
from utils.wording import excerpt

LONGEST_TOKEN = 40
LONGEST_KEY = 80
LONGEST_MODEL = 120
# That no head is ablated, as against a link that does not speak of it.
NO_HEADS = "none"

_OFF_WORDS = "The list of heads that are off"


def _model_name(text: str) -> str:
    # A folder may be named anything ("my model", "v2 (copy)"); a model of the hub has one "/" in its name.
    # Names are looked up in the menu's list and are never paths; what looks like one is not even read.
    parts = text.split("/")
    plain = len(parts) <= 2 and all(part.strip(" .") for part in parts) and "\\" not in text
    if len(text) > LONGEST_MODEL or not plain or not text.isprintable():
        raise ValueError("no model is named like this")
    return text


def _key(text: str) -> str:
    if len(text) > LONGEST_KEY or "/" in text or "\\" in text or not text.isprintable():
        raise ValueError("no preset or lesson is named like this")
    return text


def _heads(text: str, info: ValidationInfo[Any]) -> frozenset[Head] | None:
    """The heads that can be read, a sentence in the context for those that cannot; None if there is none."""
    if text == NO_HEADS:
        return frozenset()
    heads, bad = set(), []
    for name in text.split(","):
        try:
            heads.add(parse_head(name))
        except UserFacingError:
            bad.append(name)
    if bad:
        few = ", ".join(excerpt(name) for name in bad[:3]) + (" and more" if len(bad) > 3 else "")
        notes: list[str] = [] if info.context is None else info.context
        notes.append(
            f"{_OFF_WORDS} has {few} in it, which is left out: a head is written like L5H5, layer "
            "and head from 0."
        )
    return frozenset(heads) or None


_Key = Annotated[str, AfterValidator(_key)]
_Token = Annotated[str, at_most(LONGEST_TOKEN)]


class PageLink(Link):
    """The link of the live page.

    `view` comes last because programs that find links in a text often cut a full stop off their end, which a
    prompt may well have.
    """

    version: ClassVar[int] = 2

    model: Annotated[Annotated[str, AfterValidator(_model_name)] | None, Part("The model")] = None
    prompt: Annotated[Annotated[str, at_most(LONGEST_PROMPT)] | None, Part("The prompt", as_typed=True)] = (
        None
    )
    head: Annotated[HeadPart | None, Part("The head")] = None
    off: Annotated[frozenset[Head] | None, BeforeValidator(_heads), Part(_OFF_WORDS)] = None
    mode: Annotated[
        Annotated[str, one_of(lambda: ABLATION_METHODS, " or ")] | None, Part("The ablation method (mode)")
    ] = None
    second: Annotated[
        Annotated[str, at_most(LONGEST_PROMPT)] | None, Part("The second prompt (second)", as_typed=True)
    ] = None
    fit: Annotated[Annotated[str, one_of(lambda: FITS)] | None, Part("How the second prompt fits (fit)")] = (
        None
    )
    position: Annotated[Annotated[int, whole_number(0, 99_999)] | None, Part("The position")] = None
    target: Annotated[_Token | None, Part("The watched token (target)", as_typed=True)] = None
    against: Annotated[_Token | None, Part("The second token (against)", as_typed=True)] = None
    preset: Annotated[_Key | None, Part("The preset")] = None
    lesson: Annotated[_Key | None, Part("The lesson")] = None
    step: Annotated[Annotated[int, whole_number(1, 999)] | None, Part("The step")] = None
    show: Annotated[
        Annotated[str, one_of(lambda: HEAD_VIEWS, " or ")] | None, Part("The head's view (show)")
    ] = None
    map: Annotated[Annotated[str, one_of(lambda: MAP_VIEWS)] | None, Part("The map's view (map)")] = None
    view: Annotated[Annotated[str, one_of(lambda: VIEWS, " or ")] | None, Part("The view")] = None


def _field(key: str) -> str:
    """The name in `PageState` of a link's part."""
    return {"off": "ablated", "show": "head_view", "map": "map_view"}.get(key, key)


def to_query(state: PageState) -> str:
    """The state as the part of an address after the page's name, from "?v=2" on.

    The same state gives the same text. A text of nothing but spaces is left out.

    Raises:
        UserFacingError: the prompt is too long for a link, or holds half a character.
    """
    values = {key: getattr(state, _field(key)) for key in PageLink.parts()}
    if len(state.prompt or "") > LONGEST_PROMPT:
        raise too_long()
    return write_query(
        {key: _write(value) for key, value in values.items() if value is not None}, PageLink.version
    )


def _write(value: Any) -> str:
    if isinstance(value, frozenset):
        return ",".join(str(head) for head in sorted(value)) or NO_HEADS
    return str(value)


def from_query(query: str) -> tuple[PageState, list[str]]:
    """Read the part of an address after the page's name, with or without its "?".

    Returns:
        The state, and one sentence for each thing in the link that is wrong; that thing is left out of the
        state and the rest is kept. Never raises.
    """
    link, problems = read_link(PageLink, query)
    values = {_field(key): getattr(link, key) for key in link.model_fields_set}
    if "step" in values and "lesson" not in values:
        del values["step"]
        problems.append("This link names a step but no lesson.")
    return PageState(**values), problems
