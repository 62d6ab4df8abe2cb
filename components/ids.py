"""Every id on the page, in one place."""

MODEL = "model-menu"
EXAMPLES = "example-menu"
PROMPT = "prompt"
TOKEN_COUNT = "token-count"
RUN = "run"
RUN_STATUS = "run-status"
WORKBENCH = "workbench"
ALERT = "alert"
NOTICE = "notice"
TOKENS = "token-strip"
PREDICTION = "prediction"
PREDICTION_FACTS = "prediction-facts"
HEADLINE = "headline"
CAUSE = "cause"
CHIPS = "ablation-chips"
CLEAR = "clear-ablation"
WATCH = "watched-token"
AGAINST = "against-token"
TOKEN_OPTIONS = "token-options"
MODE = "ablation-mode"
SECOND = "second-prompt"
SECOND_PLACE = "second-place"
SECOND_STATUS = "second-status"
FIT = "second-fit"
POSITION = "shown-position"
VIEW = "view"
VIEWS = "views"
VIEW_NEXT = "view-next"
VIEW_EFFECTS = "view-effects"
VIEW_POSITIONS = "view-positions"
VIEW_CONTINUATIONS = "view-continuations"
VIEW_RANDOM = "view-random"
VIEW_DIRECT = "view-direct"
VIEW_OTHERS = "view-others"
VIEW_LENS = "view-lens"
OTHERS_TICK = "others-tick"
OTHERS_STATE = "others-state"
OTHERS_BODY = "others-body"
OTHERS_CANCEL = {"type": "others-button", "does": "cancel"}
MEASURE = "effect-measure"
EFFECTS_TICK = "effects-tick"
EFFECTS_STATE = "effects-state"
EFFECTS_BODY = "effects-body"
EFFECTS_ROWS = "effects-rows"
EFFECTS_RUN = {"type": "effects-button", "does": "run"}
RANDOM_KIND = "random-kind"
RANDOM_DRAWS = "random-draws"
RANDOM_RUN = "random-run"
RANDOM_TICK = "random-tick"
RANDOM_STATE = "random-state"
RANDOM_BODY = "random-body"
RANDOM_CANCEL = {"type": "random-button", "does": "cancel"}
WRITE_TOKENS = "write-tokens"
WRITE_TEMPERATURE = "write-temperature"
WRITE_TOP_K = "write-top-k"
WRITE_SEED = "write-seed"
WRITE = "write"
WRITE_TICK = "write-tick"
WRITE_STATE = "write-state"
WRITE_BODY = "write-body"
WRITE_CANCEL = {"type": "write-button", "does": "cancel"}
EFFECTS_CANCEL = {"type": "effects-button", "does": "cancel"}
COPY_LINK = "copy-link"
COPY_STATUS = "copy-status"
LINK_STATUS = "link-status"
ROLES = "role-cards"
ROLES_NOTE = "roles-note"
# The request and the ablated heads that the role cards are drawn for.
ROLES_DRAWN = "roles-drawn"
GRID = "head-grid"
MAP_VIEW = "map-view"
MAP_NOTE = "map-note"
MAP_TABLE = "map-table"
DETAIL_TITLE = "head-title"
DETAIL_SENTENCE = "head-sentence"
DETAIL_WRITES = "head-writes"
DETAIL_FACTS = "head-facts"
TOGGLE_HEAD = "toggle-head"
BERTVIZ = "bertviz-place"
HEAD_VIEW = "head-view"
HEAD_VIEWS_PLACE = "head-views"
HIDE_FIRST = "hide-first"
WINDOW_PLACE = "window-place"
WINDOW_STATUS = "window-status"
FIGURE_STATUS = "figure-status"
PART_BERTVIZ = "part-bertviz"
PART_HEATMAP = "part-heatmap"
GUIDE = "guide"
GUIDE_ANSWER = "guide-answer"
HEATMAP = "heatmap"
HEATMAP_TABLE = "heatmap-table"
THEME_SWITCH = "theme-switch"
HELP_OPEN = "help-open"
HELP = "help"

# The frame around the pages.
LOCATION = "address"
PAGE = "page"
NAV = "pages"
MENU = "menu"
MENU_OPEN = "menu-open"
SERVER_NOTICE = "server-notice"
SERVER_BACK = "server-back"
SERVER_BUSY = "server-busy"

# Long work: what a page that waits for it shows.
LOADING = "loading"
LOAD_TICK = "load-tick"

# The catalog page.
CATALOG_MODEL = "catalog-model"
CATALOG_ROLE = "catalog-role"
CATALOG_BODY = "catalog-body"
CATALOG_SCORES = "catalog-scores"
CATALOG_DOWNLOAD = "catalog-download"
CATALOG_FILE = "catalog-file"

