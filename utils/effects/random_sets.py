"""This set of heads against random sets of the same size (docs/METHODS.md, section 4).

A set of heads is special only if switching off as many others does less. One random set says little, since
draws differ widely: the result is always a mean with its interval over the draws.
"""

import random
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import torch

from utils.effects.ablated_batches import ablated_values
from utils.effects.effect_map import predict
from utils.effects.measures import MEASURES, MeasureKey
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMethod, check_heads, check_mode
from utils.heads import Head
from utils.models.families import HeadGeometry
from utils.models.loading import LoadedModel
from utils.runtime.jobs import Progress

# "uniform": from all other heads; "layer-matched": as many from each layer as the tested set has.
SetKind = Literal["uniform", "layer-matched"]
KINDS: tuple[SetKind, ...] = get_args(SetKind)
DRAWS = 20
MAX_DRAWS = 100
# How often a set that has come up before is drawn again.
TRIES = 50
# The interval over draws holds the middle 95% of them.
INTERVAL = (0.025, 0.975)
# From fewer different sets neither an interval nor a share is given: a twentieth of them is no set at all.
MIN_DISTINCT = 20
WHAT = "ablating random sets of heads"


@dataclass(frozen=True)
class RandomSets:
    """Random sets of heads of one size.

    Attributes:
        sets: the draws, each sorted; the same set may come up twice where few are possible.
        moved: how many heads of each set come from another layer than they should, because in theirs too few
            heads are left beside the tested ones; 0 for the uniform kind.
    """

    sets: tuple[tuple[Head, ...], ...]
    moved: int

    @property
    def distinct(self) -> int:
        """How many of the sets differ from each other."""
        return len(set(self.sets))

    @property
    def caveat(self) -> str:
        """What a reader of the result should know about the draws, "" where there is nothing."""
        said = []
        if self.moved:
            some = "1 head" if self.moved == 1 else f"{self.moved} heads"
            said.append(
                f"Too few other heads are left in the same layers: {some} of each random set "
                f"{'comes' if self.moved == 1 else 'come'} from the nearest layer."
            )
        if self.distinct < len(self.sets):
            different = "only one set" if self.distinct == 1 else f"only {self.distinct} different sets"
            said.append(f"{len(self.sets)} draws gave {different}, since there are few to choose from.")
        return " ".join(said)


@dataclass(frozen=True)
class Contrast:
    """The tested set's effect beside that of the random sets, in one measure.

    Effects are with the heads ablated minus clean; for "kl" the divergence itself.

    Attributes:
        measure: a key of `effect_measures.MEASURES`.
        tested: the tested set's effect.
        draws: each random set's effect, in order of the draws.
        mean: of the draws.
        median: of the draws.
        least: the smallest of the draws.
        most: the largest.
        low: the 2.5th percentile of the draws (linear between neighbours); None from fewer than
            `MIN_DISTINCT` different sets.
        high: the 97.5th percentile, likewise.
        distinct: how many different sets were drawn.
        as_strong: how many of these have an effect that goes the tested set's way at least as far; all of
            them where the tested set has no effect.
        share_as_strong: the share of draws that have; None from fewer than `MIN_DISTINCT` different sets.
    """

    measure: MeasureKey
    tested: float
    draws: tuple[float, ...]
    mean: float
    median: float
    least: float
    most: float
    low: float | None
    high: float | None
    distinct: int
    as_strong: int
    share_as_strong: float | None


@dataclass(frozen=True)
class RandomComparison:
    """A set of heads against random sets of its size, on one prediction.

    Attributes:
        heads: the tested set, sorted.
        kind: how the random sets were drawn.
        seed: of the draws.
        mode: what was put in the heads' place.
        position: where the prediction is made.
        target: the watched token.
        other: the token that it is compared with in the logit difference.
        clean_probability: of the target with all heads on.
        random: the random sets.
        contrasts: by measure.
    """

    heads: tuple[Head, ...]
    kind: SetKind
    seed: int
    mode: AblationMethod
    position: int
    target: int
    other: int
    clean_probability: float
    random: RandomSets
    contrasts: MappingProxyType[MeasureKey, Contrast]


def draw_sets(
    geometry: HeadGeometry, heads: Collection[Head], kind: SetKind, draws: int = DRAWS, seed: int = 0
) -> RandomSets:
    """Draw random sets of as many heads as `heads`, none of them among `heads`.

    Layer-matched, where a layer has too few heads left, all that it has are taken and the rest comes from the
    nearest layer that has some.

    Args:
        geometry: the model's heads.
        heads: the tested set.
        kind: "uniform" or "layer-matched".
        draws: how many sets, up to `MAX_DRAWS`.
        seed: the same seed gives the same sets.

    Raises:
        UserFacingError: no heads, more than half of the model's heads, no such kind, or a number of draws
            that is not allowed.
    """
    tested = set(heads)
    if kind not in KINDS:
        raise UserFacingError(
            f"'{kind[:40]}' is not a way to draw random heads.", f"Choose one of: {', '.join(KINDS)}."
        )
    if not 1 <= draws <= MAX_DRAWS:
        raise UserFacingError(
            f"{draws} random sets cannot be drawn.", f"Choose a number from 1 to {MAX_DRAWS}."
        )
    if not tested:
        raise UserFacingError("There is no head to compare with random heads.", "Ablate at least one.")
    total = geometry.n_layers * geometry.n_heads
    if 2 * len(tested) > total:
        raise UserFacingError(
            f"{len(tested)} of {total} heads are off, so there are not as many others to compare with.",
            f"Ablate at most {total // 2}.",
        )
    rng = random.Random(f"{kind}-{seed}")
    left = {
        layer: [Head(layer, head) for head in range(geometry.n_heads) if (layer, head) not in tested]
        for layer in range(geometry.n_layers)
    }
    if kind == "uniform":
        everything = [head for heads_of_layer in left.values() for head in heads_of_layer]
        return RandomSets(_drawn(lambda: tuple(sorted(rng.sample(everything, len(tested)))), draws), moved=0)
    wanted = Counter(head.layer for head in tested)
    moved = sum(max(0, count - len(left[layer])) for layer, count in wanted.items())
    return RandomSets(_drawn(lambda: _matched(rng, left, wanted), draws), moved)


