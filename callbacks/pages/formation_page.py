"""The page about how heads form: which model's training; the slider itself is followed in the browser."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from dash import ClientsideFunction, Dash, Input, Output, State

from components import ids
from components.formation.page import PAGE, formation_body, formation_layout, formation_problem
from utils.errors import UserFacingError
from utils.formation.history import History, Scaffold
from utils.formation.log import load_history, log_path
from utils.models.store import ModelStore
from utils.runtime.file_cache import FileCache
from utils.wording import excerpt


class FormationPage:
    """The callbacks of the page, as plain methods.

    Args:
        store: the models that may be used.
        scaffolds: by model; where its training had an extra loss, from its recipe.
        unaided: trainings in which nothing told a head where to look, of which there is the log alone: the
            folder of each, by name. They come first in the menu, whatever models may be used.
    """

    def __init__(
        self,
        store: ModelStore,
        scaffolds: Mapping[str, Sequence[Scaffold]] = MappingProxyType({}),
        unaided: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        self.store = store
        self.scaffolds = scaffolds
        self.unaided = unaided
        self._histories = FileCache[History]()

    def folders(self) -> dict[str, Path]:
        """Where the training logs are, by name: those without help first, then those of bundled models."""
        sources = [self.store.source(name) for name in self.store.names()]
        bundled = {
            source.name: source.folder
            for source in sources
            if source.kind == "bundled" and source.folder is not None and log_path(source.folder).is_file()
        }
        return {**self.unaided, **bundled}

    def models(self) -> list[str]:
        """The names of the trainings that there are."""
        return list(self.folders())

    def history(self, model: str) -> History:
        """A model's training, read anew where its log has changed.

        Raises:
            UserFacingError: no such model, or its log cannot be read.
        """
        folders = self.folders()
        if model not in folders:
            options = f"Choose one of: {', '.join(folders)}." if folders else "No model here has one."
            raise UserFacingError(f"There is no training log of {excerpt(model)}.", options)
        folder, scaffolds = folders[model], self.scaffolds.get(model, ())
        return self._histories.get(
            lambda: load_history(model, folder, scaffolds, model in self.unaided), log_path(folder)
        )[1]

    def layout(self, query: str) -> Any:
        """The page for "?model=demo-gpt2&tokens=4942720"; what is wrong in a link is reported."""
        parts = {key: values[0] for key, values in parse_qs(query.removeprefix("?")[:2000]).items()}
        models, problems = self.models(), []
        model = models[0] if models else None
        if "model" in parts and models:
            if parts["model"] in models:
                model = parts["model"]
            else:
                problems.append(
                    f"There is no training log of {excerpt(parts['model'])}: choose one of "
                    f"{', '.join(models)}."
                )
        tokens = None
        if (text := parts.get("tokens")) is not None:
            if text.isascii() and text.isdecimal() and len(text) <= 15:
                tokens = int(text)
            else:
                problems.append(
                    f"The place in the training, {excerpt(text)}, is left out: it must be a number of tokens."
                )
        marks = {name: f"{name} (formed without help)" if name in self.unaided else name for name in models}
        return formation_layout(marks, model, self.show(model, tokens), problems)

    def show(self, model: str | None, tokens: int | None = None) -> Any:
        """A model's training, the slider at the checkpoint closest to `tokens`, or at the last one."""
        if not model:
            return None
        try:
            history = self.history(model)
        except UserFacingError as error:
            return formation_problem(error)
        index = len(history.tokens) - 1 if tokens is None else history.nearest(tokens)
        return formation_body(history, index)


def register(app: Dash, page: FormationPage) -> None:
    """Add the page's callbacks; those named by ClientsideFunction are in `assets/formation.js`."""
    app.callback(
        Output(ids.FORMATION_BODY, "children"),
        Input(ids.FORMATION_MODEL, "value"),
        prevent_initial_call=True,
    )(lambda model: page.show(model))
    app.clientside_callback(
        ClientsideFunction("formation", "figures"),
        Output(ids.FORMATION_LOSS, "figure"),
        Output(ids.FORMATION_ACCURACY, "figure"),
        Output(ids.FORMATION_SCORES, "figure"),
        Input(ids.FORMATION_FILM, "data"),
        Input(ids.theme(PAGE), "data"),
    )
    app.clientside_callback(
        ClientsideFunction("formation", "draw"),
        Output(ids.FORMATION_PLACE, "children"),
        Output(ids.FORMATION_STATUS, "children"),
        Input(ids.FORMATION_STEP, "value"),
        Input(ids.FORMATION_FILM, "data"),
    )
    app.clientside_callback(
        ClientsideFunction("formation", "step"),
        Output(ids.FORMATION_STEP, "value"),
        Output(ids.FORMATION_TICK, "disabled"),
        Output(ids.FORMATION_PLAY, "children"),
        Input(ids.FORMATION_BACK, "n_clicks"),
        Input(ids.FORMATION_NEXT, "n_clicks"),
        Input(ids.FORMATION_PLAY, "n_clicks"),
        Input(ids.FORMATION_TICK, "n_intervals"),
        State(ids.FORMATION_STEP, "value"),
        State(ids.FORMATION_STEP, "max"),
        State(ids.FORMATION_TICK, "disabled"),
        prevent_initial_call=True,
    )
