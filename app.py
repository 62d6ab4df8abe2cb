"""HeadScope's web application: `python app.py`, or `create_app(settings)` for servers and tests."""

if __name__ == "__main__":
    # What follows takes seconds to load: the server answers at once, and a thread imports this as `app`.
    from callbacks.serving.startup import run

    run(__doc__)

import logging
from pathlib import Path

from dash import Dash, set_props

from callbacks import analysis_panel, routing
from callbacks import shell as page_shell
from callbacks.answer import (
    continuations_view,
    direct_view,
    effects_view,
    lens_view,
    next_token_view,
    others_view,
    positions_view,
    random_sets_panel,
    second_prompt,
)
from callbacks.answer.continuations_view import ContinuationsView
from callbacks.answer.direct_view import DirectView
from callbacks.answer.effects_view import EffectsView
from callbacks.answer.lens_view import LensView
from callbacks.answer.next_token_view import NextTokenView
from callbacks.answer.others_view import OthersView
from callbacks.answer.positions_view import PositionsView
from callbacks.answer.random_sets_panel import RandomSetsPanel
from callbacks.answer.second_prompt import SecondPrompt
from callbacks.lab import study_card
from callbacks.lab import wiring as lab_wiring
from callbacks.lab.page import LabPage
from callbacks.lab.readings import LabReadings
from callbacks.lab.study_card import LabStudy
from callbacks.lab.views import LabViews
from callbacks.live import export_panel, head_map, head_panel, token_strip
from callbacks.live import links as live_links
from callbacks.live import wiring as live_wiring
from callbacks.live.export_panel import ExportPanel
from callbacks.live.guide import Guide
from callbacks.live.guide import register as register_guide
from callbacks.live.head_map import HeadMap
from callbacks.live.head_panel import HeadPanel
from callbacks.live.page import LivePage
from callbacks.live.token_strip import TokenStrip
from callbacks.pages import catalog_page, compare_page, formation_page, glossary_page
from callbacks.pages.catalog_page import CatalogPage
from callbacks.pages.compare_page import ComparePage
from callbacks.pages.formation_page import FormationPage
from callbacks.pages.glossary_page import GlossaryPage
from callbacks.pages.instructor_page import InstructorPage
from callbacks.routing import Page
from callbacks.serving.askers import register_askers
from callbacks.serving.caching import register_caching, with_content_hashes
from callbacks.serving.callback_bodies import UPDATE_PATH, register_body_check
from callbacks.serving.compression import register_compression
from callbacks.serving.headers import page_policy, register_headers
from callbacks.serving.health_route import register_health_route
from callbacks.serving.hosts import register_host_check
from callbacks.serving.metrics import register_metrics
from callbacks.serving.prefix import register_prefix
from callbacks.serving.settings import Settings
from callbacks.serving.startup import model_store, shared_cache
from callbacks.serving.vendor_route import register_vendor_route
from components import ids
from components.messages import unexpected
from components.shell import shell
from retrieval.filings.real import RealFiling, read_filings
from training.recipes import RECIPES
from utils.analyzer.analysis_jobs import AnalysisJobs
from utils.errors import UserFacingError
from utils.formation.log import logs_alone
from utils.live.service import LiveService
from utils.models.store import ModelStore
from utils.runtime.jobs import Jobs
from utils.runtime.serving import MAX_BODY_BYTES
from utils.runtime.turns import BusyError, ReplacedError
from utils.teaching.lessons import LESSONS_FOLDER, load_lessons
from utils.teaching.prepared_presets import PreparedPresets
from utils.teaching.presets import PRESETS_FOLDER, load_presets

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parent / "assets"

# Dash's own page, with the language named for screen readers and a viewport for phones.
INDEX = """<!DOCTYPE html>
<html lang="en" data-prefix="%PREFIX%">
    <head>
        {%metas%}
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{%title%}</title>
        {%favicon%}
        {%css%}
    </head>
    <body>
        {%app_entry%}
        <div>
            {%config%}
            {%scripts%}
            {%renderer%}
        </div>
    </body>
</html>
"""


def _report_error(error: Exception) -> None:
    """Log what nobody foresaw and say something neutral; never shows a traceback to a user.

    Who only has to ask again hears that from the server (`callbacks/serving/askers.py`).
    """
    if isinstance(error, BusyError | ReplacedError):
        raise error
    logger.error("a callback failed", exc_info=error)
    set_props(ids.ALERT, {"children": unexpected()})


class _App(Dash):
    """Dash, with assets by their content's hash."""

    def interpolate_index(self, **parts: str) -> str:
        for part in ("css", "scripts"):
            parts[part] = with_content_hashes(parts[part], self.config.requests_pathname_prefix, ASSETS)
        return super().interpolate_index(**parts)


