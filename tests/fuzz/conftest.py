"""How much is tried: a sample in the suite, everything with `HEADSCOPE_FUZZ=full` (CONTRIBUTING.md)."""

import os
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def amount() -> Callable[[int, int], int]:
    """``amount(few, all)``: how many are to be tried."""
    full = os.environ.get("HEADSCOPE_FUZZ") == "full"
    return lambda few, everything: everything if full else few
