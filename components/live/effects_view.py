"""The view "Which heads matter": the effect of each head alone in words and as tables; the map shows it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.attributes import data
from components.help_mark import marked
from components.tables import grid_table, number, scrolled_table, scroller
from utils.effects.effect_map import EffectMap
from utils.effects.measures import MEASURES, MeasureKey

TICK_MS = 500
STRONGEST = 8
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
        dcc.Store(ids.EFFECTS_ROWS),
    ]


def _shown(change: float, measure: MeasureKey) -> str:
    scaled = change * _SCALE.get(measure, 1.0)
    if measure == "kl":
        return f"{scaled:.2f}"
    # No "-0.0".
    positions = 1 if measure == "probability" else 2
    return f"{round(scaled, positions) + 0.0:+.{positions}f}"


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


def effects_body(effects: EffectMap, measure: MeasureKey, target: str, other: str) -> list[Any]:
    """What the map of effects comes to, and its tables."""
    against = f" Compared with “{other}”." if measure == "logit_difference" else ""
    return [
        html.P(effects_sentence(effects, target), className="hs-sentence"),
        html.P(
            f"The map shows it: each cell is that head alone ablated ({effects.mode} ablation); "
            f"{_WRITTEN[measure]}.{against}",
            className="hs-hint",
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
