"""Two prompts side by side: what differs in words, the tokens, the predictions, the roles, the heads."""

from collections.abc import Sequence
from typing import Any

from dash import dcc, html

from components.attributes import aria
from components.compare.roles import changed_card, roles_card
from components.section import section
from components.tables import number, scroller, table
from utils.compare.changed_heads import Compared
from utils.compare.sentences import prediction_sentence, summary_sentence
from utils.compare.side_by_side import Candidate, SideBySide
from utils.models.prompts import TokenizedPrompt

SIDES = ("Left", "Right")


def compare_view(compared: Compared, live_links: Sequence[str]) -> list[Any]:
    """Everything below the prompts.

    Args:
        compared: the two analyses.
        live_links: for each side the address of the live page that shows it; "" where no link can hold it.
    """
    comparison = compared.comparison
    return [
        html.Div(
            [
                html.Div(
                    [
                        _differs(comparison, live_links),
                        _texts(compared),
                    ],
                    className="hs-column",
                ),
                _predictions(comparison),
            ],
            className="hs-columns",
        ),
        roles_card(comparison),
        *([changed_card(compared.changed)] if compared.changed else []),
    ]


def _name(comparison: SideBySide, side: int) -> str:
    """What a side is called where it matters which model it is."""
    return SIDES[side] if comparison.same_model else f"{SIDES[side]}: {comparison.models[side]}"


def _differs(comparison: SideBySide, live_links: Sequence[str]) -> html.Section:
    links = [
        dcc.Link(
            [html.I(className="bi bi-eye", **aria(hidden="true")), f" Open the {side.lower()} side live"],
            href=link,
            className="btn btn-sm btn-outline-secondary",
        )
        for side, link in zip(SIDES, live_links, strict=True)
        if link
    ]
    return section(
        "What differs",
        "In plain words. Open a side in the live page to see single heads and to switch them off.",
        html.P(summary_sentence(comparison), className="hs-sentence", role="status"),
        html.P(prediction_sentence(comparison)),
        html.Div(links, className="hs-compare-links"),
        name="differs",
    )


def _tokens(prompt: TokenizedPrompt, shared: int | None) -> html.Ol:
    return html.Ol(
        [
            html.Li(
                html.Bdi(label, className="hs-token-text"),
                className="hs-compare-token"
                + ("" if shared is None or index < shared else " hs-compare-own"),
            )
            for index, label in enumerate(prompt.labels)
        ],
        className="hs-compare-tokens",
    )


def _texts(compared: Compared) -> html.Section:
    comparison = compared.comparison
    shared = comparison.shared_tokens
    if comparison.same_prompt or shared is None:
        hint = "A dot before a word is a space."
        shared = None
    else:
        hint = (
            f"The first {shared} tokens are the same; from there on (framed) each goes its own way."
            if shared > 1
            else "The texts differ from the first word on."
        )
    parts: list[Any] = []
    for side, prompt in enumerate(compared.prompts):
        parts += [
            html.H3(f"{_name(comparison, side)} ({len(prompt.ids)} tokens)", className="hs-subtitle"),
            _tokens(prompt, shared),
        ]
    return section(
        "The texts as tokens",
        hint,
        html.Div(parts, className="hs-compare-texts"),
        name="texts",
        term=("token", "bos"),
    )


def _prediction_table(
    comparison: SideBySide, side: int, candidates: Sequence[Candidate], others: Sequence[Candidate]
) -> html.Div:
    elsewhere = {other.label: other for other in others}
    rows = []
    for rank, candidate in enumerate(candidates, start=1):
        twin = elsewhere.get(candidate.label)
        rows.append(
            html.Tr(
                [
                    number(str(rank)),
                    html.Th(html.Bdi(candidate.label), scope="row", className="hs-token-cell"),
                    html.Td(
                        html.Div(
                            html.Span(
                                className=f"hs-prob hs-prob-{('clean', 'ablated')[side]}",
                                style={"width": f"{candidate.probability:.2%}"},
                            ),
                            className="hs-probs",
                        ),
                        className="hs-prob-cell",
                        **aria(hidden="true"),
                    ),
                    number(f"{candidate.probability:.1%}"),
                    number("–" if twin is None else f"{twin.probability:.1%}"),
                ],
                className="" if twin is None else "hs-watched",
            )
        )
    bar = html.Span("bar", className="visually-hidden")
    titles = ("rank", "token", bar, SIDES[side].lower(), SIDES[1 - side].lower())
    caption = f"Most likely next tokens, {SIDES[side].lower()}"
    return scroller(
        [
            html.H3(_name(comparison, side), className="hs-subtitle"),
            table(caption, titles, rows, numbers=(3, 4)),
        ],
        f"Table: {caption}",
    )


def _predictions(comparison: SideBySide) -> html.Section:
    left, right = comparison.predictions
    return section(
        "What comes next",
        f"The {len(left)} most likely next tokens of each side. Shaded: among the most likely on the other "
        "side too, whose probability stands in the last column.",
        html.Div(
            [_prediction_table(comparison, 0, left, right), _prediction_table(comparison, 1, right, left)],
            className="hs-compare-predictions",
        ),
        name="predictions",
        term="probability",
    )
