"""One prompt's ranking of the heads beside the same method's ranking over many prompts, from the catalog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from utils.catalog import Catalog
from utils.errors import UserFacingError
from utils.heads import Head, parse_head

# Two rankings are compared by their order and by the heads at their top.
TOP_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class CatalogRanking:
    """A method's ranking over the catalog's questions and lengths.

    Attributes:
        scores: mean over the records [layer, head].
        records: how many there are.
        questions: of which they are, in order, each once.
        samples: how many samples count in them together.
    """

    scores: Tensor
    records: int
    questions: tuple[str, ...]
    samples: int


@dataclass(frozen=True)
class Agreement:
    """How alike two rankings are.

    Attributes:
        correlation: Spearman's rank correlation over all heads; None where one of them ties all heads.
        top: how many heads count as the top.
        shared: how many of them both have.
        by_chance: how many two random rankings would share on average.
    """

    correlation: float | None
    top: int
    shared: int
    by_chance: float


def rank_order(scores: Tensor) -> list[Head]:
    """All heads, the best first; heads that tie stand in order of layer and head.

    Args:
        scores: [layer, head].
    """
    order = scores.flatten().argsort(descending=True, stable=True).tolist()
    return [Head(*divmod(place, scores.shape[1])) for place in order]


def scored_heads(scores: Tensor) -> int:
    """How many heads have a score above 0: from there on a ranking orders nothing."""
    return int((scores > 0).sum())


def catalog_ranking(catalog: Catalog | None, method: str) -> CatalogRanking | None:
    """The mean of a method's records in the catalog; None where it has none that can be read."""
    if catalog is None:
        return None
    tables, questions, samples = [], [], 0
    for record in catalog.rankings.get(method, ()):
        table = _table(record, catalog.num_layers, catalog.num_heads)
        counted = record.get("successful_samples")
        # Where no sample counted all heads have 0, which says nothing.
        if table is None or not isinstance(counted, int) or counted == 0:
            continue
        tables.append(table)
        questions.append(str(record.get("question", "")))
        samples += counted
    if not tables:
        return None
    mean = torch.stack(tables).mean(0)
    return CatalogRanking(mean, len(tables), tuple(dict.fromkeys(questions)), samples)


def _table(record: Mapping[str, Any], layers: int, heads: int) -> Tensor | None:
    """A record's scores [layer, head]; None where it does not score each head of the model."""
    table = torch.full((layers, heads), torch.nan, dtype=torch.float64)
    rows = record.get("head_rankings")
    if not isinstance(rows, Sequence):
        return None
    for row in rows:
        try:
            head = parse_head(str(row["head"]))
            table[head.layer, head.head] = float(row["score"])
        except (UserFacingError, IndexError, KeyError, TypeError, ValueError):
            return None
    return None if bool(table.isnan().any()) else table


def agreement(one: Tensor, other: Tensor) -> Agreement:
    """Compare two rankings of the same heads.

    Args:
        one: scores [layer, head].
        other: the other's.
    """
    total = one.numel()
    top = max(1, round(TOP_SHARE * total))
    shared = len(set(rank_order(one)[:top]) & set(rank_order(other)[:top]))
    return Agreement(_spearman(one.flatten(), other.flatten()), top, shared, top * top / total)


def _spearman(one: Tensor, other: Tensor) -> float | None:
    """Pearson's correlation of the ranks; heads that tie share the mean of their ranks."""
    ranks = torch.stack([_ranks(one), _ranks(other)])
    centred = ranks - ranks.mean(1, keepdim=True)
    spread = centred.norm(dim=1)
    return None if bool((spread == 0).any()) else float((centred[0] * centred[1]).sum() / spread.prod())


def _ranks(values: Tensor) -> Tensor:
    _, place, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count.double() - 1) / 2)[place]
