"""Research questions 1, 3 and 4 from the tables: each a section of FINDINGS.md and a sentence in short."""

from collections.abc import Sequence
from itertools import combinations

from retrieval.filings.tasks import TASKS
from retrieval.rankings.methods import short_method_name
from study.figures.overlap import scored_heads
from study.figures.style import Tables, compared_k, in_order, picked, task_name
from study.findings.markdown import FALSE_POSITIVE_RATE, Section, table
from study.findings.rules import (
    MIN_CLEAN,
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
    mean_of_same,
    more_than_chance,
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
    unlike = unlike_against = unlike_answered = answered_pairs = pairs_in_all = 0
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
            # Who has few right answers can lose few.
            answered = [(a, b) for a, b in pairs if min(a.clean, b.clean) >= MIN_CLEAN]
            answered_pairs += len(answered)
            unlike_answered += sum(apart(difference_of(a.change, b.change)) for a, b in answered)
            worst, least = min(found, key=_change), max(found, key=_change)
            lines.append(
                f"- {short_method_name(method)}: from {points(worst.change)} ({task_name(worst.question)}) "
                f"to {points(least.change)} ({task_name(least.question)}); {differ} of {len(pairs)} pairs of "
                f"questions differ, {against} when the control is taken off first."
            )
        lines.append("")
    # One in twenty intervals leaves 0 out by chance.
    word = "No" if more_than_chance(unlike, pairs_in_all) else "No inequality is shown"
    short = (
        f"{word}: {_first_harm(tables)}over all models, lengths and methods {unlike} of {pairs_in_all} pairs "
        "of questions lose different numbers of points to equal numbers of heads"
    )
    if answered_pairs < pairs_in_all:
        short += (
            f" ({unlike_answered} of {answered_pairs} where both are answered at least {MIN_CLEAN:.0%} of "
            "the time with all heads on)"
        )
    short += (
        f", {unlike_against} when what random heads of the same layers do is taken off first; "
        f"{FALSE_POSITIVE_RATE:.0%} would by chance."
    )
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
        f"by {short_method_name(method)} at {setting.prompts} what is right changes without the top "
        f"{worst.k} heads from {points(worst.change)} points ({task_name(worst.question)}) to "
        f"{points(least.change)} ({task_name(least.question)}), a gap of {points(gap)}; "
    )


def _draws(effect: Effect) -> str:
    """The range of a control's single draws."""
    low, high = (percent(share) for share in effect.draws)
    return low if low == high else f"{low} to {high}"


def _change(effect: Effect) -> float:
    return effect.change.mean


def _harm_table(here: dict[str, list[Effect]]) -> list[str]:
    rows = [
        [
            short_method_name(method),
            task_name(effect.question),
            percent(effect.clean),
            percent(effect.tested),
            f"{percent(effect.random)} ({_draws(effect)})",
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
        "random off, same layers (single draws)",
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
                f"by {short_method_name(method)} at {setting.prompts} states minus numbers is "
                f"{points(gap)} points (negative: states lose more); "
            )
    lines = [
        "Top heads ablated minus random heads of the same layers off, mean over the questions of a kind.",
        *table(("setting", "method", "states", "numbers", "states - numbers"), rows),
    ]
    total = sum(stronger.values())
    unlike = stronger[STATE] + stronger[NUMBER]
    word = "Not always" if more_than_chance(unlike, total) else "No difference is shown"
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
            heads = [scored_heads(tops[task]) for task in tasks]
            common = set.intersection(*map(set, heads))
            depths = [tops[task]["mean_depth"] for task in tasks if tops[task]["mean_depth"] is not None]
            same, other = transfers.get((wanted, True), []), transfers.get((wanted, False), [])
            if same and other:
                compared += 1
                gap = difference_of(mean_of(same), mean_of(other))
                nearer += below(gap)
                if (setting, method) == lead(tables):
                    firsts.append(_kinds_in_short(name, mean_of(same), mean_of(other), gap))
            rows.append(
                [
                    str(setting),
                    short_method_name(method),
                    name,
                    f"{len(common)} of {min(map(len, heads))}: "
                    f"{_named([str(head) for head in sorted(common)])}",
                    f"{min(depths):.2f} to {max(depths):.2f}" if depths else "–",
                    points(mean_of(same)) if same else "–",
                    points(mean_of(other)) if other else "–",
                ]
            )
    lines = [
        "Heads with a score above 0 that stand in the tops of all ranked questions of a kind (of how many "
        "the shortest of these tops has), the mean relative depth of those tops (0 first layer, 1 last), and "
        "the change when the heads of one question are off while another of the same kind is asked, or one "
        "of the other kind.",
        *table(
            ("setting", "method", "kind", "common heads", "depth", "same kind asked", "other kind asked"),
            rows,
        ),
    ]
    first = f"In the claim's setting {'; '.join(firsts)}. " if firsts else ""
    short = (
        f"{first}In {nearer} of {compared} cases the heads of one kind hurt another question "
        "of their own kind more than one of the other kind (interval of the difference below 0)"
        if compared
        else "Transfer within a kind was not run"
    )
    return Section(
        "What is similar among the numerical and among the state questions?",
        tuple(lines),
        f"{short}; the table names the heads that all questions of a kind have in common.",
    )


def _kinds_in_short(name: str, same: Interval, other: Interval, gap: Interval) -> str:
    """What one kind's heads do to both kinds, with the interval of the difference."""
    others = "numbers" if name == "states" else "states"
    return (
        f"without the heads of one question about {name} another about {name} changes by {points(same)} "
        f"points and one about {others} by {points(other)}, a difference of {points(gap)}"
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
        # The asked question's samples are the same under each source.
        found.setdefault((of, same), []).append(mean_of_same(values))
    return found
