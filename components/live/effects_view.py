"""The view "Which heads matter": the effect of each head alone as a grid, and a set against random sets."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dash_bootstrap_components as dbc
import plotly.graph_objects as go
from dash import dcc, html

from components import ids
from components.attributes import data
from components.help_mark import marked
from components.plots import COLOURS, graph_config, heads_figure
from components.tables import grid_table, number, scrolled_table, scroller
from utils.effects.effect_map import EffectMap
from utils.effects.measures import MEASURES, MeasureKey
from utils.heads import Head

TICK_MS = 500
STRONGEST = 8
# In a grid with more columns than this numbers in the cells would not be readable.
MAX_TEXT_COLUMNS = 16
# How a measure's change is written: probabilities in percentage points.
_SCALE: Mapping[MeasureKey, float] = MappingProxyType({"probability": 100.0})
_WRITTEN: Mapping[MeasureKey, str] = MappingProxyType(
    {
        "probability": "change of the probability, in percentage points",
        "log_probability": "change of the log probability, in nats",
        "logit_difference": "change of the logit difference",
        "kl": "KL divergence, in nats",
    }
)


def effects_places() -> list[Any]:
    """What the view needs before its callbacks have run."""
    return [
        html.Div(
            [
                html.Div(
                    [
                        marked(
                            dbc.Label("Measure", html_for=ids.MEASURE, className="mb-0"),
                            "effect_map",
                            *MEASURES,
                        ),
                        dbc.Select(
                            id=ids.MEASURE,
                            size="sm",
                            options=[{"label": row.label, "value": key} for key, row in MEASURES.items()],
                            value="probability",
                        ),
                    ]
                ),
            ],
            className="hs-controls",
        ),
        dcc.Interval(ids.EFFECTS_TICK, interval=TICK_MS, disabled=True),
        html.Div(id=ids.EFFECTS_STATE, role="status"),
        html.Div(id=ids.EFFECTS_BODY),
    ]


def _shown(change: float, measure: MeasureKey) -> str:
    scaled = change * _SCALE.get(measure, 1.0)
    if measure == "kl":
        return f"{scaled:.2f}"
    # No "-0.0".
    positions = 1 if measure == "probability" else 2
    return f"{round(scaled, positions) + 0.0:+.{positions}f}"


def effect_figure(effects: EffectMap, measure: MeasureKey, theme: str) -> go.Figure:
    """The effects as a heatmap, layers down and heads across; a click chooses the head."""
    change = effects.change(measure) * _SCALE.get(measure, 1.0)
    layers, heads = change.shape
    largest = max(float(change.abs().max()), 1e-9)
    colours = COLOURS[theme]
    text = [[_shown(value, measure) for value in row] for row in effects.change(measure).tolist()]
    scale = (
        {"colorscale": colours.scale, "zmin": 0, "zmax": largest}
        if measure == "kl"
        else {"colorscale": colours.diverging, "zmin": -largest, "zmax": largest}
    )
    figure = heads_figure(
        change.tolist(),
        theme,
        "points" if measure == "probability" else "",
        text=text,
        texttemplate="%{text}" if heads <= MAX_TEXT_COLUMNS else None,
        textfont={"size": 9},
        customdata=[[str(Head(layer, head)) for head in range(heads)] for layer in range(layers)],
        hovertemplate="%{customdata} off: %{text}<extra></extra>",
        **scale,
    )
    return figure.update_layout(clickmode="event")


def strongest_table(effects: EffectMap, measure: MeasureKey) -> html.Div:
    """The heads with the largest effects; a click on one chooses it."""
    change = effects.change(measure)
    rows = [
        html.Tr(
            [
                html.Th(
                    html.Button(str(head), className="hs-link-button", **data(choose=str(head))), scope="row"
                ),
                number(_shown(float(change[head.layer, head.head]), measure)),
                number(f"{float(effects.probability[head.layer, head.head]):.1%}"),
                number(f"{float(effects.kl[head.layer, head.head]):.3f}"),
            ]
        )
        for head in effects.strongest(measure, STRONGEST)
    ]
    return scrolled_table(
        "The heads with the largest effects",
        ("switched off", "effect", "probability then", "KL (nats)"),
        rows,
        numbers=range(1, 4),
    )


def all_table(effects: EffectMap, measure: MeasureKey) -> html.Div:
    """The grid's numbers."""
    caption = f"Effect of each head: {_WRITTEN[measure]}"
    written = [[_shown(value, measure) for value in row] for row in effects.change(measure).tolist()]
    return scroller(grid_table(caption, written), f"Table: {caption}")


def effects_sentence(effects: EffectMap, target: str) -> str:
    """What the grid comes to, in plain words."""
    best = effects.strongest("probability", 1)[0]
    then = float(effects.probability[best.layer, best.head])
    clean = effects.clean_probability
    lower = int((effects.change("probability") <= -0.1).sum())
    if abs(then - clean) < 0.01:
        return (
            f"No single head matters much for “{target}” ({clean:.0%}): whichever one is off, it moves by "
            "less than one point. The work may be shared, or others stand in (backup heads)."
        )
    course = f"without {best} it goes from {clean:.0%} to {then:.0%}"
    many = (
        "no head alone takes 10 points off it"
        if not lower
        else f"{lower} head{'s take' if lower > 1 else ' takes'} 10 points or more off it, each alone"
    )
    return f"For “{target}” {best} matters most: {course}; {many}."


def effects_body(effects: EffectMap, measure: MeasureKey, target: str, other: str, theme: str) -> list[Any]:
    """The grid with its words and tables."""
    layers = effects.kl.shape[0]
    against = f" Compared with “{other}”." if measure == "logit_difference" else ""
    return [
        html.P(effects_sentence(effects, target), className="hs-sentence"),
        html.P(
            f"Each cell: that head alone switched off ({effects.mode} ablation); {_WRITTEN[measure]}."
            f"{against} Click a cell to look at the head.",
            className="hs-hint",
        ),
        dcc.Graph(
            id=ids.EFFECTS_FIGURE,
            figure=effect_figure(effects, measure, theme),
            responsive=True,
            config=graph_config("headscope-effects"),
            style={"height": f"{max(240, min(900, 120 + 34 * layers))}px"},
        ),
        strongest_table(effects, measure),
        html.Details([html.Summary("All heads as a table"), all_table(effects, measure)]),
    ]


def effects_offer() -> html.Div:
    """What stands there after the computation was cancelled."""
    return html.Div(
        [
            html.P("Not computed.", className="hs-hint"),
            dbc.Button("Compute", id=ids.EFFECTS_RUN, size="sm", color="primary"),
        ],
        className="hs-analysis",
    )
