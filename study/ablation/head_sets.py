"""From rankings to sets of heads: which heads each condition switches off (docs/METHODS.md, section 4).

Pure functions: the same rankings and seed give the same sets, in the same order.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from study.data.cell_records import NO_STEM, Condition, Tested
from study.data.protocol import Protocol
from utils.effects.random_sets import SetKind, draw_sets
from utils.heads import Head
from utils.models.families import HeadGeometry

# A control's name in result files, and how its sets are drawn.
CONTROL_KINDS: dict[Literal["random_uniform", "random_layer_matched"], SetKind] = {
    "random_uniform": "uniform",
    "random_layer_matched": "layer-matched",
}


SINGLE = "single"


@dataclass(frozen=True)
class HeadOrder:
    """All heads of a model in an order, best first, with the scores that made it.

    Attributes:
        heads: every head once.
        scores: theirs, in the same order.
    """

    heads: tuple[Head, ...]
    scores: tuple[float, ...]

    def top(self, k: int) -> tuple[Head, ...]:
        """The first k, sorted by layer and head."""
        return tuple(sorted(self.heads[:k]))

    def unscored(self, k: int) -> int:
        """How many of the first k have no score above 0."""
        return sum(score <= 0 for score in self.scores[:k])


@dataclass(frozen=True)
class PlannedSet:
    """A set of heads to switch off. The fields are those of `study.data.cell_records.HeadSet`."""

    condition: Condition
    heads: tuple[Head, ...]
    method: str | None = None
    source: str | None = None
    draw: int | None = None
    of: Tested | None = None
    short: int = 0
    unscored: int = 0

    @property
    def k(self) -> int:
        """How many heads."""
        return len(self.heads)


@dataclass(frozen=True)
class SetOptions:
    """What sets are wanted.

    Attributes:
        levels: numbers of heads, from 1 up.
        claim_k: the one at which `controls_at_claim` are run.
        draws: random sets a control.
        seed: of the random sets.
        shared_min_tasks: in the top of how many tasks a shared head is.
        shared_top: how many heads that top has.
        controls_at_every_k: tested conditions whose controls are run at every level.
        controls_at_claim: those whose controls are run at `claim_k` only.
        other_levels: numbers of heads of every condition but `within`; None for `levels`.
        control_levels: at which of them `controls_at_every_k` are run; None for all.
    """

    levels: tuple[int, ...]
    claim_k: int
    draws: int
    seed: int
    shared_min_tasks: int
    shared_top: int
    controls_at_every_k: tuple[Tested, ...] = ("within",)
    controls_at_claim: tuple[Tested, ...] = ()
    other_levels: tuple[int, ...] | None = None
    control_levels: tuple[int, ...] | None = None


def shared_order(orders: Mapping[str, HeadOrder], top: int, min_tasks: int) -> HeadOrder:
    """The shared heads: those in the top `top` of at least `min_tasks` tasks, by number of tasks.

    Heads of as many tasks are ordered by their mean place over all tasks. There may be few of them, or none.

    Args:
        orders: by task.
        top: how many heads of each task count.
        min_tasks: in how many a head must be.

    Returns:
        The shared heads; a score is the share of the tasks in whose top the head is.
    """
    counts = Counter(head for order in orders.values() for head in order.heads[:top])
    positions: Counter[Head] = Counter()
    for order in orders.values():
        positions.update({head: position for position, head in enumerate(order.heads)})
    shared = [head for head, count in counts.items() if count >= min_tasks]
    shared.sort(key=lambda head: (-counts[head], positions[head], head))
    return HeadOrder(tuple(shared), tuple(counts[head] / len(orders) for head in shared))


def global_order(orders: Mapping[str, HeadOrder]) -> HeadOrder:
    """All heads by their mean score over tasks; equal ones by layer and head.

    Args:
        orders: by task, not empty.
    """
    sums: dict[Head, float] = {}
    for order in orders.values():
        for head, score in zip(order.heads, order.scores, strict=True):
            sums[head] = sums.get(head, 0.0) + score
    heads = sorted(sums, key=lambda head: (-sums[head], head))
    return HeadOrder(tuple(heads), tuple(sums[head] / len(orders) for head in heads))


def portions(methods: Sequence[str], first: str | None, moved: bool, stem: bool) -> list[str]:
    """The portions of a question's cell in the order in which they are run, each a file and a task.

    "<method>-claim" has the question's own heads at the claim's number with their random sets, "<method>-own"
    the same at all other numbers, "<method>-others" the heads of other questions, shared and global ones,
    "<method>-moved" those ranked on other data; "single" has each head by itself, and "no_stem" the answers
    without the stem, all heads on. What the claim is about is done first, and a study that is stopped loses
    little.

    Args:
        methods: the ranking methods.
        first: the method of the claim, which goes first.
        moved: whether there are rankings on other data.
        stem: whether answers begin with a stem.
    """
    order = sorted(methods, key=lambda method: method != first)
    found = [f"{method}-claim" for method in order[:1]]
    found += [NO_STEM] * stem
    found += [f"{method}-claim" for method in order[1:]]
    for method in order:
        found += [f"{method}-own", *([f"{method}-moved"] if moved else []), f"{method}-others"]
    return [*found, SINGLE]


def wanted_portions(protocol: Protocol, length: int, data: str, moved: bool) -> list[str]:
    """The portions that the protocol asks for in a setting; arguments as of `portions`."""
    first = protocol.claim.method if protocol.claim else None
    names = portions(protocol.methods, first, moved, protocol.stem)
    single = protocol.ablation_at(length, data).single_samples != 0
    return [name for name in names if single or name != SINGLE]


def claim_portions(protocol: Protocol) -> tuple[str, ...]:
    """The portions that the protocol's claim needs, with the accuracies without the stem."""
    claim = () if protocol.claim is None else (f"{protocol.claim.method}-claim",)
    return (*claim, NO_STEM)


