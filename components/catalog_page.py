"""The catalog page: a model's scores for a role as heatmap and table, the listed heads, how it was made."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
import plotly.graph_objects as go
from dash import dcc, html

from components import ids
from components.analysis_panel import analysis_places
from components.attributes import aria
from components.plots import COLOURS, base_layout, graph_config
from components.role_cards import role_style
from components.section import section
from utils.catalog import Catalog, Category
from utils.head_roles import ROLES
from utils.heads import Head
from utils.known_heads import KNOWN_HEADS, KnownHeads

PAGE = "catalog"


def catalog_layout(models: Sequence[str], model: str | None, role: str) -> html.Div:
    """The page before its callbacks have run.

    Args:
        models: names for the menu: those with a catalog, and those that may get one.
        model: the one that is shown.
        role: key of the role that is shown.
    """
    return html.Div(
        [
            dcc.Store(ids.theme(PAGE)),
            section(
                "What every head is known to do",
                "A catalog holds every head's score for every role, measured on test inputs.",
                html.Div(
                    [
                        html.Div(
                            [
                                dbc.Label("Model", html_for=ids.CATALOG_MODEL),
                                dbc.Select(
                                    id=ids.CATALOG_MODEL,
                                    options=[{"label": name, "value": name} for name in models],
                                    value=model,
                                ),
                            ]
                        ),
                        html.Div(
                            [
                                dbc.Label("Role", html_for=ids.CATALOG_ROLE),
                                dbc.Select(
                                    id=ids.CATALOG_ROLE,
                                    options=[
                                        {"label": row.display_name, "value": key}
                                        for key, row in ROLES.items()
                                    ],
                                    value=role,
                                ),
                            ]
                        ),
                        dbc.Button(
                            [html.I(className="bi bi-download", **aria(hidden="true")), " Download (JSON)"],
                            id=ids.CATALOG_DOWNLOAD,
                            color="secondary",
                            outline=True,
                        ),
                    ],
                    className="hs-menu-row",
                ),
                dcc.Download(id=ids.CATALOG_FILE),
                *analysis_places(PAGE),
                name="catalog",
                term=("role", "head"),
            ),
            html.Div(id=ids.CATALOG_BODY, className="hs-page-body"),
        ],
        className="hs-page-body",
    )


def score_heatmap(catalog: Catalog, role: str, theme: str) -> go.Figure:
    """Every head's score for a role, layers down and heads across; the listed heads are marked."""
    table = catalog.all_scores[role]
    spread = catalog.all_scores_std[role]
    listed = catalog.categories[role].top_heads
    heads, layers = list(range(catalog.num_heads)), list(range(catalog.num_layers))
    colours = COLOURS[theme]
    figure = go.Figure(
        go.Heatmap(
            z=table,
            x=heads,
            y=layers,
            customdata=[
                [[str(Head(layer, head)), spread[layer][head]] for head in heads] for layer in layers
            ],
            zmin=0,
            zmax=1,
            colorscale=colours.scale,
            xgap=2,
            ygap=2,
            hovertemplate="%{customdata[0]}: %{z:.3f} ± %{customdata[1]:.3f}<extra></extra>",
            colorbar={"title": {"text": "score"}, "thickness": 10},
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[entry.head for entry in listed],
            y=[entry.layer for entry in listed],
            mode="markers",
            marker={"symbol": "square-open", "size": 15, "color": colours.mark, "line": {"width": 2}},
            hoverinfo="skip",
            name="listed for the role",
        )
    )
    figure.update_layout(**base_layout(theme))
    axis = {"dtick": 1 if catalog.num_heads <= 16 else 4, "showgrid": False, "zeroline": False}
    figure.update_xaxes(title="head", range=[-0.5, catalog.num_heads - 0.5], constrain="domain", **axis)
    figure.update_yaxes(
        title="layer", range=[catalog.num_layers - 0.5, -0.5], scaleanchor="x", constrain="domain", **axis
    )
    return figure


