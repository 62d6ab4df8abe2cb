"""A model's scores for one role: the heatmap and its numbers, and the heads that the role lists."""

from typing import Any

import plotly.graph_objects as go
from dash import html

from components import ids
from components.attributes import data
from components.catalog.live_links import head_link, live_address
from components.plain_html import static
from components.plots import COLOURS, graph, heads_figure, score_scale
from components.roles import role_style
from components.section import section
from components.tables import grid_table, number, scrolled_table, scroller
from utils.catalog.catalog import Catalog
from utils.heads import Head
from utils.roles.registry import MAX_HEADS, MAX_PER_LAYER, ROLES

# Pixels of a cell, and what is around the cells.
CELL = (30, 22)
AROUND = (130, 70)
MIN_WIDTH = 320


def scores_section(catalog: Catalog, role: str, theme: str, live: bool) -> html.Section:
    """What a role is, and every head's score for it.

    Args:
        catalog: of the model.
        role: key of a role that the catalog has.
        theme: "light" or "dark".
        live: whether the live page can open the model.
    """
    parts: list[Any] = _about_role(catalog, role)
    if role in catalog.all_scores:
        leads = " Click a cell to open its head on the live page." if live else ""
        parts += [
            html.Div(
                graph(
                    "catalog",
                    id=ids.CATALOG_SCORES,
                    figure=score_heatmap(catalog, role, theme),
                    style=heatmap_size(catalog.num_layers, catalog.num_heads),
                ),
                # Where a click leads, a head's name in the place of the one named here (`assets/catalog.js`).
                **data(live=live_address(catalog, role, Head(0, 0)) if live else "", head=str(Head(0, 0))),
            ),
            html.P(
                "Squares mark the heads that the role lists. 1 means: always, and with all its "
                f"attention.{leads}",
                className="hs-hint",
            ),
            html.Details([html.Summary("As a table"), _score_table(catalog, role, live)]),
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


def _about_role(catalog: Catalog, role: str) -> list[Any]:
    row, category = ROLES[role], catalog.categories[role]
    return [
        html.P(
            [
                html.Span(row.letter, className="hs-swatch", style=role_style(row)),
                html.Strong(category.display_name),
                f" — {category.explanation}",
            ]
        ),
        html.P(count_sentence(catalog, role), className="hs-hint"),
    ]


def count_sentence(catalog: Catalog, role: str) -> str:
    """How many heads of the model have a role."""
    heads = catalog.num_layers * catalog.num_heads
    listed = catalog.categories[role].top_heads
    if role not in catalog.all_scores:
        return f"{len(listed)} of the model's {heads} heads have no role."
    threshold = catalog.settings.thresholds[role].threshold
    reaching = len(catalog.carrying_heads[role])
    if not reaching:
        return f"None of the model's {heads} heads reaches the threshold, {threshold:g}."
    have = "1 head reaches" if reaching == 1 else f"{reaching} heads reach"
    return f"{have} the threshold, {threshold:g}, of the model's {heads}."


def shown_sentence(catalog: Catalog, role: str) -> str:
    """How many of a role's heads its list shows, and why not all of them."""
    threshold = catalog.settings.thresholds[role].threshold
    reaching = len(catalog.carrying_heads[role])
    listed = catalog.categories[role].top_heads
    shown = sum(entry.score >= threshold for entry in listed)
    parts = [f"{shown} of {reaching} shown"]
    if shown < reaching:
        parts.append(
            f": a role lists at most {MAX_HEADS}, of one layer at most {MAX_PER_LAYER} while others have some"
        )
    if below := len(listed) - shown:
        parts.append(
            f"; beside {'it' if shown == 1 else 'them'} {below} of other layers, above the lower threshold"
        )
    return "".join(parts) + "."


def score_heatmap(catalog: Catalog, role: str, theme: str) -> go.Figure:
    """Every head's score for a role, layers down and heads across; the listed heads are marked."""
    table = catalog.all_scores[role]
    spread = catalog.all_scores_std[role]
    listed = catalog.categories[role].top_heads
    colours = COLOURS[theme]
    threshold = catalog.settings.thresholds[role].threshold
    figure = heads_figure(
        table,
        theme,
        "score",
        # What a click gives on: a text, for Dash leaves out lists.
        customdata=[[str(Head(layer, head)) for head in range(len(row))] for layer, row in enumerate(table)],
        text=[[f"{deviation:.3f}" for deviation in row] for row in spread],
        zmin=0,
        zmax=1,
        colorscale=score_scale(theme, threshold),
        hovertemplate="%{customdata}: %{z:.3f} ± %{text}<extra></extra>",
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
    # The scale names where a head begins to have the role.
    figure.update_traces(
        selector={"type": "heatmap"},
        colorbar={
            "tickvals": [0, threshold, 1],
            "ticktext": ["0", f"{threshold:g} threshold", "1"],
            "ticklabelposition": "outside",
        },
    )
    return figure.update_layout(clickmode="event")


def heatmap_size(layers: int, heads: int) -> dict[str, str]:
    """CSS size of the heatmap of so many heads: cells of one size, as far as the room allows."""
    width, height = (
        around + cell * count for around, cell, count in zip(AROUND, CELL, (heads, layers), strict=True)
    )
    return {"height": f"{max(200, height)}px", "maxWidth": f"{max(MIN_WIDTH, width)}px"}


def _score_table(catalog: Catalog, role: str, live: bool) -> html.Div:
    caption = f"Score of every head: {ROLES[role].display_name}"
    table = catalog.all_scores[role]

    def cell(layer: int, head: int) -> Any:
        score = f"{table[layer][head]:.2f}"
        if not live:
            return score
        name = Head(layer, head)
        return html.A(score, href=live_address(catalog, role, name), title=f"Open {name} on the live page")

    cells = [[cell(layer, head) for head in range(catalog.num_heads)] for layer in range(catalog.num_layers)]
    return static(scroller(grid_table(caption, cells), f"Table: {caption}"))


def listed_section(catalog: Catalog, role: str, live: bool) -> html.Section:
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
            html.Th(head_link(catalog, role, Head(entry.layer, entry.head), live), scope="row"),
            number(f"{entry.score:.3f}"),
        ]
        if measured:
            cells.append(number(f"{catalog.all_scores_std[role][entry.layer][entry.head]:.3f}"))
        cells.append(html.Td(", ".join(also) or "–"))
        rows.append(html.Tr(cells))
    titles = ["rank", "head", "score", *(["spread"] if measured else []), "also"]
    return section(
        "Listed heads",
        (f"{shown_sentence(catalog, role)} " if measured else "")
        + "Best first. The spread is the standard deviation over the test inputs.",
        scrolled_table("Listed heads", titles, rows, (0, 2, 3) if measured else (0, 2), tall=True),
        name="listed",
        term=("threshold", "score_deviation"),
    )
