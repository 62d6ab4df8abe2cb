"""Words for a sentence: an excerpt of a text, a list of names."""

from collections.abc import Sequence

_EXCERPT = 40


def excerpt(text: str, most: int = _EXCERPT) -> str:
    """The beginning of a text, `most` characters, in quotation marks, what cannot be seen made visible."""
    shown = "".join(character if character.isprintable() else "�" for character in text[:most])
    return f"“{shown}{'…' if len(text) > most else ''}”"


def listed(names: Sequence[str]) -> str:
    """Names with commas and an "and"."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
