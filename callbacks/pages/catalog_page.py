"""The catalog page: which model's catalog, which role; download; analysis where there is none."""

from typing import Any
from urllib.parse import parse_qs

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, no_update

from components import ids
from components.catalog.page import PAGE, catalog_body, catalog_layout, catalog_missing
from components.plots import theme_name
from utils.catalog.catalog import Catalog, catalog_names, catalog_path, load_catalog
from utils.errors import UserFacingError
from utils.live.service import LiveService
from utils.roles.registry import ROLES


class CatalogPage:
    """The callbacks of the catalog page, as plain methods.

    Args:
        service: knows the models and where the catalogs are.
        locked: whether the catalogs of the app's own models alone may be read.
    """

    def __init__(self, service: LiveService, locked: bool = False) -> None:
        self.service = service
        self.locked = locked

    def models(self) -> list[str]:
        """The app's models, and then those that have a catalog alone."""
        mine = self.service.store.names()
        if self.locked:
            return mine
        return mine + [name for name in catalog_names(self.service.catalog_folder) if name not in mine]

    def layout(self, query: str) -> Any:
        """The page for "?model=...&role=..."; what it does not know it leaves at the first."""
        parts = {key: values[0] for key, values in parse_qs(query.removeprefix("?")).items()}
        models = self.models()
        first = models[0] if models else None
        model = parts.get("model")
        role = parts.get("role", "")
        return catalog_layout(
            models, model if model in models else first, role if role in ROLES else next(iter(ROLES))
        )

    def _catalog(self, model: str | None) -> Catalog:
        if model not in self.models():
            raise UserFacingError("There is no such model.", "Choose one from the menu.")
        return load_catalog(catalog_path(str(model), self.service.catalog_folder))

    def show(self, model: str | None, role: str, theme: str | None) -> tuple[Any, bool, str | None]:
        """The page's body, whether there is nothing to download, the model that may be analyzed."""
        if not model:
            return [], True, None
        try:
            catalog = self._catalog(model)
        except UserFacingError as error:
            offered = model if model in self.service.store.names() else None
            return catalog_missing(str(error), model), True, offered
        live = model in self.service.store.names()
        return catalog_body(catalog, role, theme_name(theme), live), False, None

    def download(self, model: str | None) -> Any:
        """The catalog as a file."""
        try:
            catalog = self._catalog(model)
        except UserFacingError:
            return no_update
        name = catalog_path(catalog.model_name, self.service.catalog_folder).name
        return dcc.send_string(catalog.model_dump_json(indent=1), name)


def register(app: Dash, page: CatalogPage) -> None:
    """Add the catalog page's callbacks to the app."""
    app.callback(
        Output(ids.CATALOG_BODY, "children"),
        Output(ids.CATALOG_DOWNLOAD, "disabled"),
        Output(ids.analysis_for(PAGE), "data"),
        Input(ids.CATALOG_MODEL, "value"),
        Input(ids.CATALOG_ROLE, "value"),
        Input(ids.theme(PAGE), "data"),
        Input(ids.analysis_done(PAGE), "data"),
    )(lambda model, role, theme, done: page.show(model, role, theme))
    app.clientside_callback(
        ClientsideFunction("headscope", "showCatalog"),
        Output(ids.CATALOG_BODY, "data-role"),
        Input(ids.CATALOG_MODEL, "value"),
        Input(ids.CATALOG_ROLE, "value"),
    )
    app.clientside_callback(
        ClientsideFunction("catalog", "openHead"),
        Output(ids.CATALOG_SCORES, "clickData"),
        Input(ids.CATALOG_SCORES, "clickData"),
        prevent_initial_call=True,
    )
    app.callback(
        Output(ids.CATALOG_FILE, "data"),
        Input(ids.CATALOG_DOWNLOAD, "n_clicks"),
        State(ids.CATALOG_MODEL, "value"),
        prevent_initial_call=True,
    )(lambda clicks, model: page.download(model) if clicks else no_update)
