"""`scripts/run_study.py compare FILE...`: rankings' top heads and how alike they are, in plain text."""

from collections.abc import Callable, Collection, Sequence
from typing import TextIO

from retrieval.rankings.overlap import (
    chance_depth_distance,
    chance_jaccard,
    depth_distance,
    jaccard,
    layer_counts,
    relative_depths,
    top_size,
)
from retrieval.rankings.published import PublishedRanking, read_named
from utils.heads import Head

# Heads that are listed by name.
LISTED = 20


def run(files: Sequence[str], out: TextIO) -> int:
    """Print the rankings, their overlaps and their counts by layer.

    Args:
        files: files of any shape that `published` knows, and names of published models in their place.
        out: where the tables go.

    Returns:
        The command's exit status: 0.

    Raises:
        UserFacingError: a file holds no ranking, or a name is none.
    """
    rankings = read_named(files)
    out.write("\n".join(report(rankings)) + "\n")
    return 0


def report(rankings: Sequence[PublishedRanking]) -> list[str]:
    """The lines of the comparison."""
    lines = ["Rankings", ""]
    for number, ranking in enumerate(rankings, start=1):
        lines.append(f"{number:>3}  {ranking.name}: {_about(ranking)}")
    lines += ["", "Sources", ""]
    lines += [f"     {source}" for source in dict.fromkeys(ranking.source for ranking in rankings)]
    lines += _tops(rankings)
    lines += _in_common(rankings)
    lines += _by_name(rankings)
    lines += _by_depth(rankings)
    lines += ["", "Heads by layer", ""]
    for number, ranking in enumerate(rankings, start=1):
        counts = layer_counts(top(ranking))
        message = ", ".join(f"layer {layer}: {count}" for layer, count in counts.items())
        lines.append(f"{number:>3}  {message}")
    return lines


def top(ranking: PublishedRanking) -> tuple[Head, ...]:
    """The heads that are compared: top min(50, 20% of the model's heads), or as many as are known."""
    if ranking.shape is None:
        return ranking.heads[:50]
    return ranking.heads[: top_size(ranking.shape[0] * ranking.shape[1])]


def shared_top(one: PublishedRanking, other: PublishedRanking) -> int:
    """How many heads of each are compared by name: as many as both lists have."""
    return min(len(top(one)), len(top(other)))


def by_name(one: PublishedRanking, other: PublishedRanking) -> tuple[float, float | None] | None:
    """Jaccard overlap of two rankings' top heads, and its chance value (None where the shape is not known).

    None for models of unlike shape, and where neither shape nor model says that the heads are the same ones.
    """
    same_model = bool(one.model) and one.model == other.model
    if one.shape != other.shape or (one.shape is None and not same_model):
        return None
    k = shared_top(one, other)
    chance = chance_jaccard(one.shape[0] * one.shape[1], k) if one.shape else None
    return jaccard(one.heads[:k], other.heads[:k]), chance


def by_depth(one: PublishedRanking, other: PublishedRanking) -> tuple[float, float] | None:
    """Distance in depth of two rankings' top heads, and that of random heads; None without both shapes."""
    if one.shape is None or other.shape is None:
        return None
    first, second = top(one), top(other)
    distance = depth_distance(relative_depths(first, one.shape[0]), relative_depths(second, other.shape[0]))
    return distance, chance_depth_distance(one.shape, len(first), other.shape, len(second))


def _about(ranking: PublishedRanking) -> str:
    heads = len(ranking.heads)
    parts = [f"{heads} heads ranked" if heads != 1 else "1 head ranked"]
    if ranking.shape:
        layers, width = ranking.shape
        depths = relative_depths(top(ranking), layers)
        parts.append(f"model of {layers} layers of {width} heads")
        parts.append(f"top {len(depths)} at mean relative depth {sum(depths) / len(depths):.2f}")
    else:
        parts.append(f"shape of the model not known, top {len(top(ranking))} compared")
    if ranking.share_at_least is not None:
        parts.append(f"{ranking.share_at_least:.1%} of all heads score at least 0.1")
    return ", ".join(parts)


