"""Words for a sentence: an excerpt of a text, a list of names."""

from collections.abc import Sequence

_EXCERPT = 40


def excerpt(text: str) -> str:
    """The beginning of a text in quotation marks, what cannot be seen made visible."""
    shown = "".join(character if character.isprintable() else "�" for character in text[:_EXCERPT])
    return f"“{shown}{'…' if len(text) > _EXCERPT else ''}”"


def listed(names: Sequence[str]) -> str:
    """Names with commas and an "and"."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
