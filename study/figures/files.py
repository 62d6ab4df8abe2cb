"""The study's figures as files: a page for each kind with a menu, and an SVG for each figure.

The pages share one `plotly.min.js` beside them, copied from the installed package by `scripts/run_study.py
figures` (5 MB, so git does not keep it). Nothing is loaded from another host. The SVGs are drawn by kaleido,
which needs a Chrome or Chromium on the machine; without one the pages are written all the same.
"""

import asyncio
import importlib.resources
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup

from study.data.results_folder import ResultPaths, save_text
from study.figures.as_tables import figure_tables
from study.figures.registry import FIGURES, Choice, StudyFigure, choice_label
from study.figures.style import Tables
from study.tables.columns import load_tables
from utils.runtime.html_files import html_templates
from utils.runtime.json_output import to_json

logger = logging.getLogger(__name__)

PLOTLY_FILE = "plotly.min.js"
# The path of a browser that is not found by itself; the browser tests know it too.
BROWSER_VARIABLE = "HEADSCOPE_CHROMIUM"
IMAGE_WIDTH = 960
_DECIMALS = 4
_SECONDS = 60
# Plotly names the parts of an image after a random number.
_RANDOM_NAME = re.compile(r'id="(?:defs|topdefs)-([0-9a-f]{6})"')
_FOR_SCRIPTS = re.compile(r' (?:class|data-unformatted|data-math)="[^"]*"')

_TEMPLATES = html_templates(Path(__file__).parent / "templates")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WrittenFigures:
    """What was written.

    Attributes:
        pages: HTML files, the first page first.
        images: SVG files.
        problem: why there are no images, in one sentence; None where there are.
    """

    pages: tuple[Path, ...]
    images: tuple[Path, ...]
    problem: str | None


def write_figures(folder: Path, images: bool = True, progress: Progress | None = None) -> WrittenFigures:
    """Draw all figures of the results folder `folder` into its folder figures/.

    Args:
        folder: the results, with their tables.
        images: whether SVGs are wanted beside the pages.
        progress: called with how many images are done, and of how many.

    Raises:
        UserFacingError: a table is missing or damaged, or the files cannot be written.
    """
    tables = load_tables(folder)
    target = ResultPaths(folder).figures
    drawn = {
        row: [(choice, row.draw(tables, **choice)) for choice in row.choices(tables)] for row in _rows(tables)
    }
    pages = [target / "index.html"]
    index = _TEMPLATES.get_template("index.html")
    save_text(pages[0], index.render(title="The study's figures", rows=list(drawn)))
    for row, figures in drawn.items():
        pages.append(target / f"{row.key}.html")
        save_text(pages[-1], _page(row, figures))
    _copy_plotly(target)
    if not images:
        return WrittenFigures(tuple(pages), (), None)
    todo = [(row.file_name(choice), figure) for row, figures in drawn.items() for choice, figure in figures]
    written, problem = _write_images(target, todo, progress)
    return WrittenFigures(tuple(pages), tuple(written), problem)


def _rows(tables: Tables) -> list[StudyFigure]:
    return [row for row in FIGURES.values() if row.choices(tables)]


def _copy_plotly(target: Path) -> None:
    """Plotly's own script beside the pages, once for all of them."""
    source = importlib.resources.files("plotly") / "package_data" / PLOTLY_FILE
    save_text(target / PLOTLY_FILE, source.read_text(encoding="utf-8"))


def _data(figure: go.Figure) -> dict[str, Any]:
    """A figure for plotly.js, numbers rounded: more places than can be seen only make the files larger."""
    data: Any = to_json(json.loads(figure.to_json() or "{}"), _DECIMALS)
    # Plotly would name each trace at random.
    traces = [{**trace, "uid": f"n{position}"} for position, trace in enumerate(data["data"])]
    return {"data": traces, "layout": data["layout"]}


def _page(row: StudyFigure, figures: Sequence[tuple[Choice, go.Figure]]) -> str:
    """All figures of one kind: a menu, the chosen one, its numbers as tables."""
    # In a script a "<" of the data could end it.
    data = json.dumps([_data(figure) for _, figure in figures], separators=(",", ":")).replace("<", "\\u003c")
    return _TEMPLATES.get_template("figures.html").render(
        title=row.title,
        help=row.help,
        names=[
            ", ".join(choice_label(name, value) for name, value in choice.items()) for choice, _ in figures
        ],
        tables_by_figure=[figure_tables(figure) for _, figure in figures],
        data=Markup(data),
        plotly_file=PLOTLY_FILE,
    )


def _write_images(
    target: Path, todo: Sequence[tuple[str, go.Figure]], progress: Progress | None
) -> tuple[list[Path], str | None]:
    """SVGs by kaleido; without a browser none, and the reason."""
    # Imported here: the lab page draws these figures too and never needs it.
    from choreographer.browsers.chromium import ChromeNotFoundError
    from kaleido.errors import KaleidoError

    written: list[Path] = []

    def keep(name: str, svg: str) -> None:
        written.append(target / f"{name}.svg")
        save_text(written[-1], svg)
        if progress:
            progress(len(written), len(todo))

    try:
        asyncio.run(_draw_images(todo, keep))
    except ChromeNotFoundError:
        return written, (
            "No images were made, since no Chrome or Chromium was found; install one (Debian: apt-get "
            f"install chromium) or name it in {BROWSER_VARIABLE}, and run the stage figures again."
        )
    except (KaleidoError, OSError, RuntimeError, TimeoutError) as error:
        logger.info("The browser failed.", exc_info=error)
        return written, (
            f"Only {len(written)} of {len(todo)} images were made, since the browser failed "
            f"({type(error).__name__}); run the stage figures again."
        )
    return written, None


async def _draw_images(todo: Sequence[tuple[str, go.Figure]], keep: Callable[[str, str], None]) -> None:
    """Every figure through one browser, with the installed package's plotly.js and nothing from the net."""
    import kaleido

    script = importlib.resources.files("plotly") / "package_data" / PLOTLY_FILE
    with importlib.resources.as_file(script) as path:
        page = kaleido.PageGenerator(plotly=path.as_uri(), mathjax=False)
        named = shutil.which(os.environ[BROWSER_VARIABLE]) if os.environ.get(BROWSER_VARIABLE) else None
        options: dict[str, Any] = {"path": named} if named else {}
        async with kaleido.Kaleido(n=1, timeout=_SECONDS, page_generator=page, **options) as browser:
            for name, figure in todo:
                height = int(figure.to_dict()["layout"]["height"])
                image = await browser.calc_fig(
                    _data(figure), opts={"format": "svg", "width": IMAGE_WIDTH, "height": height}
                )
                keep(name, steady(image.decode("utf-8")))


def steady(svg: str) -> str:
    """An SVG of Plotly's without its random number, so that the same figure is the same file.

    And without what only a page's scripts would need, a fifth of it.
    """
    found = _RANDOM_NAME.search(svg)
    named = svg.replace(found[1], "figure") if found else svg
    return _FOR_SCRIPTS.sub("", named)
