"""Whether there are heads that serve all questions: shared and global ones beside a question's own."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from retrieval.rankings.methods import short_method_name
from study.figures.style import Tables, compared_k, methods_in, picked
from study.findings.markdown import Section, table
from study.findings.rules import CONTROL, Setting, below, interval, lead, percent, settings_of
from study.tables.columns import Row

TITLE = "Are there heads that serve all questions?"
_CONDITIONS = ("within", "shared", "global")
_TITLES = ("setting", "method", "k", "all on", "own", "shared", "global", "random", "global below random")


def for_all(tables: Tables) -> Section | None:
    """What is left without heads of all questions; None where such heads were not ablated."""
    lines: list[list[str]] = []
    short = ""
    for setting in settings_of(tables):
        for method in methods_in(tables["accuracy"]):
            here = _rows(tables["accuracy"], setting, method)
            common = [row for row in here if row["condition"] == "global"]
            for k in sorted({row["k"] for row in common if row["k"]}):
                lines.append(_line(tables, setting, method, k))
            if (setting, method) == lead(tables) and (k := compared_k(common, tables)):
                short = _in_short(tables, setting, method, k)
    if not lines:
        return None
    help_text = (
        "Right answers with k heads off, mean over the questions: the top of each question's own ranking, "
        "the best of the heads that are high in most rankings (shared; a k that is more than there are is "
        "not run), and the top by mean score over all rankings (global), beside random heads of the global "
        "ones' layers where these were run, with the questions for which the 95% interval of global - random "
        "lies below 0."
    )
    return Section(TITLE, (help_text, *table(_TITLES, lines)), short or "The table has what was run.")


def _rows(rows: Sequence[Row], setting: Setting, method: str, **wanted: Any) -> list[Row]:
    where = {"model": setting.model, "length": setting.length, "data": setting.data, "method": method}
    return picked(rows, **where, **wanted)


def _left(tables: Tables, setting: Setting, method: str, k: int, **wanted: Any) -> float | None:
    """Mean accuracy over the questions that the global heads were tried on; None where nothing was run."""
    asked = _asked(tables, setting, method, k)
    rows = _rows(tables["accuracy"], setting, method, k=k, **wanted)
    found = [row["accuracy"] for row in rows if row["question"] in asked]
    return fmean(found) if found else None


def _asked(tables: Tables, setting: Setting, method: str, k: int) -> set[str]:
    return {row["question"] for row in _rows(tables["accuracy"], setting, method, k=k, condition="global")}


def _all_on(tables: Tables, setting: Setting, method: str, k: int) -> float | None:
    """Mean accuracy with all heads on, over the same questions."""
    asked = _asked(tables, setting, method, k)
    where = {"model": setting.model, "length": setting.length, "data": setting.data}
    found = {row["question"]: row["accuracy"] for row in picked(tables["clean"], **where, stem=False)}
    found |= {row["question"]: row["accuracy"] for row in picked(tables["clean"], **where, stem=True)}
    here = [accuracy for question, accuracy in found.items() if question in asked]
    return fmean(here) if here else None


def _against(tables: Tables, setting: Setting, method: str, k: int) -> list[bool]:
    """Of each question, whether the global heads hurt more than random ones of the same layers."""
    rows = _rows(tables["differences"], setting, method, k=k, of="global", control=CONTROL)
    return [below(interval(row, "difference")) for row in rows]


def _line(tables: Tables, setting: Setting, method: str, k: int) -> list[str]:
    against = _against(tables, setting, method, k)
    return [
        str(setting),
        short_method_name(method),
        str(k),
        percent(_all_on(tables, setting, method, k)),
        *(percent(_left(tables, setting, method, k, condition=condition)) for condition in _CONDITIONS),
        percent(_left(tables, setting, method, k, condition=CONTROL, of="global")),
        f"{sum(against)} of {len(against)}" if against else "–",
    ]


def _in_short(tables: Tables, setting: Setting, method: str, k: int) -> str:
    own, common = (
        percent(_left(tables, setting, method, k, condition=condition)) for condition in ("within", "global")
    )
    all_on = percent(_all_on(tables, setting, method, k))
    said = (
        f"by {short_method_name(method)} at {setting.prompts} "
        f"{common} of the answers are right without the top {k} heads by mean score over all ranked "
        f"questions, {own} without each question's own, {all_on} with all on"
    )
    against = _against(tables, setting, method, k)
    if not against:
        return f"{said[0].upper()}{said[1:]}."
    word = "Yes" if sum(against) > len(against) / 2 else "Not shown"
    return (
        f"{word}: {said}; these heads hurt more than random heads of the same layers for {sum(against)} of "
        f"{len(against)} questions."
    )