def tested_sets(
    portion: str,
    by_task: Mapping[str, HeadOrder],
    question: str,
    questions: Sequence[str],
    options: SetOptions,
) -> Iterator[PlannedSet]:
    """The sets of the tested conditions of one portion, for every number of heads.

    Args:
        portion: of `portions`, with a method's name in it.
        by_task: the method's orders by ranking task, on the other data for a "moved" portion; a task without
            a ranking is left out by the caller.
        question: the task that is asked.
        questions: the tasks whose heads are tried on it, itself among them.
        options: which sets.
    """
    method, kind = portion.rsplit("-", 1)
    others = options.levels if options.other_levels is None else options.other_levels
    if kind in ("claim", "own", "moved"):
        condition: Tested = "across_data" if kind == "moved" else "within"
        levels = [k for k in options.levels if (k == options.claim_k) == (kind == "claim")]
        levels = others if kind == "moved" else levels
        if question in by_task:
            yield from _levels(by_task[question], PlannedSet(condition, (), method, question), levels)
        return
    for source in questions:
        if source in by_task and source != question:
            yield from _levels(by_task[source], PlannedSet("across", (), method, source), others)
    if len(by_task) >= options.shared_min_tasks:
        shared = shared_order(by_task, options.shared_top, options.shared_min_tasks)
        yield from _levels(shared, PlannedSet("shared", (), method), others)
    if by_task:
        yield from _levels(global_order(by_task), PlannedSet("global", (), method), others)


def _levels(order: HeadOrder, like: PlannedSet, levels: Sequence[int]) -> Iterator[PlannedSet]:
    for k in levels:
        if k <= len(order.heads):
            yield replace(like, heads=order.top(k), unscored=order.unscored(k))


def control_sets(tested: PlannedSet, geometry: HeadGeometry, options: SetOptions) -> Iterator[PlannedSet]:
    """The random sets of both kinds that belong to a tested set; none of its heads is in them.

    Equal tested sets have equal controls, whatever method they come from.
    """
    for condition, kind in CONTROL_KINDS.items():
        drawn = draw_sets(geometry, tested.heads, kind, options.draws, options.seed)
        for draw, heads in enumerate(drawn.sets):
            yield PlannedSet(
                condition=condition,
                heads=heads,
                method=tested.method,
                source=tested.source,
                draw=draw,
                of=tested.condition,  # type: ignore[arg-type]
                short=drawn.moved,
            )


def single_sets(geometry: HeadGeometry) -> Iterator[PlannedSet]:
    """Each head by itself."""
    for layer in range(geometry.n_layers):
        for head in range(geometry.n_heads):
            yield PlannedSet("single", (Head(layer, head),))


def plan_sets(
    portion: str,
    by_task: Mapping[str, HeadOrder],
    question: str,
    questions: Sequence[str],
    geometry: HeadGeometry,
    options: SetOptions,
) -> list[PlannedSet]:
    """Every set of one portion, each tested one with its controls behind it; arguments as `tested_sets`."""
    if portion == NO_STEM:
        return []
    if portion == SINGLE:
        return list(single_sets(geometry))
    planned = []
    for tested in tested_sets(portion, by_task, question, questions, options):
        planned.append(tested)
        at_claim = tested.k == options.claim_k and tested.condition in options.controls_at_claim
        here = options.control_levels is None or tested.k in options.control_levels
        if at_claim or (here and tested.condition in options.controls_at_every_k):
            planned += control_sets(tested, geometry, options)
    return planned
