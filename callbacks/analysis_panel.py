"""Analyzing a model from a page: start, progress, cancel, done; wired for whichever page has the panel."""

from typing import Any

from dash import ALL, MATCH, Dash, Input, Output, State, ctx, no_update

from callbacks.clicks import only_drawn
from components import ids
from components.analysis_panel import analysis_panel
from utils.analyzer.analysis_jobs import AnalysisJobs


def follow_analysis(
    jobs: AnalysisJobs, trigger: Any, page: str, model: str | None, session_id: str
) -> tuple[Any, bool, Any]:
    """Panel, whether the tick may rest, and the model whose catalog is there now.

    Args:
        jobs: the analyses under way.
        trigger: id of what was touched, or of the tick or the store.
        page: the page's key.
        model: the model that the page shows and that has no catalog; None for nothing to offer.
        session_id: the visit.
    """
    if not model:
        return None, True, no_update
    touched = trigger.get("type") if isinstance(trigger, dict) else None
    if touched == "analyze" and trigger["model"] == model:
        jobs.start(model, session_id)
    elif touched == "cancel-analysis" and trigger["model"] == model:
        jobs.leave(model, session_id)
    elif touched == "analysis-tick" and jobs.view(model) is None:
        # It was begun on another server, which may be gone.
        jobs.start(model, session_id)
    view = jobs.view(model)
    if view is not None and view.state == "done":
        if touched == "analysis-tick":
            return None, True, model
        view = None  # that catalog is gone again: it is offered anew
    return analysis_panel(page, model, view), view is None or view.ended, no_update


def register(app: Dash, jobs: AnalysisJobs) -> None:
    """Add the panel's callback."""

    @app.callback(
        Output({"type": "analysis", "page": MATCH}, "children"),
        Output({"type": "analysis-tick", "page": MATCH}, "disabled"),
        Output({"type": "analysis-done", "page": MATCH}, "data"),
        Input({"type": "analysis-for", "page": MATCH}, "data"),
        Input({"type": "analysis-tick", "page": MATCH}, "n_intervals"),
        Input({"type": "analyze", "page": MATCH, "model": ALL}, "n_clicks"),
        Input({"type": "cancel-analysis", "page": MATCH, "model": ALL}, "n_clicks"),
        State(ids.SESSION_ID, "data"),
    )
    def _(model, ticks, starts, cancels, session_id):
        if only_drawn("analyze", "cancel-analysis"):
            return (no_update,) * 3
        return follow_analysis(
            jobs, ctx.triggered_id, ctx.outputs_list[0]["id"]["page"], model, session_id or ""
        )
