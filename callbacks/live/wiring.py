"""The live page's wiring: which of `LivePage`'s answers follows which touch."""

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, no_update

from callbacks.clicks import only_drawn
from callbacks.live.ahead import begin
from callbacks.live.context import parse_heads, set_known
from callbacks.live.page import LivePage
from components import ids
from components.answer.card import LAST
from components.live.layout import PAGE as LIVE
from components.plain_html import PLAIN
from utils.forward.ablation import ABLATION_MODES
from utils.roles.registry import ROLES


def _touched(pressed):
    """What was touched: a component's id, or what a button that Dash did not draw says of itself."""
    return pressed if ctx.triggered_id == ids.PRESSED else ctx.triggered_id


def _begin(page, request, ablated, mode):
    """Begin what the page asks for next: the analysis, and the prediction with heads ablated."""
    off = parse_heads(ablated) if mode in ABLATION_MODES else []
    begin(
        lambda: page.service.next_token_logits(
            request["model"], request["prompt"], off, mode if off else "zero"
        )
    )


def register(app: Dash, page: LivePage) -> None:
    """Add the live page's callbacks to the app."""

    @app.callback(
        Output(ids.REQUEST, "data"),
        Output(ids.PROMPT, "value"),
        Output(ids.ALERT, "children"),
        Output(ids.ABLATED, "data", allow_duplicate=True),
        Output(ids.WANTED, "data"),
        Input(ids.RUN, "n_clicks"),
        Input(ids.PRESSED, "data"),
        Input(ids.MODEL, "value"),
        State(ids.PROMPT, "value"),
        State(ids.REQUEST, "data"),
        State(ids.OPENED, "data"),
        State(ids.ABLATED, "data"),
        State(ids.MODE, "value"),
        prevent_initial_call=True,
    )
    def _(clicks, pressed, model, prompt, shown, opened, ablated, mode):
        trigger = _touched(pressed)
        suggested = isinstance(trigger, dict)
        if suggested and trigger.get("type") != "suggestion":
            return (no_update,) * 5
        answers = page.request_prompt(trigger, model, prompt, shown)
        request = answers[4] if answers[0] is no_update else answers[0]
        if request and page.preset_is_over(opened, request["prompt"]):
            set_known({ids.OPENED: ("data", {}), ids.WATCH: ("value", ""), ids.AGAINST: ("value", "")})
            answers = (*answers[:3], [], answers[4])
        if suggested and answers[0] is not no_update:
            head = page.suggested_head(request, trigger["role"])
            set_known({ids.SELECTED: ("data", no_update if head is None else head)})
        if answers[0] is not no_update and answers[0]:
            _begin(page, answers[0], ablated if answers[3] is no_update else answers[3], mode)
        return answers

    # What `set_known` sets here and in guide.py is no edge of the browser's graph of callbacks, which these
    # edges would close into circles.
    @app.callback(
        Output(ids.LOADING, "children"),
        Output(ids.LOAD_TICK, "disabled"),
        Input(ids.WANTED, "data"),
        Input(ids.LOAD_TICK, "n_intervals"),
        Input({"type": "cancel-load", "model": ALL}, "n_clicks"),
        State(ids.SESSION_ID, "data"),
    )
    def _(wanted, ticks, cancels, session_id):
        if only_drawn("cancel-load"):
            return (no_update,) * 2
        request, alert, progress, rests, waits = page.follow_load(ctx.triggered_id, wanted, session_id or "")
        set_known(
            {ids.REQUEST: ("data", request), ids.ALERT: ("children", alert), ids.WANTED: ("data", waits)}
        )
        return progress, rests

    @app.callback(
        Input(ids.analysis_done(LIVE), "data"),
        State(ids.REQUEST, "data"),
        prevent_initial_call=True,
    )
    def _(analyzed, request):
        # The same request again: every part of the page reads the new catalog.
        if request:
            set_known({ids.REQUEST: ("data", request)})

    app.callback(
        Output(ids.LINK_STATUS, "children"),
        Input(ids.REQUEST, "data"),
        State(ids.LOCATION, "search"),
        State(ids.LINK_STATUS, "children"),
        prevent_initial_call=True,
    )(page.late_link_problems)
    app.callback(Output(ids.TOKEN_COUNT, "children"), Input(ids.TYPED, "data"), Input(ids.MODEL, "value"))(
        page.token_count
    )

    @app.callback(
        Output({"type": "role-card", "role": ALL}, PLAIN),
        Output(ids.ROLES_NOTE, PLAIN),
        Output(ids.NOTICE, "children"),
        Output(ids.analysis_for(LIVE), "data"),
        Output(ids.ROLES_DRAWN, "data"),
        Input(ids.REQUEST, "data"),
        Input(ids.ABLATED, "data"),
        State(ids.ROLES_DRAWN, "data"),
    )
    def _(request, ablated, drawn):
        toggled = [part["prop_id"] for part in ctx.triggered] == [f"{ids.ABLATED}.data"]
        texts, *others = page.update_roles(request, ablated, drawn, toggled)
        # As many as the browser asks for, whatever it asks for.
        of_role = dict(zip(ROLES, texts, strict=True))
        cards = [of_role.get(card["id"]["role"], no_update) for card in ctx.outputs_list[0]]
        return cards, *others

    # A click on any head is handled in the browser (headscope.js, "data-choose").
    # The head is no output, which its column would wait for: mostly it stays as it is. But for some output a
    # callback is not called when the page opens.
    @app.callback(
        Output(ids.DETAIL_TITLE, "data-kept"), Input(ids.REQUEST, "data"), State(ids.SELECTED, "data")
    )
    def _(request, chosen):
        set_known({ids.SELECTED: ("data", page.choose_head(request, chosen))})
        return ""

    @app.callback(
        Output(ids.ABLATED, "data"),
        Input(ids.TOGGLE_HEAD, "n_clicks"),
        Input(ids.PRESSED, "data"),
        Input(ids.CLEAR, "n_clicks"),
        State(ids.REQUEST, "data"),
        State(ids.SELECTED, "data"),
        State(ids.ABLATED, "data"),
        State(ids.MODE, "value"),
        State(ids.POSITION, "value"),
        prevent_initial_call=True,
    )
    def _(toggles, pressed, clears, request, chosen, off, mode, position):
        trigger = _touched(pressed)
        kind = trigger.get("type") if isinstance(trigger, dict) else trigger
        # Of what is pressed some is for other callbacks; a body that names nothing is for none.
        if kind not in (ids.TOGGLE_HEAD, ids.CLEAR, "ablate-role", "chip"):
            return no_update
        ablated = page.change_ablation(trigger, request, chosen, off)
        if request and position == LAST:
            _begin(page, request, ablated, mode)
        return ablated

    # Whether the box holds what is shown, and whether something is on its way (assets/workbench.js).
    app.clientside_callback(
        ClientsideFunction("workbench", "compareWithShown"),
        Output(ids.RUN_STATUS, "children"),
        Input(ids.PROMPT, "value"),
        Input(ids.MODEL, "value"),
        Input(ids.REQUEST, "data"),
        Input(ids.WANTED, "data"),
    )
