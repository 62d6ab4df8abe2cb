"""Names of attention heads: L5H5, counted from 0."""

import re
from typing import NamedTuple

from utils.errors import UserFacingError

_HEAD = re.compile(r"\s*[Ll]?(\d{1,4})(?:[.:]|-?[Hh])(\d{1,4})\s*")


class Head(NamedTuple):
    """One attention head (a query head where keys and values are shared), layer and head from 0."""

    layer: int
    head: int

    def __str__(self) -> str:
        """The head as the field writes it, for example L5H5."""
        return f"L{self.layer}H{self.head}"


def parse_head(text: str) -> Head:
    """Read a head written as L5H5, L5-H5, 5.5 or 5:5.

    Raises:
        UserFacingError: the text is none of these.
    """
    match = _HEAD.fullmatch(text)
    if match is None:
        raise UserFacingError(
            f"'{text[:40]}' is not the name of a head.", "Write layer and head from 0, for example L5H5."
        )
    return Head(int(match[1]), int(match[2]))


def file_name(model: str) -> str:
    """A model's name as part of a file's name."""
    return model.replace("/", "--")
