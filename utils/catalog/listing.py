"""From every head's scores to the heads that a role lists. No torch: the check of catalogs uses it too."""

from collections.abc import Mapping, Sequence

from utils.catalog.catalog import DECIMALS
from utils.heads import Head
from utils.roles.registry import MAX_HEADS, MAX_PER_LAYER

Table = Sequence[Sequence[float]]
ScoredHead = tuple[Head, float]


def top_heads(scores: Table, threshold: float, lower_threshold: float) -> list[ScoredHead]:
    """The heads that a role lists, best first: at most 8, and not all of one layer if others come near.

    Heads at or above `threshold` are taken, at most 5 of one layer. Where a layer had more than that, the
    best heads of other layers at or above `lower_threshold` come next, and what is then still free goes to
    the heads held back.

    Args:
        scores: [layer][head].
        threshold: the role's.
        lower_threshold: the role's.
    """
    per_layer = [0] * len(scores)
    listed: list[ScoredHead] = []
    held_back: list[ScoredHead] = []
    for head, score in _best_first(scores):
        if score >= threshold and per_layer[head.layer] == MAX_PER_LAYER:
            held_back.append((head, score))
        elif score >= threshold or (held_back and lower_threshold <= score):
            if per_layer[head.layer] < MAX_PER_LAYER:
                per_layer[head.layer] += 1
                listed.append((head, score))
    chosen = (listed + held_back)[:MAX_HEADS]
    return sorted(chosen, key=_rank)


def other_heads(scores: Mapping[str, Table], thresholds: Mapping[str, float]) -> list[ScoredHead]:
    """The heads whose every score is below its role's threshold, the nearest to a role first; all of them.

    The number beside a head is the largest of its scores, each as a share of its role's threshold: how near
    it comes to having a role; always below 1.

    Args:
        scores: [layer][head] for each role.
        thresholds: for each role.
    """
    tables = [
        [[score / thresholds[role] for score in row] for row in table] for role, table in scores.items()
    ]
    nearest = [[max(shares) for shares in zip(*rows, strict=True)] for rows in zip(*tables, strict=True)]
    # Rounding must not turn 0.9999999 into 1.
    most = 1 - 10**-DECIMALS
    heads = [(head, min(round(share, DECIMALS), most)) for head, share in _best_first(nearest) if share < 1]
    return sorted(heads, key=_rank)


def _best_first(table: Table) -> list[ScoredHead]:
    heads = [(Head(layer, head), score) for layer, row in enumerate(table) for head, score in enumerate(row)]
    return sorted(heads, key=_rank)


def _rank(entry: ScoredHead) -> tuple[float, Head]:
    head, score = entry
    return -score, head
