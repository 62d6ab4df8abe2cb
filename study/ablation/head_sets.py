"""From rankings to sets of heads: which heads each condition switches off (docs/METHODS.md, section 4).

Pure functions: the same rankings and seed give the same sets, in the same order.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from study.data.cell_records import Condition, Tested
from utils.effects.random_sets import SetKind, draw_sets
from utils.heads import Head
from utils.models.families import HeadGeometry

# A control's name in result files, and how its sets are drawn.
CONTROL_KINDS: dict[Literal["random_uniform", "random_layer_matched"], SetKind] = {
    "random_uniform": "uniform",
    "random_layer_matched": "layer-matched",
}


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
    """

    levels: tuple[int, ...]
    claim_k: int
    draws: int
    seed: int
    shared_min_tasks: int
    shared_top: int
    controls_at_every_k: tuple[Tested, ...] = ("within",)
    controls_at_claim: tuple[Tested, ...] = ()


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


def tested_sets(
    orders: Mapping[str, Mapping[str, HeadOrder]],
    question: str,
    questions: Sequence[str],
    options: SetOptions,
) -> Iterator[PlannedSet]:
    """The sets of the tested conditions, for every method and number of heads.

    Args:
        orders: by method and ranking task; a task without a ranking is left out by the caller.
        question: the task that is asked.
        questions: the tasks whose heads are tried on it, itself among them.
        options: which sets.
    """
    for method, by_task in orders.items():
        for source in questions:
            if source in by_task:
                condition: Tested = "within" if source == question else "across"
                yield from _levels(by_task[source], PlannedSet(condition, (), method, source), options)
        if by_task:
            shared = shared_order(by_task, options.shared_top, options.shared_min_tasks)
            yield from _levels(shared, PlannedSet("shared", (), method), options)
            yield from _levels(global_order(by_task), PlannedSet("global", (), method), options)


def _levels(order: HeadOrder, like: PlannedSet, options: SetOptions) -> Iterator[PlannedSet]:
    for k in options.levels:
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
    orders: Mapping[str, Mapping[str, HeadOrder]],
    question: str,
    questions: Sequence[str],
    geometry: HeadGeometry,
    options: SetOptions,
) -> list[PlannedSet]:
    """Every set of one cell: single heads, then each tested set with its controls behind it."""
    planned = list(single_sets(geometry))
    for tested in tested_sets(orders, question, questions, options):
        planned.append(tested)
        at_claim = tested.k == options.claim_k and tested.condition in options.controls_at_claim
        if at_claim or tested.condition in options.controls_at_every_k:
            planned += control_sets(tested, geometry, options)
    return planned
