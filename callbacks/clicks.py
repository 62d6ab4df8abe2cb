"""Which touches count as clicks: a button that has just been drawn counts as a change of its n_clicks too."""

from dash import ctx


def clicked() -> bool:
    """Whether what called this callback has a value; of buttons only a click has one."""
    return any(part["value"] for part in ctx.triggered)


def only_drawn(*kinds: str) -> bool:
    """Whether a button that has just been drawn is all that called this callback.

    Args:
        *kinds: the "type" in the ids of its buttons.
    """
    trigger = ctx.triggered_id
    return isinstance(trigger, dict) and trigger["type"] in kinds and not clicked()
