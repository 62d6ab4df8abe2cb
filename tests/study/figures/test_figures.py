import copy
import json
import math
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from retrieval.rankings import methods
from study.figures import files
from study.figures.as_tables import figure_tables
from study.figures.files import PLOTLY_FILE, steady, write_figures
from study.figures.registry import FIGURES, StudyFigure
from study.figures.style import MARKERS, method_look, picked
from study.tables.columns import save_tables
from tests.fixtures.hand_made_tables import METHODS, MODELS, QUESTIONS, TASKS, tables
from utils.errors import UserFacingError
from utils.plot_style import COLOURS, series_colour

TABLES = tables(single=0.8)
ONE_MODEL = tables(models=1)


def _data(figure: go.Figure) -> list[dict[str, Any]]:
    return json.loads(figure.to_json() or "{}")["data"]


def _named(figure: go.Figure, name: str) -> list[dict[str, Any]]:
    return [trace for trace in _data(figure) if trace.get("name") == name]


@pytest.mark.parametrize("row", FIGURES.values(), ids=FIGURES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_drawn_in_both_themes(row: StudyFigure, theme: str) -> None:
    before = copy.deepcopy(TABLES)
    for choice in row.choices(TABLES):
        figure = row.draw(TABLES, theme, **choice)
        layout = json.loads(figure.to_json() or "{}")["layout"]
        assert layout["paper_bgcolor"] == COLOURS[theme].paper
        assert layout["title"]["text"]
        assert layout["height"] > 300
        assert figure_tables(figure)
    assert before == TABLES
    assert row.title
    assert row.help.endswith(".")


def _linear(colour: str) -> list[float]:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _lab(colour: str) -> tuple[float, float, float]:
    """CIE Lab under D65, in which equal distances look equally far apart."""
    red, green, blue = _linear(colour)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, _luminance(colour), z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("theme", COLOURS)
def test_further_colours_stand_out_from_the_paper_and_from_each_other(theme: str) -> None:
    colours = [series_colour(theme, place) for place in range(12)]
    paper = _luminance(COLOURS[theme].paper)
    for colour in colours:
        low, high = sorted((paper, _luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 3  # WCAG 2.2, 1.4.11, of parts of graphics
    assert min(math.dist(_lab(one), _lab(other)) for one, other in combinations(colours, 2)) > 20


def test_choices_are_all_combinations_in_order() -> None:
    choices = FIGURES["accuracy_curve"].choices(TABLES)
    wanted = [
        {"model": model, "method": method, "question": question}
        for model, *_ in MODELS
        for method in METHODS
        for question in QUESTIONS
    ]
    assert choices == wanted
    names = [FIGURES["accuracy_curve"].file_name(choice) for choice in choices]
    assert len(set(names)) == len(names)
    assert names[-1] == "accuracy_curve__org--other__qrhead__inc_year"


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(UserFacingError, match=r"model nobody.*model: base, base-instruct, org/other"):
        FIGURES["transfer"].draw(TABLES, model="nobody")
    empty = {name: [] for name in TABLES}
    with pytest.raises(UserFacingError, match="run_study"):
        FIGURES["transfer"].draw(empty)


def test_curves_hold_the_tables_numbers() -> None:
    figure = FIGURES["accuracy_curve"].draw(TABLES, model="base", method="wu24", question="inc_year")
    for name, condition in (
        ("top heads of the question", "within"),
        ("random heads of the same layers", "random_layer_matched"),
    ):
        rows = picked(
            TABLES["accuracy"],
            model="base",
            method="wu24",
            question="inc_year",
            condition=condition,
            length=128,
        )
        trace = _named(figure, name)[0]
        assert trace["x"] == [0, 2, 5]
        assert trace["y"] == [row["accuracy"] for row in rows]
        assert [ends[:2] for ends in trace["customdata"]] == [[row["low"], row["high"]] for row in rows]
        band = _named(figure, f"95% interval: {name}")[0]
        assert band["y"] == [row["high"] for row in rows] + [row["low"] for row in rows[::-1]]
    # A panel for each of the two lengths.
    assert len(_named(figure, "top heads of the question")) == 2


def test_tested_heads_are_solid_and_random_ones_are_not() -> None:
    figure = FIGURES["accuracy_grid"].draw(TABLES)
    assert {trace["line"]["dash"] for trace in _named(figure, "top heads of the question")} == {"solid"}
    assert {trace["line"]["dash"] for trace in _named(figure, "random heads of the same layers")} == {"dash"}
    assert {trace["line"]["dash"] for trace in _named(figure, "random heads of any layer")} == {"dot"}
    assert len(_named(figure, "top heads of the question")) == len(METHODS) * len(QUESTIONS)
    assert sum(trace.get("showlegend", True) for trace in _data(figure)) == 3


def test_lines_are_told_apart_without_colour() -> None:
    looks = [method_look(method, "light") for method in methods.METHODS]
    assert len({look.marker for look in looks}) == len({look.colour for look in looks}) == len(looks)
    assert len(set(MARKERS)) == len(MARKERS)
    for theme in COLOURS:
        assert len({series_colour(theme, position) for position in range(12)}) == 12
    # Those of the committed figures.
    assert [series_colour("light", position) for position in range(4)] == [
        "#0072b2",
        "#c2500b",
        "#007a5a",
        "#a3457f",
    ]
    assert [series_colour("dark", position) for position in range(4)] == [
        "#6db8ec",
        "#f2945a",
        "#3fcf9f",
        "#e6a0cb",
    ]
    general = FIGURES["general_heads"].draw(TABLES)
    lines = {
        (trace["name"], trace["marker"]["symbol"], trace["line"]["dash"])
        for trace in _data(general)
        if trace["mode"] == "lines+markers"
    }
    assert len({(marker, dash) for _, marker, dash in lines}) == len(lines) == 4


def test_differences_hold_both_controls_at_a_quarter_of_the_heads() -> None:
    figure = FIGURES["differences"].draw(TABLES, model="base", length=128)
    assert len(_data(figure)) == 2 * len(METHODS)
    for trace in _data(figure):
        assert trace["x"] == pytest.approx([-0.5, -0.5])
        assert trace["error_x"]["array"] == pytest.approx([0.1, 0.1])
    assert "Top 5 heads" in json.loads(figure.to_json() or "{}")["layout"]["title"]["text"]


def test_transfer_has_the_sources_down() -> None:
    table = copy.deepcopy(TABLES)
    for row in picked(table["transfer"], model="base", method="wu24", length=128, k=5):
        row["change"] = -0.4 if (row["source"], row["question"]) == ("inc_state", "inc_year") else 0.0
    (trace,) = _data(FIGURES["transfer"].draw(table, model="base", method="wu24", length=128))
    assert trace["z"] == [[0.0, -0.4], [0.0, 0.0]]
    assert trace["y"] == ["incorporation state", "incorporation year"]


def test_single_heads_stand_at_their_place_and_sure_ones_are_marked() -> None:
    figure = FIGURES["single_heads"].draw(TABLES, model="base", length=128)
    heat = [trace for trace in _data(figure) if trace["type"] == "heatmap"]
    assert [trace["z"][0][0] for trace in heat] == [-0.8, -0.8]
    assert sum(value != 0 for line in heat[0]["z"] for value in line) == 1
    marks = [trace for trace in _data(figure) if trace["type"] == "scatter"]
    assert [(trace["x"], trace["y"]) for trace in marks] == [([0], [0])] * 2


def test_overlaps_are_those_of_the_tops_beside_chance() -> None:
    figure = FIGURES["question_overlap"].draw(TABLES, model="base", length=128)
    # inc_state and hq_city share all heads of their tops, inc_year none of them.
    assert _data(figure)[0]["z"] == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    # Two sets of 4 of 20: the mean of m / (8 - m), m hypergeometric.
    assert "would share 0.12" in json.loads(figure.to_json() or "{}")["layout"]["title"]["text"]
    methods = _data(FIGURES["method_overlap"].draw(TABLES, model="base", length=128))[0]
    assert methods["z"] == [[1, 0.6], [0.6, 1]]  # 3 of 5 heads of the layer in both


def test_layers_of_the_tops_are_shares() -> None:
    bars = [t for t in _data(FIGURES["layer_distribution"].draw(TABLES)) if t["type"] == "bar"]
    assert bars[0]["y"] == pytest.approx([0, 2 / 3, 1 / 3, 0])
    assert len({json.dumps(bar["marker"]["pattern"]) for bar in bars}) == len(METHODS)


def test_models_of_unlike_shape_are_compared_by_depth_alone() -> None:
    data = _data(FIGURES["model_comparison"].draw(TABLES, method="wu24"))
    assert data[0]["z"] == [[1, 1, None], [1, 1, None], [None, None, 1]]
    depths = {trace["name"]: (trace["x"], trace["y"]) for trace in data[1:]}
    assert depths["base"][1] == pytest.approx([0, 2 / 3, 1, 1])
    assert depths["org/other"] == ([0, 1], [0, 1])


def test_figures_have_their_numbers_as_tables() -> None:
    (table,) = figure_tables(FIGURES["method_overlap"].draw(TABLES))
    assert table.titles == ("", "Wu24", "QRHead")
    assert table.rows[0] == ("Wu24", "1", "0.6")
    panels = figure_tables(FIGURES["accuracy_curve"].draw(TABLES, question="inc_state"))
    assert [panel.caption for panel in panels] == ["128 tokens", "192 tokens"]
    assert ("top heads of the question", "5", "0.3", "0.2 to 0.4") in panels[0].rows
    assert not any("95%" in row[0] for row in panels[0].rows)


def test_pages_hold_every_figure_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    save_tables(ONE_MODEL, tmp_path)
    written = write_figures(tmp_path, images=False)
    assert written.problem is None
    assert [page.name for page in written.pages] == ["index.html", *(f"{key}.html" for key in FIGURES)]
    assert (tmp_path / "figures" / PLOTLY_FILE).stat().st_size > 1_000_000
    for page in written.pages[1:]:
        text = page.read_text(encoding="utf-8")
        assert "http" not in text.replace("http-equiv", "")
        embedded = text.split('id="figures">')[1].split("</script>")[0]
        assert (
            len(json.loads(embedded)) == len(FIGURES[page.stem].choices(ONE_MODEL)) == text.count("<option")
        )
    sizes = sum(page.stat().st_size for page in written.pages)
    assert sizes < 1_000_000
    again = {page: page.read_bytes() for page in written.pages}
    assert {page: page.read_bytes() for page in write_figures(tmp_path, images=False).pages} == again


def test_without_a_browser_the_pages_are_written_and_one_sentence_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no-browser"))
    monkeypatch.delenv(files.BROWSER_VARIABLE, raising=False)
    save_tables(ONE_MODEL, tmp_path)
    written = write_figures(tmp_path)
    assert len(written.pages) == len(FIGURES) + 1
    assert written.images == ()
    assert written.problem is not None
    assert "no Chrome or Chromium was found" in written.problem
    assert written.problem.count(".") == 1


def test_images_of_one_figure_are_one_file() -> None:
    one = '<svg><defs id="defs-12ab9f"><clipPath id="clip12ab9fxy"/></defs></svg>'
    other = one.replace("12ab9f", "7700aa")
    assert steady(one) == steady(other)
    assert "12ab9f" not in steady(one)
    assert steady("<svg/>") == "<svg/>"


def test_tasks_of_the_hand_made_study_are_known() -> None:
    assert {row["task"] for row in TABLES["tops"]} == set(TASKS)


def test_images_are_drawn_by_the_browser_of_the_machine(tmp_path: Path) -> None:
    few = {name: rows if name == "tops" else [] for name, rows in tables(models=1).items()}
    few["tops"] = picked(few["tops"], length=128, method="wu24")
    save_tables(few, tmp_path)
    done: list[tuple[int, int]] = []
    written = write_figures(tmp_path, progress=lambda number, total: done.append((number, total)))
    if written.problem:
        pytest.skip(written.problem)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [image.stem.split("__")[0] for image in written.images] == [
        "question_overlap",
        "method_overlap",
        "layer_distribution",
        "model_comparison",
    ]
    text = written.images[2].read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "Layers of the scored heads in the top 4, mean over questions" in text
    # No random name, so that the same figure is the same file.
    assert not re.search(r"(trace|clip|defs-)[0-9a-f]{6}", text)
