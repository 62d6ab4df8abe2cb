"""The study's filings: made or read once a tokenizer and length, divided, and recorded (stage prepare).

The filings are not kept: they come from the seed, or from the files that the protocol names. `splits.json`
holds which sample is in which part, and a digest of every part, so that later stages notice other data.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.filings.generated import Sample, make_filings_of_length
from retrieval.filings.real import RealFilings, load_real_filings
from study.data.models import StudyModel
from study.data.protocol import DataPart, Protocol
from study.data.results_folder import ResultPaths, json_lines, save_text
from study.data.splits import Split, company_sides, split, split_by_company
from utils.errors import UserFacingError
from utils.runtime.jobs import Progress

ROOT = Path(__file__).resolve().parents[2]
_REMEDY = "Make it with: python scripts/run_study.py prepare"


# Model, length, kind of filings, task.
PartKey = tuple[str, int, str, str]


@dataclass(frozen=True)
class Part:
    """The samples of one model, setting and task.

    Attributes:
        model: the model's name.
        length: tokens of a prompt.
        data: "generated" or "real".
        task: the task asked about.
        split: its two parts.
    """

    model: str
    length: int
    data: str
    task: str
    split: Split

    @property
    def key(self) -> PartKey:
        """What names it."""
        return self.model, self.length, self.data, self.task

    def record(self) -> dict[str, Any]:
        """What splits.json keeps of it."""
        return {
            "model": self.model,
            "length": self.length,
            "data": self.data,
            "task": self.task,
            "digests": {"train": digest(self.split.train), "test": digest(self.split.test)},
            **self.split.record(),
        }


@dataclass(frozen=True)
class StudyData:
    """All samples of a study.

    Attributes:
        parts: by model, length, kind of filings and task.
        real: what was counted in real filings, by model and length; empty for generated ones. Models that
            share a tokenizer stand under the first of them.
    """

    parts: Mapping[PartKey, Part]
    real: Mapping[tuple[str, int], RealFilings]


def digest(samples: Sequence[Sample]) -> str:
    """Of everything in some samples: the same digest, the same samples."""
    whole = hashlib.sha256()
    for sample in samples:
        message = [sample.key, sample.task, sample.prompt, sample.answer, sorted(sample.spans.items())]
        whole.update(json.dumps(message).encode())
    return whole.hexdigest()[:16]


def make_data(protocol: Protocol, models: Sequence[StudyModel], progress: Progress) -> StudyData:
    """Make or read all filings and divide them.

    Models that share a tokenizer get the same filings at the same length.

    Raises:
        UserFacingError: a task with too few samples, a length too short for a filing, or real filings that
            cannot be read.
    """
    made: dict[tuple[str, int, str], dict[str, Split]] = {}
    real: dict[tuple[str, int], RealFilings] = {}
    parts: dict[PartKey, Part] = {}
    wanted = [(model, length, data) for model in models for length, data in model.settings]
    for done, (model, length, data) in enumerate(wanted):
        progress("making the filings", done, len(wanted))
        key = (model.tokenizer_digest, length, data)
        if key not in made:
            part, tasks = protocol.data_at(length, data), protocol.tasks(data)
            if data == "real":
                real[model.name, length] = _real(part, tasks, protocol.seed, model, length)
                made[key] = _divided_by_company(part, real[model.name, length].samples, protocol.seed)
            else:
                made[key] = {
                    task: _divided(
                        part,
                        task,
                        make_filings_of_length(task, part.samples, protocol.seed, length, model.count_tokens),
                        protocol.seed,
                    )
                    for task in tasks
                }
        for task, divided in made[key].items():
            parts[model.name, length, data, task] = Part(model.name, length, data, task, divided)
    progress("making the filings", len(wanted), len(wanted))
    return StudyData(parts, real)


def _real(data: DataPart, tasks: Sequence[str], seed: int, model: StudyModel, length: int) -> RealFilings:
    assert data.truth is not None and data.texts is not None  # the protocol checks it
    return load_real_filings(
        repository_path(data.truth),
        data.texts if "/" not in data.texts else _local(data.texts),
        tasks=tasks,
        length=length,
        count_tokens=model.count_tokens,
        window=data.window,
        seed=seed,
    )


def _local(texts: str) -> str | Path:
    """Texts by a path from the repository's root, or a data set's name on the hub."""
    path = repository_path(texts)
    return path if path.exists() else texts


def repository_path(path: str) -> Path:
    """A path of the protocol: as it is where there is something, else from the repository's root."""
    given = Path(path)
    return given if given.is_absolute() or given.exists() else ROOT / given