def heatmap_height(layers: int) -> str:
    """CSS height of the heatmap of so many layers."""
    return f"{max(260, min(1100, 130 + 34 * layers))}px"


def _number(value: float) -> html.Td:
    return html.Td(f"{value:.3f}", className="hs-number")


def top_table(catalog: Catalog, role: str) -> html.Table:
    """The heads that a role lists, best first, with the spread over the test inputs and their other roles."""
    category = catalog.categories[role]
    measured = role in catalog.all_scores
    roles_of: dict[tuple[int, int], list[str]] = {}
    for key, other in catalog.categories.items():
        for entry in other.top_heads:
            roles_of.setdefault((entry.layer, entry.head), []).append(key)
    rows = []
    for rank, entry in enumerate(category.top_heads, start=1):
        also = [ROLES[key].display_name for key in roles_of[entry.layer, entry.head] if key != role]
        cells = [
            html.Td(str(rank), className="hs-number"),
            html.Th(str(Head(entry.layer, entry.head)), scope="row"),
            _number(entry.score),
        ]
        if measured:
            cells.append(_number(catalog.all_scores_std[role][entry.layer][entry.head]))
        cells.append(html.Td(", ".join(also) or "–"))
        rows.append(html.Tr(cells))
    titles = ["rank", "head", "score", *(["spread"] if measured else []), "also"]
    return html.Table(
        [
            html.Caption("Listed heads", className="visually-hidden"),
            html.Thead(html.Tr([html.Th(title, scope="col") for title in titles])),
            html.Tbody(rows),
        ],
        className="hs-table",
    )


def score_table(catalog: Catalog, role: str) -> html.Table:
    """The heatmap's numbers."""
    return html.Table(
        [
            html.Caption(f"Score of every head: {ROLES[role].display_name}", className="visually-hidden"),
            html.Thead(
                html.Tr(
                    [html.Th("layer", scope="col")]
                    + [
                        html.Th(f"H{head}", scope="col", className="hs-number")
                        for head in range(catalog.num_heads)
                    ]
                )
            ),
            html.Tbody(
                [
                    html.Tr([html.Th(f"L{layer}", scope="row"), *(_short(score) for score in row)])
                    for layer, row in enumerate(catalog.all_scores[role])
                ]
            ),
        ],
        className="hs-table",
    )


def _short(value: float) -> html.Td:
    return html.Td(f"{value:.2f}", className="hs-number")


def _about_role(role: str, category: Category, heads: int) -> list[Any]:
    row = ROLES[role]
    found = len(category.top_heads)
    told = {0: "No head of this model does this.", 1: "One head is listed."}.get(
        found, f"{found} heads are listed."
    )
    return [
        html.P(
            [
                html.Span(row.letter, className="hs-swatch", style=role_style(row)),
                html.Strong(category.display_name),
                f" — {category.explanation}",
            ]
        ),
        html.P(f"{told} The model has {heads} heads.", className="hs-hint"),
    ]


def settings_list(catalog: Catalog) -> html.Dl:
    """How the catalog was made, so that it can be made again."""
    settings = catalog.settings
    inputs = "; ".join(
        f"{name}: {probe.sequences} sequences of {probe.shortest}"
        + (f" to {probe.longest}" if probe.longest != probe.shortest else "")
        + " tokens"
        for name, probe in settings.inputs.items()
    )
    thresholds = "; ".join(
        f"{ROLES[role].display_name} {limits.threshold} (lower: {limits.lower_threshold})"
        for role, limits in settings.thresholds.items()
    )
    rows = (
        ("Model", f"{catalog.model_name}: {catalog.num_layers} layers of {catalog.num_heads} heads"),
        ("Made", f"{catalog.analysis_date} on {settings.device}, seed {settings.seed}"),
        ("Start token", "none" if settings.bos_id is None else f"token {settings.bos_id} before every text"),
        ("Test inputs", inputs),
        ("Thresholds", thresholds),
        ("Versions", ", ".join(f"{name} {version}" for name, version in settings.versions.items())),
        ("Command", html.Code(command(catalog.model_name))),
    )
    return html.Dl([html.Div([html.Dt(name), html.Dd(told)]) for name, told in rows], className="hs-facts")


