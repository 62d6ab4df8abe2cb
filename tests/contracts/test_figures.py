"""Every figure of every page gets its options from one place, and they keep it on the page."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.plots import graph, graph_config, heads_figure, score_scale

ROOT = Path(__file__).resolve().parents[2]
FACTORY = ROOT / "components" / "plots.py"


def graphs() -> Iterator[tuple[Path, ast.Call]]:
    """Every `dcc.Graph(...)` of the pages, with its file."""
    for path in sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("callbacks/**/*.py"), ROOT / "app.py"]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("dcc.Graph", "Graph"):
                yield path, node


def test_every_figure_has_the_options_of_all_figures() -> None:
    found = list(graphs())
    assert any(path == FACTORY for path, _ in found)
    for path, call in found:
        config = next((word.value for word in call.keywords if word.arg == "config"), None)
        assert config is not None and ast.unparse(config).startswith("graph_config("), (path, call.lineno)


def test_they_offer_one_button_that_keeps_the_figure_here() -> None:
    config = graph_config("some-name")
    assert config["modeBarButtons"] == [["toImage"]]
    assert not any(
        config[key] for key in ("displaylogo", "showLink", "showSendToCloud", "showEditInChartStudio")
    )
    assert config["toImageButtonOptions"] == {"format": "svg", "filename": "some-name"}
    assert graph_config("some-name", toolbar=False)["displayModeBar"] is False
    drawn: Any = graph("figure", toolbar=False)
    assert drawn.config == graph_config("headscope-figure", toolbar=False)


def test_the_scale_of_scores_can_be_drawn_for_any_threshold() -> None:
    for percent in range(0, 101):
        heads_figure([[0.1, 0.9]], "dark", "score", colorscale=score_scale("dark", percent / 100))