def _tops(rankings: Sequence[PublishedRanking]) -> list[str]:
    """The first heads of each ranking with their scores, rank by rank, rankings side by side."""
    wide = 16
    lines = ["", f"Top {LISTED} heads with their scores; * in the tops of all", ""]
    lines.append(" " * 5 + "".join(f"{number:>{wide}}" for number in range(1, len(rankings) + 1)))
    everywhere = in_common(rankings)
    for rank in range(min(LISTED, max(len(ranking.heads) for ranking in rankings))):
        cells = (_entry(ranking, rank, everywhere) for ranking in rankings)
        lines.append(f"{rank + 1:>3}  " + "".join(f"{cell:>{wide}}" for cell in cells).rstrip())
    return lines


def _entry(ranking: PublishedRanking, rank: int, everywhere: Collection[Head]) -> str:
    if rank >= len(ranking.heads):
        return "–"
    head = ranking.heads[rank]
    score = "" if ranking.scores is None else f" {ranking.scores[rank]:.3f}"
    return f"{head}{score}{'*' if head in everywhere else ' '}"


def in_common(rankings: Sequence[PublishedRanking]) -> list[Head]:
    """The heads in the compared tops of all rankings, by mean rank; none for heads that are not the same."""
    first, *others = rankings
    if not others or any(by_name(first, other) is None for other in others):
        return []
    tops = [top(ranking) for ranking in rankings]
    shared = set.intersection(*map(set, tops))
    return sorted(shared, key=lambda head: (sum(heads.index(head) for heads in tops), head))


def _in_common(rankings: Sequence[PublishedRanking]) -> list[str]:
    if len(rankings) < 2:
        return []
    found = in_common(rankings)
    if not found and any(by_name(rankings[0], other) is None for other in rankings[1:]):
        return []
    what = f"In the tops of all {len(rankings)}: {len(found)} heads, by mean rank"
    lines = ["", f"{what}, with rank and score in each", ""]
    for head in found:
        cells = []
        for ranking in rankings:
            rank = ranking.heads.index(head)
            score = "" if ranking.scores is None else f" {ranking.scores[rank]:.3f}"
            cells.append(f"{f'#{rank + 1}{score}':>16}")
        lines.append(f"{head!s:>8}" + "".join(cells))
    return lines


def _by_name(rankings: Sequence[PublishedRanking]) -> list[str]:
    pairs = [(one, other) for i, one in enumerate(rankings) for other in rankings[i + 1 :]]
    if not any(by_name(one, other) for one, other in pairs):
        return []

    def cell(one: PublishedRanking, other: PublishedRanking) -> str:
        found = by_name(one, other)
        if found is None:
            return "–"
        return f"{found[0]:.2f} ({'?' if found[1] is None else f'{found[1]:.2f}'})"

    return [
        "",
        "Heads in common (Jaccard), in brackets what two random sets would have",
        "Top min(50, 20% of the heads), fewer where a list is shorter; – models of unlike or unknown shape.",
        "Models of one shape but not of one descent have no heads in common but by chance.",
        "",
        *_matrix(rankings, cell, same="1"),
    ]


def _by_depth(rankings: Sequence[PublishedRanking]) -> list[str]:
    pairs = [(one, other) for i, one in enumerate(rankings) for other in rankings[i + 1 :]]
    if not any(one.shape != other.shape and by_depth(one, other) for one, other in pairs):
        if any(by_name(one, other) is None for one, other in pairs):
            return ["", "Not all pairs can be compared: the shape of a model is not known."]
        return []

    def cell(one: PublishedRanking, other: PublishedRanking) -> str:
        found = by_depth(one, other)
        return f"{found[0]:.2f} ({found[1]:.2f})" if found else "–"

    return [
        "",
        "Distance in relative depth of the top heads (0 alike, 1 first against last layer),",
        "in brackets that of random heads",
        "",
        *_matrix(rankings, cell, same="0"),
    ]


def _matrix(
    rankings: Sequence[PublishedRanking],
    cell: Callable[[PublishedRanking, PublishedRanking], str],
    same: str,
) -> list[str]:
    """A table of all pairs, rankings by their numbers."""
    wide = 13
    lines = [" " * 5 + "".join(f"{number:>{wide}}" for number in range(1, len(rankings) + 1))]
    for number, one in enumerate(rankings):
        cells = [*[""] * number, same, *(cell(one, other) for other in rankings[number + 1 :])]
        lines.append(f"{number + 1:>3}  " + "".join(f"{text:>{wide}}" for text in cells))
    return lines
