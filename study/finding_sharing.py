"""Research question 2 from the tables: do state and number questions share heads and curves?"""

from statistics import fmean

from study.figure_style import Tables, in_order, methods_in, picked, short_method, tasks_in
from study.filing_tasks import TASKS
from study.finding_rules import (
    above_chance,
    apart,
    by_heads,
    difference_of,
    interval,
    pair_kinds,
    settings_of,
)
from study.finding_text import LUCK, Section, table
from study.statistics import chance_jaccard, jaccard
from study.tables import Row


def shared_heads(tables: Tables) -> Section:
    """Do numerical and state questions share heads, and do their ablation curves look alike?"""
    rows: list[list[str]] = []
    above: dict[str, list[bool]] = {}
    for setting in settings_of(tables):
        for method in methods_in(tables["tops"]):
            tops = by_heads(tables, setting, method)
            cells = []
            for name, pairs in pair_kinds(in_order(tops, TASKS)).items():
                found = [_pair(tops[one], tops[other]) for one, other in pairs]
                above.setdefault(name, []).extend(high for _, high in found)
                cells.append(
                    f"{fmean(value for value, _ in found):.2f} ({sum(h for _, h in found)} of {len(found)})"
                    if found
                    else "–"
                )
            if not tops:
                continue
            first = next(iter(tops.values()))
            chance = chance_jaccard(first["n_layers"] * first["n_heads"], first["k"])
            rows.append([str(setting), short_method(method), *cells, f"{chance:.2f}"])
    lines = [
        "Mean overlap (Jaccard) of the top heads; in brackets how many of the pairs share more than "
        "random sets do in 97.5% of all cases.",
        *table(("setting", "method", *above, "chance"), rows),
        "Curves: the change of accuracy at each number of heads off, from all heads on. Mean gap between "
        "two questions' curves, and at how many levels the two differ (95% interval of the difference "
        "without 0).",
    ]
    curve_rows, gaps = _curves(tables)
    lines += table(("setting", "method", *pair_kinds(())), curve_rows)
    mixed = above.get("a state and a number", [])
    shares = (
        f"{'Yes' if sum(mixed) > len(mixed) / 2 else 'Some' if sum(mixed) > LUCK * len(mixed) else 'No'}: "
        f"{sum(mixed)} of {len(mixed)} pairs of a state and a number question share more top heads than "
        "chance"
        if mixed
        else "No pair of a state and a number question was ranked"
    )
    within = [high for name in ("two states", "two numbers") for high in above.get(name, [])]
    shares += f" ({sum(within)} of {len(within)} pairs of one kind)." if within else "."
    return Section(
        "Do numerical and state questions share heads, and do their ablation curves look alike?",
        tuple(lines),
        f"{shares} {_curves_in_short(gaps)}",
    )


def _pair(one: Row, other: Row) -> tuple[float, bool]:
    total = one["n_layers"] * one["n_heads"]
    return jaccard(one["heads"], other["heads"]), above_chance(one["heads"], other["heads"], total)


def _curves(tables: Tables) -> tuple[list[list[str]], dict[str, list[bool]]]:
    rows: list[list[str]] = []
    differ: dict[str, list[bool]] = {}
    for setting in settings_of(tables):
        for method in methods_in(tables["transfer"]):
            own = [
                row
                for row in picked(
                    tables["transfer"], model=setting.model, length=setting.length, method=method
                )
                if row["source"] == row["question"]
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
                rows.append([str(setting), short_method(method), *cells])
    return rows, differ


def _curves_in_short(differ: dict[str, list[bool]]) -> str:
    mixed = differ.get("a state and a number", [])
    same = [flag for name in ("two states", "two numbers") for flag in differ.get(name, [])]
    if not mixed:
        return "Their curves cannot be compared: not both kinds were ablated."
    one, other = sum(mixed) / len(mixed), sum(same) / len(same) if same else None
    alike = "alike at most levels" if one < 0.5 else "unlike at most levels"
    told = f"Their curves are {alike}: a state's and a number's differ at {one:.0%} of the levels"
    if other is None:
        return f"{told}."
    more = "more often than" if one > other else "no more often than"
    return f"{told}, {more} two of one kind ({other:.0%})."
