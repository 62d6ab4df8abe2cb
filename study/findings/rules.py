"""The rules by which numbers of the study become words: intervals of differences, kinds of questions, chance.

Questions have samples of their own, so their effects cannot be paired. The interval of a difference or a mean
of independent effects is made of theirs by MOVER, the method of variance estimates recovery (G. Y. Zou and A.
Donner 2008, Construction of confidence limits about effect measures, Statistics in Medicine 27).
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, hypot, sqrt
from statistics import fmean
from typing import Any

from retrieval.filings.tasks import TASKS
from retrieval.rankings.overlap import chance_jaccard, chance_jaccard_by_layer, jaccard, shared_by_layer
from study.figures.overlap import heads_of
from study.figures.style import Tables, compared_k, methods_in, picked, prompts_of, tasks_in
from study.findings.markdown import FALSE_POSITIVE_RATE
from study.tables.columns import Row
from study.tables.intervals import Z95, Interval

STATE, NUMBER = "categorical", "numerical"
# An overlap is above chance where random sets reach it at most this often: the upper end of a 95% range.
CHANCE_TAIL = 0.025
CONTROL = "random_layer_matched"
# With fewer right answers than this, all heads on, there is little to lose.
MIN_CLEAN = 0.5


@dataclass(frozen=True)
class Setting:
    """One model at one length of one kind of filings: what is looked at together."""

    model: str
    length: int
    data: str = "generated"

    def __str__(self) -> str:
        return f"{self.model}, {self.prompts}"

    @property
    def prompts(self) -> str:
        """Its prompts in words."""
        return prompts_of({"length": self.length, "data": self.data})


def settings_of(tables: Tables) -> list[Setting]:
    """All settings of the study, in the order of its tables."""
    return list(dict.fromkeys(Setting(row["model"], row["length"], row["data"]) for row in tables["clean"]))


def interval(row: Row, value: str) -> Interval:
    """A row's value with its interval; one without a width is widened.

    Where all samples did the same, resampling them cannot vary and the bootstrap's interval is a point. It is
    widened by the upper end of Wilson's interval of 0 in so many, the share that might yet do otherwise.
    """
    mean, low, high = row[value], row["low"], row["high"]
    if high > low:
        return Interval(mean, low, high)
    width = Z95**2 / (row["units"] + Z95**2)
    return Interval(mean, max(-1.0, low - width), min(1.0, high + width))


def difference_of(one: Interval, other: Interval) -> Interval:
    """The difference one - other of two independent estimates, with its interval by MOVER."""
    mean = one.mean - other.mean
    return Interval(
        mean,
        mean - hypot(one.mean - one.low, other.high - other.mean),
        mean + hypot(one.high - one.mean, other.mean - other.low),
    )


def mean_of(values: Sequence[Interval]) -> Interval:
    """The mean of independent estimates, with its interval by MOVER.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("the mean of no estimates is not defined.")
    mean, n = fmean(value.mean for value in values), len(values)
    low = sqrt(sum((value.mean - value.low) ** 2 for value in values)) / n
    high = sqrt(sum((value.high - value.mean) ** 2 for value in values)) / n
    return Interval(mean, mean - low, mean + high)


