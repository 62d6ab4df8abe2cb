"""A ranking method that is one row: registered here, it goes through ranking, study, figures and lab."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from callbacks.lab.page import LabPage
from callbacks.lab.readings import LabReadings
from callbacks.lab.study_card import LabStudy
from callbacks.lab.views import LabViews
from callbacks.live.head_panel import HeadPanel
from components import ids
from components.catalog.page import catalog_body
from components.terms import GLOSSARY
from retrieval.lab.state import LabPrompt, LabState, LabView, from_query, to_query
from retrieval.rankings.methods import METHODS, RankingMethod, RankingOptions, Readings
from retrieval.rankings.records import as_json, load_ranking
from scripts.analyze_heads import main as check
from scripts.run_study import main
from study.data.cell_records import load_cells, load_rankings, merged
from study.figures.registry import FIGURES
from study.figures.style import method_look
from study.tables.columns import load_tables
from tests.fixtures.reading_trees import find, text_of
from utils.catalog.catalog import catalog_path
from utils.catalog.rankings import catalog_rankings
from utils.glossary.term import Term
from utils.live.service import LiveService
from utils.models.store import ModelStore

MODEL = "demo-llama"
PROTOCOL = """
methods = ["summed_attention", "wu24", "qrhead", "reasoning", "needle_peak"]
questions = ["inc_state", "hq_state"]
ranking_questions = ["inc_state", "hq_state"]
resamples = 200
stem = false
[[models]]
name = "demo-llama"
lengths = [80]
[data]
samples = 5
[ablation]
k_levels = [0, 2]
shared_min_tasks = 2
[claim]
model = "demo-llama"
method = "needle_peak"
length = 80
questions = 1
"""


def peak(readings: Readings, options: RankingOptions) -> Tensor | None:
    """The largest single weight that the last prompt token has in the needle."""
    if readings.last_row is None or "needle" not in readings.spans:
        return None
    start, end = readings.spans["needle"]
    return readings.last_row[..., start:end].amax(-1)


def even(readings: Readings, options: RankingOptions) -> dict[str, Any]:
    return {"control": 1 / len(readings.ids)}


def comment(readings: Readings, details: Mapping[str, Any]) -> str:
    return f"Even attention would score {details['control']:.4f}."


NEEDLE_PEAK = RankingMethod(
    "needle_peak",
    "Needle peak",
    "This test.",
    "The most that any one token of the needle gets.",
    frozenset({"last"}),
    peak,
    lambda options: ("needle",),
    (),
    details=even,
    comment=comment,
    control="control",
    chance="attention spread evenly over this test's prompt",
    word=Term(
        "needle_peak", "retrieval", "Needle peak (largest weight)", "The largest weight in the needle."
    ),
)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS, "needle_peak", NEEDLE_PEAK)
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study with the method, up to its findings, in this process."""
    folder = tmp_path_factory.mktemp("study")
    protocol = folder / "small.toml"
    protocol.write_text(PROTOCOL, encoding="utf-8")
    for stage in ("prepare", "rank", "ablate", "figures", "report"):
        more = ["--jobs", "1"] if stage in ("rank", "ablate") else []
        assert main([stage, "--protocol", str(protocol), "--results", str(folder / "results"), *more]) == 0
    return folder / "results"


def words(html: str) -> str:
    return " ".join(unescape(re.sub("<[^>]+>", " ", html)).split())


def test_heads_are_ranked_by_it(study: Path) -> None:
    records = [record for record in load_rankings(study) if record.method == "needle_peak"]
    assert len(records) == 2 and all(record.control and record.successful_samples == 4 for record in records)
    assert all(len(record.head_rankings) == 64 for record in records)
    (path, *_) = sorted((study / "rankings").glob("*needle_peak*"))
    assert load_ranking(path) in records


def test_its_top_heads_are_ablated_and_tabled(study: Path) -> None:
    for cell in merged(load_cells(study)):
        assert any("needle_peak" in str(one.model_dump()) for one in cell.sets)
    tables = load_tables(study)
    assert "needle_peak" in {row["method"] for row in tables["accuracy"]}
    assert {row["method"] for row in tables["claim"]} == {"needle_peak"}


