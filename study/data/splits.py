"""Which samples heads are ranked on, and which they are ablated on (docs/METHODS.md, section 4)."""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
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


def company_sides(
    samples: Mapping[str, Sequence[Sample]], train_share: float, seed: int, tries: int = 1000
) -> set[str]:
    """The companies whose filings are for ranking heads, the same ones for all questions.

    Of `tries` seeded draws that one is taken in which every question has most nearly its share for ranking:
    by the counts alone.

    Args:
        samples: by question, each with a company.
        train_share: the share of each question's samples that is for ranking.
        seed: of the draws.
        tries: how many draws.
    """
    counts = {task: Counter(sample.company for sample in some) for task, some in samples.items()}
    companies = sorted({company for count in counts.values() for company in count})
    rng = random.Random(f"companies-{seed}")
    best: tuple[float, set[str]] | None = None
    for _ in range(tries):
        order = rng.sample(companies, len(companies))
        chosen = set(order[: round(train_share * len(companies))])
        off = max(
            abs(sum(count[company] for company in chosen) / count.total() - train_share)
            for count in counts.values()
        )
        if best is None or off < best[0]:
            best = off, chosen
    assert best is not None
    return best[1]


def split_by_company(
    samples: Sequence[Sample], train: Collection[str], train_share: float, seed: int
) -> Split:
    """Divide one question's samples by whose filing each is.

    Args:
        samples: of one question.
        train: the companies whose filings are for ranking.
        train_share: what was aimed at.
        seed: of the draw of companies.

    Raises:
        UserFacingError: all are on one side.
    """
    first = tuple(sample for sample in samples if sample.company in train)
    second = tuple(sample for sample in samples if sample.company not in train)
    if not first or not second:
        raise UserFacingError(
            f"All filings of the question {samples[0].task if samples else ''} are of companies of one side.",
            "Take filings of more companies, or another seed.",
        )
    return Split(first, second, train_share, seed)


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
