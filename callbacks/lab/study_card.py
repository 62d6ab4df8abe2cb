"""The study's figures on the lab page: read from the study's tables, drawn one at a time."""

from pathlib import Path
from typing import Any

from dash import Dash, Input, Output, no_update

from components import ids
from components.lab.page import PAGE
from components.lab.rankings import empty_figure
from components.lab.study_card import study_tables
from components.plain_html import PLAIN, to_html
from components.plots import theme_name
from study.data.results_folder import DEFAULT_FOLDER, ResultPaths
from study.figures.registry import FIGURES, choice_label
from study.figures.style import Tables
from study.tables.columns import COLUMNS, load_tables
from utils.errors import UserFacingError
from utils.runtime.file_cache import FileCache

HEIGHT = 420


class LabStudy:
    """The study's card, as plain methods.

    Args:
        folder: the study's results.
    """

    def __init__(self, folder: Path = DEFAULT_FOLDER) -> None:
        self._folder = folder
        self._tables = FileCache[Tables]()

    def tables(self) -> Tables:
        """The study's tables, read anew where one of them has changed.

        Raises:
            UserFacingError: they are not there, or damaged.
        """
        paths = [ResultPaths(self._folder).table(name) for name in COLUMNS]

        def read() -> Tables:
            if not any(path.is_file() for path in paths):
                raise UserFacingError("There are no results of the study yet.", "Run the study.")
            return load_tables(self._folder)

        return self._tables.get(read, *paths)[1]

    def menu(self) -> tuple[dict[str, str], str]:
        """Titles of the figures that there are, by key; and why there are none, "" where there are some."""
        try:
            tables = self.tables()
        except UserFacingError as error:
            return {}, error.message
        found = {key: row.title for key, row in FIGURES.items() if row.choices(tables)}
        return found, "" if found else "The study's tables are empty."

    def choices(self, key: str | None) -> tuple[Any, Any]:
        """What a figure can be drawn of: options of the second menu, the first of them chosen."""
        try:
            row = FIGURES[key or ""]
            choices = row.choices(self.tables())
        except (KeyError, UserFacingError):
            return [], None
        options = [
            {
                "label": ", ".join(choice_label(name, value) for name, value in choice.items()),
                "value": row.file_name(choice),
            }
            for choice in choices
        ]
        return options, options[0]["value"] if options else None

    def show(self, key: str | None, name: str | None, theme: str | None) -> tuple[Any, Any, Any, Any]:
        """How the figure is read, the figure, its style, its numbers as HTML text."""
        row = FIGURES.get(key or "")
        if row is None or name is None:
            return no_update, no_update, no_update, no_update
        try:
            tables = self.tables()
            choice = next((each for each in row.choices(tables) if row.file_name(each) == name), None)
            # The second menu is still that of the figure before.
            if choice is None:
                return no_update, no_update, no_update, no_update
            figure = row.draw(tables, theme_name(theme), **choice)
        except UserFacingError as error:
            return str(error), empty_figure(theme_name(theme), "nothing to draw"), {"height": "10rem"}, ""
        style = {"height": f"{figure.layout['height'] or HEIGHT}px"}
        return row.help, figure, style, to_html(study_tables(figure))


def register(app: Dash, study: LabStudy) -> None:
    """Add the card's callbacks."""
    app.callback(
        Output(ids.LAB_CHOICE, "options"), Output(ids.LAB_CHOICE, "value"), Input(ids.LAB_FIGURE, "value")
    )(study.choices)
    app.callback(
        Output(ids.LAB_FIGURE_STATUS, "children"),
        Output(ids.LAB_STUDY, "figure"),
        Output(ids.LAB_STUDY, "style"),
        Output(ids.LAB_STUDY_TABLE, PLAIN),
        Input(ids.LAB_FIGURE, "value"),
        Input(ids.LAB_CHOICE, "value"),
        Input(ids.theme(PAGE), "data"),
    )(study.show)
