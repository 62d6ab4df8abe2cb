"""What published studies of the same questions found, beside this study's values.

The published values are those of docs/METHODS.md, section 4: masking the top 20 of 1,024 heads brings needle
accuracy to 63.6 where 20 random ones leave 94.7, and under 5% of all heads are retrieval heads (Wu et al.
2024); the mean Jaccard index of the top 50 is 0.1 to 0.35 between methods and 0.37 to 0.51 between questions
(the studies of filings that this one repeats).
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from retrieval.rankings.methods import short_method_name
from retrieval.rankings.overlap import jaccard
from study.figures.overlap import chance_of, mean_overlap, method_pairs, scored_heads
from study.figures.style import Tables, methods_in, picked
from study.findings.markdown import Section, table
from study.findings.rules import all_effects, percent, settings_of
from study.tables.columns import Row

TITLE = "What published studies found, and what is found here"
# Wu et al. call a head a retrieval head from this score on.
RETRIEVAL_SCORE = 0.1
BETWEEN_METHODS, BETWEEN_QUESTIONS = (0.10, 0.35), (0.37, 0.51)


def published(tables: Tables) -> Section:
    """Published values beside ours, setting by setting."""
    rows: list[list[str]] = []
    methods_found: list[float] = []
    questions_found: list[float] = []
    for setting in settings_of(tables):
        tops = picked(tables["tops"], model=setting.model, length=setting.length, data=setting.data)
        if not tops:
            continue
        between_methods = _between_methods(tops)
        between_questions = _between_questions(tops)
        methods_found += between_methods
        questions_found += [value for _, value in between_questions]
        rows.append(
            [
                str(setting),
                _span(between_methods),
                ", ".join(f"{short_method_name(name)} {value:.2f}" for name, value in between_questions)
                or "–",
                f"{chance_of(tops[0]):.2f}",
                _retrieval_share(tops),
                _layers(tops),
            ]
        )
    rows.append(
        ["published", "0.10 to 0.35", "0.37 to 0.51", "0.03 (50 of 1,024)", "under 5%", "middle to late"]
    )
    titles = (
        "setting",
        "overlap of methods",
        "overlap of questions",
        "chance",
        f"heads with Wu24 of {RETRIEVAL_SCORE} or more",
        "mean depth of its scored heads",
    )
    lines = [
        "Mean Jaccard index of two tops (min(50, 20% of the heads)), between methods on one question and "
        "between questions by one method; the share of all heads that Wu et al. would call retrieval heads "
        "(mean over the questions); how deep the scored heads of the tops lie, 0 for the first layer and 1 "
        "for the last.",
        *table(titles, rows),
        *_fillers(tables),
        *_masking(tables),
        "Models, prompts and tops differ: what can be compared is the order of things, not the digits.",
    ]
    if not methods_found:
        return Section(TITLE, tuple(lines), "Nothing is ranked yet.")
    return Section(
        TITLE,
        tuple(lines),
        f"Tops of two methods overlap by {_span(methods_found)} "
        f"({_beside(methods_found, BETWEEN_METHODS)} the published {_span(BETWEEN_METHODS)}), tops of two "
        f"questions by {_span(questions_found)} ({_beside(questions_found, BETWEEN_QUESTIONS)} the published "
        f"{_span(BETWEEN_QUESTIONS)}).",
    )


def _beside(values: Sequence[float], span: tuple[float, float]) -> str:
    """How values lie to a published range."""
    if not values:
        return "nothing beside"
    low, high = span
    inside = sum(low <= round(value, 2) <= high for value in values)
    if inside == len(values):
        return "within"
    return f"{inside} of {len(values)} within"


def _span(values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _between_methods(tops: Sequence[Row]) -> list[float]:
    found = (mean_overlap(method_pairs(tops, one, other)) for one, other in combinations(methods_in(tops), 2))
    return [value for value in found if value is not None]


def _between_questions(tops: Sequence[Row]) -> list[tuple[str, float]]:
    found = []
    for method in methods_in(tops):
        pairs = list(combinations(picked(tops, method=method), 2))
        if pairs:
            found.append((method, fmean(jaccard(one["heads"], other["heads"]) for one, other in pairs)))
    return found


def _retrieval_share(tops: Sequence[Row]) -> str:
    """The mean share of heads that Wu et al. would count; "at least" where the recorded top ends first."""
    shares = [
        (sum(score >= RETRIEVAL_SCORE for score in row["scores"]), row["k"], row["n_layers"] * row["n_heads"])
        for row in picked(tops, method="wu24")
    ]
    if not shares:
        return "–"
    mean = fmean(count / total for count, _, total in shares)
    cut = any(count == k for count, k, _ in shares)
    return f"{'at least ' if cut else ''}{mean:.1%}"


def _layers(tops: Sequence[Row]) -> str:
    found = []
    for method in methods_in(tops):
        depths = [row["mean_depth"] for row in picked(tops, method=method) if row["mean_depth"] is not None]
        if depths:
            found.append(f"{short_method_name(method)} {fmean(depths):.2f}")
    return ", ".join(found) or "–"


def _fillers(tables: Tables) -> list[str]:
    """What overlaps of questions are where tops are filled with heads that have no score, without these."""
    said = []
    for setting in settings_of(tables):
        here = picked(tables["tops"], model=setting.model, length=setting.length, data=setting.data)
        for method in methods_in(here):
            tops = picked(here, method=method)
            pairs = list(combinations(map(scored_heads, tops), 2))
            if not any(row["unscored"] for row in tops) or not any(one or other for one, other in pairs):
                continue
            share = sum(row["unscored"] for row in tops) / sum(row["k"] for row in tops)
            value = fmean(jaccard(one, other) for one, other in pairs if one or other)
            said.append(
                f"{setting}, {short_method_name(method)} {value:.2f} ({share:.0%} of the tops unscored)"
            )
    if not said:
        return []
    return [
        "Where fewer heads have a score than a top has places, the rest is filled up in the order of layers, "
        "which can make the tops of two questions look more alike than they are. The same overlaps over "
        f"scored heads alone: {'; '.join(said)}.",
        "",
    ]


def _masking(tables: Tables) -> list[str]:
    """What masking does there and here, at the compared number of heads."""
    effects = all_effects(tables)
    said = []
    for setting in settings_of(tables):
        found = effects.get((setting, "wu24"), [])
        if found:
            tested, random, clean = (
                percent(fmean(getattr(effect, name) for effect in found))
                for name in ("tested", "random", "clean")
            )
            said.append(
                f"{setting}: {tested} with the top {found[0].k} of Wu24 off, {random} with random heads of "
                f"the same layers off, {clean} with all on"
            )
    if not said:
        return []
    return [
        "Wu et al. (2024): with the top 20 of 1,024 heads masked 63.6% of needles are found, with 20 random "
        f"heads 94.7%. Here, mean over the questions: {'; '.join(said)}.",
        "",
    ]
