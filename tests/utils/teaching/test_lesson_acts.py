"""The acts that complete a lesson's steps: read from a file, found on a model, checked on events."""

from typing import Any

import pytest

from tests.fixtures.catalogs import make_catalog
from utils.errors import UserFacingError
from utils.heads import Head
from utils.teaching.head_references import HeadReference
from utils.teaching.lesson_acts import ACTS, Act, ask, completed, condition, parse_act

CATALOG = make_catalog(
    "small", 3, 4, {"induction": [(Head(2, 1), 0.9), (Head(1, 3), 0.8)], "diffuse": [(Head(0, 0), 0.7)]}
)

# An act as a lesson writes it, what the page asks for, events that complete it, events that do not.
CASES: dict[str, tuple[Any, str, list[dict], list[dict]]] = {
    "read": ("read", "Read this, then go on.", [{"act": "read"}], [{"act": "run"}]),
    "run": ("run", "Press Run.", [{"act": "run"}, {"act": "run", "active": []}], [{"act": "read"}]),
    "hover_token": (
        "hover_token",
        "Move over a token of the strip.",
        [{"act": "hover_token"}],
        [{"act": "run"}],
    ),
    "answer": ("answer", "Write down your answer, then see.", [{"act": "answer"}], [{"act": "read"}]),
    "compare": ("compare", "Compare two prompts.", [{"act": "compare"}], [{"act": "run"}]),
    "choose_head": (
        {"choose_head": "second induction head"},
        "Choose the second induction head.",
        [{"head": "L1H3"}, {"act": "run", "head": "L1H3"}],
        [{"head": "L2H1"}, {"head": None}, {"act": "choose_head"}],
    ),
    "ablate": (
        {"ablate": ["all induction heads", {"role": "diffuse", "rank": 1}]},
        "Switch off all induction heads and the first diffuse head.",
        [{"off": ["L0H0", "L1H3", "L2H1"]}, {"off": ["L2H2", "L2H1", "L1H3", "L0H0"]}],
        [{"off": ["L1H3", "L2H1"]}, {"off": []}, {"off": "L0H0L1H3L2H1"}],
    ),
    "clear": (
        "clear",
        "Switch all heads on again.",
        [{"off": []}, {"act": "run", "off": []}],
        [{"off": ["L0H0"]}, {"act": "clear"}, {"off": None}],
    ),
    "open_view": (
        {"open_view": "effects"},
        "Open the view “Which heads matter”.",
        [{"view": "effects"}],
        [{"view": "next"}, {"act": "open_view"}],
    ),
    "activate": (
        {"activate": "induction"},
        "Run a text on which “Induction (pattern completion)” is active.",
        [{"act": "run", "active": ["diffuse", "induction"]}],
        [{"act": "run", "active": ["diffuse"]}, {"act": "run"}, {"active": ["induction"]}],
    ),
    "leave_inactive": (
        {"leave_inactive": "induction"},
        "Run a text on which “Induction (pattern completion)” is inactive.",
        [{"act": "run", "active": ["diffuse"]}, {"act": "run", "active": []}],
        [{"act": "run", "active": ["induction"]}, {"act": "run"}, {"active": []}],
    ),
}


def test_every_act_has_a_case() -> None:
    assert set(CASES) == set(ACTS)


@pytest.mark.parametrize("kind", ACTS)
def test_an_act_is_read_asked_for_and_completed(kind: str) -> None:
    written, words, enough, not_enough = CASES[kind]
    act = parse_act(written)
    assert act.kind == kind and parse_act(act) is act
    assert ask(act) == words
    needed = condition(act, CATALOG, "small")
    for event in enough:
        assert completed(needed, event), event
    for event in (*not_enough, {}, {"act": 7, "off": 7, "head": [], "view": {}, "active": 7}):
        assert not completed(needed, event), event


BAD: list[tuple[Any, str]] = [
    ("dance", "'dance' is no act; choose from read, run,"),
    (None, "it must be one act"),
    (["run"], "it must be one act"),
    ({"run": None, "clear": None}, "it must be one act"),
    ({"run": "fast"}, "run stands alone"),
    ("choose_head", "choose_head needs a head"),
    ({"choose_head": "all induction heads"}, "choose_head needs one head"),
    ({"choose_head": ["induction 1", "induction 2"]}, "choose_head needs one head"),
    ({"choose_head": "L1H2"}, "'L1H2' names no heads"),
    ({"ablate": []}, "ablate needs heads"),
    ("ablate", "ablate needs heads, like"),
    ({"open_view": "sideways"}, "'sideways' is no view; choose from next,"),
    ({"open_view": ["next"]}, "is no view"),
    ({"activate": "other"}, "'other' is no role; choose from previous_token,"),
]


@pytest.mark.parametrize(("written", "sentence"), BAD, ids=str)
def test_what_is_no_act_says_so(written: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_act(written)
    assert sentence in str(caught.value)


def test_a_model_without_the_head_says_so() -> None:
    act = Act("choose_head", (HeadReference("induction", 3, 3),))
    with pytest.raises(UserFacingError, match="small has 2 induction heads"):
        condition(act, CATALOG, "small")
    with pytest.raises(UserFacingError, match="no catalog yet"):
        condition(act, None, "small")
    assert condition(Act("run"), None, "small").heads == ()
