"""Stages rank and ablate: what has to be done, what is there already, and putting away what comes of it.

Every ranking and every cell holds a fingerprint of all that it depends on: the model's files, the
samples, the protocol's values that matter and, for a cell, the rankings. What is there with the same
fingerprint stands; what has another one is done again, and that is said. So a study that was stopped
goes on, and one whose protocol was changed does again just what the change touches.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from retrieval.rankings.methods import METHODS, RankingOptions
from retrieval.rankings.records import load_ranking, save_ranking
from study.ablation.head_sets import SINGLE, HeadOrder, SetOptions, plan_sets, shared_order, wanted_portions
from study.ablation.parts import CellInParts
from study.ablation.runners import RunnerOptions, run_tasks
from study.ablation.tasks import CellTask, RankTask, Task
from study.data.cell_records import NO_STEM, AblationCell, load_cell
from study.data.filings import StudyData, digest
from study.data.models import StudyModel
from study.data.protocol import Protocol
from study.data.results_folder import ResultPaths, unwritable
from utils.catalog.ranking_record import RankingRecord
from utils.errors import UserFacingError
from utils.runtime.files import remove_leftovers
from utils.runtime.jobs import Progress

# Raised where the same settings come to give other results: everything is then done again.
ENGINE = 2
_VERSIONED = ("torch", "transformers", "pyvene")

Say = Callable[[str], None]


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
    remove_leftovers(folder / "rankings")
    paths = ResultPaths(folder)
    tasks = rank_tasks(protocol, models, data, paths, say)

    def save(task: Task, records: list[RankingRecord]) -> None:
        for record in records:
            path = paths.ranking(task.model.name, record.method, task.question, task.length, _kind(task))
            with unwritable(path):
                save_ranking(record, path)

    run_tasks(tasks, runner, save, progress, "ranking heads")


def _kind(task: Task) -> str:
    """The filings of a ranking's samples."""
    return str(task.settings["data"])


def rank_tasks(
    protocol: Protocol, models: Sequence[StudyModel], data: StudyData, paths: ResultPaths, say: Say
) -> list[RankTask]:
    """The rankings that are still to be made; those of one question are one task."""
    options = RankingOptions(**protocol.ranking.model_dump())
    tasks = []
    cached = 0
    for model in models:
        for length, kind in model.settings:
            for question in protocol.tasks(kind):
                samples = data.parts[model.name, length, kind, question].split.train
                wanted = {}
                for method in protocol.methods:
                    seen = digest(samples)
                    mark = _ranking_fingerprint(model, length, method, seen, options, protocol.stem)
                    path = paths.ranking(model.name, method, question, length, kind)
                    if _stands(path, mark, lambda path: load_ranking(path).settings.get("fingerprint"), say):
                        cached += 1
                    else:
                        wanted[method] = mark
                if wanted:
                    settings = {"seed": protocol.seed, "data": kind, "model_digest": model.digest}
                    tasks.append(
                        RankTask(
                            model=model.ref,
                            question=question,
                            length=length,
                            samples=samples,
                            methods=tuple(wanted),
                            options=options,
                            stem=protocol.stem,
                            settings=settings,
                            fingerprints=wanted,
                        )
                    )
    if cached:
        say(f"{cached} rankings are there and stand.")
    return tasks


def _ranking_fingerprint(
    model: StudyModel, length: int, method: str, samples: str, options: RankingOptions, stem: bool
) -> str:
    chosen = asdict(options)
    matter = {name: chosen[name] for name in METHODS[method].options}
    return fingerprint("ranking", model.digest, model.ref.dtype, length, method, samples, matter, stem)


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
    only: Collection[str] = (),
) -> None:
    """Run the cells on the test parts, where that is not done yet.

    Arguments as of `rank`; `only` are the portions to run, none for all.

    Raises:
        UserFacingError: a ranking is missing or out of date, a task failed, or a result cannot be written.
    """
    remove_leftovers(folder / "ablations")
    paths = ResultPaths(folder)
    tasks = cell_tasks(protocol, models, data, paths, say, only)
    cells = {task.title: CellInParts(task, folder) for task in tasks}
    parts = [part for task in tasks for part in cells[task.title].left()]

    def save(task: Task, cell: AblationCell) -> None:
        assert isinstance(task, CellTask)
        cells[task.title].add(task, cell)

    for cell in cells.values():
        cell.finish()
    run_tasks(parts, runner, save, progress, "ablating heads")


def cell_tasks(
    protocol: Protocol,
    models: Sequence[StudyModel],
    data: StudyData,
    paths: ResultPaths,
    say: Say,
    only: Collection[str] = (),
) -> list[CellTask]:
    """The portions of cells that are still to be run, the claim's first; of those in `only`, where named.

    Raises:
        UserFacingError: a ranking is missing, damaged or out of date.
    """
    tasks: list[CellTask] = []
    cached = 0
    for model in models:
        rankings = _Rankings(protocol, model, data, paths)
        for length, kind in model.settings:
            other = next((k for n, k in model.settings if n == length and k != kind), None)
            for portion in wanted_portions(protocol, length, kind, other is not None):
                if only and portion not in only:
                    continue
                for question in protocol.questions:
                    task = _cell_task(protocol, model, (length, kind), question, portion, data, rankings)
                    path = paths.cell(model.name, question, length, portion, kind)
                    if _stands(path, task.fingerprint, lambda path: load_cell(path).fingerprint, say):
                        cached += 1
                    elif task.sets or portion == NO_STEM:
                        tasks.append(task)
    if cached:
        say(f"{cached} cells are there and stand.")
    return tasks


