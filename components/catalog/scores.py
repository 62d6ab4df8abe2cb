"""A model's scores for one role: the heatmap and its numbers, and the heads that the role lists."""

from typing import Any

import plotly.graph_objects as go
from dash import dcc, html

from components.plots import COLOURS, graph_config, heads_figure
from components.roles import role_style
from components.section import section
from components.tables import grid_table, number, scrolled_table, scroller
from utils.catalog.catalog import Catalog, Category
from utils.heads import Head
from utils.roles.registry import ROLES


def scores_section(catalog: Catalog, role: str, theme: str) -> html.Section:
    """What a role is, and every head's score for it.

    Args:
        catalog: of the model.
        role: key of a role that the catalog has.
        theme: "light" or "dark".
    """
    category = catalog.categories[role]
    parts: list[Any] = _about_role(role, category, catalog.num_layers * catalog.num_heads)
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
            html.Details([html.Summary("As a table"), _score_table(catalog, role)]),
        ]
    else:
        parts.append(
            html.P(
                "The number beside a head is how near it comes to having a role: the largest of its scores, "
                "each as a share of its role's threshold.",
                className="hs-hint",
            )
        )
    return section(
        "Scores", "A row is a layer, a column a head.", *parts, name="scores", term="catalog_score"
    )


def _about_role(role: str, category: Category, heads: int) -> list[Any]:
    row = ROLES[role]
    found = len(category.top_heads)
    message = {0: "No head of this model does this.", 1: "One head is listed."}.get(
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
        html.P(f"{message} The model has {heads} heads.", className="hs-hint"),
    ]


def score_heatmap(catalog: Catalog, role: str, theme: str) -> go.Figure:
    """Every head's score for a role, layers down and heads across; the listed heads are marked."""
    table = catalog.all_scores[role]
    spread = catalog.all_scores_std[role]
    listed = catalog.categories[role].top_heads
    colours = COLOURS[theme]
    figure = heads_figure(
        table,
        theme,
        "score",
        customdata=[
            [[str(Head(layer, head)), deviation] for head, deviation in enumerate(row)]
            for layer, row in enumerate(spread)
        ],
        zmin=0,
        zmax=1,
        colorscale=colours.scale,
        hovertemplate="%{customdata[0]}: %{z:.3f} ± %{customdata[1]:.3f}<extra></extra>",
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
    # Square cells.
    figure.update_xaxes(constrain="domain")
    figure.update_yaxes(scaleanchor="x", constrain="domain")
    return figure


def heatmap_height(layers: int) -> str:
    """CSS height of the heatmap of so many layers."""
    return f"{max(260, min(1100, 130 + 34 * layers))}px"


def _score_table(catalog: Catalog, role: str) -> html.Div:
    caption = f"Score of every head: {ROLES[role].display_name}"
    written = [[f"{score:.2f}" for score in row] for row in catalog.all_scores[role]]
    return scroller(grid_table(caption, written), f"Table: {caption}")


def listed_section(catalog: Catalog, role: str) -> html.Section:
    """The heads that a role lists, best first, with the spread over the test inputs and their other roles."""
    measured = role in catalog.all_scores
    roles_of: dict[tuple[int, int], list[str]] = {}
    for key, other in catalog.categories.items():
        for entry in other.top_heads:
            roles_of.setdefault((entry.layer, entry.head), []).append(key)
    rows = []
    for rank, entry in enumerate(catalog.categories[role].top_heads, start=1):
        also = [ROLES[key].display_name for key in roles_of[entry.layer, entry.head] if key != role]
        cells = [
            number(str(rank)),
            html.Th(str(Head(entry.layer, entry.head)), scope="row"),
            number(f"{entry.score:.3f}"),
        ]
        if measured:
            cells.append(number(f"{catalog.all_scores_std[role][entry.layer][entry.head]:.3f}"))
        cells.append(html.Td(", ".join(also) or "–"))
        rows.append(html.Tr(cells))
    titles = ["rank", "head", "score", *(["spread"] if measured else []), "also"]
    return section(
        "Listed heads",
        "Best first. The spread is the standard deviation over the test inputs.",
        scrolled_table("Listed heads", titles, rows, (0, 2, 3) if measured else (0, 2), tall=True),
        name="listed",
        term=("threshold", "score_deviation"),
    )
