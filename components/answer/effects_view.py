"""The view "Which heads matter": the effect of each head alone in words and as tables; the map shows it."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dash_bootstrap_components as dbc
import plotly.graph_objects as go
from dash import dcc, html

from components import ids
from components.attributes import data
from components.help_mark import marked
from components.plots import COLOURS, base_layout, graph
from components.tables import grid_table, number, scrolled_table, scroller
from utils.effects.effect_map import EffectMap
from utils.effects.interchange_map import InterchangeMap
from utils.effects.measures import MEASURES, MeasureKey
from utils.effects.total_and_direct import HeadEffects

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


def total_direct_table(both: Sequence[HeadEffects], count: int = STRONGEST) -> html.Div:
    """The heads with the largest total or direct effects, and how the two are read."""
    order = sorted(both, key=lambda one: -max(abs(one.total), abs(one.direct)))[:count]
    rows = [
        html.Tr(
            [
                html.Th(
                    html.Button(
                        str(one.head),
                        type="button",
                        className="hs-link-button",
                        **data(choose=str(one.head), show="writes"),
                    ),
                    scope="row",
                ),
                number(f"{one.total:+.2f}"),
                number(f"{one.direct:+.2f}"),
                html.Td(one.reading.label, title=f"{one.reading.words} {one.reading.rule}"),
            ]
        )
        for one in order
    ]
    return scrolled_table(
        "Total beside direct effects, in logits of the difference",
        ("head", "total", "direct", "reading"),
        rows,
        numbers=(1, 2),
    )


def total_direct_figure(both: Sequence[HeadEffects], theme: str) -> go.Figure:
    """Every head by its direct and its total effect; on the diagonal both are the same."""
    colours = COLOURS[theme]
    most = max((max(abs(one.total), abs(one.direct)) for one in both), default=1.0) * 1.1
    figure = go.Figure(
        go.Scatter(
            x=[one.direct for one in both],
            y=[one.total for one in both],
            customdata=[[str(one.head), one.reading.label] for one in both],
            mode="markers",
            marker={"color": colours.clean, "size": 7, "opacity": 0.75},
            hovertemplate="%{customdata[0]}: %{customdata[1]}<br>direct %{x:+.2f}, total %{y:+.2f}"
            "<extra></extra>",
        )
    )
    figure.add_shape(
        type="line", x0=-most, y0=-most, x1=most, y1=most, line={"color": colours.grid, "dash": "dot"}
    )
    figure.update_layout(**base_layout(theme))
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="direct effect (logits)", range=[-most, most])
    figure.update_yaxes(title="total effect (logits)", range=[-most, most])
    return figure


def interchange_body(found: InterchangeMap, label: Callable[[int], str]) -> list[Any]:
    """What swapping each head's values comes to; the map shows it for every head.

    Args:
        found: the logit difference with each head's values swapped.
        label: shows a token id as text.
    """
    recovered = found.recovered
    rows = [
        html.Tr(
            [
                html.Th(
                    html.Button(
                        str(head), type="button", className="hs-link-button", **data(choose=str(head))
                    ),
                    scope="row",
                ),
                number(f"{float(found.patched[head.layer, head.head]):+.2f}"),
                number(f"{float(recovered[head.layer, head.head]):+.0%}"),
            ]
        )
        for head in found.strongest(STRONGEST)
    ]
    best = found.strongest(1)[0]
    pair = f"“{label(found.target)}” against “{label(found.other)}”"
    return [
        html.P(
            f"For {pair} the logit difference is {found.clean:+.2f} on the prompt and "
            f"{found.corrupt:+.2f} on the "
            f"second one; {best}'s values from the prompt alone bring back "
            f"{float(recovered[best.layer, best.head]):.0%} of it.",
            className="hs-sentence",
        ),
        marked(
            html.P(
                "The second prompt is run, each time with one head's values from the prompt "
                "(activation patching). "
                "The map shows the recovered share of the difference.",
                className="hs-hint",
            ),
            "interchange",
        ),
        scrolled_table(
            "The heads that bring back most",
            ("head", "logit difference", "recovered"),
            rows,
            numbers=(1, 2),
        ),
    ]


def effects_body(
    effects: EffectMap,
    measure: MeasureKey,
    target: str,
    other: str,
    both: Sequence[HeadEffects] = (),
    correlation: float | None = None,
    theme: str = "light",
) -> list[Any]:
    """What the map of effects comes to, and its tables.

    Args:
        effects: the effect of ablating each head alone.
        measure: what of it the map shows.
        target: the watched token as it is shown.
        other: the one that it is compared with.
        both: total beside direct effects; none where they cannot be told apart.
        correlation: rank correlation of the first estimate with the exact effects, None where there is none.
        theme: "light" or "dark".
    """
    against = f" Compared with “{other}”." if measure == "logit_difference" else ""
    return [
        html.P(effects_sentence(effects, target), className="hs-sentence"),
        html.P(
            f"The map shows it: each cell is that head alone ablated ({effects.mode} ablation); "
            f"{_WRITTEN[measure]}.{against}",
            className="hs-hint",
        ),
        *(
            [
                html.P(
                    "The first estimate (attribution patching) ranked the heads alike: "
                    f"Spearman {correlation:.2f}.",
                    className="hs-hint",
                )
            ]
            if correlation is not None
            else []
        ),
        strongest_table(effects, measure),
        *(
            [
                marked(
                    html.H3("Total beside direct", className="hs-subtitle"), "total_effect", "direct_effect"
                ),
                total_direct_table(both),
                graph("total-direct", figure=total_direct_figure(both, theme), style={"height": "240px"}),
            ]
            if both
            else []
        ),
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
