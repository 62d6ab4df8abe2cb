"""Which touches count as clicks: a button that has just been drawn counts as a change of its n_clicks too."""

import json
from typing import Any

from dash import ctx


def clicked() -> bool:
    """Whether what called this callback has a value; of buttons only a click has one."""
    return any(_value(part) for part in ctx.triggered)


def _value(part: dict[str, Any]) -> Any:
    """The value of a part of `ctx.triggered`.

    Dash looks it up by the browser's writing of the id among its own writings, in which letters beyond ASCII
    are escaped: a button with the name of such a model in its id would never seem to be clicked.
    """
    key, _, prop = part["prop_id"].rpartition(".")
    if not key.startswith("{"):
        return part["value"]
    own = json.dumps(json.loads(key), sort_keys=True, separators=(",", ":"))
    return ctx.inputs.get(f"{own}.{prop}")


def only_drawn(*kinds: str) -> bool:
    """Whether a button that has just been drawn is all that called this callback.

    Args:
        *kinds: the "type" in the ids of its buttons.
    """
    trigger = ctx.triggered_id
    return isinstance(trigger, dict) and trigger["type"] in kinds and not clicked()
