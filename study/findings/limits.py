"""What the study's models cannot show, and why: the last section of FINDINGS.md."""

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.rankings.methods import short_method_name
from study.figures.style import Tables, methods_in, picked, task_name, tasks_in
from study.findings.markdown import Section, table
from study.findings.rules import (
    CONTROL,
    MIN_CLEAN,
    Effect,
    Setting,
    all_effects,
    below,
    interval,
    percent,
    points,
    settings_of,
)
from study.tables.columns import Row
from study.tables.intervals import Interval
from utils.wording import listed


@dataclass(frozen=True)
class Singles:
    """What the heads do one by one, at one setting and question.

    Attributes:
        worst: the head that lowers the accuracy most (the first of equals).
        change: its effect.
        alone: all heads whose interval lies below 0, the strongest first.
        clean: accuracy with all heads on.
        samples: how many answers that is of.
    """

    worst: str
    change: Interval
    alone: tuple[str, ...]
    clean: float
    samples: int

    @property
    def carries(self) -> bool:
        """Whether most right answers hang on one head: without it less than half of them are left."""
        return below(self.change) and self.clean + self.change.mean < self.clean / 2


def singles(tables: Tables, setting: Setting, question: str) -> Singles | None:
    """The single-head effects on a question; None where they were not run."""
    rows = picked(
        tables["single_heads"],
        model=setting.model,
        length=setting.length,
        data=setting.data,
        question=question,
    )
    if not rows:
        return None
    ranked = sorted(rows, key=lambda row: row["change"])
    alone = tuple(row["head"] for row in ranked if row["high"] < 0)
    return Singles(
        ranked[0]["head"], interval(ranked[0], "change"), alone, ranked[0]["clean"], ranked[0]["n"]
    )


@dataclass(frozen=True)
class Reason:
    """Why an effect is not shown.

    Attributes:
        short: the same for all cases of the kind, to count them by.
        message: the case's own numbers.
    """

    short: str
    message: str


NOTHING_TO_LOSE = "few answers are right to begin with"
STAND_INS = "the answers are not shown to need these heads, others stand in for them or they do little"
RANDOM_HURTS = "random heads of the same layers hurt too"
TOO_FEW = "the samples are too few to tell"
REASONS = (STAND_INS, RANDOM_HURTS, NOTHING_TO_LOSE, TOO_FEW)


def why_not(effect: Effect, single: Singles | None) -> Reason:
    """Why heads are not shown to hurt more than their control: the first reason that the numbers bear out."""
    unscored = f"{effect.unscored} of its {effect.k} heads have no score above 0; " if effect.unscored else ""
    alone = f" {_singly(single)}" if single else ""
    tested, clean = percent(effect.tested), percent(effect.clean)
    if effect.clean < MIN_CLEAN:
        message = f"only {clean} are answered with all heads on, so there is little to lose."
        return Reason(NOTHING_TO_LOSE, unscored + message)
    if not below(effect.change):
        message = f"{tested} are right without these heads, {clean} with all on. {_later(effect)}{alone}"
        return Reason(STAND_INS, unscored + message)
    if effect.random_hurts:
        low, high = (percent(share) for share in effect.draws)
        message = (
            f"random heads of the same layers hurt too: {percent(effect.random)} are right without those "
            f"(single draws {low} to {high}), {tested} without the top heads, {clean} with all on.{alone}"
        )
        return Reason(RANDOM_HURTS, unscored + message)
    return Reason(
        TOO_FEW, f"{unscored}the samples are too few to tell {tested} from {percent(effect.random)}.{alone}"
    )


def _later(effect: Effect) -> str:
    """Whether more heads of the same ranking are needed."""
    if effect.needed_at is None:
        return "No larger number of this ranking's heads is shown to be needed either."
    k, change = effect.needed_at
    return f"With the top {k} off answers are lost ({points(change)}): up to there others stand in for them."


def _singly(single: Singles) -> str:
    """What heads do by themselves, in a sentence."""
    if single.carries:
        left = percent(single.clean + single.change.mean)
        return f"Most answers hang on one head: without {single.worst} alone {left} are right."
    if not single.alone:
        return "No head is shown to matter by itself."
    many = "One head matters" if len(single.alone) == 1 else f"{len(single.alone)} heads matter"
    return (
        f"{many} by itself: {single.worst} ({points(single.change)})."
        if len(single.alone) == 1
        else (f"{many} by themselves, most of all {single.worst} ({points(single.change)}).")
    )


# A model with fewer heads is small: published studies of retrieval heads begin at 512.
SMALL_MODEL = 256
# Wu et al. 2024 mask so many heads.
_MASKED, _MASKED_OF = 20, 1024