def command(model: str) -> str:
    """The line that makes a model's catalog."""
    return f"python scripts/analyze_heads.py --model {model}"


def catalog_body(catalog: Catalog, role: str, theme: str) -> list[Any]:
    """All that is known about one role of one model."""
    category = catalog.categories.get(role)
    if category is None:
        return [html.Div(html.P("This catalog does not have this role."), className="hs-card")]
    heads = catalog.num_layers * catalog.num_heads
    parts: list[Any] = [*_about_role(role, category, heads)]
    if role in catalog.all_scores:
        parts += [
            dcc.Graph(
                figure=score_heatmap(catalog, role, theme),
                responsive=True,
                config=graph_config("headscope-catalog"),
                style={"height": heatmap_height(catalog.num_layers)},
            ),
            html.P(
                "Squares mark the heads that the role lists. 1 means: always, and with all its attention.",
                className="hs-hint",
            ),
            html.Details(
                [
                    html.Summary("As a table"),
                    html.Div(
                        score_table(catalog, role),
                        className="hs-scroll",
                        tabIndex=0,
                        role="group",
                        **aria(label="Table"),
                    ),
                ]
            ),
        ]
    else:
        parts.append(
            html.P(
                "The number beside a head is how near it comes to having a role: the largest of its scores, "
                "each as a share of its role's threshold.",
                className="hs-hint",
            )
        )
    known = KNOWN_HEADS.get(catalog.model_name)
    return [
        html.Div(
            [
                section(
                    "Scores",
                    "A row is a layer, a column a head.",
                    *parts,
                    name="scores",
                    term="catalog_score",
                ),
                html.Div(
                    [
                        section(
                            "Listed heads",
                            "Best first. The spread is the standard deviation over the test inputs.",
                            html.Div(
                                top_table(catalog, role),
                                className="hs-scroll hs-tall",
                                tabIndex=0,
                                role="group",
                                **aria(label="Table"),
                            ),
                            name="listed",
                            term=("threshold", "score_deviation"),
                        ),
                        *([known_section(known)] if known else []),
                        section(
                            "How it was made",
                            "A role on test inputs is not all that a head does.",
                            settings_list(catalog),
                            name="made",
                        ),
                    ],
                    className="hs-column",
                ),
            ],
            className="hs-columns",
        )
    ]


def known_section(known: KnownHeads) -> html.Section:
    """What the literature says about this model's heads, for comparison."""
    return section(
        "Known from the literature",
        "Named in papers, found by other means than ours.",
        html.Div(
            html.Table(
                [
                    html.Caption("Heads known from the literature", className="visually-hidden"),
                    html.Thead(html.Tr([html.Th(title, scope="col") for title in ("role", "heads")])),
                    html.Tbody(
                        [
                            html.Tr(
                                [
                                    html.Th(ROLES[role].display_name, scope="row"),
                                    html.Td(", ".join(str(head) for head in heads)),
                                ]
                            )
                            for role, heads in known.heads.items()
                        ]
                    ),
                ],
                className="hs-table",
            ),
            className="hs-scroll",
            tabIndex=0,
            role="group",
            **aria(label="Table"),
        ),
        html.P(f"Sources: {known.sources}", className="hs-hint"),
        name="known",
    )


def catalog_missing(problem: str, model: str) -> list[Any]:
    """What stands there for a model without a catalog that can be used."""
    known = KNOWN_HEADS.get(model)
    return [
        html.Div(
            [
                html.P(problem),
                html.P(["On the command line: ", html.Code(command(model))], className="hs-hint"),
            ],
            className="hs-card",
        ),
        *([known_section(known)] if known else []),
    ]