def _divided_by_company(
    data: DataPart, samples: Mapping[str, Sequence[Sample]], seed: int
) -> dict[str, Split]:
    some = {task: list(found[: data.samples]) for task, found in samples.items()}
    train = company_sides(some, data.train_share, seed)
    return {task: split_by_company(found, train, data.train_share, seed) for task, found in some.items()}


def _divided(data: DataPart, task: str, samples: Sequence[Sample], seed: int) -> Split:
    if len(samples) < 2:
        raise UserFacingError(
            f"The task {task} has {'one sample' if samples else 'no samples'}, and a split needs two.",
            "Take more filings, or leave the task out of the protocol.",
        )
    if empty := [sample.key for sample in samples if not sample.answer.strip()]:
        raise UserFacingError(
            f"The sample {empty[0]} of the task {task} has an empty truth.",
            "Nothing can match it: leave the sample out, or write NULL.",
        )
    # The first ones: with fewer samples asked for they are the same but for the rest.
    return split(samples[: data.samples], data.train_share, seed)


def save_splits(data: StudyData, protocol: Protocol, folder: Path) -> Path:
    """Write splits.json, a line for each model, setting and task.

    Settings that this call leaves out (another length, real filings that are not here) stay as they are.

    Raises:
        UserFacingError: it cannot be written.
    """
    path = ResultPaths(folder).splits
    parts = {_part_key(record): record for record in _recorded(path)}
    parts |= {part.key: part.record() for part in data.parts.values()}
    models = [model.name for model in protocol.models]
    known = [
        (name, length, kind)
        for name, model in zip(models, protocol.models, strict=True)
        for length, kind in protocol.settings(model)
    ]
    content = {
        "seed": protocol.seed,
        "data": protocol.data.model_dump(mode="json"),
        "parts": [
            parts[name, length, kind, task]
            for name, length, kind in known
            for task in protocol.tasks(kind)
            if (name, length, kind, task) in parts
        ],
    }
    save_text(path, json_lines(content, ("parts",)))
    return path


def _part_key(record: Mapping[str, Any]) -> PartKey:
    return record["model"], record["length"], record["data"], record["task"]


def _recorded(path: Path) -> list[dict[str, Any]]:
    """The parts that are recorded; none where nothing usable is."""
    try:
        records: list[dict[str, Any]] = json.loads(path.read_bytes())["parts"]
        return [record for record in records if _part_key(record)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def check_splits(data: StudyData, folder: Path) -> None:
    """Raise UserFacingError where the data is not what was prepared in the results folder, or nothing was."""
    path = ResultPaths(folder).splits
    try:
        recorded = {_part_key(part): part["digests"] for part in json.loads(path.read_bytes())["parts"]}
    except FileNotFoundError:
        raise UserFacingError(f"The data is not prepared: there is no {path}.", _REMEDY) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserFacingError(f"{path} is damaged or cannot be read.", _REMEDY) from error
    for part in data.parts.values():
        if recorded.get(part.key) != part.record()["digests"]:
            raise UserFacingError(
                f"The filings of {part.task} for {part.model} at {part.length} tokens are not those that "
                "were prepared.",
                "Prepare them again with: python scripts/run_study.py prepare",
            )
