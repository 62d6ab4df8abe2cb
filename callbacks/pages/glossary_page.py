"""The page of words: it is all there at once; filtering and scrolling to a word happen in the browser."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output

from components import ids
from components.glossary.page import words_layout


class WordsPage:
    """The page of words."""

    def layout(self, query: str) -> Any:
        """The page, whatever stands behind its address: a word is asked for by its anchor (/words#token)."""
        return words_layout()


def register(app: Dash) -> None:
    """Add the page's callback, which is in `assets/words.js`."""
    app.clientside_callback(
        ClientsideFunction("words", "filter"),
        Output(ids.WORDS_STATUS, "children"),
        Input(ids.WORDS_FILTER, "value"),
    )
