"""Ranking records: made from the scores of many samples, written, and read back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from retrieval.rankings.methods import METHODS
from utils.catalog.catalog import DECIMALS
from utils.catalog.ranking_record import TOP_HEADS, RankedHead, RankingRecord
from utils.errors import UserFacingError
from utils.heads import Head
from utils.runtime.files import defer_signals, write_json_atomic
from utils.runtime.json_output import to_json
from utils.runtime.validation import what_is_wrong

__all__ = ["HeadStatistics", "RankingRecord", "load_ranking", "make_record", "save_ranking", "statistics_of"]


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """What the samples' scores came to, each [layer, head].

    Attributes:
        mean: over the samples that count; 0 where none does.
        std: standard deviation over them (of the whole, not of a sample of more).
        count: how many they are.
        max: the largest of them.
    """

    mean: Tensor
    std: Tensor
    count: Tensor
    max: Tensor


def statistics_of(scores: Tensor, only_positive: bool = False) -> HeadStatistics:
    """Mean, standard deviation, count and maximum of each head's scores.

    Args:
        scores: of the samples that count [sample, layer, head], zeros among them.
        only_positive: leave out, head by head, the samples in which it did not score.
    """
    scores = scores.double()
    counts = scores > 0 if only_positive else torch.ones_like(scores, dtype=torch.bool)
    count = counts.sum(0)
    some = count.clamp(min=1)
    mean = scores.where(counts, 0).sum(0) / some
    std = ((scores - mean) ** 2).where(counts, 0).sum(0).div(some).sqrt()
    least = scores.where(counts, -torch.inf)
    largest = least.amax(0) if len(scores) else torch.zeros_like(mean)
    return HeadStatistics(mean, std, count, largest.where(count > 0, 0))


def make_record(statistics: HeadStatistics, about: Mapping[str, Any]) -> RankingRecord:
    """A record of these statistics; heads that tie in the numbers as written stand by layer and head.

    Args:
        statistics: each head's.
        about: the record's other fields, as plain data.
    """
    # The order is that of the numbers that the file holds, so that the two cannot contradict each other.
    tables = {
        name: table.double().round(decimals=DECIMALS).add(0.0).tolist()
        for name, table in (("mean", statistics.mean), ("std", statistics.std), ("max", statistics.max))
    }
    layers, heads = statistics.mean.shape
    order = sorted(
        (Head(layer, head) for layer in range(layers) for head in range(heads)),
        key=lambda head: (-tables["mean"][head.layer][head.head], head),
    )
    ranked = [
        RankedHead(
            head=str(head),
            score=tables["mean"][head.layer][head.head],
            rank=rank,
            std=tables["std"][head.layer][head.head],
            count=int(statistics.count[head]),
            max=tables["max"][head.layer][head.head],
        )
        for rank, head in enumerate(order, start=1)
    ]
    top = [entry.head for entry in ranked[:TOP_HEADS]]
    return RankingRecord(**about, head_rankings=ranked, top_50_heads=top)


def as_json(record: RankingRecord) -> dict[str, Any]:
    """The record as plain JSON data; fields that its method does not have are left out."""
    data: Any = to_json(record.model_dump(mode="json", exclude_none=True))
    return data


def save_ranking(record: RankingRecord, path: Path) -> None:
    """Write a record, whole or not at all; the folder is made where it is missing.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with defer_signals():
        write_json_atomic(path, as_json(record))


def load_ranking(path: Path) -> RankingRecord:
    """Read and check a record.

    Raises:
        UserFacingError: the file cannot be read, or does not hold a ranking.
    """
    remedy = "Rank the heads again: python scripts/run_study.py rank"
    try:
        record = RankingRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserFacingError(f"The ranking {path.name} cannot be read ({reason}).", remedy) from error
    except ValidationError as error:
        raise UserFacingError(
            f"The ranking {path.name} is damaged ({what_is_wrong(error)}).", remedy
        ) from error
    if record.method not in METHODS:
        known = ", ".join(METHODS)
        problem = f"method: method must be one of {known}. Got {record.method!r}"
        raise UserFacingError(f"The ranking {path.name} is damaged ({problem}).", remedy)
    return record
