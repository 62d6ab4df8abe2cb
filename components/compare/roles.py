"""Roles and heads of two analyses side by side."""

from collections.abc import Sequence
from typing import Any

from dash import html

from components.attributes import aria, data
from components.roles import role_style
from components.section import section
from components.tables import number, scrolled_table
from utils.compare.changed_heads import ChangedHead
from utils.compare.sentences import role_sentence, short_name
from utils.compare.side_by_side import HeadPair, HeadScore, RoleComparison, SideBySide
from utils.roles.registry import ROLES

_BADGES = {
    ("active", "active"): "active on both sides",
    ("active", "inactive"): "active on the left alone",
    ("inactive", "active"): "active on the right alone",
    ("no heads", "no heads"): "no heads",
}


def _score(score: HeadScore | None, named: bool) -> html.Td:
    """A head's score with its circle; with its name where the two sides have different heads."""
    if score is None:
        return number("–")
    message = "–" if score.live is None else f"{score.live:.2f}"
    icon = "circle-fill" if score.active else "circle"
    return html.Td(
        [
            html.Span(f"{score.head} ", className="hs-compare-head") if named else None,
            message,
            html.I(className=f"bi bi-{icon} hs-circle", **aria(hidden="true")),
            html.Span(" active" if score.active else " inactive", className="visually-hidden"),
        ],
        className="hs-number",
    )


def _pair_row(pair: HeadPair, rank: int, same_model: bool) -> html.Tr:
    known = pair.left or pair.right
    bars = [
        html.Span(
            className=f"hs-prob hs-compare-bar hs-compare-bar-{side}", style={"width": f"{score.live:.1%}"}
        )
        for side, score in (("left", pair.left), ("right", pair.right))
        if score is not None and score.live is not None
    ]
    cells = [
        html.Th(str(known.head) if same_model and known else f"{rank}.", scope="row"),
        html.Td(html.Div(bars, className="hs-probs"), className="hs-prob-cell", **aria(hidden="true")),
        _score(pair.left, not same_model),
        _score(pair.right, not same_model),
    ]
    if same_model:
        # No "-0.00".
        change = "–" if pair.difference is None else f"{round(pair.difference, 2) + 0.0:+.2f}"
        cells.append(number(change))
    return html.Tr(cells)


def _heads_table(role: RoleComparison, same_model: bool) -> html.Div:
    bar = html.Span("bars", className="visually-hidden")
    titles = ("head", bar, "left", "right", "change") if same_model else ("rank", bar, "left", "right")
    return scrolled_table(
        f"Heads: {ROLES[role.role].display_name}",
        titles,
        [_pair_row(pair, rank, same_model) for rank, pair in enumerate(role.pairs, start=1)],
        numbers=(2, 3, 4),
        look="hs-compare-heads",
    )


def _role_card(role: RoleComparison, comparison: SideBySide) -> html.Article:
    row = ROLES[role.role]
    badge = _BADGES.get((role.left.state, role.right.state), "active on neither side")
    if "unknown" in (role.left.state, role.right.state):
        badge = "not known on both sides"
    anywhere = "active" in (role.left.state, role.right.state)
    table: Any = None
    if role.pairs:
        table = html.Details(
            [
                html.Summary(f"{len(role.pairs)} head{'s' if len(role.pairs) > 1 else ''}"),
                _heads_table(role, comparison.same_model),
            ],
            open=anywhere,
        )
    return html.Article(
        [
            html.H3(
                [
                    html.Span(row.letter, className="hs-swatch", style=role_style(row)),
                    short_name(role.role),
                    " ",
                    html.Span(
                        [html.Strong("changed: "), badge] if role.changed else badge, className="hs-state"
                    ),
                ],
                className="hs-role-title",
            ),
            html.P(role_sentence(role, comparison.same_model), className="hs-role-text"),
            table,
        ],
        className="hs-role" + (" hs-compare-changed" if role.changed else ""),
        style=role_style(row),
        **data(role=role.role, changed=str(role.changed).lower()),
    )


def roles_card(comparison: SideBySide) -> html.Section:
    """Every role on both sides, with its heads."""
    hint = (
        "Solid bar: left. Striped bar: right. A filled circle: active there. "
        + (
            ""
            if comparison.same_model
            else "Two models have no head in common: the first head of a role stands beside the first of the "
            "other model. "
        )
        + "A role on test inputs is not all that a head does."
    )
    return section(
        "Roles side by side",
        hint,
        html.Div([_role_card(role, comparison) for role in comparison.roles], className="hs-compare-roles"),
        name="compared-roles",
        term=("active", "live_score") if comparison.same_model else ("active", "relative_depth"),
    )


def changed_card(changed: Sequence[ChangedHead]) -> html.Section:
    """The heads of one model that change most from one text to the other."""
    rows = [
        html.Tr(
            [
                html.Th(str(entry.head), scope="row"),
                html.Td(
                    [
                        html.Span(
                            ROLES[entry.role].letter,
                            className="hs-swatch",
                            style=role_style(ROLES[entry.role]),
                        ),
                        short_name(entry.role),
                    ]
                ),
                number(f"{entry.left:.2f}"),
                number(f"{entry.right:.2f}"),
                number(f"{entry.difference:+.2f}"),
                html.Td({True: "yes", False: "no", None: "–"}[entry.listed]),
            ]
        )
        for entry in changed
    ]
    return section(
        "Heads that change most",
        "Of all heads of the model, whether or not they have the role by the catalog.",
        scrolled_table(
            "Heads that change most",
            ("head", "pattern", "left", "right", "change", "has the role"),
            rows,
            numbers=(2, 3, 4),
            look="hs-compare-most",
        ),
        name="changed",
        term=("live_score", "unlisted_active"),
    )
