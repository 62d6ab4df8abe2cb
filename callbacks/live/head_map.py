"""The map of all heads: its cells, and the values that a view colours them by."""

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State

from callbacks.answer.effects_view import EffectsView
from callbacks.answer.next_token_view import NOTHING_YET
from callbacks.live.context import Request, Shown, find_analysis, find_shown, parse_heads
from components import ids
from components.answer.prediction_panel import no_prediction
from components.live.head_map import head_grid, map_note, map_table
from components.plain_html import PLAIN, as_html
from utils.catalog.rankings import retrieval_heads
from utils.effects.measures import MEASURES, MeasureKey
from utils.errors import UserFacingError
from utils.live import head_facts
from utils.live.map_views import MapSource, map_values, map_view
from utils.live.service import LiveService


class HeadMap:
    """The map's callbacks as plain methods.

    Args:
        service: the live entry point.
        effects: the view that computes effect maps; None where none are shown.
    """

    def __init__(self, service: LiveService, effects: EffectsView | None = None) -> None:
        self.service = service
        self.effects = effects

    def show_grid(self, request: Request | None, off_names: list[str], chosen: str | None) -> Any:
        """The cells."""
        analysis, _ = find_analysis(self.service, request)
        if analysis is None:
            return no_prediction(NOTHING_YET)
        geometry = analysis.loaded.geometry
        return head_grid(
            geometry.n_layers,
            geometry.n_heads,
            head_facts.cell_roles(analysis),
            next(iter(parse_heads([chosen], analysis)), None),
            parse_heads(off_names, analysis),
            retrieval_heads(analysis.catalog),
        )

    def show_values(
        self,
        request: Request | None,
        view_key: str | None,
        measure: str | None,
        mode: str | None,
        position: str | None,
        target: str | None,
        against: str | None,
        second: str | None = None,
        fit: str | None = None,
    ) -> tuple[Any, Any, Any]:
        """The values of a view for the browser, the note above the map, and the table.

        Args:
            request: what is shown.
            view_key: a key of `MAP_VIEWS`.
            measure: a key of `MEASURES`.
            mode: how heads are ablated.
            position: a token's number as a text, "last" for the last.
            target: text of the watched token.
            against: text of the second token.
            second: the second prompt of an interchange.
            fit: how it is made to fit.
        """
        shown = find_shown(self.service, request, (), mode, position, target, against, second, fit)
        view = map_view(view_key)
        drawn = None
        if shown is not None and view.values is not None:
            known: MeasureKey = "probability"
            for key in MEASURES:
                known = key if key == measure else known
            drawn = map_values(view, self._source(shown, view.needs, known))
        return drawn, map_note(view_key, drawn), map_table(drawn)

    def _source(self, shown: Shown, needs: str, measure: MeasureKey) -> MapSource:
        """What a view's values are read off; what it does not need is not computed."""
        analysis, effects = shown.analysis, self.effects
        if needs == "direct":
            try:
                direct = self.service.writing.direct(
                    analysis.loaded.name, analysis.prompt.text, shown.position, shown.target, shown.against
                )
            except UserFacingError:
                direct = None
            return MapSource(analysis, measure=measure, direct=direct)
        if needs == "interchange" and effects is not None:
            return MapSource(analysis, swapped=effects.swapped(shown))
        if needs == "effects" and effects is not None:
            exact = effects.so_far(shown)
            estimate = None if effects.known(shown) else effects.estimate(shown)
            return MapSource(analysis, exact, measure, estimate)
        return MapSource(analysis, measure=measure)


def register(app: Dash, view: HeadMap) -> None:
    """Add the map's callbacks; those named by ClientsideFunction are in `assets/head_map.js`."""
    app.callback(
        Output(ids.GRID, PLAIN),
        Input(ids.REQUEST, "data"),
        # Another choice and other ablated heads are marked in the browser: a grid drawn anew would lose quick
        # key presses, and is most of what a toggle would send.
        State(ids.ABLATED, "data"),
        State(ids.SELECTED, "data"),
    )(as_html(view.show_grid))

    @app.callback(
        Output(ids.MAP_DRAWN, "data"),
        Output(ids.MAP_NOTE, PLAIN),
        Output(ids.MAP_TABLE, PLAIN),
        Input(ids.REQUEST, "data"),
        Input(ids.MAP_VIEW, "value"),
        Input(ids.MEASURE, "value"),
        Input(ids.MODE, "value"),
        Input(ids.POSITION, "value"),
        Input(ids.WATCH, "value"),
        Input(ids.AGAINST, "value"),
        # Counts the rows of the effect map that have been computed.
        Input(ids.EFFECTS_ROWS, "data"),
        Input(ids.SECOND, "value"),
        Input(ids.FIT, "value"),
    )
    def _(request, view_key, measure, mode, position, target, against, rows, second, fit):
        return as_html(view.show_values, 1, 2)(
            request, view_key, measure, mode, position, target, against, second, fit
        )

    app.clientside_callback(
        ClientsideFunction("headmap", "paint"), Output(ids.GRID, "data-view"), Input(ids.MAP_DRAWN, "data")
    )
    app.clientside_callback(
        ClientsideFunction("headmap", "markChosen"),
        Output(ids.GRID, "data-chosen"),
        Input(ids.SELECTED, "data"),
    )
    app.clientside_callback(
        ClientsideFunction("headmap", "markAblated"),
        Output(ids.GRID, "data-ablated"),
        Input(ids.ABLATED, "data"),
    )
    # The view "Which heads matter" colours the map, and the map's view of effects needs it.
    app.clientside_callback(
        ClientsideFunction("headmap", "followView"),
        Output(ids.MAP_VIEW, "value"),
        Input(ids.VIEW, "value"),
        State(ids.MAP_VIEW, "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("headmap", "followMap"),
        Output(ids.GRID, "data-followed"),
        Input(ids.MAP_VIEW, "value"),
    )
    # What became of the other heads without the ablated ones, told beside each.
    app.clientside_callback(
        ClientsideFunction("headmap", "tellOthers"),
        Output(ids.GRID, "data-others"),
        Input(ids.ABLATED_SCORES, "data"),
    )
