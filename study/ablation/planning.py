"""Stages rank and ablate: what has to be done, what is there already, and putting away what comes of it.

Every ranking and every cell holds a fingerprint of all that it depends on: the model's files, the
samples, the protocol's values that matter and, for a cell, the rankings. What is there with the same
fingerprint stands; what has another one is done again, and that is said. So a study that was stopped
goes on, and one whose protocol was changed does again just what the change touches.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from retrieval.rankings.methods import METHODS, RankingOptions
from retrieval.rankings.records import load_ranking, save_ranking
from study.ablation.head_sets import HeadOrder, SetOptions, plan_sets, shared_order
from study.ablation.runners import RunnerOptions, run_tasks
from study.ablation.tasks import CellTask, RankTask, Task
from study.data.cell_records import AblationCell, load_cell, save_cell
from study.data.filings import StudyData, digest
from study.data.models import StudyModel
from study.data.protocol import Protocol
from study.data.results_folder import ResultPaths, unwritable
from utils.catalog.ranking_record import RankingRecord
from utils.errors import UserFacingError
from utils.runtime.jobs import Progress

# Raised where the same settings come to give other results: everything is then done again.
ENGINE = 1
_VERSIONED = ("torch", "transformers", "pyvene")

Say = Callable[[str], None]
Orders = dict[str, dict[str, HeadOrder]]


def rank(
    protocol: Protocol,
    models: Sequence[StudyModel],
    data: StudyData,
    folder: Path,
    runner: RunnerOptions,
    progress: Progress,
    say: Say,
) -> None:
    """Rank heads on the train parts, where that is not done yet.

    Args:
        protocol: the protocol.
        models: its models.
        data: its filings.
        folder: the results folder.
        runner: where the work runs.
        progress: called with how far it is.
        say: called with a line about what is kept and what is done again.

    Raises:
        UserFacingError: a task failed, or a result cannot be written.
    """
    paths = ResultPaths(folder)
    tasks = rank_tasks(protocol, models, data, paths, say)

    def save(task: Task, records: list[RankingRecord]) -> None:
        for record in records:
            path = paths.ranking(task.model.name, record.method, task.question, task.length)
            with unwritable(path):
                save_ranking(record, path)

    run_tasks(tasks, runner, save, progress, "ranking heads")


def rank_tasks(
    protocol: Protocol, models: Sequence[StudyModel], data: StudyData, paths: ResultPaths, say: Say
) -> list[RankTask]:
    """The rankings that are still to be made; those of one question are one task."""
    options = RankingOptions(**protocol.ranking.model_dump())
    tasks = []
    cached = 0
    for model in models:
        for length in model.lengths:
            for question in protocol.ranking_questions:
                samples = data.parts[model.name, length, question].split.train
                wanted = {}
                for method in protocol.methods:
                    mark = _ranking_fingerprint(model, length, method, digest(samples), options)
                    path = paths.ranking(model.name, method, question, length)
                    if _stands(path, mark, lambda path: load_ranking(path).settings.get("fingerprint"), say):
                        cached += 1
                    else:
                        wanted[method] = mark
                if wanted:
                    settings = {
                        "seed": protocol.seed,
                        "data": protocol.data.source,
                        "model_digest": model.digest,
                    }
                    tasks.append(
                        RankTask(
                            model.ref, question, length, samples, tuple(wanted), options, settings, wanted
                        )
                    )
    if cached:
        say(f"{cached} rankings are there and stand.")
    return tasks


def _ranking_fingerprint(
    model: StudyModel, length: int, method: str, samples: str, options: RankingOptions
) -> str:
    chosen = asdict(options)
    matter = {name: chosen[name] for name in METHODS[method].options}
    return fingerprint("ranking", model.digest, model.ref.dtype, length, method, samples, matter)


def fingerprint(*values: Any) -> str:
    """A short digest of some plain values; different where one of them is."""
    text = json.dumps([ENGINE, *values], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stands(path: Path, mark: str, mark_of: Callable[[Path], Any], say: Say) -> bool:
    """Whether what a file holds was made from the same things as would be used now."""
    if not path.exists():
        return False
    try:
        found = mark_of(path)
    except UserFacingError as error:
        say(f"{error.message} It is made again.")
        return False
    if found != mark:
        say(f"{path.name} was made with other settings, data or model: it is made again.")
    return found == mark


def ablate(
    protocol: Protocol,
    models: Sequence[StudyModel],
    data: StudyData,
    folder: Path,
    runner: RunnerOptions,
    progress: Progress,
    say: Say,
) -> None:
    """Run the cells on the test parts, where that is not done yet. Arguments as of `rank`.

    Raises:
        UserFacingError: a ranking is missing or out of date, a task failed, or a result cannot be written.
    """
    paths = ResultPaths(folder)
    tasks = cell_tasks(protocol, models, data, paths, say)

    def save(task: Task, cell: AblationCell) -> None:
        save_cell(cell, folder)

    run_tasks(tasks, runner, save, progress, "ablating heads")


def cell_tasks(
    protocol: Protocol, models: Sequence[StudyModel], data: StudyData, paths: ResultPaths, say: Say
) -> list[CellTask]:
    """The cells that are still to be run.

    Raises:
        UserFacingError: a ranking is missing, damaged or out of date.
    """
    tasks = []
    cached = 0
    for model in models:
        for length in model.lengths:
            orders, notes = _orders(protocol, model, length, data, paths)
            for question in protocol.questions:
                task = _cell_task(protocol, model, length, question, data, orders, notes)
                path = paths.cell(model.name, question, length)
                if _stands(path, task.fingerprint, lambda path: load_cell(path).fingerprint, say):
                    cached += 1
                else:
                    tasks.append(task)
    if cached:
        say(f"{cached} cells are there and stand.")
    return tasks


def set_options(protocol: Protocol, total_heads: int) -> SetOptions:
    """The protocol's sets for a model of so many heads."""
    part = protocol.ablation
    return SetOptions(
        levels=tuple(protocol.levels(total_heads)),
        claim_k=protocol.claim_k(total_heads),
        draws=part.draws,
        seed=protocol.seed,
        shared_min_tasks=part.shared_min_tasks,
        shared_top=max(1, round(part.shared_top_share * total_heads)),
        controls_at_every_k=tuple(part.controls_at_every_k),
        controls_at_claim=tuple(part.controls_at_claim),
    )


