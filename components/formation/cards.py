"""Cards of the page about how heads form: the grid at a checkpoint, its numbers, the curves with their table.

What is shown at the slider's place is filled in by the browser (`assets/formation.js`).
"""

from collections.abc import Sequence

from dash import html

from components import ids
from components.attributes import aria, data
from components.formation.curves import MARGINS, Line, loss_lines, role_lines
from components.help_mark import marked
from components.plots import graph
from components.roles import role_style
from components.section import section
from components.tables import number, scrolled_table, scroller, table
from utils.formation.history import History
from utils.roles.registry import ROLES


def grid_card(history: History) -> html.Section:
    """All heads, whose cells the browser fills."""
    layers, heads = history.shape
    head = html.Tr(
        [html.Th(html.Span("layer", className="visually-hidden"), scope="col")]
        + [html.Th([_hidden("head "), str(column)], scope="col") for column in range(heads)]
    )
    rows = [
        html.Tr(
            [html.Th(f"L{layer}", scope="row")]
            + [
                html.Td(
                    # Filled by the browser.
                    [html.Span("·"), html.Span(className="visually-hidden")],
                    className="hs-form-cell",
                    **data(cell=str(layer * heads + column)),
                )
                for column in range(heads)
            ]
        )
        for layer in range(layers)
    ]
    legend = [
        html.Span(
            [html.Span(ROLES[line.key].letter, className="hs-swatch"), ROLES[line.key].display_name],
            className="hs-legend-item",
            style=role_style(ROLES[line.key]),
        )
        for line in role_lines(history)
    ]
    if history.scaffolds:
        legend.append(
            html.Span(
                [
                    html.Span("·", className="hs-swatch hs-form-pointed"),
                    "the scaffold points at its target, or did",
                ],
                className="hs-legend-item",
            )
        )
    legend.append(html.Span("· no role's threshold is reached", className="hs-legend-item"))
    return section(
        "All heads at this checkpoint",
        "A row is a layer, from the first at the top; a column is a head. Colour and letter tell the role "
        "whose threshold the head passes most, the strength its score on test inputs.",
        scroller(
            html.Table(
                [
                    html.Caption("The role of every head at this checkpoint", className="visually-hidden"),
                    html.Thead(head),
                    html.Tbody(rows),
                ],
                id=ids.FORMATION_GRID,
                className="hs-form-grid",
            ),
            label="Table: the role of every head",
        ),
        html.Div(legend, className="hs-legend"),
        html.P(id=ids.FORMATION_STATUS, className="hs-fact hs-form-status", role="status"),
        name="grid",
        term=("role", "threshold"),
    )


def _hidden(text: str) -> html.Span:
    return html.Span(text, className="visually-hidden")


def numbers_card(history: History) -> html.Section:
    """How many heads reach each role's threshold, and the best of them; filled by the browser."""
    rows = [
        html.Tr(
            [
                html.Th(
                    [
                        html.Span(line.letter, className="hs-swatch", style=role_style(ROLES[line.key])),
                        line.label.split(" (")[0],
                    ],
                    scope="row",
                ),
                number(f"{ROLES[line.key].threshold:g}"),
                *(
                    html.Td("–", className="hs-number", **data(role=str(position), number=what))
                    for what in ("passing", "best", "score")
                ),
            ]
        )
        for position, line in enumerate(role_lines(history))
    ]
    return section(
        "Each role at this checkpoint",
        "Measured on test inputs. Untrained heads look everywhere alike, so they count as spread out.",
        scrolled_table(
            "Each role at this checkpoint",
            ("role", "threshold", "heads that reach it", "best head", "its score"),
            rows,
            numbers=(1, 2, 3, 4),
            look="hs-form-numbers",
        ),
        name="numbers",
        term="threshold",
    )


def _legend(lines: Sequence[Line]) -> html.Div:
    return html.Div(
        [
            html.Span(
                [
                    html.Span(
                        className=f"hs-line hs-line-{line.dash}",
                        style={"--hue-light": line.light, "--hue-dark": line.dark},
                    ),
                    f"{line.letter} {line.label}".strip(),
                ],
                className="hs-legend-item",
            )
            for line in lines
        ],
        className="hs-legend hs-line-legend",
    )


def _curve(key: str, title: str, hint: str, lines: Sequence[Line], term: str, tall: bool = False) -> html.Div:
    # Over the figure's own area, of which the browser sets the share.
    now = {
        "left": f"calc({MARGINS['l']}px + (100% - {MARGINS['l'] + MARGINS['r']}px) * var(--now))",
        "top": f"{MARGINS['t']}px",
        "bottom": f"{MARGINS['b']}px",
    }
    return html.Div(
        [
            marked(html.H3(title, className="hs-subtitle"), term),
            html.P(hint, className="hs-hint"),
            html.Div(
                [
                    graph(key, id=key, style={"height": "280px" if tall else "210px"}),
                    html.Span(className="hs-now", style=now, **aria(hidden="true")),
                ],
                className="hs-curve",
            ),
            _legend(lines) if len(lines) > 1 else None,
        ]
    )


def curves_card(history: History) -> html.Section:
    """Loss, accuracy and scores over training, and their numbers as a table."""
    return section(
        "The curves",
        "Over training tokens. The upright line is the slider's place"
        + ("; the shaded stretch is where the scaffold stood." if history.scaffolds else "."),
        html.Div(
            [
                _curve(
                    ids.FORMATION_LOSS,
                    "Loss",
                    "How surprised the model is by each kind of text; lower is better.",
                    loss_lines(history),
                    "loss",
                ),
                _curve(
                    ids.FORMATION_ACCURACY,
                    "Accuracy on repeated sequences",
                    "Random tokens, then the same again: how often is its guess right in the second half?",
                    [],
                    "repeated_accuracy",
                ),
                _curve(
                    ids.FORMATION_SCORES,
                    "Each role's best score",
                    "The highest score of any head; which head it is may change.",
                    role_lines(history),
                    "role",
                    tall=True,
                ),
            ],
            className="hs-curves",
        ),
        html.Details(
            [
                html.Summary("The numbers as a table"),
                scroller(history_table(history), "Table: the numbers of the curves", tall=True),
            ]
        ),
        name="curves",
        term="training_curves",
    )


def history_table(history: History) -> html.Table:
    """The curves' numbers, a row a checkpoint."""
    losses, roles = loss_lines(history), role_lines(history)
    titles = [
        "tokens",
        "tokens a row",
        *(f"loss: {line.label}" for line in losses),
        "accuracy on repeated sequences",
        *(f"{line.label.split(' (')[0]}: best" for line in roles),
    ]
    rows = []
    for point in history.checkpoints:
        cells = [
            f"{point.context}",
            *(f"{point.losses[line.key]:.2f}" for line in losses),
            f"{point.repeated_accuracy:.0%}",
            *(f"{point.best[line.key][0]} {point.best[line.key][1]:.2f}" for line in roles),
        ]
        rows.append(
            html.Tr(
                [
                    html.Th(f"{point.tokens:,}", scope="row", className="hs-number"),
                    *(number(cell) for cell in cells),
                ]
            )
        )
    return table(
        f"The training of {history.model}", titles, rows, numbers=range(len(titles)), look="hs-history"
    )
