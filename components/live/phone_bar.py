"""What a phone has at its lower edge: the last cause and its effect, and a tab for each part of the page."""

from dash import html

from components import ids
from components.attributes import aria, data

# By key: what it is called and its icon. One is shown at a time (assets/workbench.js).
PHONE_TABS = {
    "heads": ("Heads", "grid-3x3-gap"),
    "head": ("Head", "bullseye"),
    "answer": ("Answer", "chat-left-text"),
    "roles": ("Roles", "tags"),
}


def phone_bar() -> html.Div:
    """The bar; wide screens do not show it."""
    return html.Div(
        [
            html.Div(id=ids.CAUSE, className="hs-cause", role="status"),
            html.Div(
                [
                    html.Button(
                        [html.I(className=f"bi bi-{icon}", **aria(hidden="true")), html.Span(title)],
                        type="button",
                        className="hs-phone-tab",
                        **data(tab=key),
                        **aria(pressed="true" if key == "heads" else "false"),
                    )
                    for key, (title, icon) in PHONE_TABS.items()
                ],
                className="hs-phone-tabs",
                role="group",
                **aria(label="Parts of the page"),
            ),
        ],
        className="hs-phone-bar",
    )
