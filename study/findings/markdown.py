"""The parts that FINDINGS.md is put together from."""

from collections.abc import Sequence
from dataclasses import dataclass

# The share of 95% intervals that leave 0 out though nothing is there.
FALSE_POSITIVE_RATE = 0.05


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        title: its heading.
        lines: Markdown, a line each.
        short: its answer in a sentence or two, for the head of the file.
    """

    title: str
    lines: tuple[str, ...]
    short: str


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table between empty lines; "|" in a cell is escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
    return [
        "",
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines),
        "",
    ]