# The page about how heads form.
FORMATION_MODEL = "formation-model"
FORMATION_BODY = "formation-body"
FORMATION_FILM = "formation-film"  # all checkpoints, so that the slider asks the server nothing
FORMATION_STEP = "formation-step"
FORMATION_PLACE = "formation-place"
FORMATION_BACK = "formation-back"
FORMATION_PLAY = "formation-play"
FORMATION_NEXT = "formation-next"
FORMATION_TICK = "formation-tick"
FORMATION_STATUS = "formation-status"
FORMATION_GRID = "formation-grid"
FORMATION_LOSS = "formation-loss"
FORMATION_ACCURACY = "formation-accuracy"
FORMATION_SCORES = "formation-scores"

# The page that compares.
COMPARE_LEFT_MODEL = "compare-left-model"
COMPARE_LEFT = "compare-left"
COMPARE_RIGHT_MODEL = "compare-right-model"
COMPARE_RIGHT = "compare-right"
COMPARE_RUN = "compare-run"
COMPARE_SWAP = "compare-swap"
COMPARE_COPY = "compare-copy"
COMPARE_WANTED = "compare-wanted"  # {"left_model", "left", "right_model", "right"}: what was asked for
COMPARE_ALERT = "compare-alert"
COMPARE_PROGRESS = "compare-progress"
COMPARE_TICK = "compare-tick"
COMPARE_BODY = "compare-body"
COMPARE_LINK = "compare-link"  # the query that restores what is shown

# The retrieval lab.
LAB_MODEL = "lab-model"
LAB_QUESTION = "lab-question"
LAB_LENGTH = "lab-length"
LAB_DEPTH = "lab-depth"
LAB_SEED = "lab-seed"
LAB_FILING = "lab-filing"
LAB_TEXT = "lab-text"
LAB_ASKED = "lab-asked"
LAB_ANSWER = "lab-answer"
LAB_NEEDLE = "lab-needle"  # the number of the chosen sentence, from 0
LAB_SENTENCES = "lab-sentences"
LAB_FORM = "lab-form"
LAB_RUN = "lab-run"
LAB_ANOTHER = "lab-another"
LAB_WANTED = "lab-wanted"  # a LabPrompt as a dict: what was asked for
LAB_SHOWN = "lab-shown"  # the same, once it has been read
LAB_TICK = "lab-tick"
LAB_PROGRESS = "lab-progress"
LAB_ALERT = "lab-alert"
LAB_STATUS = "lab-status"
LAB_TOKENS = "lab-tokens"
LAB_WRITTEN = "lab-written"
LAB_WRITING = "lab-writing"  # the answer while it is being written
LAB_METHOD = "lab-method"
LAB_METHOD_STATUS = "lab-method-status"
LAB_SCORES = "lab-scores"
LAB_CATALOG_SCORES = "lab-catalog-scores"
LAB_CATALOG_PLACE = "lab-catalog-place"
LAB_TOP = "lab-top"
LAB_SCORES_TABLE = "lab-scores-table"
LAB_HEAD = "lab-head"
LAB_HEAD_STATUS = "lab-head-status"
LAB_ROWS = "lab-rows"
LAB_ROWS_TABLE = "lab-rows-table"
LAB_LOOKS = "lab-looks"  # how much the chosen head looks at each token, for the text's shades
LAB_K = "lab-k"
LAB_K_STATUS = "lab-k-status"
LAB_RANKING = "lab-ranking"
LAB_MODE = "lab-mode"
LAB_OFF_TICK = "lab-off-tick"
LAB_OFF_PROGRESS = "lab-off-progress"
LAB_OFF = "lab-off"
LAB_OFF_RUN = "lab-off-run"
LAB_BODY = "lab-body"
LAB_FIGURE = "lab-figure"
LAB_CHOICE = "lab-choice"  # of what the figure is: a model, a method
LAB_FIGURE_STATUS = "lab-figure-status"
LAB_STUDY = "lab-study"
LAB_STUDY_TABLE = "lab-study-table"
LAB_LINK = "lab-link"  # the query that restores what is shown

# What can be taken away from the live page.
EXPORT = "export"
EXPORT_OPEN = "export-open"
EXPORT_DRAWER = "export-drawer"
EXPORT_STATUS = "export-status"
EXPORT_FILE = "export-file"
EXPORT_FIGURES = "export-figures"
EXPORT_NAMES = "export-names"  # {figure: {"name", "title"}}: file names and titles of the figures
EXPORT_QUESTIONS = "export-questions"  # the questions of the open preset or lesson
EXPORT_INCLUDED = "export-included"
EXPORT_REQUEST = "export-request"  # what was clicked, with what the browser alone knows
RECORD_AUTHOR = "record-author"
RECORD_TITLE = "record-title"
RECORD_NOTES = "record-notes"

