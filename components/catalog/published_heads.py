"""Published retrieval heads on the catalog page: those of the shown model, and in short other models'."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from dash import html

from components.section import section
from components.tables import number, scrolled_table
from retrieval.rankings.comparison import top
from retrieval.rankings.methods import short_method_name
from retrieval.rankings.overlap import relative_depths
from retrieval.rankings.published import PublishedRanking

_DATA = {"LME": "LongMemEval", "NQ": "Natural Questions"}
_SHOWN = 5


def published_section(own: Sequence[PublishedRanking], others: Sequence[PublishedRanking]) -> html.Section:
    """A card with what papers published about retrieval heads.

    Args:
        own: the rankings of the model that is shown; none for most models.
        others: those of other models, for comparison.
    """
    parts: list[Any] = []
    if own:
        hint = "Heads of this model, best first, as the authors published them."
        parts.append(_own_table(own))
    else:
        hint = "None are published for this model. Those of others lie at other places: compare their depth."
    if others:
        parts.append(
            html.Details(
                [html.Summary(f"{len({r.model for r in others})} other models"), _others_table(others)]
            )
        )
    sources = dict.fromkeys(ranking.source for ranking in (*own, *others))
    parts.append(html.P(f"Sources: {'; '.join(sources)}", className="hs-hint"))
    return section(
        "Published retrieval heads",
        hint,
        *parts,
        name="published",
        term=("retrieval_head", "relative_depth"),
    )


def found_by(ranking: PublishedRanking) -> str:
    """The method of a ranking and the data it was found on."""
    method = short_method_name(ranking.method)
    return (
        f"{method}, {_DATA.get(ranking.detected_on, ranking.detected_on)}" if ranking.detected_on else method
    )


def _own_table(rankings: Sequence[PublishedRanking]) -> Any:
    rows = [
        html.Tr(
            [
                html.Th(found_by(ranking), scope="row"),
                html.Td(
                    ", ".join(
                        f"{head} ({ranking.scores[position]:.2f})" if ranking.scores else str(head)
                        for position, head in enumerate(ranking.heads)
                    )
                ),
            ]
        )
        for ranking in rankings
    ]
    return scrolled_table("Published retrieval heads of this model", ("found by", "heads"), rows, tall=True)


def _others_table(rankings: Sequence[PublishedRanking]) -> Any:
    rows = []
    for ranking in rankings:
        layers, heads = ranking.shape or (None, None)
        depth = f"{fmean(relative_depths(top(ranking), layers)):.2f}" if layers else "–"
        share = "–" if ranking.share_at_least is None else f"{ranking.share_at_least:.1%}"
        rows.append(
            html.Tr(
                [
                    html.Th(ranking.model, scope="row"),
                    html.Td(found_by(ranking)),
                    html.Td(f"{layers} × {heads}" if layers else "–"),
                    number(share),
                    number(depth),
                    html.Td(", ".join(str(head) for head in ranking.heads[:_SHOWN])),
                ]
            )
        )
    titles = ("model", "found by", "layers × heads", "score ≥ 0.1", "mean depth", "first heads")
    return scrolled_table("Published retrieval heads of other models", titles, rows, numbers=(3, 4))
