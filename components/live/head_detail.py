"""One head: its heatmap, its scores for every role, its rank in the catalog."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from dash import html
from torch import Tensor

from components.attributes import data
from components.help_mark import help_mark, marked
from components.plots import COLOURS, base_layout, plain
from components.roles import role_style
from components.tables import number, scrolled_table
from retrieval.rankings.methods import METHODS, method_name, short_method_name
from utils.catalog.rankings import RetrievalFact
from utils.heads import Head
from utils.live.head_facts import RoleFact
from utils.live.head_reading import Reading
from utils.roles.activity import SINK_SHARE_MENTIONED
from utils.roles.registry import ROLES

MAX_AXIS_LABEL = 10
TABLE_KEYS = 3


def describe_roles(facts: Sequence[RoleFact], sink: float | None = None) -> str:
    """Say "primarily induction, also previous token" in words.

    Args:
        facts: one a measured role.
        sink: the head's attention on the first token on plain sentences; None where it is not known.
    """
    carried = sorted((fact for fact in facts if fact.carries), key=lambda fact: ROLES[fact.role].telling_rank)
    if not any(fact.catalog is not None for fact in facts):
        return "This model has no catalog, so the roles of its heads are not known."
    if not carried:
        below = [fact for fact in facts if fact.listed]
        but = (
            f" It is listed for {ROLES[below[0].role].display_name.lower()} with {below[0].catalog:.2f}, "
            "below the threshold, so that another layer is shown too."
            if below
            else ""
        )
        return "No catalogued role: it does none of these clearly on the test inputs." + but
    names = [ROLES[fact.role].display_name.lower() for fact in carried]
    also = f", also {' and '.join(names[1:])}" if len(names) > 1 else ""
    rest = ""
    if sink is not None and sink >= SINK_SHARE_MENTIONED and carried[0].role != "positional":
        when = " where nothing repeats" if ROLES[carried[0].role].requires_repetition else ""
        rest = f"; rests on the first token{when} ({sink:.0%} of its attention on plain sentences)"
    return f"In the catalog: {'primarily ' if also or rest else ''}{names[0]}{also}{rest}."


def _places_table(reading: Reading) -> html.Details:
    rows = [
        html.Tr(
            [
                html.Th(position.name, scope="row"),
                number(f"{position.share:.0%}"),
                number(f"{position.chance:.0%}"),
                number(str(position.rows)),
                html.Td("stands out" if position.stands_out else ""),
            ]
        )
        for position in reading.shares
    ]
    titles = ["it looks at", "share", "chance", "tokens", ""]
    return html.Details(
        [
            html.Summary("Where its attention goes on your text"),
            html.P(
                "Shares of attention, averaged over the tokens that have such a place to look at. The kinds "
                "overlap.",
                className="hs-hint",
            ),
            scrolled_table("Where the attention of this head goes", titles, rows, numbers=range(1, 4)),
        ]
    )


def _retrieval(facts: Sequence[RetrievalFact], lab: str) -> list[Any]:
    """What the catalog's retrieval rankings say about the head, in a line and as a table."""
    if not facts:
        return []
    names = [short_method_name(fact.method) for fact in facts]
    ranks = [
        f"{'rank ' if not at else ''}{fact.rank}{f' of {fact.total}' if not at else ''} by {name}"
        for at, (fact, name) in enumerate(zip(facts, names, strict=True))
    ]
    rows = [
        html.Tr(
            [
                html.Th(method_name(fact.method), scope="row"),
                number(f"{fact.rank} of {fact.total}"),
                number(f"{fact.score:.3f}"),
                number(f"{fact.median:.3f}"),
                number("–" if fact.control is None else f"{fact.control:.3f}"),
            ]
        )
        for fact in facts
    ]
    titles = ["method", "rank", "score", "median head", "by chance"]
    return [
        html.Div(
            [
                html.Span(f"Retrieval, on the catalog's filings: {', '.join(ranks)}."),
                help_mark("retrieval_head", *(fact.method for fact in facts if fact.method in METHODS)),
            ],
            className="hs-title-row hs-fact",
        ),
        html.Details(
            [
                html.Summary("Its retrieval scores"),
                scrolled_table("Retrieval scores of this head", titles, rows, numbers=range(1, 5)),
                html.P(
                    [
                        _by_chance(facts),
                        html.A("See it at work in the retrieval lab.", href=lab, **data(page="lab"))
                        if lab
                        else None,
                    ],
                    className="hs-hint",
                ),
            ]
        ),
    ]


def _by_chance(facts: Sequence[RetrievalFact]) -> str:
    """What the column "by chance" holds, for the methods that have something there."""
    methods = [METHODS[fact.method] for fact in facts if fact.control is not None and fact.method in METHODS]
    chances = [f"{method.chance} ({short_method_name(method.key)})" for method in methods if method.chance]
    return f"By chance: what {', or '.join(chances)} would score. " if chances else ""


