"""Research question 2 from the tables: do state and number questions share heads and curves?"""

from collections.abc import Sequence
from statistics import fmean

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import short_method_name
from study.figures.style import Tables, in_order, methods_in, picked, tasks_in
from study.findings.markdown import Section, table
from study.findings.rules import (
    CHANCE_TAIL,
    NUMBER,
    SHARED_HELP,
    SHARED_TITLES,
    STATE,
    Setting,
    Shared,
    apart,
    by_heads,
    difference_of,
    interval,
    lead,
    mean_of,
    mean_of_same,
    more_than_chance,
    of_kind,
    pair_kinds,
    points,
    settings_of,
    shared,
    shared_cells,
    shared_message,
)
from study.tables.intervals import Interval


def shared_heads(tables: Tables) -> Section:
    """Do numerical and state questions share heads, and do their ablation curves look alike?"""
    rows: list[list[str]] = []
    all_pairs: dict[str, list[Shared]] = {}
    for setting in settings_of(tables):
        for method in methods_in(tables["tops"]):
            tops = by_heads(tables, setting, method)
            for name, pairs in pair_kinds(in_order(tops, TASKS)).items():
                found = [shared(tops[one], tops[other]) for one, other in pairs]
                all_pairs.setdefault(name, []).extend(found)
                if found:
                    rows.append([str(setting), short_method_name(method), name, *shared_cells(found)])
    curve_rows, gaps = _curve_gaps(tables)
    lines = [
        f"Top heads of two questions. {SHARED_HELP}",
        *table(("setting", "method", "pairs", *SHARED_TITLES), rows),
        "Curves: the change of accuracy at each number of heads ablated, from all heads on. Mean gap between "
        "two questions' curves, and at how many levels the two differ (95% interval of the difference "
        "without 0).",
        *table(("setting", "method", *pair_kinds(())), curve_rows),
    ]
    return Section(
        "Do numerical and state questions share heads, and do their ablation curves look alike?",
        tuple(lines),
        f"{_heads_in_short(all_pairs)} {_curves_in_short(gaps)}{_mean_gap_of_kinds(tables)}",
    )


def _heads_in_short(pairs: dict[str, list[Shared]]) -> str:
    mixed = pairs.get("a state and a number", [])
    if not mixed:
        return "No pair of a state and a number question was ranked."
    above = sum(pair.above for pair in mixed)
    word = (
        "Yes"
        if above > len(mixed) / 2
        else "Some"
        if more_than_chance(above, len(mixed), CHANCE_TAIL)
        else "No"
    )
    if word == "Yes" and sum(pair.above_layers for pair in mixed) <= len(mixed) / 2:
        word = "Yes, though mostly not more than lying in the same layers explains"
    message = f"{word}: {shared_message(mixed, 'pairs of a state and a number question')}"
    within = [*pairs.get("two states", []), *pairs.get("two numbers", [])]
    return f"{message} ({shared_message(within, 'pairs of one kind')})." if within else f"{message}."


def _curves(tables: Tables, setting: Setting, method: str) -> dict[str, dict[int, Interval]]:
    """The change at each k without a question's own heads, by question."""
    where = {"model": setting.model, "length": setting.length, "data": setting.data, "method": method}
    rows = picked(tables["transfer"], **where, ranked_on=setting.data)
    own = [row for row in rows if row["source"] == row["question"]]
    return {
        question: {row["k"]: interval(row, "change") for row in picked(own, question=question)}
        for question in tasks_in(own)
    }


def _curve_gaps(tables: Tables) -> tuple[list[list[str]], dict[str, list[Interval]]]:
    """The table's rows, and the gaps of all pairs at all levels by what the two questions ask for."""
    rows: list[list[str]] = []
    found: dict[str, list[Interval]] = {}
    for setting in settings_of(tables):
        for method in methods_in(tables["transfer"]):
            curves = _curves(tables, setting, method)
            cells = []
            for name, pairs in pair_kinds(list(curves)).items():
                gaps = [
                    difference_of(curves[one][k], curves[other][k])
                    for one, other in pairs
                    for k in curves[one]
                    if k in curves[other]
                ]
                found.setdefault(name, []).extend(gaps)
                differ = f"{sum(map(apart, gaps))} of {len(gaps)} differ"
                cells.append(f"{_mean_gap(gaps)} points ({differ})" if gaps else "–")
            if curves:
                rows.append([str(setting), short_method_name(method), *cells])
    return rows, found


def _mean_gap(gaps: Sequence[Interval]) -> str:
    """How far apart two curves are in the mean over levels, in percentage points."""
    return f"{100 * fmean(abs(gap.mean) for gap in gaps):.0f}"


def _curves_in_short(gaps: dict[str, list[Interval]]) -> str:
    mixed = gaps.get("a state and a number", [])
    same = [gap for name in ("two states", "two numbers") for gap in gaps.get(name, [])]
    if not mixed:
        return "Their curves cannot be compared: not both kinds were ablated."
    message = (
        f"The curves of a state and a number question lie {_mean_gap(mixed)} points apart in the mean over "
        f"all levels and differ at {_differ(mixed)} of them (at the others they cannot be told apart)"
    )
    if not same:
        return f"{message}."
    return (
        f"{message}; those of two questions of one kind lie {_mean_gap(same)} points apart and differ at "
        f"{_differ(same)}."
    )


def _differ(gaps: Sequence[Interval]) -> str:
    """At which share of the levels two curves differ."""
    return f"{fmean(map(apart, gaps)):.0%}"


def _mean_gap_of_kinds(tables: Tables) -> str:
    """Whether states or numbers lose more over all levels in the first setting, with the interval."""
    first = lead(tables)
    if first is None:
        return ""
    setting, method = first
    curves = _curves(tables, setting, method)
    means = {question: mean_of_same(list(curve.values())) for question, curve in curves.items()}
    states, numbers = ([means[task] for task in of_kind(list(means), kind)] for kind in (STATE, NUMBER))
    if not states or not numbers:
        return ""
    gap = difference_of(mean_of(states), mean_of(numbers))
    return (
        f" By {short_method_name(method)} at {setting.prompts} states minus numbers is {points(gap)} "
        "points in the mean over the levels (negative: states lose more)."
    )
