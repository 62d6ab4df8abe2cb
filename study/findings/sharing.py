"""Research question 2 from the tables: do state and number questions share heads and curves?"""

from statistics import fmean

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import short_method_name
from study.figures.style import Tables, in_order, methods_in, picked, tasks_in
from study.findings.markdown import FALSE_POSITIVE_RATE, Section, table
from study.findings.rules import (
    SHARED_HELP,
    SHARED_TITLES,
    Shared,
    apart,
    by_heads,
    difference_of,
    interval,
    pair_kinds,
    settings_of,
    shared,
    shared_cells,
    shared_message,
)


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
    curve_rows, gaps = _curves(tables)
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
        f"{_heads_in_short(all_pairs)} {_curves_in_short(gaps)}",
    )


def _heads_in_short(pairs: dict[str, list[Shared]]) -> str:
    mixed = pairs.get("a state and a number", [])
    if not mixed:
        return "No pair of a state and a number question was ranked."
    share = sum(pair.above for pair in mixed) / len(mixed)
    word = "Yes" if share > 0.5 else "Some" if share > FALSE_POSITIVE_RATE else "No"
    if word == "Yes" and sum(pair.above_layers for pair in mixed) <= len(mixed) / 2:
        word = "Yes, though mostly not more than lying in the same layers explains"
    message = f"{word}: {shared_message(mixed, 'pairs of a state and a number question')}"
    within = [*pairs.get("two states", []), *pairs.get("two numbers", [])]
    return f"{message} ({shared_message(within, 'pairs of one kind')})." if within else f"{message}."


def _curves(tables: Tables) -> tuple[list[list[str]], dict[str, list[bool]]]:
    rows: list[list[str]] = []
    differ: dict[str, list[bool]] = {}
    for setting in settings_of(tables):
        for method in methods_in(tables["transfer"]):
            own = [
                row
                for row in picked(
                    tables["transfer"],
                    model=setting.model,
                    length=setting.length,
                    data=setting.data,
                    method=method,
                )
                if row["source"] == row["question"] and row["ranked_on"] == row["data"]
            ]
            curves = {
                q: {row["k"]: interval(row, "change") for row in picked(own, question=q)}
                for q in tasks_in(own)
            }
            cells = []
            for name, pairs in pair_kinds(list(curves)).items():
                gaps = [
                    difference_of(curves[one][k], curves[other][k])
                    for one, other in pairs
                    for k in curves[one]
                    if k in curves[other]
                ]
                differ.setdefault(name, []).extend(apart(gap) for gap in gaps)
                if gaps:
                    gap = 100 * fmean(abs(gap.mean) for gap in gaps)
                    cells.append(f"{gap:.0f} points ({sum(map(apart, gaps))} of {len(gaps)} differ)")
                else:
                    cells.append("–")
            if own:
                rows.append([str(setting), short_method_name(method), *cells])
    return rows, differ


def _curves_in_short(differ: dict[str, list[bool]]) -> str:
    mixed = differ.get("a state and a number", [])
    same = [flag for name in ("two states", "two numbers") for flag in differ.get(name, [])]
    if not mixed:
        return "Their curves cannot be compared: not both kinds were ablated."
    one, other = sum(mixed) / len(mixed), sum(same) / len(same) if same else None
    alike = "alike at most levels" if one < 0.5 else "unlike at most levels"
    message = f"Their curves are {alike}: a state's and a number's differ at {one:.0%} of the levels"
    if other is None:
        return f"{message}."
    more = "more often than" if one > other else "no more often than"
    return f"{message}, {more} two of one kind ({other:.0%})."
