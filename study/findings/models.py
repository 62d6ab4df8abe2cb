"""What the study says about its claim, methods and models: sections beside the four research questions."""

from itertools import combinations
from statistics import fmean

from retrieval.rankings.methods import short_method_name
from retrieval.rankings.overlap import chance_depth_distance, depth_distance, relative_depths
from study.figures.overlap import heads_of, method_pairs, model_pairs
from study.figures.style import Tables, condition_name, methods_in, picked, task_name
from study.findings.markdown import Section, table
from study.findings.rules import (
    SHARED_HELP,
    SHARED_TITLES,
    Shared,
    percent,
    points,
    settings_of,
    shared,
    shared_cells,
    shared_message,
)
from study.tables.columns import Row
from study.tables.intervals import Interval
from utils.wording import listed

# What is put behind a base model's name for the model tuned from it.
_TUNED = ("-instruct", "-chat", "-it")


def claim(tables: Tables) -> Section:
    """The claim that the protocol fixes beforehand."""
    rows = tables["claim"]
    title = "The claim that was fixed beforehand"
    if not rows:
        return Section(title, ("The protocol makes no claim.",), "The protocol makes no claim beforehand.")
    first = rows[0]
    moved = [_from_other_layers(tables, row) for row in rows]
    control = condition_name(first["control"])
    what = (
        f"{first['model']}, {short_method_name(first['method'])}, {first['length']} tokens: with the top "
        f"{first['k']} heads ({first['share']:.0%} of all) off, fewer answers are right than with as many "
        f"{control} off, for at least {first['questions_needed']} of {len(rows)} questions (95% interval "
        "below 0)"
    )
    state = "holds" if first["holds"] else "does not hold"
    lines = [
        f"{what}.",
        *table(
            ("question", "samples", "top - random", "below 0", "random heads from other layers"),
            [
                [
                    task_name(row["question"]),
                    str(row["n"]),
                    points(Interval(row["difference"], row["low"], row["high"])),
                    "yes" if row["below"] else "no",
                    f"{short} of {row['k']}",
                ]
                for row, short in zip(rows, moved, strict=True)
            ],
        ),
        f"The claim **{state}**: {first['questions_below']} of {len(rows)} intervals lie below 0, "
        f"{first['questions_needed']} were needed.",
    ]
    weak = sum(2 * short > first["k"] for short in moved)
    if weak:
        lines += ["", *_weak_control(tables, first, weak, len(rows))]
    asked = (
        f"The claim fixed beforehand **{state}**, for {first['questions_below']} of {len(rows)} questions "
        f"({first['questions_needed']} needed): {what}."
    )
    if weak:
        asked += (
            f" Its control is weak for {weak} of {len(rows)} questions: the top heads fill their layers, so "
            "most random heads come from other layers."
        )
    return Section(title, tuple(lines), asked)


def _from_other_layers(tables: Tables, row: Row) -> int:
    """How many heads of a control come from other layers than the heads that they stand beside."""
    same = {name: row[name] for name in ("model", "question", "length", "method", "k")}
    found = picked(tables["accuracy"], **same, condition=row["control"], of="within")
    return (found[0]["short"] or 0) if found else 0


def _weak_control(tables: Tables, first: Row, weak: int, questions: int) -> list[str]:
    """What a control that must take other layers is worth, and the levels at which it need not."""
    rows = []
    same = {name: first[name] for name in ("model", "length", "method", "control")}
    for row in picked(tables["differences"], **same, of="within"):
        short = _from_other_layers(tables, row)
        if row["k"] and 2 * short <= row["k"]:
            interval = points(Interval(row["difference"], row["low"], row["high"]))
            shown = "yes" if row["below"] else "no"
            rows.append(
                [task_name(row["question"]), str(row["k"]), interval, shown, f"{short} of {row['k']}"]
            )
    return [
        f"**The control is weak for {weak} of {questions} questions.** There the top {first['k']} heads take "
        "so much of their layers that most random heads have to come from the nearest other layers: what is "
        "compared is then a layer with its neighbours, not heads with others of their layer. Where at least "
        "half of the random heads are of the same layers:",
        "",
        *table(("question", "k", "top - random", "below 0", "random heads from other layers"), rows),
    ]


def answered(tables: Tables) -> Section:
    """What the models answer with all heads on."""
    rows = [
        [
            row["model"],
            str(row["length"]),
            task_name(row["question"]),
            str(row["n"]),
            f"{percent(row['accuracy'])} [{percent(row['low'])}, {percent(row['high'])}]",
        ]
        for row in tables["clean"]
    ]
    lines = table(("model", "tokens", "question", "samples", "right answers"), rows)
    shares = [row["accuracy"] for row in tables["clean"]]
    low, high = percent(min(shares)), percent(max(shares))
    span = low if low == high else f"{low} to {high}"
    short = f"With all heads on, {span} of a question's answers are right."
    return Section("What the models answer with all heads on", tuple(lines), short)


