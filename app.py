"""HeadScope's web application: `python app.py`, or `create_app(settings)` for servers and tests."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import waitress
from dash import Dash, set_props

from callbacks import live, page_tools
from callbacks.live_page import LivePage
from callbacks.vendor_route import register_vendor_route
from components import ids
from components.messages import unexpected
from components.shell import shell
from utils.examples import EXAMPLES_FOLDER, FIRST_PROMPT, load_examples
from utils.head_detection import CATALOG_FOLDER
from utils.live_analysis import LiveService
from utils.model_loading import BUNDLED, ModelStore
from utils.prompts import MAX_TOKENS, MOST_TOKENS

logger = logging.getLogger(__name__)

SERVER_THREADS = 16
# Dash's own page, with the language named for screen readers and a viewport for phones.
INDEX = """<!DOCTYPE html>
<html lang="en">
    <head>
        {%metas%}
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{%title%}</title>
        {%favicon%}
        {%css%}
    </head>
    <body>
        {%app_entry%}
        <footer>
            {%config%}
            {%scripts%}
            {%renderer%}
        </footer>
    </body>
</html>
"""


@dataclass(frozen=True)
class Settings:
    """What an operator can choose.

    Attributes:
        host: address to serve on.
        port: port to serve on.
        model_dirs: folders with models besides the bundled ones.
        models: names that may be used; None for all.
        examples: folder of example prompts.
        catalogs: folder of head catalogs.
        max_tokens: most tokens a prompt may have.
    """

    host: str = "127.0.0.1"
    port: int = 8050
    model_dirs: tuple[Path, ...] = ()
    models: tuple[str, ...] | None = None
    examples: Path = EXAMPLES_FOLDER
    catalogs: Path = CATALOG_FOLDER
    max_tokens: int = MAX_TOKENS


def _report_error(error: Exception) -> None:
    """Log what nobody foresaw and say something neutral; never shows a traceback to a user."""
    logger.error("a callback failed", exc_info=error)
    set_props(ids.ALERT, {"children": unexpected()})


def create_app(settings: Settings | None = None) -> Dash:
    """Build the app; `create_app(settings).server` is its WSGI application.

    What is wrong with the operator's folders is logged and shown; the app goes on with what it has.
    """
    settings = settings or Settings()
    store = ModelStore((BUNDLED, *settings.model_dirs), settings.models)
    service = LiveService(store, settings.catalogs, settings.max_tokens)
    examples = load_examples(settings.examples)
    for problem in (*store.problems, *examples.problems):
        logger.warning("%s", problem)
    app = Dash(
        "headscope",
        title="HeadScope",
        update_title="",
        assets_folder=str(Path(__file__).resolve().parent / "assets"),
        on_error=_report_error,
        index_string=INDEX,
        serve_locally=True,
    )
    first = examples.examples[0].prompt if examples.examples else FIRST_PROMPT
    # A folder's path is the operator's business: the page names what is missing, the log says where.
    problems = list(examples.problems)
    if not store.names():
        problems.append("There is no model to use. The operator can add a folder with --model-dir.")
    app.layout = shell(store.names(), examples.examples, first, settings.max_tokens, problems)
    live.register(app, LivePage(service, examples.examples))
    page_tools.register(app)
    register_vendor_route(app.server)
    return app


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    defaults = Settings()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=defaults.host, help="address to serve on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=defaults.port, help="port to serve on (default: %(default)s)"
    )
    parser.add_argument(
        "--model-dir",
        type=Path,
        action="append",
        default=[],
        help="a model's folder in Hugging Face layout, or a folder of such folders (repeatable)",
    )
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", help="the models that may be used (default: all)"
    )
    parser.add_argument(
        "--examples", type=Path, default=defaults.examples, help="folder of example prompts (*.yaml)"
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        default=defaults.max_tokens,
        help=f"most tokens a prompt may have, {MOST_TOKENS} at most (default: %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and serve until Ctrl+C."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.port <= 65535:
        parser.error("--port must be from 1 to 65535")
    if not 3 <= arguments.max_tokens <= MOST_TOKENS:
        parser.error(f"--max-tokens must be from 3 to {MOST_TOKENS}")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # One forward runs at a time for each model; two threads within it are enough and leave the machine alone.
    torch.set_num_threads(min(4, torch.get_num_threads()))
    settings = Settings(
        arguments.host,
        arguments.port,
        tuple(arguments.model_dir),
        tuple(arguments.models) if arguments.models else None,
        arguments.examples,
        max_tokens=arguments.max_tokens,
    )
    app = create_app(settings)
    sys.stdout.write(f"HeadScope is on http://{settings.host}:{settings.port} (Ctrl+C ends it)\n")
    sys.stdout.flush()
    try:
        waitress.serve(
            app.server, host=settings.host, port=settings.port, threads=SERVER_THREADS, ident="HeadScope"
        )
    except OSError as error:
        sys.stderr.write(
            f"app: cannot serve on {settings.host}:{settings.port} ({error.strerror}); choose another "
            f"with --port.\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
