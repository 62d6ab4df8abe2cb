"""The one way from results to JSON: no NaN, no infinity, numbers rounded, nothing that JSON cannot hold."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from utils.heads import Head

# Scores are probabilities; more places than this only differ between machines.
DECIMALS = 6
# A number smaller than this keeps so many significant digits instead: 0.0000012 is not 0.000001.
SMALL = 1e-3
SMALL_DIGITS = 3

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def to_json(value: Any, decimals: int = DECIMALS) -> Json:
    """`value` as plain JSON data; the same value gives the same data.

    Tensors and sequences become lists, sets sorted lists, dataclasses objects with their fields, heads their
    names ("L5H5"), a key of a mapping a string. A number that is none (NaN, infinity) becomes null.

    Args:
        value: what to write.
        decimals: places that a number keeps; one below `SMALL` keeps `SMALL_DIGITS` significant digits.

    Raises:
        TypeError: something in it is nothing that JSON has, such as a path or a function.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return _rounded(value, decimals)
    if isinstance(value, Tensor):
        return to_json(value.detach().cpu().tolist(), decimals)
    if isinstance(value, Head):  # a tuple too, so it comes before sequences
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name), decimals) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_key(key): to_json(item, decimals) for key, item in value.items()}
    if isinstance(value, Set):
        return [to_json(item, decimals) for item in sorted(value)]
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [to_json(item, decimals) for item in value]
    raise TypeError(f"JSON has no place for a {type(value).__name__}.")


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, Head | int) and not isinstance(key, bool):
        return str(key)
    raise TypeError(f"a key must be a string, a number or a head. Got a {type(key).__name__}.")


def _rounded(value: float, decimals: int) -> float | None:
    if not math.isfinite(value):
        return None
    if abs(value) < SMALL:
        return float(f"{value:.{SMALL_DIGITS}g}") + 0.0  # no -0.0
    return round(value, decimals)