# The page of words.
GLOSSARY_FILTER = "glossary-filter"
GLOSSARY_STATUS = "glossary-status"
GLOSSARY_LIST = "glossary-list"

# Stores: what one browser has chosen. Nothing of it is kept on the server.
REQUEST = "store-request"  # {"model": str, "prompt": str}: what is shown
WANTED = "store-wanted"  # as REQUEST: what is shown as soon as its model is loaded
# A name for this browser's page, so that it may leave a job that others wait for.
SESSION_ID = "store-session"
# What stands there in the layout, until server.js has put a name of the browser's own making in its place.
NEW_SESSION = "a-new-session"
SELECTED = "store-selected"  # "L5H5"
CHOSEN = "store-chosen"  # the same, where somebody chose it and the page did not by itself
ABLATED = "store-ablated"  # ["L5H5", ...]
OPENED = "store-opened"  # {"preset": key, "revealed"} or {"lesson": key, "step", "done", "finished"}
LINK = "store-link"  # the query that restores the page
LAST_LIVE = "store-last-live"  # the same, kept while another page is open
HOVERED = "store-hovered"  # when a token was last looked at, for the lessons
GO = "store-go"  # the query of the page to open anew
PRESSED = "store-pressed"  # the last button pressed that Dash did not draw, as the dicts below
TYPED = "store-typed"  # the text in the prompt's box, once the typing pauses
LAB_TYPED = "store-lab-typed"  # the same of the lab's box
REQUEST_ALERT = "request-alert"  # in every page's frame: why a request was not sent or not taken
PATTERN = "store-pattern"  # the chosen head's pattern, for hovering over tokens
MAP_DRAWN = "store-map"  # the values that the map is coloured by (`map_views.map_values`), None for the roles
WINDOW = "store-window"  # the first token that the figure of a long prompt shows, None for all of it
ABLATED_SCORES = "store-ablated-scores"  # what became of the other heads' roles: {head: [said, ...]}
LINES = "store-lines"  # BertViz's page of the chosen head


def window_button(does: str) -> dict:
    """A button that moves the window of a long prompt's figure."""
    return {"type": "window-button", "does": does}


def suggestion(role: str, number: int) -> dict:
    """A button that fills in a suggested prompt of a role."""
    return {"type": "suggestion", "role": role, "number": number}


def role_card(role: str) -> dict:
    """The place of one role's card."""
    return {"type": "role-card", "role": role}


def ablate_role(role: str) -> dict:
    """The button that switches a whole role off or on."""
    return {"type": "ablate-role", "role": role}


def chip(head: str) -> dict:
    """The chip of a head that is off."""
    return {"type": "chip", "head": head}


def analyze(page: str, model: str) -> dict:
    """The button that starts the analysis of a model."""
    return {"type": "analyze", "page": page, "model": model}


def cancel_analysis(page: str, model: str) -> dict:
    """The button by which this visit leaves the analysis of a model."""
    return {"type": "cancel-analysis", "page": page, "model": model}


def cancel_load(model: str) -> dict:
    """The button by which this page leaves the loading of a model."""
    return {"type": "cancel-load", "model": model}


def compare_example(number: int) -> dict:
    """A button that fills in a pair worth comparing."""
    return {"type": "compare-example", "number": number}


def cancel_compare(page: str) -> dict:
    """The button by which a page leaves the loading of the models that it compares."""
    return {"type": "cancel-compare", "page": page}


def cancel_lab(page: str) -> dict:
    """The button by which this visit leaves the reading of a prompt in the lab."""
    return {"type": "cancel-lab", "page": page}


def cancel_lab_off(page: str) -> dict:
    """The button by which this visit leaves the lab's ablation."""
    return {"type": "cancel-lab-off", "page": page}


# What several pages have, each its own: a callback of one page must not hear what stands on another.


def theme(page: str) -> dict:
    """The store of "light" or "dark" for a page's figures."""
    return {"type": "theme", "page": page}


def analysis(page: str) -> dict:
    """The panel that offers an analysis."""
    return {"type": "analysis", "page": page}


def analysis_tick(page: str) -> dict:
    """Asks how far the analysis is."""
    return {"type": "analysis-tick", "page": page}


def analysis_for(page: str) -> dict:
    """The store of the model that the page shows and that has no catalog; None for nothing to offer."""
    return {"type": "analysis-for", "page": page}


def analysis_done(page: str) -> dict:
    """The store that changes when a catalog has been made: the page then reads it."""
    return {"type": "analysis-done", "page": page}


def guide_button(does: str) -> dict:
    """A button of the panel of presets and lessons."""
    return {"type": "guide-button", "does": does}


def page_link(path: str) -> dict:
    """A link of the menu of pages."""
    return {"type": "page-link", "path": path}


def export(what: str) -> dict:
    """A button that saves a file."""
    return {"type": "export", "what": what}