def test_every_figure_draws_it_in_a_colour_of_its_own(study: Path) -> None:
    tables = load_tables(study)
    assert {row["method"] for row in tables["tops"]} == set(METHODS)
    for key, figure in FIGURES.items():
        chosen = {"method": "needle_peak"} if "method" in figure.choose else {}
        for theme in ("light", "dark"):
            drawn = json.dumps(json.loads(figure.draw(tables, theme, **chosen).to_json() or "{}"))
            # What single heads do, no method says.
            assert ("Needle peak" in drawn) == (key != "single_heads")
            if key in ("differences", "layer_distribution"):
                assert method_look("needle_peak", theme).colour in drawn
    looks = [method_look(method, "dark") for method in METHODS]
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == len(METHODS) == 5
    bars = [
        bar for bar in FIGURES["layer_distribution"].draw(tables).to_plotly_json()["data"] if "name" in bar
    ]
    shapes = [bar["marker"]["pattern"]["shape"] for bar in bars if bar["type"] == "bar"]
    assert len(set(shapes)) == len(METHODS)
    assert "Needle peak" in (study / "figures" / "accuracy_curve.html").read_text(encoding="utf-8")


def test_the_findings_tell_of_it(study: Path) -> None:
    findings = (study / "FINDINGS.md").read_text(encoding="utf-8")
    assert "Needle peak" in findings and "needle_peak" not in findings


@pytest.fixture(scope="module")
def service(study: Path, tmp_path_factory: pytest.TempPathFactory) -> LiveService:
    """The bundled models, the catalog of one with the method's ranking in it."""
    folder = tmp_path_factory.mktemp("catalogs")
    catalog = LiveService(ModelStore()).catalog(MODEL)
    assert catalog is not None
    records = [as_json(one) for one in load_rankings(study) if one.method == "needle_peak"]
    made = catalog.model_copy(update={"rankings": {**catalog.rankings, "needle_peak": records}})
    (folder / f"{MODEL}.json").write_text(made.model_dump_json(), encoding="utf-8")
    return LiveService(ModelStore(), folder)


def test_a_catalog_holds_it_and_a_heads_detail_shows_it(service: LiveService) -> None:
    ranking = catalog_rankings(service.catalog(MODEL))["needle_peak"]
    assert ranking.control is not None and ranking.records == 2
    detail = HeadPanel(service).show_head({"model": MODEL, "prompt": "One day a boy saw a dog."}, "L1H2")
    text = text_of(detail[2])
    assert "by Needle peak" in text and f"{ranking.control:.3f}" in text
    assert "evenly over this test's prompt (Needle peak)" in text
    catalog = service.catalog(MODEL)
    assert catalog is not None
    assert "induction" in text_of(catalog_body(catalog, "induction", "light")).lower()


def test_the_check_of_catalogs_knows_it(service: LiveService, capsys: pytest.CaptureFixture[str]) -> None:
    path = catalog_path(MODEL, service.catalog_folder)
    assert check(["--check", str(path)]) == 0, capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(METHODS, "needle_peak")
        assert check(["--check", str(path)]) == 1
    assert "rankings has 'needle_peak'" in capsys.readouterr().err


def test_the_glossary_has_it() -> None:
    assert GLOSSARY["needle_peak"].plain == "The largest weight in the needle."


def test_the_lab_offers_reads_and_links_it(service: LiveService, tmp_path: Path) -> None:
    readings = LabReadings(service, 120.0)
    page, views = LabPage(readings, LabStudy(tmp_path)), LabViews(readings)
    options = [str(getattr(part, "options", "")) for part in find(page.layout(""))]
    assert any("needle_peak" in text for text in options)
    prompt = LabPrompt(MODEL, seed=3)
    shown = page.follow(ids.LAB_WANTED, asdict(prompt), "me")[3]
    message, here, there, *_, top, table = views.show_method(shown, "needle_peak", None, "light")
    assert NEEDLE_PEAK.explanation in words(message) and "Even attention would score" in words(message)
    assert len(here.data[0].z) == 4 and there.data and "L" in top and "rank" in words(table)
    _, body, _ = views.show_off(ids.LAB_OFF_RUN, shown, "needle_peak", "here", 2, "zero", "me")
    assert "random" in words(body)
    state = LabState(prompt, LabView("needle_peak"))
    assert from_query(to_query(state), [MODEL])[0].view.method == "needle_peak"
