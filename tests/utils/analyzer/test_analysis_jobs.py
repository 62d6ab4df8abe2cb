"""Analyzing from the app: a real analysis in a process of its own, shared, cancelled, failing."""

import threading
from pathlib import Path
from typing import Any

import pytest
from dash import no_update

import utils.analyzer.analysis_jobs
from callbacks.analysis_panel import follow_analysis
from tests.fixtures.makers.tiny_models import save_tiny_model
from utils.analyzer.analysis_jobs import AnalysisJobs
from utils.catalog.catalog import catalog_path, load_catalog
from utils.models.store import ModelStore
from utils.runtime.jobs import JobView

PATIENCE = 120


def ended(jobs: AnalysisJobs, model: str) -> JobView:
    pause = threading.Event()
    for _ in range(PATIENCE * 10):
        view = jobs.view(model)
        assert view is not None
        if view.ended:
            return view
        pause.wait(0.1)
    raise AssertionError("the analysis did not end")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    save_tiny_model("gpt2", tmp_path / "models" / "own")
    return ModelStore((tmp_path / "models",))


def test_two_who_ask_get_one_analysis_and_its_catalog(store: ModelStore, tmp_path: Path) -> None:
    catalogs = tmp_path / "catalogs"
    jobs = AnalysisJobs(store, catalogs)
    jobs.start("own", "one")
    jobs.start("own", "two")
    jobs.leave("own", "one")
    view = ended(jobs, "own")
    assert view.state == "done", view.error
    catalog = load_catalog(catalog_path("own", catalogs))
    assert (catalog.model_name, catalog.num_layers, catalog.num_heads) == ("own", 3, 4)
    assert [path.name for path in catalogs.iterdir()] == ["own.json"]


def test_two_servers_make_one_catalog_and_a_page_may_ask_either(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogs = tmp_path / "catalogs"
    catalogs.mkdir()
    runs: list[str] = []
    run = AnalysisJobs._run

    def noted(self: AnalysisJobs, model: str, *more: Any) -> None:
        runs.append(model)
        run(self, model, *more)

    monkeypatch.setattr(AnalysisJobs, "_run", noted)
    one, other = AnalysisJobs(store, catalogs), AnalysisJobs(store, catalogs)
    follow_analysis(one, {"type": "analyze", "model": "own"}, "live", "own", "me")
    tick = {"type": "analysis-tick"}
    # The next request of the page reaches the other server.
    panel, rests, done = follow_analysis(other, tick, "live", "own", "me")
    assert panel is not None and not rests and done is no_update
    assert ended(one, "own").state == ended(other, "own").state == "done"
    assert follow_analysis(other, tick, "live", "own", "me") == (None, True, "own")
    assert runs == ["own"]


def test_a_cancelled_analysis_leaves_nothing(store: ModelStore, tmp_path: Path) -> None:
    catalogs = tmp_path / "catalogs"
    jobs = AnalysisJobs(store, catalogs)
    jobs.start("own", "one")
    jobs.leave("own", "one")
    assert ended(jobs, "own").state == "cancelled"
    assert not catalogs.exists() or list(catalogs.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_without_its_path(store: ModelStore, tmp_path: Path) -> None:
    blocked = tmp_path / "catalogs"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    jobs = AnalysisJobs(store, blocked)
    jobs.start("own")
    view = ended(jobs, "own")
    assert view.state == "failed" and view.error is not None
    # A student is told, and not where the folder is.
    assert str(view.error).startswith("The server cannot write catalogs (") and "--catalogs" in str(
        view.error
    )
    assert str(tmp_path) not in str(view.error)


def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    folder = save_tiny_model("gpt2", tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"")
    jobs = AnalysisJobs(ModelStore((folder,)), tmp_path / "catalogs")
    jobs.start("broken")
    view = ended(jobs, "broken")
    assert view.state == "failed" and view.error is not None and "broken" in view.error.message


@pytest.mark.parametrize("name", ['a<b "hi" (copy)', "-modèle?"])
def test_a_folder_of_any_name_is_analyzed(tmp_path: Path, name: str) -> None:
    save_tiny_model("gpt2", tmp_path / "models" / name)
    catalogs = tmp_path / "catalogs"
    jobs = AnalysisJobs(ModelStore((tmp_path / "models",)), catalogs)
    jobs.start(name)
    view = ended(jobs, name)
    assert view.state == "done", view.error
    assert load_catalog(catalog_path(name, catalogs)).model_name == name


def test_an_analysis_that_crashed_does_not_speak_of_memory(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    monkeypatch.setattr(utils.analyzer.analysis_jobs, "SCRIPT", script)
    for ending, memory in (("raise SystemExit(3)", False), ("import os; os.kill(os.getpid(), 9)", True)):
        script.write_text(ending, encoding="utf-8")
        jobs = AnalysisJobs(store, tmp_path / "catalogs")
        jobs.start("own")
        error = ended(jobs, "own").error
        assert error is not None and ("memory" in str(error)) == memory
        assert memory or "with status 3" in str(error)
