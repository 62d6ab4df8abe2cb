"""Errors and notices as the page shows them."""

from collections.abc import Sequence

import dash_bootstrap_components as dbc
from dash import html

from utils.errors import UserFacingError


def alert(error: UserFacingError) -> dbc.Alert:
    """What went wrong and what to do; nothing that was typed is lost."""
    return dbc.Alert([html.Strong(error.message), f" {error.remedy}"], color="danger", className="hs-alert")


def sentence_of(error: UserFacingError) -> str:
    """What went wrong and what to do, where it is no alarm."""
    return f"{error.message} {error.remedy}"


def link_notice(
    problems: Sequence[str], title: str = "This link was not read as a whole."
) -> list[dbc.Alert]:
    """What is wrong with a link (a preset, a lesson), nothing if nothing is; the rest of it is shown."""
    if not problems:
        return []
    return [
        dbc.Alert(
            [
                html.Strong(title),
                html.Ul([html.Li(problem) for problem in problems], className="mb-0"),
            ],
            color="warning",
            dismissable=True,
            className="hs-alert",
        )
    ]


def unexpected() -> dbc.Alert:
    """What is said of an error that nobody foresaw; its traceback is in the server's log."""
    return dbc.Alert(
        "Something went wrong on the server; what you typed is still here. Press Run to try again.",
        color="danger",
        className="hs-alert",
    )