def facts_view(
    facts: Sequence[RoleFact],
    reading: Reading,
    heads: int,
    retrieval: Sequence[RetrievalFact] = (),
    lab: str = "",
    sink: float | None = None,
) -> html.Div:
    """The head's score for every role, live and in the catalog.

    Args:
        facts: one a measured role.
        reading: what the head does here, from its pattern alone.
        heads: number of heads in the model.
        retrieval: what the catalog's retrieval rankings say about the head; none for none.
        lab: the address of the retrieval lab with this head; "" where there is no such page.
        sink: the head's attention on the first token on the catalog's plain sentences; None where not known.
    """

    def written(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    rows = [
        html.Tr(
            [
                html.Th(
                    [
                        html.Span(
                            ROLES[fact.role].letter, className="hs-swatch", style=role_style(ROLES[fact.role])
                        ),
                        ROLES[fact.role].display_name,
                    ],
                    scope="row",
                ),
                number(written(fact.live)),
                number(written(fact.chance)),
                number(written(fact.catalog)),
                number("–" if fact.rank is None else f"{fact.rank} of {heads}"),
                html.Td(
                    ("active: " if fact.active else "inactive: ") + fact.reason
                    if fact.carries
                    else "listed, below the threshold"
                    if fact.listed
                    else "does not have it",
                    className="hs-hint",
                ),
            ]
        )
        for fact in facts
    ]
    titles = ["role", "on your text", "chance", "in the catalog", "catalog rank", ""]
    return html.Div(
        [
            html.P(f"{describe_roles(facts, sink)} {reading.sentence}", className="hs-sentence"),
            marked(
                html.Span("Scores go from 0 to 1; one at or below chance says nothing.", className="hs-hint"),
                "live_score",
                "catalog_score",
                "chance",
            ),
            scrolled_table("Scores of this head", titles, rows, numbers=range(1, 5)),
            *(
                [
                    marked(
                        html.P(
                            f"Attention sink: on plain sentences {sink:.0%} of its attention rests on the "
                            "first token. That is no role.",
                            className="hs-hint",
                        ),
                        "resting",
                    )
                ]
                if sink is not None
                else []
            ),
            _places_table(reading),
            *_retrieval(retrieval, lab),
        ]
    )


def _axis_labels(labels: Sequence[str]) -> list[str]:
    return [
        f"{index} {label if len(label) <= MAX_AXIS_LABEL else label[: MAX_AXIS_LABEL - 1] + '…'}"
        for index, label in enumerate(labels)
    ]


def heatmap_height(length: int) -> str:
    """CSS height of the heatmap of so many tokens."""
    return f"{max(380, min(900, 160 + 14 * length))}px"


def heatmap(
    attention: Tensor, labels: Sequence[str], pairs: Sequence[tuple[int, int]], title: str, theme: str
) -> go.Figure:
    """A head's pattern as a heatmap.

    Args:
        attention: [query, key].
        labels: what each token is shown as.
        pairs: (query, key) positions to mark: those that make a role active.
        title: says what the marks are; empty without marks.
        theme: "light" or "dark".
    """
    colours = COLOURS[theme]
    names = [plain(label) for label in _axis_labels(labels)]
    positions = list(range(len(labels)))
    values = [
        [round(value, 4) if key <= query else None for key, value in enumerate(row)]
        for query, row in enumerate(attention.tolist())
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=positions,
            y=positions,
            customdata=[[[names[query], names[key]] for key in positions] for query in positions],
            zmin=0,
            zmax=1,
            colorscale=colours.scale,
            xgap=1,
            ygap=1,
            hoverongaps=False,
            hovertemplate="from %{customdata[0]}<br>to %{customdata[1]}<br>%{z:.1%}<extra></extra>",
            colorbar={"title": {"text": "attention"}, "thickness": 10, "tickformat": ".0%"},
        )
    )
    if pairs:
        figure.add_trace(
            go.Scatter(
                x=[key for _, key in pairs],
                y=[query for query, _ in pairs],
                mode="markers",
                marker={"symbol": "square-open", "size": 11, "color": colours.mark, "line": {"width": 2}},
                name="what the role looks for",
                hoverinfo="skip",
            )
        )
    axis = {
        "tickmode": "array",
        "tickvals": positions,
        "ticktext": names,
        "showgrid": False,
        "zeroline": False,
    }
    figure.update_layout(**base_layout(theme))
    figure.update_layout(
        title={"text": title, "font": {"size": 13}} if title else None,
        xaxis={**axis, "title": {"text": "key token (looked at)"}, "tickangle": -60, "constrain": "domain"},
        yaxis={
            **axis,
            "title": {"text": "query token (looks from)"},
            "autorange": "reversed",
            "scaleanchor": "x",
        },
        font_size=11,
        margin_t=40 if title else 10,
    )
    return figure


def pattern_table(attention: Tensor, labels: Sequence[str]) -> html.Table:
    """Where each token looks most, for those who cannot or would not read a heatmap."""
    rows = []
    for query, label in enumerate(labels):
        best = attention[query, : query + 1].topk(min(TABLE_KEYS, query + 1))
        positions = ", ".join(
            f"{labels[key]} ({key}) {value:.0%}"
            for value, key in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        rows.append(
            html.Tr(
                [
                    html.Td(str(query), className="hs-number"),
                    html.Th(html.Bdi(label), scope="row"),
                    html.Td(positions),
                ]
            )
        )
    return html.Table(
        [
            html.Caption("The three places that each token looks at most", className="visually-hidden"),
            html.Thead(
                html.Tr(
                    [
                        html.Th("#", scope="col"),
                        html.Th("looks from", scope="col"),
                        html.Th("looks at", scope="col"),
                    ]
                )
            ),
            html.Tbody(rows),
        ],
        className="hs-table",
    )


def detail_title(head: Head) -> str:
    """The heading of the detail."""
    return f"Head {head} (layer {head.layer}, head {head.head})"
