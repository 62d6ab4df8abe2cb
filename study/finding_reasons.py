"""Why an effect is not shown, from what the numbers of its cell and the single heads say."""

from dataclasses import dataclass

from study.figure_style import Tables, picked
from study.finding_rules import Effect, Setting, below, interval, percent, points
from study.statistics import Interval

# With fewer right answers than this there is too little to lose.
LEAST_CLEAN = 0.5


@dataclass(frozen=True)
class Singles:
    """What the heads do one by one, at one setting and question.

    Attributes:
        worst: the head that lowers the accuracy most (the first of equals).
        change: its effect.
        alone: all heads whose interval lies below 0, the strongest first.
        clean: accuracy with all heads on.
    """

    worst: str
    change: Interval
    alone: tuple[str, ...]
    clean: float

    @property
    def carries(self) -> bool:
        """Whether most right answers hang on one head: without it less than half of them are left."""
        return below(self.change) and self.clean + self.change.mean < self.clean / 2


def singles(tables: Tables, setting: Setting, question: str) -> Singles | None:
    """The single-head effects on a question; None where they were not run."""
    rows = picked(tables["single_heads"], model=setting.model, length=setting.length, question=question)
    if not rows:
        return None
    ranked = sorted(rows, key=lambda row: row["change"])
    alone = tuple(row["head"] for row in ranked if row["high"] < 0)
    return Singles(ranked[0]["head"], interval(ranked[0], "change"), alone, ranked[0]["clean"])


@dataclass(frozen=True)
class Reason:
    """Why an effect is not shown.

    Attributes:
        short: the same for all cases of the kind, to count them by.
        told: the case's own numbers.
    """

    short: str
    told: str


NOTHING_TO_LOSE = "few answers are right to begin with"
STAND_INS = "the answers are not shown to need these heads, others stand in for them or they do little"
RANDOM_HURTS = "random heads of the same layers hurt too"
TOO_FEW = "the samples are too few to tell"
REASONS = (STAND_INS, RANDOM_HURTS, NOTHING_TO_LOSE, TOO_FEW)


def why_not(effect: Effect, single: Singles | None) -> Reason:
    """Why an effect does not lie below that of its control: the first reason that its numbers bear out."""
    unscored = f"{effect.unscored} of its {effect.k} heads have no score above 0. " if effect.unscored else ""
    alone = f" {_singly(single)}" if single else ""
    tested, clean = percent(effect.tested), percent(effect.clean)
    if effect.clean < LEAST_CLEAN:
        told = f"only {clean} are answered with all heads on, so there is little to lose."
        return Reason(NOTHING_TO_LOSE, unscored + told)
    if not below(effect.change):
        told = f"{tested} are right without these heads, {clean} with all on. {_later(effect)}{alone}"
        return Reason(STAND_INS, unscored + told)
    if effect.random_hurts:
        low, high = (percent(share) for share in effect.draws)
        told = (
            f"random heads of the same layers hurt too: {percent(effect.random)} are right without those "
            f"(single draws {low} to {high}), {tested} without the top heads, {clean} with all on.{alone}"
        )
        return Reason(RANDOM_HURTS, unscored + told)
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