def mean_of_same(values: Sequence[Interval]) -> Interval:
    """The mean of estimates of the same samples: no narrower, since together they are no more samples.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("the mean of no estimates is not defined.")
    ends = zip(*((value.mean, value.low, value.high) for value in values), strict=True)
    return Interval(*map(fmean, ends))


def below(value: Interval) -> bool:
    """Whether the whole interval lies below 0."""
    return value.high < 0


def hurts(change: Interval, against: Interval) -> bool:
    """Whether tested heads take answers away (`change`), and more of them than random heads do (`against`).

    The second alone would count where random heads help and the tested ones do nothing.
    """
    return below(change) and below(against)


def apart(value: Interval) -> bool:
    """Whether the interval leaves 0 out."""
    return value.high < 0 or value.low > 0


@dataclass(frozen=True)
class Shared:
    """What two tops have in common, beside chance.

    Attributes:
        overlap: Jaccard index.
        chance: mean overlap of any two random sets of their sizes.
        layer_chance: mean overlap of random sets with as many heads in each layer.
        above: whether they share more than 97.5% of any random sets do.
        above_layers: whether they share more than 97.5% of random sets with as many heads in each layer do.
    """

    overlap: float
    chance: float
    layer_chance: float
    above: bool
    above_layers: bool


def shared(one: Row, other: Row) -> Shared:
    """What two rows of `tops`, of models of one shape, have in common."""
    first, second = heads_of(one), heads_of(other)
    total = one["n_layers"] * one["n_heads"]
    common = len(set(first) & set(second))
    by_layer = shared_by_layer(first, second, one["n_heads"])
    return Shared(
        overlap=jaccard(first, second),
        chance=chance_jaccard(total, min(len(first), len(second))),
        layer_chance=chance_jaccard_by_layer(first, second, one["n_heads"]),
        above=above_chance(first, second, total),
        above_layers=sum(by_layer[common:]) <= CHANCE_TAIL,
    )


SHARED_TITLES = ("overlap", "chance", "above it", "chance in the same layers", "above it")
SHARED_HELP = (
    "Overlaps are means, with the least and greatest in brackets. Two chances stand beside them: of any "
    "random sets, and of random sets with as many heads in each layer, since tops in the same few layers "
    "share heads by that alone. A pair is above chance where it shares more than 97.5% of such sets do."
)


def shared_cells(found: Sequence[Shared]) -> list[str]:
    """The cells under `SHARED_TITLES` for some pairs; dashes where there are none."""
    if not found:
        return ["–"] * len(SHARED_TITLES)
    overlaps = [pair.overlap for pair in found]
    span = f" ({min(overlaps):.2f} to {max(overlaps):.2f})" if len(found) > 1 else ""
    return [
        f"{fmean(overlaps):.2f}{span}",
        f"{fmean(pair.chance for pair in found):.2f}",
        f"{sum(pair.above for pair in found)} of {len(found)}",
        f"{fmean(pair.layer_chance for pair in found):.2f}",
        f"{sum(pair.above_layers for pair in found)} of {len(found)}",
    ]


def shared_message(found: Sequence[Shared], what: str) -> str:
    """How many of some pairs are above both chances, in words."""
    return (
        f"{sum(pair.above for pair in found)} of {len(found)} {what} share more heads than random sets, "
        f"{sum(pair.above_layers for pair in found)} more than random sets of the same layers"
    )


def above_chance(one: Collection[Hashable], other: Collection[Hashable], total: int) -> bool:
    """Whether two sets share more than 97.5% of random sets of their sizes do (hypergeometric)."""
    first, second = set(one), set(other)
    common, a, b = len(first & second), len(first), len(second)
    # comb(n, m) is 0 for m > n: such sets cannot be.
    ways = sum(comb(a, m) * comb(total - a, b - m) for m in range(common, min(a, b) + 1))
    return ways / comb(total, b) <= CHANCE_TAIL


def kind(task: str) -> str:
    """What a task asks for: "categorical", "numerical" or "name"; "" for a task that is not known."""
    return TASKS[task].kind if task in TASKS else ""


def of_kind(tasks: Sequence[str], wanted: str) -> list[str]:
    """The tasks of one kind."""
    return [task for task in tasks if kind(task) == wanted]


def pair_kinds(tasks: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Pairs of questions about states and numbers, by what the two ask for."""
    states, numbers = of_kind(tasks, STATE), of_kind(tasks, NUMBER)
    return {
        "two states": list(combinations(states, 2)),
        "two numbers": list(combinations(numbers, 2)),
        "a state and a number": [(state, number) for state in states for number in numbers],
    }


@dataclass(frozen=True)
class Effect:
    """What a ranking's top heads do to one question at the compared k.

    Attributes:
        question: the question that is asked.
        k: how many heads are off.
        clean: accuracy with all heads on.
        tested: with the top k off.
        random: with random heads of the same layers off, mean over draws.
        uniform: with random heads of any layer off; None where that was not run.
        change: tested - clean, paired.
        against: tested - random, paired.
        against_uniform: tested - uniform, paired; None where that was not run.
        draws: least and greatest accuracy of a single layer-matched draw.
        random_hurts: whether random heads of the same layers lower the accuracy by themselves (their interval
            lies below the clean accuracy).
        unscored: heads of the top whose score is not above 0.
        needed_at: the least larger number of heads whose change lies below 0, with that change; None where
            there is none.
    """

    question: str
    k: int
    clean: float
    tested: float
    random: float
    uniform: float | None
    change: Interval
    against: Interval
    against_uniform: Interval | None
    draws: tuple[float, float]
    random_hurts: bool
    unscored: int
    needed_at: tuple[int, Interval] | None

    @property
    def shown(self) -> bool:
        """Whether these heads are shown to hurt, and more than random heads of the same layers."""
        return hurts(self.change, self.against)


