"""The help dialog: the field's terms in plain words, from the registries of roles and words."""

import dash_bootstrap_components as dbc
from dash import html

from components import ids
from components.help_mark import GLOSSARY_PATH
from components.terms import GLOSSARY
from utils.roles import registry
from utils.roles.registry import ROLES

# The words that the live page cannot be read without; the page of words has them all.
_TERMS = (
    "token",
    "head",
    "attention_pattern",
    "bos",
    "resting",
    "chance",
    "zero",
    "mean",
    "kl",
    "logit_difference",
)


def active_rule() -> str:
    """The rule for "active" in words, from the constants that the check uses."""
    return (
        "A role is active when one of its heads is. A head is active when your text gives it something "
        "to look for, its score on your text is at "
        f"least {registry.MIN_LIVE_SHARE:.0%} of its catalog score (or of the role's threshold, if "
        f"that is higher), and it is clearly above chance: "
        f"by {registry.MIN_MARGIN} or by {registry.Z_ONE_SIDED} standard errors, whichever is more. "
        f"With fewer than "
        f"{registry.MIN_POSITIONS} places to look at, the page adds “little evidence”."
        + "".join(f" {rule}" for rule in _own_rules())
    )


def _own_rules() -> list[str]:
    """The roles whose heads must show something else, or something besides."""
    rules = []
    for role in ROLES.values():
        if role.score is None or (role.score.chance is not None and role.score.check is None):
            continue
        reaches = "its score reaches the threshold" if role.score.chance is None else "this holds"
        besides = f" and {role.score.check.rule}" if role.score.check else ""
        rules.append(f"A head of the role “{role.display_name}” is active when {reaches}{besides}.")
    return rules


def help_dialog(prefix: str = "") -> dbc.Modal:
    """The dialog behind "How to read this page", in an app that is served below `prefix`."""
    roles = [
        html.Div(
            [html.Dt(role.display_name), html.Dd(f"{role.explanation} Letter on the map: {role.letter}.")]
        )
        for role in ROLES.values()
    ]
    terms = [html.Div([html.Dt(GLOSSARY[key].term), html.Dd(GLOSSARY[key].plain)]) for key in _TERMS]
    return dbc.Modal(
        [
            dbc.ModalHeader(dbc.ModalTitle("How to read this page")),
            dbc.ModalBody(
                [
                    html.H3("The roles", className="hs-subtitle"),
                    html.Dl(roles),
                    html.H3("When is a role active?", className="hs-subtitle"),
                    html.P(active_rule()),
                    html.H3("Glossary", className="hs-subtitle"),
                    html.Dl(terms),
                    html.P(
                        [
                            "All words, with their sources: ",
                            # A full visit: it leaves the dialog behind.
                            html.A("Glossary", href=f"{prefix}{GLOSSARY_PATH}"),
                            ". A “?” beside a heading explains the word that it stands by.",
                        ]
                    ),
                    html.H3("Keys", className="hs-subtitle"),
                    html.P(
                        "Ctrl+Enter runs the prompt. On the map, arrow keys move between heads and choose "
                        "them. In the strip of tokens, arrow keys move and show where the head looks from "
                        "there; Enter pins a token and asks what follows it. Escape closes what lies over "
                        "the page."
                    ),
                ]
            ),
        ],
        id=ids.HELP,
        size="lg",
        scrollable=True,
        is_open=False,
    )
