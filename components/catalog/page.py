"""The catalog page: menus and download, and the cards about one model and one role, a file each."""

from collections.abc import Sequence
from typing import Any

import dash_bootstrap_components as dbc
from dash import dcc, html

from components import ids
from components.analysis_panel import analysis_places
from components.attributes import aria
from components.catalog.facts import known_section, made_section
from components.catalog.published_heads import published_section
from components.catalog.scores import listed_section, scores_section
from components.fields import menu
from components.section import section
from retrieval.rankings.published import for_model, published
from utils.catalog.catalog import Catalog, analyzer_command
from utils.catalog.known_heads import KNOWN_HEADS
from utils.errors import UserFacingError
from utils.roles.registry import ROLES

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
                        menu("Model", ids.CATALOG_MODEL, {name: name for name in models}, model),
                        menu(
                            "Role",
                            ids.CATALOG_ROLE,
                            {key: row.display_name for key, row in ROLES.items()},
                            role,
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
        className="hs-page-body hs-catalog",
    )


def catalog_body(catalog: Catalog, role: str, theme: str, live: bool = True) -> list[Any]:
    """All that is known about one role of one model.

    Args:
        catalog: of the model.
        role: the role's key.
        theme: "light" or "dark".
        live: whether the live page can open the model, so that its heads lead there.
    """
    if role not in catalog.categories:
        return [html.Div(html.P("This catalog does not have this role."), className="hs-card")]
    known = KNOWN_HEADS.get(catalog.model_name)
    return [
        html.Div(
            [
                scores_section(catalog, role, theme, live),
                html.Div(
                    [
                        listed_section(catalog, role, live),
                        *([known_section(known)] if known else []),
                        _published(catalog.model_name),
                        made_section(catalog),
                    ],
                    className="hs-column",
                ),
            ],
            className="hs-columns",
        )
    ]


def catalog_missing(problem: str, model: str) -> list[Any]:
    """What stands there for a model without a catalog that can be used."""
    known = KNOWN_HEADS.get(model)
    return [
        html.Div(
            [
                html.P(problem),
                html.P(["On the command line: ", html.Code(analyzer_command(model))], className="hs-hint"),
            ],
            className="hs-card",
        ),
        *([known_section(known)] if known else []),
        _published(model),
    ]


def _published(model: str) -> html.Section:
    """What papers published about the model's retrieval heads, or about other models'."""
    try:
        own, known = for_model(model), published()
    except UserFacingError as error:
        # The catalog is worth showing without them.
        return section("Published retrieval heads", str(error), name="published")
    return published_section(own, [ranking for ranking in known if ranking not in own])