def create_app(settings: Settings | None = None, store: ModelStore | None = None) -> Dash:
    """Build the app; `create_app(settings).server` is its WSGI application.

    What is wrong with the operator's folders is logged and shown; the app goes on with what it has.

    Args:
        settings: what the operator chose.
        store: the models, where they are being loaded already (`model_store(settings)`).
    """
    settings = settings or Settings()
    store = store or model_store(settings)
    service = LiveService(store, settings.catalogs, settings.max_tokens, shared_cache(settings))
    presets = load_presets(*_folders(PRESETS_FOLDER, settings.examples))
    lessons = load_lessons(*_folders(LESSONS_FOLDER, settings.lessons), presets=presets)
    filings, filing_problems = _read_filings(settings.filings)
    for problem in (*store.problems, *presets.problems, *lessons.problems, *filing_problems):
        logger.warning("%s", problem)
    app = _App(
        "headscope",
        title="HeadScope",
        update_title="",
        assets_folder=str(ASSETS),
        on_error=_report_error,
        index_string=INDEX.replace("%PREFIX%", settings.prefix),
        # What a browser asks begins with the prefix; here it has been taken off (`register_prefix`).
        requests_pathname_prefix=f"{settings.prefix}/",
        routes_pathname_prefix="/",
        serve_locally=True,
        # The pages' parts come and go with the address.
        suppress_callback_exceptions=True,
    )
    # A folder's path is the operator's business: the page names what is missing, the log says where.
    problems = [*presets.problems, *lessons.problems]
    if not store.names():
        problems.append("There is no model to use. The operator can add a folder with --model-dir.")
    effects = EffectsView(service)
    random_sets = RandomSetsPanel(service)
    here = [name for name in store.names() if store.is_here(name)]
    prepared = PreparedPresets(presets, service, here, also=effects.prepare)
    guide = Guide(service, prepared, lessons)
    instructor = InstructorPage(prepared, lessons)
    live_page = LivePage(service, guide, problems)
    lab_is_open = settings.pages is None or "lab" in settings.pages
    catalog = CatalogPage(service, locked=settings.models is not None)
    scaffolds = {name: recipe.scaffolds for name, recipe in RECIPES.items()}
    formation = FormationPage(store, scaffolds, logs_alone())
    comparing = ComparePage(service)
    lab_readings, study = LabReadings(service, filings=filings), LabStudy()
    lab_page = LabPage(lab_readings, study)
    pages = (
        Page("live", "/", "Live", live_page.layout),
        Page("lessons", "/lessons", "Lessons", instructor.lessons_layout),
        Page("catalog", "/catalog", "Catalog", catalog.layout),
        Page("formation", "/formation", "How heads form", formation.layout),
        Page("compare", "/compare", "Compare", comparing.layout),
        Page("lab", "/lab", "Retrieval lab", lab_page.layout),
        Page("glossary", "/glossary", "Glossary", GlossaryPage().layout, formerly=("/words",)),
        Page("instructor", "/instructor", "Instructors", instructor.layout),
    )
    # The marks of every page lead to the glossary, so it is always there.
    pages = tuple(
        page for page in pages if settings.pages is None or page.key in (*settings.pages, "glossary")
    )
    app.layout = shell([(page.path, page.label) for page in pages], settings.prefix)
    live_wiring.register(app, live_page)
    head_map.register(app, HeadMap(service, effects))
    head_panel.register(app, HeadPanel(service, lab=lab_is_open), effects.known)
    token_strip.register(app, TokenStrip(service))
    register_guide(app, guide)
    next_token_view.register(app, NextTokenView(service))
    direct_view.register(app, DirectView(service))
    effects_view.register(app, effects)
    others_view.register(app, OthersView(service))
    lens_view.register(app, LensView(service))
    second_prompt.register(app, SecondPrompt(service))
    positions_view.register(app, PositionsView(service))
    continuations_view.register(app, ContinuationsView(service))
    random_sets_panel.register(app, random_sets)
    export_panel.register(app, ExportPanel(service, effects.known, random_sets.known, presets, lessons))
    live_links.register(app)
    catalog_page.register(app, catalog)
    formation_page.register(app, formation)
    compare_page.register(app, comparing)
    lab_wiring.register(app, lab_page, LabViews(lab_readings))
    study_card.register(app, study)
    glossary_page.register(app)
    analysis_panel.register(app, AnalysisJobs(store, settings.catalogs, settings.device))
    routing.register(app, pages)
    page_shell.register(app)
    _register_serving(app, settings, service)
    if settings.prepare:
        Jobs().start("presets", prepared.prepare)
    return app


def _register_serving(app: Dash, settings: Settings, service: LiveService) -> None:
    """Routes that are no page, and what every request and every answer goes through."""
    server = app.server
    # Also where another server than `make_server` runs it.
    server.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    if settings.metrics:
        register_metrics(app, service)
    # What is registered last is done first to an answer.
    register_compression(server)
    register_caching(server, "/assets/")
    register_vendor_route(server)
    register_health_route(server)
    register_host_check(server, f"/{UPDATE_PATH}", settings.host, settings.allowed_hosts)
    register_body_check(app)
    register_askers(server, f"/{UPDATE_PATH}")
    # Last of the callbacks: their inline scripts are allowed by their hashes.
    register_headers(server, page_policy(app.csp_hashes(), settings.embed_in), bool(settings.embed_in))
    register_prefix(server, settings.prefix)


def _folders(own: Path, operators: Path | None) -> tuple[Path, ...]:
    return (own,) if operators is None else (own, operators)


def _read_filings(folder: Path | None) -> tuple[dict[str, RealFiling], list[str]]:
    """The operator's real filings, and why there are none."""
    try:
        return ({} if folder is None else read_filings(folder)), []
    except UserFacingError as error:
        return {}, [str(error)]
