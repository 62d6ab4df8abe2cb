"""The glossary: it is all there at once; filtering and scrolling to a word happen in the browser."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output

from components import ids
from components.glossary.page import glossary_layout


class GlossaryPage:
    """The glossary."""

    def layout(self, query: str) -> Any:
        """The page, for any query: a term is chosen by its anchor (/glossary#token)."""
        return glossary_layout()


def register(app: Dash) -> None:
    """Add the page's callback, which is in `assets/glossary.js`."""
    app.clientside_callback(
        ClientsideFunction("glossary", "filter"),
        Output(ids.GLOSSARY_STATUS, "children"),
        Input(ids.GLOSSARY_FILTER, "value"),
    )