def _drawn(draw: Callable[[], tuple[Head, ...]], draws: int) -> tuple[tuple[Head, ...], ...]:
    """So many sets, each another one as long as one is found: a set says nothing new a second time."""
    sets: list[tuple[Head, ...]] = []
    for _ in range(draws):
        one = draw()
        for _ in range(TRIES):
            if one not in sets:
                break
            one = draw()
        sets.append(one)
    return tuple(sets)


def _matched(rng: random.Random, left: dict[int, list[Head]], wanted: Counter[int]) -> tuple[Head, ...]:
    """As many heads of each layer as wanted, the missing ones from the nearest layers that have some left."""
    chosen: list[Head] = []
    missing: list[int] = []
    for layer, count in sorted(wanted.items()):
        chosen += rng.sample(left[layer], min(count, len(left[layer])))
        missing += [layer] * (count - len(left[layer]))
    for layer in missing:
        free = [head for heads in left.values() for head in heads if head not in chosen]
        nearest = min(abs(head.layer - layer) for head in free)
        chosen.append(rng.choice([head for head in free if abs(head.layer - layer) == nearest]))
    return tuple(sorted(chosen))


def contrast(
    measure: MeasureKey, tested: float, draws: Sequence[float], sets: Sequence[Hashable] | None = None
) -> Contrast:
    """Put one effect beside those of random sets; see `Contrast` for the definitions.

    Args:
        measure: of the effects.
        tested: the tested set's.
        draws: each random set's.
        sets: what each draw is, so that one that came up twice is counted as one; None where all differ.
    """
    effects = torch.tensor(list(draws), dtype=torch.float64)
    low, median, high = torch.quantile(
        effects, torch.tensor([INTERVAL[0], 0.5, INTERVAL[1]], dtype=torch.float64)
    ).tolist()
    sign = (tested > 0) - (tested < 0)
    as_strong = sign * effects >= abs(tested)
    of_set = dict(zip(range(len(draws)) if sets is None else sets, as_strong.tolist(), strict=True))
    enough = len(of_set) >= MIN_DISTINCT
    return Contrast(
        measure=measure,
        tested=tested,
        draws=tuple(effects.tolist()),
        mean=float(effects.mean()),
        median=median,
        least=float(effects.min()),
        most=float(effects.max()),
        low=low if enough else None,
        high=high if enough else None,
        distinct=len(of_set),
        as_strong=sum(of_set.values()),
        share_as_strong=float(as_strong.double().mean()) if enough else None,
    )


def compare_with_random(
    loaded: LoadedModel,
    ids: Sequence[int],
    heads: Collection[Head],
    target: int | None = None,
    other: int | None = None,
    position: int | None = None,
    mode: AblationMethod = "zero",
    kind: SetKind = "layer-matched",
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = lambda what, done, total: None,
) -> RandomComparison:
    """Ablate a set of heads, and random sets of its size, and compare what that does to one prediction.

    Args:
        loaded: the model.
        ids: tokens of the prompt, BOS included where the model has one.
        heads: the tested set.
        target: the token to watch; by default the most likely one with all heads on.
        other: the token to compare it with; by default the most likely besides the target.
        position: where the prediction is made, from 0; by default after the last token.
        mode: what is put in the heads' place, in the tested set and in the random ones.
        kind: how the random sets are drawn.
        draws: how many.
        seed: the same seed gives the same sets.
        progress: called after each batch how many sets are done; an exception from it ends the work.

    Raises:
        UserFacingError: as `effect_map.effect_map` and `draw_sets`, or a head that the model does not have.
    """
    check_mode(mode)
    check_heads(heads, loaded.geometry, loaded.name)
    drawn = draw_sets(loaded.geometry, heads, kind, draws, seed)
    asked = predict(loaded, ids, target, other, position)
    tested = tuple(sorted(set(heads)))
    # Where few sets are possible the same one comes up again: each is run once.
    sets = list(dict.fromkeys([tested, *drawn.sets]))
    off = ablated_values(loaded, asked.run, sets, asked.target, asked.other, mode, progress, WHAT)
    contrasts: dict[MeasureKey, Contrast] = {}
    for measure in MEASURES:
        change = (off[measure] - asked.clean[measure]).tolist()
        effect = dict(zip(sets, change, strict=True))
        draws_of = [effect[one] for one in drawn.sets]
        contrasts[measure] = contrast(measure, effect[tested], draws_of, drawn.sets)
    return RandomComparison(
        heads=tested,
        kind=kind,
        seed=seed,
        mode=mode,
        position=asked.run.position,
        target=asked.target,
        other=asked.other,
        clean_probability=float(asked.clean.probability),
        random=drawn,
        contrasts=MappingProxyType(contrasts),
    )
