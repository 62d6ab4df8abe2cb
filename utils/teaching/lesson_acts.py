"""What completes a step of a lesson: the registry of acts, and the check, in plain data.

The page tells what has just happened as an event, a mapping of what is the case now. All keys are optional:

    act      what the user did: "run", "answer", "hover_token", "read" or "compare"
    active   after a run: the roles with an active head on the text
    head     the chosen head, "L1H2"
    off      the heads that are off, ["L1H2"]
    view     the view that is shown

What is the case counts, not how it happened: a step that asks for a head is complete when that head is
chosen, by a click, a key or a link.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from utils.catalog.catalog import Catalog
from utils.links.page_state import VIEWS
from utils.roles.registry import ROLES
from utils.teaching.head_references import HeadReference, in_words, parse_reference, resolve_all

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Act:
    """What a step asks for.

    Attributes:
        kind: key of the row in `ACTS`.
        heads: the heads that it names, by role and rank.
        value: the role or the view that it names.
    """

    kind: str
    heads: tuple[HeadReference, ...] = ()
    value: str = ""


@dataclass(frozen=True)
class Condition:
    """An act on one model, its heads found in the catalog; plain data.

    Attributes:
        kind: key of the row in `ACTS`.
        heads: names of the heads, "L1H2".
        value: the role or the view.
    """

    kind: str
    heads: tuple[str, ...] = ()
    value: str = ""


@dataclass(frozen=True)
class ActKind:
    """One kind of act.

    Attributes:
        key: its name in a lesson.
        takes: what the lesson writes after it: "", "head", "heads", "role" or "view".
        ask: what the page asks for, in the imperative; from the words of what it takes.
        done: whether an event completes it.
    """

    key: str
    takes: str
    ask: Callable[[str], str]
    done: Callable[[Condition, Event], bool]


def _did(condition: Condition, event: Event) -> bool:
    return event.get("act") == condition.kind


def _names(event: Event, key: str) -> set[str]:
    value = event.get(key)
    return {str(name) for name in value} if isinstance(value, list | tuple) else set()


def _chosen(condition: Condition, event: Event) -> bool:
    return event.get("head") in condition.heads


def _off(condition: Condition, event: Event) -> bool:
    return bool(condition.heads) and set(condition.heads) <= _names(event, "off")


def _all_on(condition: Condition, event: Event) -> bool:
    return isinstance(event.get("off"), list | tuple) and not event["off"]


def _became_active(condition: Condition, event: Event) -> bool:
    return event.get("act") == "run" and condition.value in _names(event, "active")


def _stayed_inactive(condition: Condition, event: Event) -> bool:
    has_run = event.get("act") == "run" and isinstance(event.get("active"), list | tuple)
    return has_run and condition.value not in _names(event, "active")


def _shown(condition: Condition, event: Event) -> bool:
    return event.get("view") == condition.value


# What lessons of the first version call two of them.
_OLD_NAMES = {"wake": "activate", "rest": "leave_inactive"}
ACTS: dict[str, ActKind] = {
    row.key: row
    for row in (
        ActKind("read", "", lambda what: "Read this, then go on.", _did),
        ActKind("run", "", lambda what: "Press Run.", _did),
        ActKind("hover_token", "", lambda what: "Move over a token of the strip.", _did),
        ActKind("answer", "", lambda what: "Write down your answer, then see.", _did),
        ActKind("compare", "", lambda what: "Compare two prompts.", _did),
        ActKind("choose_head", "head", lambda what: f"Choose {what}.", _chosen),
        ActKind("ablate", "heads", lambda what: f"Switch off {what}.", _off),
        ActKind("clear", "", lambda what: "Switch all heads on again.", _all_on),
        ActKind("open_view", "view", lambda what: f"Open the view “{what}”.", _shown),
        ActKind("activate", "role", lambda what: f"Run a text on which “{what}” is active.", _became_active),
        ActKind(
            "leave_inactive",
            "role",
            lambda what: f"Run a text on which “{what}” is inactive.",
            _stayed_inactive,
        ),
    )
}


def parse_act(written: Any) -> Act:
    """Read an act of a lesson: "run", or a mapping with one key, {choose_head: "induction 1"}.

    Raises:
        ValueError: there is no such act, or it is not followed by what it takes.
    """
    if isinstance(written, Act):
        return written
    known = ", ".join(ACTS)
    if isinstance(written, str):
        kind, takes = written, None
    elif isinstance(written, Mapping) and len(written) == 1:
        kind, takes = next(iter(written.items()))
    else:
        raise ValueError(f"it must be one act, choose from {known}")
    row = ACTS.get(_OLD_NAMES.get(str(kind), str(kind)))
    if row is None:
        raise ValueError(f"{str(kind)[:40]!r} is no act; choose from {known}")
    if not row.takes:
        if takes is not None:
            raise ValueError(f"{row.key} stands alone")
        return Act(row.key)
    if takes is None:
        what = row.takes if row.takes == "heads" else f"a {row.takes}"
        raise ValueError(f"{row.key} needs {what}, like {{{row.key}: ...}}")
    if row.takes in ("head", "heads"):
        items = takes if isinstance(takes, list) else [takes]
        heads = tuple(parse_reference(item) for item in items)
        if not heads or (row.takes == "head" and not (len(heads) == 1 and heads[0].single)):
            raise ValueError(f"{row.key} needs {'one head' if row.takes == 'head' else 'heads'}")
        return Act(row.key, heads)
    options = VIEWS if row.takes == "view" else {key: role for key, role in ROLES.items() if role.measured}
    if not isinstance(takes, str) or takes not in options:
        raise ValueError(f"{str(takes)[:40]!r} is no {row.takes}; choose from {', '.join(options)}")
    return Act(row.key, value=takes)


def ask(act: Act) -> str:
    """What the page asks for, in words."""
    row = ACTS[act.kind]
    words = {
        "view": lambda: VIEWS[act.value].title,
        "role": lambda: ROLES[act.value].display_name,
        "head": lambda: in_words(act.heads),
        "heads": lambda: in_words(act.heads),
    }
    return row.ask(words[row.takes]() if row.takes else "")


def condition(act: Act, catalog: Catalog | None, model: str) -> Condition:
    """What completes an act on a model.

    Raises:
        UserFacingError: the model has no such head, or no catalog to find it in.
    """
    heads = resolve_all(act.heads, catalog, model) if act.heads else ()
    return Condition(act.kind, tuple(str(head) for head in sorted(heads)), act.value)


def completed(needed: Condition, event: Event) -> bool:
    """Whether an event completes a step; False for an event that makes no sense."""
    return ACTS[needed.kind].done(needed, event)