def set_options(
    protocol: Protocol, total_heads: int, length: int, kind: str, method: str | None
) -> SetOptions:
    """The protocol's sets for a model of so many heads in one setting, for one method."""
    part = protocol.ablation_at(length, kind)
    first = protocol.claim is None or method == protocol.claim.method
    controls = part.control_levels
    if not first and part.other_control_levels is not None:
        controls = part.other_control_levels

    def levels(asked: Sequence[int] | None) -> tuple[int, ...] | None:
        return None if asked is None else tuple(protocol.levels(total_heads, asked))

    return SetOptions(
        levels=tuple(protocol.levels(total_heads, part.k_levels)),
        claim_k=protocol.claim_k(total_heads),
        draws=part.draws,
        seed=protocol.seed,
        shared_min_tasks=part.shared_min_tasks,
        shared_top=max(1, round(part.shared_top_share * total_heads)),
        controls_at_every_k=tuple(part.controls_at_every_k),
        controls_at_claim=tuple(part.controls_at_claim if first else part.other_controls_at_claim),
        other_levels=levels(part.other_levels),
        control_levels=levels(controls),
    )


class _Rankings:
    """The rankings of one model as orders of heads, each read once."""

    def __init__(self, protocol: Protocol, model: StudyModel, data: StudyData, paths: ResultPaths) -> None:
        self._protocol, self._model, self._data, self._paths = protocol, model, data, paths
        self._found: dict[tuple[str, int, str, str], HeadOrder | None] = {}

    def of(
        self, method: str, length: int, kind: str, tasks: Sequence[str]
    ) -> tuple[dict[str, HeadOrder], list[str]]:
        """One method's orders by task in a setting, and what there is to say about them."""
        orders: dict[str, HeadOrder] = {}
        notes = []
        for task in tasks:
            key = method, length, kind, task
            if key not in self._found:
                self._found[key] = self._read(*key)
            if (order := self._found[key]) is not None:
                orders[task] = order
            else:
                notes.append(f"{method} could not rank heads on {task}: no training sample counts.")
        return orders, notes

    def _read(self, method: str, length: int, kind: str, task: str) -> HeadOrder | None:
        protocol, model = self._protocol, self._model
        options = RankingOptions(**protocol.ranking.model_dump())
        path = self._paths.ranking(model.name, method, task, length, kind)
        samples = digest(self._data.parts[model.name, length, kind, task].split.train)
        mark = _ranking_fingerprint(model, length, method, samples, options, protocol.stem)
        if not path.exists() or (record := load_ranking(path)).settings.get("fingerprint") != mark:
            what = "made with other settings, data or model" if path.exists() else "missing"
            raise UserFacingError(
                f"The ranking {path.name} is {what}.",
                "Rank the heads first with: python scripts/run_study.py rank",
            )
        if not record.successful_samples:
            return None
        return HeadOrder(tuple(record.heads()), tuple(entry.score for entry in record.head_rankings))


def _cell_task(
    protocol: Protocol,
    model: StudyModel,
    setting: tuple[int, str],
    question: str,
    portion: str,
    data: StudyData,
    rankings: _Rankings,
) -> CellTask:
    length, kind = setting
    part = protocol.ablation_at(length, kind)
    samples = data.parts[model.name, length, kind, question].split.test
    if portion == SINGLE and part.single_samples is not None:
        samples = samples[: part.single_samples]
    orders: dict[str, HeadOrder] = {}
    notes: list[str] = []
    method = portion.rsplit("-", 1)[0] if "-" in portion else None
    sets = set_options(protocol, model.total_heads, length, kind, method)
    if method is not None:
        ranked_on = (
            next(k for n, k in model.settings if n == length and (k != kind))
            if (portion.endswith("-moved"))
            else kind
        )
        of_all = portion.endswith("-others")
        tasks = protocol.tasks(kind) if of_all else [question]
        orders, notes = rankings.of(method, length, ranked_on, tasks)
        if portion.endswith("-own") and (
            left_out := [k for k in part.k_levels if k > model.total_heads // 2]
        ):
            what = ", ".join(map(str, left_out))
            notes.append(f"k = {what} is more than half of the heads and was not run.")
        if portion.endswith("-others") and len(orders) >= sets.shared_min_tasks:
            # Sets of fewer heads than a level are not run: say how far the shared heads reach.
            shared = len(shared_order(orders, sets.shared_top, sets.shared_min_tasks).heads)
            notes.append(
                f"{method}: {shared} heads are in the top {sets.shared_top} of at least "
                f"{sets.shared_min_tasks} of {len(protocol.tasks(kind))} tasks."
            )
    planned = tuple(plan_sets(portion, orders, question, protocol.questions, model.geometry, sets))
    stem = protocol.stem and portion != NO_STEM
    # What the sets came from is told by the sets themselves.
    matter: Mapping[str, Any] = {
        "data": kind,
        "stem": stem,
        "mode": part.mode,
        "new_tokens": part.new_tokens,
        "model_digest": model.digest,
        "samples_digest": digest(samples),
        "dtype": model.ref.dtype,
    }
    settings = {
        "seed": protocol.seed,
        **matter,
        "device": model.ref.device,
        # Another version or device gives the same answers but for rounding: no reason to begin again.
        "versions": {package: version(package) for package in _VERSIONED},
    }
    mark = fingerprint(
        "cell", model.name, question, length, portion, matter, notes, [asdict(one) for one in planned]
    )
    return CellTask(
        model=model.ref,
        question=question,
        length=length,
        data=kind,
        portion=portion,
        samples=samples,
        sets=planned,
        mode=part.mode,
        stem=stem,
        new_tokens=part.new_tokens,
        batch_tokens=part.batch_tokens,
        settings=settings,
        notes=tuple(notes),
        fingerprint=mark,
    )