def effects(tables: Tables, setting: Setting, method: str) -> list[Effect]:
    """The effects of one method's own heads on each question, at the k nearest to the compared share."""
    where = {"model": setting.model, "length": setting.length, "data": setting.data, "method": method}
    rows = picked(tables["differences"], **where, of="within", control=CONTROL)
    rows = picked(rows, k=compared_k(rows, tables))
    found: list[Effect] = []
    for question in tasks_in(rows):
        (row,) = picked(rows, question=question)
        here = {**where, "question": question, "k": row["k"]}
        here_ranked = {"question": question, "source": question, "ranked_on": setting.data}
        curve = picked(tables["transfer"], **where, **here_ranked)
        (own,) = picked(curve, k=row["k"])
        more = sorted((r for r in curve if r["k"] > row["k"] and r["high"] < 0), key=lambda r: r["k"])
        (control,) = picked(tables["accuracy"], **here, condition=CONTROL, of="within")
        (tested,) = picked(tables["accuracy"], **here, condition="within")
        uniform = picked(tables["differences"], **here, of="within", control="random_uniform")
        found.append(
            Effect(
                question=question,
                k=row["k"],
                clean=own["clean"],
                tested=row["tested"],
                random=row["random"],
                uniform=uniform[0]["random"] if uniform else None,
                change=interval(own, "change"),
                against=interval(row, "difference"),
                against_uniform=interval(uniform[0], "difference") if uniform else None,
                draws=(control["draw_low"], control["draw_high"]),
                random_hurts=control["high"] < own["clean"],
                unscored=tested["unscored"] or 0,
                needed_at=(more[0]["k"], interval(more[0], "change")) if more else None,
            )
        )
    return found


def all_effects(tables: Tables) -> dict[tuple[Setting, str], list[Effect]]:
    """`effects` of every setting and method that has some."""
    methods = methods_in(tables["differences"])
    found = {(s, m): effects(tables, s, m) for s in settings_of(tables) for m in methods}
    return {key: value for key, value in found.items() if value}


def lead(tables: Tables) -> tuple[Setting, str] | None:
    """The setting and method that answers are given for first: the claim's, else the first ablated."""
    found = list(all_effects(tables))
    if tables["claim"]:
        first = tables["claim"][0]
        for setting, method in found:
            if (setting.model, setting.length, method) == (first["model"], first["length"], first["method"]):
                return setting, method
    return found[0] if found else None


def percent(share: float | None) -> str:
    """A share as whole per cent; "–" where there is none."""
    return "–" if share is None else f"{share:.0%}"


def points(value: Interval) -> str:
    """A difference of accuracies in percentage points, with its interval."""
    return f"{_whole(value.mean)} [{_whole(value.low)}, {_whole(value.high)}]"


def _whole(share: float) -> str:
    # No "-0".
    return f"{round(100 * share) + 0:+d}"


def samples_of(row: Row) -> str:
    """How many samples a row is of, and of how many companies where some are of one."""
    return str(row["n"]) if row["units"] == row["n"] else f"{row['n']} of {row['units']} companies"


def more_than_chance(found: int, tests: int, rate: float = FALSE_POSITIVE_RATE) -> bool:
    """Whether more tests are positive than in 97.5% of cases where nothing is there (binomial).

    As if they were independent, which those of one question are not: a verdict on many tests, not a test.

    Args:
        found: how many are positive.
        tests: of how many.
        rate: how often one is where nothing is there.
    """
    tail = sum(comb(tests, n) * rate**n * (1 - rate) ** (tests - n) for n in range(found, tests + 1))
    return tail <= CHANCE_TAIL


def by_heads(tables: Tables, setting: Setting, method: str) -> Mapping[str, Row]:
    """The rows of `tops` of one setting and method, by task."""
    rows: Sequence[dict[str, Any]] = picked(
        tables["tops"], model=setting.model, length=setting.length, data=setting.data, method=method
    )
    return {row["task"]: row for row in rows}
