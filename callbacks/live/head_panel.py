"""The column of the chosen head: its sentence, its scores, and whichever figure is shown."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from callbacks.clicks import clicked
from callbacks.live.context import Request, Shown, find_analysis, find_shown, parse_heads
from components import ids
from components.addresses import address
from components.answer.prediction_panel import no_prediction
from components.live.head_detail import detail_title, facts_view, head_sentence
from components.live.head_writes import writes_view
from components.live.heatmap import (
    WINDOW,
    heatmap,
    largest_after_first,
    pattern_table,
    window_of,
    without_first,
)
from components.live.layout import PAGE as LIVE
from components.messages import sentence_of
from components.plain_html import PLAIN, to_html
from components.plots import theme_name
from utils.catalog.rankings import retrieval_facts
from utils.effects.effect_map import EffectMap
from utils.errors import UserFacingError
from utils.heads import Head
from utils.live import head_facts
from utils.live.analysis import LiveAnalysis
from utils.live.bertviz_page import head_view
from utils.live.head_reading import read_head
from utils.live.service import LiveService
from utils.models.prompts import token_label
from utils.writing.sentences import written_sentence


class HeadPanel:
    """The column's callbacks as plain methods.

    Args:
        service: the live entry point.
        lab: whether the retrieval lab may be opened.
    """

    def __init__(self, service: LiveService, lab: bool = True) -> None:
        self.service = service
        self.lab = lab

    def _chosen(self, request: Request | None, chosen: str | None) -> tuple[LiveAnalysis, Head] | None:
        analysis, _ = find_analysis(self.service, request)
        heads = parse_heads([chosen], analysis) if analysis else []
        return (analysis, heads[0]) if analysis is not None and heads else None

    def show_switch(self, request: Request | None, chosen: str | None, off_names: list[str]) -> str:
        """What the button says that ablates the chosen head."""
        found = self._chosen(request, chosen)
        if found is None:
            return "Ablate"
        analysis, head = found
        ablated = head in parse_heads(off_names, analysis)
        return f"Restore {head}" if ablated else f"Ablate {head}"

    def show_head(self, request: Request | None, chosen: str | None) -> tuple[Any, Any, Any, Any]:
        """Title, sentence, scores, and the pattern for the token strip."""
        found = self._chosen(request, chosen)
        if found is None:
            return (
                "Choose a head",
                "Click a cell of the map, or move over it with the arrow keys.",
                None,
                None,
            )
        analysis, head = found
        facts, reading = head_facts.role_facts(analysis, head), read_head(analysis, head)
        sink = head_facts.sink_share(analysis, head)
        geometry = analysis.loaded.geometry
        query = f"?v=1&model={quote_plus(analysis.loaded.name)}&head={head}"
        lab = address(f"/lab{query}") if self.lab else ""
        retrieval = retrieval_facts(analysis.catalog, head)
        scores = facts_view(facts, reading, geometry.n_layers * geometry.n_heads, retrieval, lab, sink)
        pattern = analysis.attention[head.layer, head.head]
        rows = [[round(value, 3) for value in row] for row in pattern.tolist()]
        return (
            detail_title(head),
            head_sentence(facts, reading, sink),
            scores,
            {"rows": rows, "head": str(head)},
        )

    def show_writes(
        self,
        request: Request | None,
        chosen: str | None,
        position: str | None,
        target: str | None,
        against: str | None,
        effects: Callable[[Shown], EffectMap | None] = lambda shown: None,
    ) -> Any:
        """What the head writes at the chosen position, all heads on.

        Args:
            request: what is shown.
            chosen: the chosen head.
            position: a token's number as a text, "last" for the last.
            target: text of the watched token.
            against: text of the second token.
            effects: the effect map of what is shown, None while it is not known.
        """
        found = self._chosen(request, chosen)
        shown = find_shown(self.service, request, (), None, position, target, against)
        if found is None or shown is None:
            return None
        (analysis, head), writing = found, self.service.writing
        model, text, loaded = analysis.loaded.name, analysis.prompt.text, analysis.loaded
        asked = (shown.position, shown.target, shown.against)
        try:
            direct = writing.direct(model, text, *asked)
            sources = writing.sources(model, text, head, *asked).tolist()
            promoted = writing.promoted(model, text, head, shown.position)
            sentence = written_sentence(loaded, writing.reading(model, text, head, *asked))
        except UserFacingError as error:
            return no_prediction(sentence_of(error))
        known = effects(shown)
        both = None if known is None else writing.total_and_direct(model, text, known)
        sizes = direct.heads.abs()
        own = sizes[head.layer, head.head]
        return writes_view(
            sentence,
            direct,
            float(direct.heads[head.layer, head.head]),
            1 + int((sizes > own).sum()),
            None if both is None else both[head.layer * sizes.shape[1] + head.head],
            sources[: shown.position + 1],
            analysis.attention[head.layer, head.head, shown.position].tolist()[: shown.position + 1],
            analysis.prompt.labels,
            promoted,
            lambda token: token_label(loaded, token),
        )

    def show_figure(
        self,
        request: Request | None,
        chosen: str | None,
        view: str | None,
        hide_first: bool | None,
        start: int | None,
        position: str | None,
        theme: str | None,
    ) -> dict[str, Any]:
        """The one figure that is shown: outputs by name, `no_update` for those of the others.

        Args:
            request: what is shown.
            chosen: the chosen head.
            view: a key of `HEAD_VIEWS`.
            hide_first: whether the first token is left out.
            start: the first token of the window, None for the whole prompt.
            position: the pinned token's number as a text, "last" for the last.
            theme: "light" or "dark".
        """
        answers: dict[str, Any] = {"lines": no_update, "heatmap": no_update, "table": no_update}
        found = self._chosen(request, chosen)
        if found is None:
            return {**answers, "status": "", "window": "", "window_hidden": True}
        analysis, head = found
        pattern, labels = analysis.attention[head.layer, head.head], analysis.prompt.labels
        largest = largest_after_first(pattern)
        colours = theme_name(theme)
        pairs, roles = head_facts.marked_pairs(analysis, head)
        says = [f"framed cells: {roles}"] if pairs and view == "heatmap" else []
        if hide_first and view in ("heatmap", "lines"):
            says.append(f"the darkest is {largest:.0%}")
        if view == "lines":
            shown = without_first(pattern) / largest if hide_first else pattern
            answers["lines"] = head_view(shown.clamp(max=1.0), labels, head, dark=colours == "dark")
        elif view not in ("scores", "writes"):
            row = int(str(position)) if str(position).isdecimal() else None
            answers["heatmap"] = heatmap(pattern, labels, pairs, roles, colours, bool(hide_first), start, row)
            answers["table"] = to_html(pattern_table(pattern, labels))
        window = window_of(len(labels), start)
        whole = start is None or len(labels) <= WINDOW
        return {
            **answers,
            "status": "; ".join(says).capitalize(),
            "window": f"{'all ' if whole else f'{window.start}–{window.stop - 1} of '}{len(labels)} tokens",
            "window_hidden": len(labels) <= WINDOW or view != "heatmap",
        }

    def move_window(self, does: str, request: Request | None, start: int | None) -> int | None:
        """The window after a click: all tokens, then the first, then on by half a window, and back.

        Args:
            does: "on" or "back".
            request: what is shown.
            start: as it is now.
        """
        analysis, _ = find_analysis(self.service, request)
        length = len(analysis.prompt.ids) if analysis else 0
        if length <= WINDOW:
            return None
        last, step = length - WINDOW, WINDOW // 2
        if does == "back":
            return None if not start else max(start - step, 0)
        return 0 if start is None else min(start + step, last)


def register(app: Dash, panel: HeadPanel, effects: Callable[[Shown], EffectMap | None]) -> None:
    """Add the column's callbacks; those named by ClientsideFunction are in `assets/head_view.js`.

    Args:
        app: the app.
        panel: the column.
        effects: the effect map of what is shown, None while it is not known.
    """

    @app.callback(
        Output(ids.DETAIL_WRITES, PLAIN),
        Input(ids.REQUEST, "data"),
        Input(ids.SELECTED, "data"),
        Input(ids.POSITION, "value"),
        Input(ids.WATCH, "value"),
        Input(ids.AGAINST, "value"),
        Input(ids.HEAD_VIEW, "value"),
        Input(ids.EFFECTS_ROWS, "data"),
    )
    def _(request, chosen, position, target, against, view, rows):
        if view != "writes":
            return no_update
        return to_html(panel.show_writes(request, chosen, position, target, against, effects))

    app.callback(
        Output(ids.TOGGLE_HEAD, "children"),
        Input(ids.REQUEST, "data"),
        Input(ids.SELECTED, "data"),
        Input(ids.ABLATED, "data"),
    )(panel.show_switch)

    @app.callback(
        Output(ids.DETAIL_TITLE, "children"),
        Output(ids.DETAIL_SENTENCE, "children"),
        Output(ids.DETAIL_FACTS, PLAIN),
        Output(ids.PATTERN, "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.SELECTED, "data"),
    )
    def _(request, chosen):
        title, sentence, scores, pattern = panel.show_head(request, chosen)
        return title, sentence, to_html(scores), pattern

    app.callback(
        output={
            "lines": Output(ids.LINES, "data"),
            "heatmap": Output(ids.HEATMAP, "figure"),
            "table": Output(ids.HEATMAP_TABLE, PLAIN),
            "status": Output(ids.FIGURE_STATUS, "children"),
            "window": Output(ids.WINDOW_STATUS, "children"),
            "window_hidden": Output(ids.WINDOW_PLACE, "hidden"),
        },
        inputs={
            "request": Input(ids.REQUEST, "data"),
            "chosen": Input(ids.SELECTED, "data"),
            "view": Input(ids.HEAD_VIEW, "value"),
            "hide_first": Input(ids.HIDE_FIRST, "value"),
            "start": Input(ids.WINDOW, "data"),
            "position": Input(ids.POSITION, "value"),
            "theme": Input(ids.theme(LIVE), "data"),
        },
    )(panel.show_figure)

    @app.callback(
        Output(ids.WINDOW, "data"),
        Input({"type": "window-button", "does": ALL}, "n_clicks"),
        State(ids.REQUEST, "data"),
        State(ids.WINDOW, "data"),
        prevent_initial_call=True,
    )
    def _(clicks, request, start):
        trigger: Any = ctx.triggered_id
        return panel.move_window(trigger["does"], request, start) if clicked() else no_update

    app.clientside_callback(
        ClientsideFunction("headview", "show"),
        Output(ids.HEAD_VIEWS_PLACE, "className"),
        Input(ids.HEAD_VIEW, "value"),
    )
    app.clientside_callback(
        ClientsideFunction("headview", "drawLines"),
        Output(ids.BERTVIZ, "data-drawn"),
        Input(ids.LINES, "data"),
    )