def _orders(
    protocol: Protocol, model: StudyModel, length: int, data: StudyData, paths: ResultPaths
) -> tuple[Orders, list[str]]:
    """Every ranking of a model at a length as an order of heads; and what there is to say about them."""
    options = RankingOptions(**protocol.ranking.model_dump())
    sets = set_options(protocol, model.total_heads)
    orders: Orders = {method: {} for method in protocol.methods}
    notes = []
    if left_out := [k for k in protocol.ablation.k_levels if k > model.total_heads // 2]:
        notes.append(f"k = {', '.join(map(str, left_out))} is more than half of the heads and was not run.")
    for method, by_task in orders.items():
        for task in protocol.ranking_questions:
            path = paths.ranking(model.name, method, task, length)
            samples = digest(data.parts[model.name, length, task].split.train)
            mark = _ranking_fingerprint(model, length, method, samples, options)
            if not path.exists() or (record := load_ranking(path)).settings.get("fingerprint") != mark:
                what = "made with other settings, data or model" if path.exists() else "missing"
                raise UserFacingError(
                    f"The ranking {path.name} is {what}.",
                    "Rank the heads first with: python scripts/run_study.py rank",
                )
            if record.successful_samples:
                scores = tuple(entry.score for entry in record.head_rankings)
                by_task[task] = HeadOrder(tuple(record.heads()), scores)
            else:
                notes.append(f"{method} could not rank heads on {task}: no training sample counts.")
        # Sets of fewer heads than a level are not run: say how far the shared heads reach.
        shared = len(shared_order(by_task, sets.shared_top, sets.shared_min_tasks).heads)
        notes.append(
            f"{method}: {shared} heads are in the top {sets.shared_top} of at least "
            f"{sets.shared_min_tasks} of {len(protocol.ranking_questions)} tasks."
        )
    return orders, notes


def _cell_task(
    protocol: Protocol,
    model: StudyModel,
    length: int,
    question: str,
    data: StudyData,
    orders: Orders,
    notes: Sequence[str],
) -> CellTask:
    part = protocol.ablation
    samples = data.parts[model.name, length, question].split.test
    sets = set_options(protocol, model.total_heads)
    settings: Mapping[str, Any] = {
        "seed": protocol.seed,
        "data": protocol.data.source,
        "mode": part.mode,
        "spare_tokens": part.spare_tokens,
        "sets": {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(sets).items()
        },
        "model_digest": model.digest,
        "samples_digest": digest(samples),
        "rankings_digest": fingerprint(
            [
                [m, t, [str(head) for head in order.heads], order.scores]
                for m, tasks in orders.items()
                for t, order in tasks.items()
            ]
        ),
        "device": model.ref.device,
        "dtype": model.ref.dtype,
        "versions": {package: version(package) for package in _VERSIONED},
    }
    # Another version or device gives the same answers but for rounding: no reason to begin again.
    matter = {name: value for name, value in settings.items() if name not in ("device", "versions")}
    return CellTask(
        model=model.ref,
        question=question,
        length=length,
        samples=samples,
        sets=tuple(plan_sets(orders, question, protocol.questions, model.geometry, sets)),
        mode=part.mode,
        spare_tokens=part.spare_tokens,
        batch_tokens=part.batch_tokens,
        settings=settings,
        notes=tuple(notes),
        fingerprint=fingerprint(
            "cell", model.name, question, length, protocol.questions, matter, list(notes)
        ),
    )
