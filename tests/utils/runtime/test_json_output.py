"""The gate to JSON: whatever goes in, what comes out is JSON, rounded, and the same each time."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from utils.heads import Head
from utils.runtime.json_output import to_json


@dataclass(frozen=True)
class Point:
    head: Head
    score: float
    table: torch.Tensor


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        ("ש </script> \u2028", "ש </script> \u2028"),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (0.123456789, 0.123457),
        (-0.0, 0.0),
        (1234567.891, 1234567.891),
        (0.00000123456, 1.23e-6),
        (-0.0004567, -0.000457),
        (1e-320, 1e-320),
        (Head(1, 2), "L1H2"),
        ((1, 2.5, None), [1, 2.5, None]),
        ({Head(2, 0), Head(0, 3)}, ["L0H3", "L2H0"]),
        (frozenset(), []),
        ({Head(0, 1): 1, "a": {3: math.nan}}, {"L0H1": 1, "a": {"3": None}}),
        (torch.tensor(0.5), 0.5),
        (torch.tensor([[1.0, math.nan], [0.1, math.inf]]), [[1.0, None], [0.1, None]]),
        (torch.tensor([True, False]), [True, False]),
        (torch.tensor([], dtype=torch.float32), []),
        (torch.tensor([0.1], dtype=torch.bfloat16, requires_grad=False), [0.100098]),
        (
            Point(Head(0, 0), math.nan, torch.tensor([1, 2])),
            {"head": "L0H0", "score": None, "table": [1, 2]},
        ),
    ],
)
def test_what_comes_out(value: Any, expected: Any) -> None:
    result = to_json(value)
    assert result == expected and type(result) is type(expected)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert repr(to_json(value)) == repr(result)


def test_zero_has_no_sign() -> None:
    assert str(to_json(-0.0)) == "0.0" and str(to_json(torch.tensor([-0.0]))) == "[0.0]"


def test_the_places_can_be_chosen() -> None:
    assert to_json([0.123456, torch.tensor(0.98765)], decimals=2) == [0.12, 0.99]


@pytest.mark.parametrize(
    "value", [Path("/etc"), b"bytes", object(), Point, {1.5: 1}, {(1, 2): 1}, {True: 1}, lambda: 1, 1j]
)
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        to_json({"deep": [value]} if not isinstance(value, dict) else value)


def test_nothing_is_changed() -> None:
    tensor = torch.tensor([0.123456789, math.nan])
    to_json({"a": tensor})
    assert tensor.isnan().tolist() == [False, True]
