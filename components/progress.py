"""A progress bar with what is being done, how much is left, and a button to stop."""

from typing import Any

import dash_bootstrap_components as dbc
from dash import html

from components.attributes import aria
from utils.runtime.jobs import JobView


def time_left(seconds: float | None) -> str:
    """Seconds in words, roughly; "" where nothing can be said."""
    if seconds is None:
        return ""
    if seconds < 5:
        return "a few seconds left"
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} seconds left"
    return f"about {round(seconds / 60)} minutes left"


def progress_view(view: JobView, title: str, cancel: Any) -> html.Div:
    """How far a job is.

    Args:
        view: the job; not one that has ended.
        title: what it is for, "Analyzing demo-gpt2".
        cancel: id of the button that stops it.
    """
    if view.state == "waiting":
        message = f"waiting, {view.before} before you" if view.before else "waiting for other work to end"
    else:
        share = f"{view.done / view.total:.0%}" if view.total else ""
        message = " · ".join(part for part in (view.what, share, time_left(view.seconds_left)) if part)
    # Without a value the browser shows a bar that moves.
    value = {"value": str(view.done), "max": str(view.total)} if view.total else {}
    return html.Div(
        [
            html.Div(
                [
                    html.Strong(title),
                    html.Span(message, className="hs-hint"),
                    dbc.Button("Cancel", id=cancel, size="sm", color="secondary", outline=True),
                ],
                className="hs-progress-line",
            ),
            html.Progress(className="hs-progress", **value, **aria(label=title)),
        ],
        className="hs-progress-box",
    )
