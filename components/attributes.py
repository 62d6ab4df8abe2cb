"""HTML attributes whose names are no Python names."""

from typing import Any


def aria(**values: Any) -> dict[str, Any]:
    """`aria(label="Prompt")` is `{"aria-label": "Prompt"}`, to be unpacked into a component."""
    return {f"aria-{name}": value for name, value in values.items()}


def data(**values: Any) -> dict[str, Any]:
    """`data(head="L1H2")` is `{"data-head": "L1H2"}`, to be unpacked into a component."""
    return {f"data-{name}": value for name, value in values.items()}
