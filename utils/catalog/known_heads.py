"""Heads that the literature names, by model: a comparison for a catalog, not a part of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from utils.heads import Head, parse_head


@dataclass(frozen=True)
class KnownHeads:
    """What papers say about one model's heads.

    Attributes:
        heads: by role key.
        sources: where they are named.
    """

    heads: Mapping[str, tuple[Head, ...]]
    sources: str


def _heads(names: str) -> tuple[Head, ...]:
    return tuple(parse_head(name) for name in names.split())


KNOWN_HEADS: Mapping[str, KnownHeads] = MappingProxyType(
    {
        "gpt2": KnownHeads(
            {
                "previous_token": _heads("L4H11"),
                "induction": _heads("L5H1 L5H5 L6H9 L7H2 L7H10"),
                "duplicate_token": _heads("L0H1 L0H10 L3H0"),
            },
            "Wang et al. 2022, Interpretability in the Wild (previous-token, duplicate-token and induction "
            "heads of GPT-2 small); Olsson et al. 2022, In-context Learning and Induction Heads (what such "
            "heads are).",
        ),
    }
)