def limits(tables: Tables) -> Section:
    """Where the effect is not shown, and why: from the single heads and the cells."""
    lines: list[str] = []
    shown = total = 0
    full: list[str] = []
    counts: dict[str, int] = {reason: 0 for reason in REASONS}
    for (setting, method), found in all_effects(tables).items():
        silent = [effect for effect in found if not effect.shown]
        shown, total = shown + len(found) - len(silent), total + len(found)
        name = f"{setting}, {short_method_name(method)}"
        if not silent:
            full.append(name)
            continue
        lines.append(
            f"- **{name}**: shown for {len(found) - len(silent)} of {len(found)} questions. Not for:"
        )
        for effect in silent:
            reason = why_not(effect, singles(tables, setting, effect.question))
            counts[reason.short] += 1
            lines.append(f"    - {task_name(effect.question)} ({_both(effect)}): {reason.message}")
    if full:
        lines = [f"Shown for every question: {'; '.join(full)}.", "", *lines]
    cases = f"{shown} of {total}" if shown < total else f"all {total}"
    short = (
        "Top heads take answers away, and more of them than random heads of the same layers do, in "
        f"{cases} cases (model, length, method and question)."
    )
    if shown < total:
        short += f" In the others: {'; '.join(f'{why} ({n})' for why, n in counts.items() if n)}."
    return Section(
        "What these models cannot show, and why",
        (*_levels(tables), *_by_one_head(tables), *lines, "", *_small(tables)),
        short,
    )


def _both(effect: Effect) -> str:
    """The two intervals that have to lie below 0."""
    return f"top - all on {points(effect.change)}, top - random {points(effect.against)}"


def _levels(tables: Tables) -> list[str]:
    """At which numbers of heads which sets were run: what stands between these is not known."""
    rows = []
    for setting in settings_of(tables):
        where = {"model": setting.model, "length": setting.length, "data": setting.data}
        for method in methods_in(picked(tables["accuracy"], **where)):
            here = picked(tables["accuracy"], **where, method=method)
            own = picked(here, condition="within")
            control = picked(here, condition=CONTROL, of="within")
            other = [row for row in here if row["condition"] in ("across", "shared", "global")]
            rows.append([str(setting), short_method_name(method), *map(_numbers, (own, control, other))])
    return [
        "Numbers of heads that were ablated (k). Where random sets were not run beside the top heads, what "
        "the latter do cannot be told from what as many random heads would.",
        *table(
            ("setting", "method", "own top", "random sets beside it", "other questions', shared, global"),
            rows,
        ),
    ]


def _numbers(rows: Sequence[Row]) -> str:
    return ", ".join(map(str, sorted({row["k"] for row in rows if row["k"]}))) or "–"


def _by_one_head(tables: Tables) -> list[str]:
    """What heads do one by one: on which everything hangs, and where nothing does."""
    rows = []
    for setting in settings_of(tables):
        here = picked(tables["clean"], model=setting.model, length=setting.length, data=setting.data)
        for question in tasks_in(here):
            single = singles(tables, setting, question)
            if single:
                message = "most answers hang on it" if single.carries else "–"
                alone, samples = str(len(single.alone)), str(single.samples)
                worst = f"{single.worst}: {points(single.change)}" if single.change.mean < 0 else "none"
                rows.append([str(setting), task_name(question), samples, alone, worst, message])
    if not rows:
        return []
    titles = ("setting", "question", "samples", "heads that matter alone", "strongest single head", "")
    return [
        "Each head ablated by itself. A head matters alone where the 95% interval of the change lies below "
        "0; most answers hang on a head where less than half of them are left without it. Where no head "
        "matters alone and many together do, heads stand in for each other. Of few samples only strong "
        "effects can be seen, an interval below 0 may hang on three or four lost answers, and some of very "
        "many heads matter by chance.",
        *table(titles, rows),
    ]


def _small(tables: Tables) -> list[str]:
    """What a small model's size means for the study; nothing where no model is small."""
    small = {
        row["model"]: (row["n_layers"], row["n_heads"])
        for row in tables["clean"]
        if row["n_layers"] * row["n_heads"] <= SMALL_MODEL
    }
    if not small:
        return []
    sizes = sorted(set(small.values()))
    message = [f"{layers} layers of {heads} heads" for layers, heads in sizes]
    shares = [f"{layers * heads * _MASKED / _MASKED_OF:.1f} of {layers * heads}" for layers, heads in sizes]
    return [
        f"Of these models {listed(list(small))} {'are' if len(small) > 1 else 'is'} small "
        f"({listed(message)}). Wu et al. (2024) mask {_MASKED} of {_MASKED_OF:,} heads; the same share here "
        f"is {listed(shares)} heads, and a quarter of all heads is as many as "
        f"{listed([f'{layers / 4:g}' for layers, _ in sizes])} whole layers have. A layer-matched control "
        "then has few other heads to choose from, and its sets are much alike. What holds in a small "
        "model need not hold in a large one, nor the other way round."
    ]
