"""A model's retrieval rankings as its catalog has them, and what they say about one head.

The catalog holds one record per method, question and length (docs/METHODS.md, section 3). Here a method's
scores are their mean over these, and heads are ordered by that mean. Nothing of it is measured on the prompt
that is shown.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from cachetools import LRUCache
from torch import Tensor

from utils.catalog.catalog import Catalog
from utils.catalog.ranking_record import CONTROLS
from utils.errors import UserFacingError
from utils.heads import Head, parse_head

# A head is called a retrieval head where it is among this share of all heads by this method. QRHead asks for
# what the question adds, so that a head which looks at such sentences whatever is asked is none.
RETRIEVAL_METHOD = "qrhead"
RETRIEVAL_SHARE = 0.1
_MAX_CACHED = 16


@dataclass(frozen=True, eq=False)
class CatalogRanking:
    """A method's ranking over the catalog's questions and lengths.

    Attributes:
        scores: mean over the records [layer, head].
        order: all heads, the best first.
        records: how many records there are.
        questions: of which they are, in order, each once.
        samples: how many samples count in them together.
        control: mean of what the scores are to be measured against: the needle's share of the prompt (summed
            attention), or what looking at the last five tokens alike would score (reasoning); None for the
            others.
    """

    scores: Tensor
    order: tuple[Head, ...]
    records: int
    questions: tuple[str, ...]
    samples: int
    control: float | None


@dataclass(frozen=True)
class RetrievalFact:
    """What one method's ranking says about one head.

    Attributes:
        method: its key.
        rank: the head's place, from 1.
        total: of how many heads.
        score: its mean score.
        median: that of the head in the middle.
        control: as in `CatalogRanking`.
    """

    method: str
    rank: int
    total: int
    score: float
    median: float
    control: float | None


def rank_order(scores: Tensor) -> list[Head]:
    """All heads, the best first; heads that tie stand in order of layer and head.

    Args:
        scores: [layer, head].
    """
    order = scores.flatten().argsort(descending=True, stable=True).tolist()
    return [Head(*divmod(position, scores.shape[1])) for position in order]


# Reading a large model's records takes a moment, and each click on a head asks. Each entry holds its catalog,
# so that no other can come to have its id.
_cached: LRUCache[int, tuple[Catalog, Mapping[str, CatalogRanking]]] = LRUCache(_MAX_CACHED)
_guard = threading.Lock()


def catalog_rankings(catalog: Catalog | None) -> Mapping[str, CatalogRanking]:
    """The rankings that a catalog has and that can be read, by method; none without a catalog."""
    if catalog is None:
        return {}
    with _guard:
        cached = _cached.get(id(catalog))
    if cached is None:
        found = {method: _mean(catalog, method) for method in catalog.rankings}
        cached = catalog, {method: ranking for method, ranking in found.items() if ranking is not None}
        with _guard:
            _cached[id(catalog)] = cached
    return cached[1]


def retrieval_facts(catalog: Catalog | None, head: Head) -> list[RetrievalFact]:
    """What each method's ranking says about a head of the model, in the order of the catalog."""
    return [
        RetrievalFact(
            method,
            ranking.order.index(head) + 1,
            len(ranking.order),
            float(ranking.scores[head.layer, head.head]),
            float(ranking.scores.median()),
            ranking.control,
        )
        for method, ranking in catalog_rankings(catalog).items()
    ]


def retrieval_heads(catalog: Catalog | None) -> tuple[Head, ...]:
    """The heads that are called retrieval heads, the best first; those without a score above 0 are none."""
    ranking = catalog_rankings(catalog).get(RETRIEVAL_METHOD)
    if ranking is None:
        return ()
    first = ranking.order[: max(1, round(RETRIEVAL_SHARE * len(ranking.order)))]
    return tuple(head for head in first if ranking.scores[head.layer, head.head] > 0)


def _mean(catalog: Catalog, method: str) -> CatalogRanking | None:
    tables, questions, controls, samples = [], [], [], 0
    for record in catalog.rankings.get(method, ()):
        table = _table(record, catalog.num_layers, catalog.num_heads)
        counted = record.get("successful_samples")
        # Where no sample counted all heads have 0, which says nothing.
        if table is None or not isinstance(counted, int) or counted == 0:
            continue
        tables.append(table)
        questions.append(str(record.get("question", "")))
        control = next((record[name] for name in CONTROLS if name in record), None)
        controls += [control] if isinstance(control, int | float) else []
        samples += counted
    if not tables:
        return None
    mean = torch.stack(tables).mean(0)
    control = sum(controls) / len(controls) if controls else None
    return CatalogRanking(
        mean, tuple(rank_order(mean)), len(tables), tuple(dict.fromkeys(questions)), samples, control
    )


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
