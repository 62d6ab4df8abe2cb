"""The help dialog: the field's terms in plain words, from the registry of roles."""

import dash_bootstrap_components as dbc
from dash import html

from components import ids
from utils import head_roles
from utils.head_roles import ROLES

_TERMS = (
    (
        "Token",
        "A piece of text that the model reads as one unit: a word, a part of one, a comma. A dot before "
        "it (·cat) is a space.",
    ),
    (
        "Attention head",
        "A small part of a layer that lets every token look back at earlier ones. L2H3 is head 3 of "
        "layer 2, counted from 0.",
    ),
    (
        "Attention pattern",
        "How much each token (query) looks at each earlier one (key). Every row sums to 100%.",
    ),
    ("BOS", "A start token that stands before every text. Heads with nothing to do often rest on it."),
    (
        "Chance",
        "The score of a head that looks everywhere alike. The mark on a bar shows it; only what is well "
        "above it counts.",
    ),
    (
        "Switching a head off (zero ablation)",
        "The head's output is replaced by zeros before it is mixed into the residual stream; all else "
        "stays as it was.",
    ),
    ("KL divergence", "How different two predictions are as a whole, in nats; 0 means the same."),
    (
        "Logit difference",
        "The model's raw score for a token minus that of its closest rival; the softmax makes "
        "probabilities of such scores.",
    ),
)


def active_rule() -> str:
    """The rule for "active" in words, from the constants that the check uses."""
    return (
        "A role is active when one of its heads is. A head is active when your text gives it something "
        "to look for, its score on your text is at "
        f"least {head_roles.MIN_LIVE_SHARE:.0%} of its catalog score (or of the role's threshold, if "
        f"that is higher), and it is clearly above chance: "
        f"by {head_roles.MIN_MARGIN} or by {head_roles.Z_ONE_SIDED} standard errors, whichever is more. "
        f"With fewer than "
        f"{head_roles.MIN_POSITIONS} places to look at, the page adds “little evidence”. A diffuse head "
        f"is active when its spread (normalised entropy) "
        f"reaches the threshold and no token takes more than {head_roles.DIFFUSE_MAX_PEAK:.0%} of a row "
        f"on average."
    )


def help_dialog() -> dbc.Modal:
    """The dialog behind "How to read this page"."""
    roles = [
        html.Div(
            [html.Dt(role.display_name), html.Dd(f"{role.explanation} Letter in the grid: {role.letter}.")]
        )
        for role in ROLES.values()
    ]
    terms = [html.Div([html.Dt(term), html.Dd(text)]) for term, text in _TERMS]
    return dbc.Modal(
        [
            dbc.ModalHeader(dbc.ModalTitle("How to read this page")),
            dbc.ModalBody(
                [
                    html.H3("The roles", className="hs-subtitle"),
                    html.Dl(roles),
                    html.H3("When is a role active?", className="hs-subtitle"),
                    html.P(active_rule()),
                    html.H3("Words", className="hs-subtitle"),
                    html.Dl(terms),
                    html.H3("Keys", className="hs-subtitle"),
                    html.P(
                        "Ctrl+Enter runs the prompt. In the grid, arrow keys move between heads and "
                        "choose them."
                    ),
                ]
            ),
        ],
        id=ids.HELP,
        size="lg",
        scrollable=True,
        is_open=False,
    )
