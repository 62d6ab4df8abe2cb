"""The heads that are off against random sets of as many heads: is the set special?"""

from typing import Any

import dash_bootstrap_components as dbc
import plotly.graph_objects as go
from dash import dcc, html

from components import ids
from components.help_mark import marked
from components.plots import COLOURS, base_layout, graph
from components.tables import number, scrolled_table
from utils.effects.prediction import name_heads
from utils.effects.random_sets import DRAWS, KINDS, MAX_DRAWS, Contrast, RandomComparison

TICK_MS = 500
_KIND_LABELS = {
    "layer-matched": "from the same layers",
    "uniform": "from all layers",
}


def random_places() -> html.Div:
    """What the panel needs before its callbacks have run."""
    return html.Div(
        [
            html.P("Is this set of heads special? Compare it with random sets.", className="hs-hint"),
            html.Div(
                [
                    html.Div(
                        [
                            marked(
                                dbc.Label("Random heads", html_for=ids.RANDOM_KIND, className="mb-0"),
                                "random_control",
                                "layer_matched",
                            ),
                            dbc.Select(
                                id=ids.RANDOM_KIND,
                                size="sm",
                                options=[{"label": _KIND_LABELS[kind], "value": kind} for kind in KINDS],
                                value="layer-matched",
                            ),
                        ]
                    ),
                    html.Div(
                        [
                            marked(
                                dbc.Label("How many sets", html_for=ids.RANDOM_DRAWS, className="mb-0"),
                                "interval",
                            ),
                            dbc.Select(
                                id=ids.RANDOM_DRAWS,
                                size="sm",
                                options=[str(DRAWS), str(MAX_DRAWS)],
                                value=str(DRAWS),
                            ),
                        ]
                    ),
                    html.Div(dbc.Button("Compare", id=ids.RANDOM_RUN, size="sm", color="primary")),
                ],
                className="hs-controls hs-controls-end",
            ),
            dcc.Interval(ids.RANDOM_TICK, interval=TICK_MS, disabled=True),
            html.Div(id=ids.RANDOM_STATE, role="status"),
            html.Div(id=ids.RANDOM_BODY),
        ],
        className="hs-random",
    )


def _points(value: float) -> str:
    return f"{round(value * 100, 1) + 0.0:+.1f}"


def random_sentence(result: RandomComparison, target: str) -> str:
    """What the comparison comes to; a share of sets is given from `MIN_DISTINCT` different ones on alone."""
    found = result.contrasts["probability"]
    size = len(result.heads)
    of = f"of {size} head{'s' if size > 1 else ''} {_KIND_LABELS[result.kind]}"
    ours = f"Switching off {name_heads(result.heads)} changes “{target}” by {_points(found.tested)} points."
    if found.distinct == 1:
        as_much = "as much or more" if found.as_strong else "not as much"
        return (
            f"{ours} The only other set {of} changes it by {_points(found.mean)} points: {as_much} in that "
            "direction."
        )
    alike = (
        "none of them does"
        if not found.as_strong
        else f"{found.as_strong} of them {'does' if found.as_strong == 1 else 'do'}"
    )
    if found.low is None or found.high is None:
        return (
            f"{ours} {found.distinct} different random sets {of} change it by between "
            f"{_points(found.least)} and {_points(found.most)} points; {alike} as much in that direction. "
            "They are too few to say how rare that is."
        )
    return (
        f"{ours} {found.distinct} different random sets {of} change it by {_points(found.mean)} points on "
        f"average (95% of the {len(found.draws)} draws between {_points(found.low)} and "
        f"{_points(found.high)}); {alike} as much in that direction."
    )


def _written(value: float, scale: float) -> str:
    # No "-0.00".
    return f"{round(value * scale, 1 if scale > 1 else 2) + 0.0:+.{1 if scale > 1 else 2}f}"


def _range(found: Contrast, scale: float) -> str:
    low = found.least if found.low is None else found.low
    high = found.most if found.high is None else found.high
    return f"{_written(low, scale)} to {_written(high, scale)}"


def random_figure(found: Contrast, theme: str) -> go.Figure:
    """Every draw as a dot, their middle 95% as a band where there is one, the tested set as a diamond."""
    colours = COLOURS[theme]
    scale = 100.0
    # The dots are spread over the height in a fixed pattern so that equal ones can be told apart.
    heights = [((index * 7) % 11) / 11 - 0.5 for index in range(len(found.draws))]
    figure = go.Figure()
    if found.low is not None and found.high is not None:
        figure.add_vrect(
            x0=found.low * scale, x1=found.high * scale, fillcolor=colours.clean, opacity=0.14, line_width=0
        )
    figure.add_trace(
        go.Scatter(
            x=[draw * scale for draw in found.draws],
            y=heights,
            mode="markers",
            name="random sets",
            marker={"color": colours.clean, "size": 8, "symbol": "circle-open"},
            hovertemplate="%{x:+.1f} points<extra>a random set</extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[found.tested * scale],
            y=[0],
            mode="markers",
            name="your heads",
            marker={"color": colours.ablated, "size": 15, "symbol": "diamond"},
            hovertemplate="%{x:+.1f} points<extra>your heads</extra>",
        )
    )
    figure.update_layout(**base_layout(theme))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.25})
    figure.update_xaxes(title="change of the probability (points)", zeroline=True, showgrid=False)
    figure.update_yaxes(visible=False, range=[-0.8, 0.8])
    return figure


def random_body(result: RandomComparison, target: str, theme: str) -> list[Any]:
    """Sentence, figure and table."""
    rows = [
        html.Tr(
            [
                html.Th(name, scope="row"),
                number(_written(found.tested, scale)),
                number([_written(found.mean, scale), html.Small(_range(found, scale), className="hs-hint")]),
                number(f"{found.as_strong} of {found.distinct}"),
            ]
        )
        for name, scale, found in (
            ("probability (points)", 100.0, result.contrasts["probability"]),
            ("log probability", 1.0, result.contrasts["log_probability"]),
            ("logit difference", 1.0, result.contrasts["logit_difference"]),
            ("KL (nats)", 1.0, result.contrasts["kl"]),
        )
    ]
    spread = "middle 95%" if result.contrasts["probability"].low is not None else "least to most"
    titles = ["change of", "your heads", f"random: mean ({spread})", "at least as strong"]
    return [
        html.P(random_sentence(result, target), className="hs-sentence"),
        graph(
            "random-sets",
            figure=random_figure(result.contrasts["probability"], theme),
            style={"height": "190px"},
        ),
        scrolled_table(
            "Your heads against random sets", titles, rows, numbers=(1, 2, 3), look="hs-random-table"
        ),
        html.P(
            f"{len(result.random.sets)} draws, seed {result.seed}; none holds a head that you switched off. "
            f"{result.random.caveat}",
            className="hs-hint",
        ),
    ]
