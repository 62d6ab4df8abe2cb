"""Research questions 1, 3 and 4 from the tables: each a section of FINDINGS.md and a sentence in short."""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import short_method_name
from retrieval.rankings.overlap import relative_depths
from study.figures.overlap import heads_of
from study.figures.style import Tables, compared_k, in_order, picked, task_name
from study.findings.markdown import FALSE_POSITIVE_RATE, Section, table
from study.findings.rules import (
    NUMBER,
    STATE,
    Effect,
    Setting,
    all_effects,
    apart,
    below,
    by_heads,
    difference_of,
    interval,
    lead,
    mean_of,
    of_kind,
    percent,
    points,
    settings_of,
)
from study.tables.intervals import Interval


def equal_harm(tables: Tables) -> Section:
    """Do equal numbers of ablated heads hurt questions equally?"""
    fx = all_effects(tables)
    lines: list[str] = []
    unlike = unlike_against = pairs_in_all = 0
    for setting in settings_of(tables):
        here = {method: found for (s, method), found in fx.items() if s == setting}
        if not here:
            continue
        lines += [f"**{setting}**, top {next(iter(here.values()))[0].k} heads ablated", *_harm_table(here)]
        for method, found in here.items():
            pairs = list(combinations(found, 2))
            differ = sum(apart(difference_of(a.change, b.change)) for a, b in pairs)
            against = sum(apart(difference_of(a.against, b.against)) for a, b in pairs)
            unlike, unlike_against = unlike + differ, unlike_against + against
            pairs_in_all += len(pairs)
            worst, least = min(found, key=_change), max(found, key=_change)
            lines.append(
                f"- {short_method_name(method)}: from {points(worst.change)} ({task_name(worst.question)}) "
                f"to {points(least.change)} ({task_name(least.question)}); {differ} of {len(pairs)} pairs of "
                f"questions differ, {against} when the control is taken off first."
            )
        lines.append("")
    # One in twenty intervals leaves 0 out by chance.
    word = "No" if unlike > FALSE_POSITIVE_RATE * pairs_in_all else "No inequality is shown"
    short = (
        f"{word}: {_first_harm(tables)}over all models, lengths and methods {unlike} of {pairs_in_all} pairs "
        f"of questions lose unlike shares of their answers to equal numbers of heads ({unlike_against} when "
        "what random heads of the same layers do is taken off first)"
    )
    short += f"; {FALSE_POSITIVE_RATE:.0%} would by chance."
    if not pairs_in_all:
        short = "No two questions of one setting were ablated yet."
    return Section("Do equal numbers of ablated heads hurt questions equally?", tuple(lines), short)


def _first_harm(tables: Tables) -> str:
    """From what to what the questions lose at the first setting, with the interval of the gap."""
    first = lead(tables)
    if first is None:
        return ""
    found = all_effects(tables)[first]
    worst, least = min(found, key=_change), max(found, key=_change)
    gap = difference_of(worst.change, least.change)
    setting, method = first
    return (
        f"by {short_method_name(method)} at {setting.length} tokens the top {worst.k} heads cost from "
        f"{points(worst.change)} points ({task_name(worst.question)}) to {points(least.change)} "
        f"({task_name(least.question)}), a gap of {points(gap)}; "
    )


def _change(effect: Effect) -> float:
    return effect.change.mean


def _harm_table(here: dict[str, list[Effect]]) -> list[str]:
    rows = [
        [
            short_method_name(method),
            task_name(effect.question),
            percent(effect.clean),
            percent(effect.tested),
            percent(effect.random),
            percent(effect.uniform),
            points(effect.change),
            points(effect.against),
            points(effect.against_uniform) if effect.against_uniform else "–",
        ]
        for method, found in here.items()
        for effect in found
    ]
    titles = (
        "method",
        "question",
        "all on",
        "top off",
        "random off, same layers",
        "random off, any layer",
        "top - all on",
        "top - same layers",
        "top - any layer",
    )
    return table(titles, rows)


