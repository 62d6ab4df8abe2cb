"""Every id on the page, in one place."""

MODEL = "model-menu"
EXAMPLES = "example-menu"
PROMPT = "prompt"
TOKEN_COUNT = "token-count"
RUN = "run"
ALERT = "alert"
NOTICE = "notice"
TOKENS = "token-strip"
PREDICTION = "prediction"
CHIPS = "ablation-chips"
CLEAR = "clear-ablation"
WATCH = "watched-token"
WATCH_OPTIONS = "watched-token-options"
ROLES = "role-cards"
GRID = "head-grid"
DETAIL_TITLE = "head-title"
DETAIL_FACTS = "head-facts"
TOGGLE_HEAD = "toggle-head"
BERTVIZ = "bertviz-frame"
HEATMAP = "heatmap"
HEATMAP_TABLE = "heatmap-table"
THEME_SWITCH = "theme-switch"
HELP_OPEN = "help-open"
HELP = "help"

# Stores: what one browser has chosen. Nothing of it is kept on the server.
REQUEST = "store-request"  # {"model": str, "prompt": str}: what is shown
SELECTED = "store-selected"  # "L5H5"
ABLATED = "store-ablated"  # ["L5H5", ...]
PATTERN = "store-pattern"  # the chosen head's pattern, for hovering over tokens
THEME = "store-theme"  # "light" or "dark"


def suggestion(role: str, number: int) -> dict:
    """A button that fills in a suggested prompt of a role."""
    return {"type": "suggestion", "role": role, "number": number}


def ablate_role(role: str) -> dict:
    """The button that switches a whole role off or on."""
    return {"type": "ablate-role", "role": role}


def cell(head: str) -> dict:
    """A head's cell in the grid."""
    return {"type": "head-cell", "head": head}


def link(role: str, head: str) -> dict:
    """A head's bar in a role card."""
    return {"type": "head-link", "role": role, "head": head}


def chip(head: str) -> dict:
    """The chip of a head that is off."""
    return {"type": "chip", "head": head}
