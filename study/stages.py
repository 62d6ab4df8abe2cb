"""The stages of the study, in their order: each reads what those before it wrote into the results folder."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from study.ablation.planning import Say, ablate, rank
from study.ablation.runners import RunnerOptions, default_jobs
from study.data.cell_records import load_cells, load_rankings
from study.data.data_report import JSON_NAME, MARKDOWN_NAME, data_report, report_markdown
from study.data.filings import StudyData, check_splits, make_data, repository_path, save_splits
from study.data.models import StudyModel, study_models
from study.data.protocol import Protocol, RealPart
from study.data.results_folder import ResultPaths, json_lines, save_text
from study.tables.building import build_tables
from study.tables.columns import save_tables
from utils.errors import UserFacingError
from utils.runtime.jobs import Progress


@dataclass(frozen=True)
class StudyRun:
    """One call of the study.

    Attributes:
        protocol: the whole protocol; tables are made of all that it names.
        chosen: what of it is to be run.
        folder: the results folder.
        runner: where the work runs; 0 jobs for as many as suit the machine.
        progress: called with how far a stage is.
        say: called with a line that is worth keeping.
        only: the portions of cells to be run; none for all.
    """

    protocol: Protocol
    chosen: Protocol
    folder: Path
    runner: RunnerOptions
    progress: Progress
    say: Say
    only: tuple[str, ...] = ()

    def models(self) -> list[StudyModel]:
        """The chosen models.

        Raises:
            UserFacingError: as `study.data.models.study_models`.
        """
        models = study_models(self.chosen, self.progress)
        if self.chosen.real is not None and not _real_filings_are_here(self.chosen.real):
            self.say(
                f"There are no real filings at {self.chosen.real.folder} (--filings names another folder): "
                "what needs them is left as it is."
            )
            kept = [replace(m, settings=tuple(s for s in m.settings if s[1] != "real")) for m in models]
            return [model for model in kept if model.settings]
        return models

    def where(self) -> RunnerOptions:
        """Where the work runs, the number of processes settled."""
        jobs = self.runner.jobs or default_jobs([model.device for model in self.chosen.models])
        return replace(self.runner, jobs=jobs)


def _real_filings_are_here(real: RealPart) -> bool:
    folder = repository_path(real.folder)
    return (folder / "truth.csv").is_file() and (folder / "texts.jsonl").is_file()


def run_prepare(run: StudyRun) -> Path:
    """Make the data, divide it, and write down what it is like; returns the path of splits.json.

    Raises:
        UserFacingError: the protocol asks for what cannot be had, or a file cannot be written.
    """
    models = run.models()
    data = make_data(run.chosen, models, run.progress)
    _write_report(run, models, data)
    return save_splits(data, run.chosen, run.folder)


def _write_report(run: StudyRun, models: list[StudyModel], data: StudyData) -> None:
    """One report for each length and tokenizer: models that share one have the same filings."""
    reports = {}
    for model in models:
        for length, kind in model.settings:
            splits = {
                task: data.parts[model.name, length, kind, task].split for task in run.chosen.tasks(kind)
            }
            real = data.real.get((model.name, length)) if kind == "real" else None
            key = (model.tokenizer_digest, length, kind)
            if key in reports:
                reports[key][0].append(model.name)
                continue
            report = data_report(
                splits,
                "generated" if kind == "generated" else "real, business sections of annual reports",
                counts=real.counts if real else None,
                length=length,
                count_tokens=model.count_tokens,
            )
            reports[key] = ([model.name], report)
    message = [{"models": names, **report} for names, report in reports.values()]
    pages = [
        f"Models: {', '.join(names)}.\n\n{report_markdown(report)}" for names, report in reports.values()
    ]
    save_text(run.folder / JSON_NAME, json_lines({"reports": message}, ("reports",)))
    save_text(run.folder / MARKDOWN_NAME, "\n".join(pages))


def run_rank(run: StudyRun) -> Path:
    """Rank heads on the train parts; returns the folder of the rankings.

    Raises:
        UserFacingError: the data is not prepared, or a task failed.
    """
    models, data = _prepared(run)
    rank(run.chosen, models, data, run.folder, run.where(), run.progress, run.say)
    return run.folder / "rankings"


def run_ablate(run: StudyRun) -> Path:
    """Ablate heads on the test parts, and make the tables; returns their folder.

    Raises:
        UserFacingError: the data is not prepared, heads are not ranked, or a task failed.
    """
    models, data = _prepared(run)
    ablate(run.chosen, models, data, run.folder, run.where(), run.progress, run.say, run.only)
    return run_tables(run)


def run_tables(run: StudyRun) -> Path:
    """Make the tables from the rankings and cells that are there, all of them or not; returns their folder.

    Raises:
        UserFacingError: a ranking or a cell is damaged, or the tables cannot be written.
    """
    run.progress("making the tables", 0, 1)
    tables = build_tables(load_cells(run.folder), load_rankings(run.folder), run.protocol)
    save_tables(tables, run.folder)
    run.progress("making the tables", 1, 1)
    return ResultPaths(run.folder).table("claim").parent


def _prepared(run: StudyRun) -> tuple[list[StudyModel], StudyData]:
    models = run.models()
    data = make_data(run.chosen, models, run.progress)
    check_splits(data, run.folder)
    return models, data


def run_figures(run: StudyRun) -> Path:
    """Draw the figures from the tables; returns the path of their first page.

    Raises:
        UserFacingError: a table is missing, or a file cannot be written.
    """
    from study.figures.files import write_figures

    written = write_figures(
        run.folder, progress=lambda done, total: run.progress("drawing the figures", done, total)
    )
    if written.problem:
        run.say(written.problem)
    return written.pages[0]


def run_report(run: StudyRun) -> Path:
    """Tell the findings from the tables; returns the path of FINDINGS.md.

    Raises:
        UserFacingError: a table is missing, nothing was ablated yet, or the file cannot be written.
    """
    from study.findings.report import write_findings

    toys = run.folder.parent / "results-demo"
    return write_findings(run.folder, None if toys == run.folder else toys)


# In their order; `all` is all of them, the tables being made at the end of `ablate` too.
STAGES: dict[str, Callable[[StudyRun], Path]] = {
    "prepare": run_prepare,
    "rank": run_rank,
    "ablate": run_ablate,
    "tables": run_tables,
    "figures": run_figures,
    "report": run_report,
}


def stages_of(name: str) -> list[str]:
    """The stages that a name stands for.

    Raises:
        UserFacingError: there is no such stage.
    """
    if name == "all":
        return [stage for stage in STAGES if stage != "tables"]
    if name not in STAGES:
        raise UserFacingError(
            f"There is no stage '{name[:40]}'.", f"Choose one of: {', '.join(STAGES)}, all."
        )
    return [name]
