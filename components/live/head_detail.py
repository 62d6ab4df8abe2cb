"""One head in words and numbers: its roles, its scores, where its attention goes, its rank in the catalog."""

from collections.abc import Sequence
from typing import Any

from dash import html

from components.attributes import aria, data
from components.help_mark import help_mark, marked
from components.roles import role_style
from components.tables import number, scrolled_table
from retrieval.rankings.methods import METHODS, method_name, short_method_name
from utils.catalog.rankings import RetrievalFact
from utils.heads import Head
from utils.live.head_facts import RoleFact
from utils.live.head_reading import Reading
from utils.roles.activity import SINK_SHARE_MENTIONED
from utils.roles.registry import ROLES


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


def _places_table(reading: Reading) -> list[Any]:
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
    return [
        html.H3("Where its attention goes on your text", className="hs-subtitle"),
        scrolled_table("Where the attention of this head goes", titles, rows, numbers=range(1, 4)),
        html.P(
            "Shares of attention, averaged over the tokens that have such a place to look at. The kinds "
            "overlap.",
            className="hs-hint",
        ),
    ]


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


def _score_row(fact: RoleFact, heads: int) -> html.Li:
    """One role's score: a bar with its chance mark and the catalog's score, and what follows from it."""
    role = ROLES[fact.role]
    marks: list[Any] = [html.Span(className="hs-bar-fill", style={"width": f"{fact.live or 0:.1%}"})]
    if fact.chance is not None:
        marks.append(html.Span(className="hs-bar-chance", style={"left": f"{fact.chance:.1%}"}))
    told = (
        f"{'active' if fact.active else 'inactive'}: {fact.reason}"
        if fact.carries
        else "listed, below the threshold"
        if fact.listed
        else "does not have it"
    )
    numbers = [
        "" if fact.chance is None else f"chance {fact.chance:.2f}",
        "" if fact.catalog is None else f"catalog {fact.catalog:.2f}",
        "" if fact.rank is None else f"rank {fact.rank} of {heads}",
        told,
    ]
    return html.Li(
        [
            html.Span(
                [html.Span(role.letter, className="hs-swatch", **aria(hidden="true")), role.display_name],
                className="hs-score-name",
            ),
            html.Span(marks, className="hs-bar", **aria(hidden="true")),
            html.Span("–" if fact.live is None else f"{fact.live:.2f}", className="hs-bar-number"),
            html.Span(" · ".join(filter(None, numbers)), className="hs-hint hs-score-says"),
        ],
        className="hs-score" + ("" if fact.active else " hs-inactive"),
        style=role_style(role),
        **data(role=fact.role),
    )


def _scores(facts: Sequence[RoleFact], heads: int) -> list[Any]:
    """The roles that the head has, the most telling first; the others in a fold."""
    ordered = sorted(facts, key=lambda fact: ROLES[fact.role].telling_rank)
    main = [fact for fact in ordered if fact.carries or fact.listed]
    rest = [fact for fact in ordered if fact not in main]
    parts: list[Any] = []
    if main:
        parts.append(html.Ul([_score_row(fact, heads) for fact in main], className="hs-scores"))
    if rest:
        count = (
            f"{len(rest)} {'other ' if main else ''}role{'s' if len(rest) > 1 else ''} that it does not have"
        )
        parts.append(
            html.Details(
                [
                    html.Summary(count),
                    html.Ul([_score_row(fact, heads) for fact in rest], className="hs-scores"),
                ],
                open=not main,
            )
        )
    return parts


def head_sentence(facts: Sequence[RoleFact], reading: Reading, sink: float | None) -> str:
    """What the head is known for and what it does here, in two or three sentences."""
    return f"{describe_roles(facts, sink)} {reading.sentence}"


def facts_view(
    facts: Sequence[RoleFact],
    reading: Reading,
    heads: int,
    retrieval: Sequence[RetrievalFact] = (),
    lab: str = "",
    sink: float | None = None,
) -> html.Div:
    """The head's score for every role, live and in the catalog, and where its attention goes.

    Args:
        facts: one a measured role.
        reading: what the head does here, from its pattern alone.
        heads: number of heads in the model.
        retrieval: what the catalog's retrieval rankings say about the head; none for none.
        lab: the address of the retrieval lab with this head; "" where there is no such page.
        sink: the head's attention on the first token on the catalog's plain sentences; None where not known.
    """
    return html.Div(
        [
            marked(
                html.Span("Scores on your text, from 0 to 1. The dark mark is chance.", className="hs-hint"),
                "live_score",
                "catalog_score",
                "chance",
            ),
            *_scores(facts, heads),
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
            *_places_table(reading),
            *_retrieval(retrieval, lab),
        ]
    )


def detail_title(head: Head) -> str:
    """The heading of the column."""
    return f"Head {head}"