def by_category(tables: Tables) -> Section:
    """Are ablations equally effective a category?"""
    rows: list[list[str]] = []
    stronger = {STATE: 0, NUMBER: 0, "": 0}
    first = ""
    for (setting, method), found in all_effects(tables).items():
        by_question = {effect.question: effect.against for effect in found}
        states = [by_question[task] for task in of_kind(list(by_question), STATE)]
        numbers = [by_question[task] for task in of_kind(list(by_question), NUMBER)]
        if not states or not numbers:
            continue
        one, other = mean_of(states), mean_of(numbers)
        gap = difference_of(one, other)
        stronger[STATE if below(gap) else NUMBER if gap.low > 0 else ""] += 1
        rows.append([str(setting), short_method_name(method), points(one), points(other), points(gap)])
        if (setting, method) == lead(tables):
            first = (
                f"by {short_method_name(method)} at {setting.length} tokens states minus numbers is "
                f"{points(gap)} points (negative: states lose more); "
            )
    lines = [
        "Top heads ablated minus random heads of the same layers off, mean over the questions of a kind.",
        *table(("setting", "method", "states", "numbers", "states - numbers"), rows),
    ]
    total = sum(stronger.values())
    unlike = stronger[STATE] + stronger[NUMBER]
    word = "Not always" if unlike > FALSE_POSITIVE_RATE * total else "No difference is shown"
    short = (
        f"{word}: {first}of {total} rankings {stronger[STATE]} hurt state questions more, {stronger[NUMBER]} "
        f"number questions more, and in {stronger['']} the interval of the difference holds 0."
        if total
        else "Not both kinds of question were ablated."
    )
    return Section("Are ablations equally effective in each category?", tuple(lines), short)


def alike_within(tables: Tables) -> Section:
    """What is similar among the numerical and among the state questions?"""
    rows: list[list[str]] = []
    nearer = compared = 0
    firsts: list[str] = []
    for setting, method in all_effects(tables):
        tops = by_heads(tables, setting, method)
        transfers = _transfers(tables, setting, method)
        for name, wanted in (("states", STATE), ("numbers", NUMBER)):
            tasks = of_kind(in_order(tops, TASKS), wanted)
            if len(tasks) < 2:
                continue
            common = set.intersection(*(set(heads_of(tops[task])) for task in tasks))
            depths = [fmean(relative_depths(heads_of(tops[task]), tops[task]["n_layers"])) for task in tasks]
            same, other = transfers.get((wanted, True), []), transfers.get((wanted, False), [])
            if same and other:
                compared += 1
                gap = difference_of(mean_of(same), mean_of(other))
                nearer += below(gap)
                if (setting, method) == lead(tables):
                    firsts.append(f"{points(gap)} points for {name}")
            rows.append(
                [
                    str(setting),
                    short_method_name(method),
                    name,
                    f"{len(common)} of {tops[tasks[0]]['k']}: {_named(sorted(map(str, common)))}",
                    f"{min(depths):.2f} to {max(depths):.2f}",
                    points(mean_of(same)) if same else "–",
                    points(mean_of(other)) if other else "–",
                ]
            )
    lines = [
        "Heads in the tops of all ranked questions of a kind, the mean relative depth of those tops (0 "
        "first layer, 1 last), and the change when the heads of one question are off while another of "
        "the same kind is asked, or one of the other kind.",
        *table(
            ("setting", "method", "kind", "common heads", "depth", "same kind asked", "other kind asked"),
            rows,
        ),
    ]
    short = (
        f"{_first_gaps(firsts)}In {nearer} of {compared} cases the heads of one kind hurt another question "
        "of their own kind more than one of the other kind (interval of the difference below 0)"
        if compared
        else "Transfer within a kind was not run"
    )
    return Section(
        "What is similar among the numerical and among the state questions?",
        tuple(lines),
        f"{short}; the table names the heads that all questions of a kind have in common.",
    )


def _first_gaps(gaps: Sequence[str]) -> str:
    """The same in the first setting, with intervals."""
    if not gaps:
        return ""
    return (
        "What the heads of another question of the same kind cost, less what those of the other kind cost, "
        f"in the claim's setting: {' and '.join(gaps)} (negative: the same kind hurts more). "
    )


def _named(names: Sequence[str], most: int = 6) -> str:
    if not names:
        return "none"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _transfers(tables: Tables, setting: Setting, method: str) -> dict[tuple[str, bool], list[Interval]]:
    """Changes by kind of the source and whether another question of that kind is asked; at the compared k."""
    rows = picked(
        tables["transfer"], model=setting.model, length=setting.length, data=setting.data, method=method
    )
    rows = picked(rows, ranked_on=setting.data)
    rows = picked(rows, k=compared_k(rows, tables))
    by_asked: dict[tuple[str, bool, str], list[Interval]] = {}
    for row in rows:
        source, asked = TASKS.get(row["source"]), TASKS.get(row["question"])
        if source and asked and row["source"] != row["question"]:
            key = (source.kind, source.kind == asked.kind, row["question"])
            by_asked.setdefault(key, []).append(interval(row, "change"))
    found: dict[tuple[str, bool], list[Interval]] = {}
    for (of, same, _), values in by_asked.items():
        # One question's samples under several sources are no more samples: these are averaged end by end.
        ends = (fmean(part) for part in zip(*((v.mean, v.low, v.high) for v in values), strict=True))
        found.setdefault((of, same), []).append(Interval(*ends))
    return found
