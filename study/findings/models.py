"""What the study says about its claim, methods and models: sections beside the four research questions."""

from itertools import combinations
from statistics import fmean

from retrieval.rankings.methods import short_method_name
from retrieval.rankings.overlap import chance_depth_distance, depth_distance, relative_depths
from study.figures.overlap import method_pairs, model_pairs, scored_heads
from study.figures.style import Tables, condition_name, methods_in, picked, task_name
from study.findings.markdown import Section, table
from study.findings.rules import (
    SHARED_HELP,
    SHARED_TITLES,
    Setting,
    Shared,
    percent,
    points,
    samples_of,
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
    """The claim that the protocol fixes beforehand, with what its control is made of."""
    rows = tables["claim"]
    title = "The claim that was fixed beforehand"
    if not rows:
        message = "The protocol makes no claim, or nothing that it needs was run yet."
        return Section(title, (message,), message)
    first = rows[0]
    needed, asked = first["questions_needed"], len(rows) + first["questions_missing"]
    what = (
        f"{first['model']}, {short_method_name(first['method'])}, {first['length']} tokens: with the top "
        f"{first['k']} heads ({first['share']:.0%} of all) off, fewer answers are right than with as many "
        f"{condition_name(first['control'])} off, for at least {needed} of {asked} questions (95% interval "
        "below 0"
    )
    if first["same_layers_needed"]:
        what += f", at least {first['same_layers_needed']:.0%} of the random heads from the same layers"
    what += ")"
    state = "holds" if first["holds"] else "does not hold"
    if not first["holds"] and first["questions_missing"]:
        state = "is open"
    own = [row["same_layers"] for row in rows]
    made_up = f"{min(own):.0%}" if min(own) == max(own) else f"{min(own):.0%} to {max(own):.0%}"
    lines = [
        f"{what}.",
        *table(
            (
                "question",
                "samples",
                "top off",
                "random off",
                "top - random",
                "from the same layers",
                "counts",
            ),
            [
                [
                    task_name(row["question"]),
                    str(row["n"]),
                    percent(row["tested"]),
                    percent(row["random"]),
                    points(Interval(row["difference"], row["low"], row["high"])),
                    f"{row['same_layers']:.0%}",
                    "yes" if row["counts"] else "no",
                ]
                for row in rows
            ],
        ),
        f"The claim **{state}**: {first['questions_counted']} of {len(rows)} questions count, {needed} were "
        f"needed. Of the random heads {made_up} are of the tested heads' own layers; where a layer has fewer "
        "heads left than are to be drawn, all that are left are taken and the rest from the nearest layers.",
    ]
    if missing := first["questions_missing"]:
        lines.append(f"Not run yet: {missing} of the {asked} questions.")
    weak = sum(row["same_layers"] < 0.5 for row in rows)
    if weak:
        lines += ["", *_weak_control(tables, first, weak, len(rows))]
    message = (
        f"The claim fixed beforehand **{state}**, for {first['questions_counted']} of {len(rows)} questions "
        f"({needed} needed): {what}. "
        + "; ".join(
            f"{task_name(row['question'])} {points(Interval(row['difference'], row['low'], row['high']))}"
            for row in rows
        )
        + f" points. {made_up} of the random heads are from the same layers."
    )
    if weak:
        message += (
            f" Its control is weak for {weak} of {len(rows)} questions: the top heads fill their layers, so "
            "most random heads come from other layers."
        )
    return Section(title, tuple(lines), message)


def _from_other_layers(tables: Tables, row: Row) -> int:
    """How many heads of a control come from other layers than the heads that they stand beside."""
    same = {name: row[name] for name in ("model", "question", "length", "data", "method", "k")}
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
    """What the models answer with all heads on, and without the stem where the study asks with one."""
    asked = tables["clean"]
    with_stem = any(row["stem"] for row in asked)
    bare = {_place(row): row for row in asked if with_stem and not row["stem"]}
    main = [row for row in asked if row["stem"] or not with_stem]
    rows = []
    for row in main:
        without = bare.get(_place(row))
        rows.append(
            [
                str(Setting(row["model"], row["length"], row["data"])),
                task_name(row["question"]),
                samples_of(row),
                _right(row),
                percent(row["exact"]),
                *([_right(without) if without else "–"] if bare else []),
            ]
        )
    titles = ("setting", "question", "samples", "right answers", "word for word")
    lines = table((*titles, *(["without the stem"] if bare else [])), rows)
    shares = [row["accuracy"] for row in main]
    low, high = percent(min(shares)), percent(max(shares))
    span = low if low == high else f"{low} to {high}"
    short = f"With all heads on, {span} of a question's answers are right."
    pairs = [(row, bare[_place(row)]) for row in main if _place(row) in bare]
    if pairs:
        gain = fmean(row["accuracy"] - without["accuracy"] for row, without in pairs)
        short += (
            f" The stem makes {100 * gain:+.0f} points of that in the mean over {len(pairs)} questions and "
            "settings."
        )
    return Section("What the models answer with all heads on", tuple(lines), short)


def _place(row: Row) -> tuple[str, int, str, str]:
    return row["model"], row["length"], row["data"], row["question"]


def _right(row: Row) -> str:
    return f"{percent(row['accuracy'])} [{percent(row['low'])}, {percent(row['high'])}]"


def methods_alike(tables: Tables) -> Section:
    """How alike are the methods?"""
    rows: list[list[str]] = []
    overlaps: dict[tuple[str, str], list[Shared]] = {}
    for setting in settings_of(tables):
        tops = picked(tables["tops"], model=setting.model, length=setting.length, data=setting.data)
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
        f"{task_name(most['task'])}). They stand there by their place in the model, which can make such "
        "tops look more alike than they are."
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
            # By heads at the lengths that both have; by depth at each one's first.
            found = [shared(a, b) for a, b in model_pairs(tops, one, other)]
            depth = _depth(picked(tops, model=one), picked(tops, model=other))
            if not found and not depth:
                continue
            distance = f"{depth[0]:.2f} ({depth[1]:.2f})" if depth else "–"
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
        "the distance of their scored top heads in relative depth (0 alike, 1 first against last layer), in "
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
    """Distance in depth of two models' scored tops over all tasks both have, and that of random heads."""
    tasks = {row["task"] for row in one} & {row["task"] for row in other}
    first = picked(one, length=one[0]["length"]) if one else []
    second = picked(other, length=other[0]["length"]) if other else []
    sides = [[row for row in rows if row["task"] in tasks] for rows in (first, second)]
    if not all(sides):
        return None
    found, chances = [], []
    for a in sides[0]:
        for b in picked(sides[1], task=a["task"]):
            depths = [relative_depths(scored_heads(row), row["n_layers"]) for row in (a, b)]
            if not all(depths):
                continue
            found.append(depth_distance(*depths))
            shapes = [(row["n_layers"], row["n_heads"]) for row in (a, b)]
            chances.append(chance_depth_distance(shapes[0], len(depths[0]), shapes[1], len(depths[1])))
    return (fmean(found), fmean(chances)) if found else None
