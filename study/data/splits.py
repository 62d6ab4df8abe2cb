"""Which samples heads are ranked on, and which they are ablated on (docs/METHODS.md, section 4)."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.filings.generated import Sample
from retrieval.filings.grading import normalise
from utils.errors import UserFacingError

TRAIN_SHARE = 0.8
SEED = 42


@dataclass(frozen=True)
class Split:
    """Two parts of one question's samples that have none in common, each in the order that was given.

    Attributes:
        train: for ranking heads.
        test: for ablating them.
        train_share: how large the first was to be.
        seed: of the draw.
    """

    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    train_share: float = TRAIN_SHARE
    seed: int = SEED

    def record(self) -> dict[str, Any]:
        """What is kept of it: seed, share and the samples' keys."""
        return {
            "seed": self.seed,
            "train_share": self.train_share,
            "train": [sample.key for sample in self.train],
            "test": [sample.key for sample in self.test],
        }


def split(samples: Sequence[Sample], train_share: float = TRAIN_SHARE, seed: int = SEED) -> Split:
    """Divide one question's samples, every answer in the same proportion as far as whole samples allow.

    Each answer has its share rounded down in the train part; the places left go to the answers that lost most
    by rounding, in an order that is drawn. So answers that all differ are divided at random.

    Args:
        samples: two or more, of one question.
        train_share: the train part's share of all, between 0 and 1; both parts get at least one sample.
        seed: the same seed gives the same parts, whatever the order of the samples.

    Raises:
        UserFacingError: fewer than two samples.
        ValueError: a share outside (0, 1), samples of several questions, or two samples with one key.
    """
    if not 0 < train_share < 1:
        raise ValueError(f"train_share must be between 0 and 1. Got {train_share}.")
    if len(samples) < 2:
        what = f"The question {samples[0].task} has one sample" if samples else "There are no samples"
        raise UserFacingError(
            f"{what}, and a split needs two.", "Take more filings, or leave the question out."
        )
    by_key = {sample.key: sample for sample in samples}
    if len(by_key) != len(samples) or "" in by_key:
        raise ValueError("every sample needs a key of its own.")
    if len({sample.task for sample in samples}) > 1:
        raise ValueError("samples must be of one question.")
    rng = random.Random(f"split-{seed}")
    strata: dict[str, list[str]] = defaultdict(list)
    for key in sorted(by_key):
        strata[normalise(by_key[key].answer)].append(key)
    chosen: set[str] = set()
    leftovers: list[tuple[float, float, str]] = []
    for answer in sorted(strata):
        keys = strata[answer]
        rng.shuffle(keys)
        whole = int(train_share * len(keys) + 1e-9)
        chosen.update(keys[:whole])
        if (rest := train_share * len(keys) - whole) > 1e-9:
            leftovers.append((-rest, rng.random(), keys[whole]))
    wanted = min(max(round(train_share * len(samples)), 1), len(samples) - 1)
    chosen.update(key for _, _, key in sorted(leftovers)[: max(0, wanted - len(chosen))])
    return Split(
        tuple(sample for sample in samples if sample.key in chosen),
        tuple(sample for sample in samples if sample.key not in chosen),
        train_share,
        seed,
    )