def methods_alike(tables: Tables) -> Section:
    """How alike are the methods?"""
    rows: list[list[str]] = []
    overlaps: dict[tuple[str, str], list[Shared]] = {}
    for setting in settings_of(tables):
        tops = picked(tables["tops"], model=setting.model, length=setting.length)
        for one, other in combinations(methods_in(tops), 2):
            found = [shared(a, b) for a, b in method_pairs(tops, one, other)]
            if found:
                overlaps.setdefault((one, other), []).extend(found)
                rows.append(
                    [
                        str(setting),
                        f"{short_method_name(one)} and {short_method_name(other)}",
                        *shared_cells(found),
                    ]
                )
    title = "How alike are the methods?"
    if not rows:
        return Section(title, ("One method alone was run.",), "One method alone was run.")
    lines = [
        f"Top heads of two methods on the same question. {SHARED_HELP}",
        *table(("setting", "methods", *SHARED_TITLES), rows),
        *_unscored(tables),
    ]
    means = {pair: fmean(each.overlap for each in found) for pair, found in overlaps.items()}
    most, least = max(means, key=lambda pair: means[pair]), min(means, key=lambda pair: means[pair])
    message = [f"most alike are {_two(most)} ({means[most]:.2f})"]
    if least != most:
        message.append(f"least {_two(least)} ({means[least]:.2f})")
    everyone = [each for found in overlaps.values() for each in found]
    chance = fmean(each.chance for each in everyone)
    layers = fmean(each.layer_chance for each in everyone)
    short = (
        f"Of the methods {listed(message)}; random sets share {chance:.2f}, random sets of the same layers "
        f"{layers:.2f}. {shared_message(everyone, 'pairs of rankings')}."
    )
    return Section(title, tuple(lines), short)


def _two(pair: tuple[str, str]) -> str:
    return f"{short_method_name(pair[0])} and {short_method_name(pair[1])}"


def _unscored(tables: Tables) -> list[str]:
    """A caution where tops are filled with heads that have no score."""
    filled = [row for row in tables["tops"] if row["unscored"]]
    if not filled:
        return []
    most = max(filled, key=lambda row: row["unscored"] / row["k"])
    return [
        f"Caution: {len(filled)} of {len(tables['tops'])} tops hold heads whose score is not above 0, at "
        f"most {most['unscored']} of {most['k']} ({most['model']}, {short_method_name(most['method'])}, "
        f"{task_name(most['task'])}). They stand there by their place in the model, which makes such tops "
        "look more alike than they are."
    ]


def models_alike(tables: Tables) -> Section:
    """Do a base and its instruct model use the same heads?"""
    models = list(dict.fromkeys(row["model"] for row in tables["tops"]))
    rows: list[list[str]] = []
    shorts: list[str] = []
    related: list[str] = []
    for one, other in combinations(models, 2):
        tuned = _is_tuned(one, other)
        for method in methods_in(tables["tops"]):
            tops = picked(tables["tops"], method=method)
            depth = _depth(picked(tops, model=one), picked(tops, model=other))
            if not depth:
                continue
            # By heads at the lengths that both have; by depth at each one's first.
            found = [shared(a, b) for a, b in model_pairs(tops, one, other)]
            distance = f"{depth[0]:.2f} ({depth[1]:.2f})"
            rows.append([f"{one}, {other}", short_method_name(method), *shared_cells(found), distance])
            if found and tuned:
                shorts.append(
                    f"{fmean(pair.overlap for pair in found):.2f} by {short_method_name(method)} "
                    f"({sum(pair.above for pair in found)} of {len(found)} pairs above chance, "
                    f"{sum(pair.above_layers for pair in found)} above that of the same layers)"
                )
        if tuned:
            related.append(f"{one} and {other}")
    lines = [
        f"Top heads of two models of one shape, on the same question and length. {SHARED_HELP} Models "
        "that were trained apart have no reason to share more than their layers. Last, for all models: "
        "the distance of their top heads in relative depth (0 alike, 1 first against last layer), in "
        "brackets that of random heads.",
        *table(("models", "method", *SHARED_TITLES, "distance in depth"), rows),
    ]
    short = (
        f"The tops of {listed(related)} overlap by {listed(shorts)}."
        if shorts
        else "No base model and the model tuned from it were ranked together."
    )
    return Section("Do a base and its instruct model use the same heads?", tuple(lines), short)


def _is_tuned(one: str, other: str) -> bool:
    """Whether one model's name is the other's with a mark of tuning behind it."""
    short, long = sorted((one.casefold(), other.casefold()), key=len)
    return long.removeprefix(short) in _TUNED


def _depth(one: list[Row], other: list[Row]) -> tuple[float, float] | None:
    """Distance in depth of two models' tops over all tasks both have, and that of random heads."""
    tasks = {row["task"] for row in one} & {row["task"] for row in other}
    first = picked(one, length=one[0]["length"]) if one else []
    second = picked(other, length=other[0]["length"]) if other else []
    sides = [[row for row in rows if row["task"] in tasks] for rows in (first, second)]
    if not all(sides):
        return None
    found, chances = [], []
    for a in sides[0]:
        for b in picked(sides[1], task=a["task"]):
            depths = [relative_depths(heads_of(row), row["n_layers"]) for row in (a, b)]
            found.append(depth_distance(*depths))
            shapes = [(row["n_layers"], row["n_heads"]) for row in (a, b)]
            chances.append(chance_depth_distance(shapes[0], a["k"], shapes[1], b["k"]))
    return fmean(found), fmean(chances)
