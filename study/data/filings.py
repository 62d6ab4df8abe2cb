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
from study.data.protocol import Protocol
from study.data.results_folder import ResultPaths, json_lines, save_text
from study.data.splits import Split, split
from utils.errors import UserFacingError
from utils.runtime.jobs import Progress

_REMEDY = "Make it with: python scripts/run_study.py prepare"


@dataclass(frozen=True)
class Part:
    """The samples of one model, length and task.

    Attributes:
        model: the model's name.
        length: tokens of a prompt.
        task: the task asked about.
        split: its two parts.
    """

    model: str
    length: int
    task: str
    split: Split

    @property
    def key(self) -> tuple[str, int, str]:
        """What names it."""
        return self.model, self.length, self.task

    def record(self) -> dict[str, Any]:
        """What splits.json keeps of it."""
        return {
            "model": self.model,
            "length": self.length,
            "task": self.task,
            "digests": {"train": digest(self.split.train), "test": digest(self.split.test)},
            **self.split.record(),
        }


@dataclass(frozen=True)
class StudyData:
    """All samples of a study.

    Attributes:
        parts: by model, length and task.
        real: what was counted in real filings, by model and length; empty for generated ones. Models that
            share a tokenizer stand under the first of them.
    """

    parts: Mapping[tuple[str, int, str], Part]
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
    made: dict[tuple[str, int], dict[str, Split]] = {}
    real: dict[tuple[str, int], RealFilings] = {}
    parts: dict[tuple[str, int, str], Part] = {}
    wanted = [(model, length) for model in models for length in model.lengths]
    for done, (model, length) in enumerate(wanted):
        progress("making the filings", done, len(wanted))
        key = (model.tokenizer_digest, length)
        if key not in made:
            samples = _generated(protocol, model, length)
            if protocol.data.source == "real":
                real[model.name, length] = _real(protocol, model, length)
                samples = real[model.name, length].samples
            made[key] = {task: _divided(protocol, task, samples[task]) for task in protocol.ranking_questions}
        for task, divided in made[key].items():
            parts[model.name, length, task] = Part(model.name, length, task, divided)
    progress("making the filings", len(wanted), len(wanted))
    return StudyData(parts, real)


def _generated(protocol: Protocol, model: StudyModel, length: int) -> Mapping[str, list[Sample]]:
    if protocol.data.source != "generated":
        return {}
    count = protocol.data.samples
    return {
        task: make_filings_of_length(task, count, protocol.seed, length, model.count_tokens)
        for task in protocol.ranking_questions
    }


def _real(protocol: Protocol, model: StudyModel, length: int) -> RealFilings:
    data = protocol.data
    assert data.truth is not None and data.texts is not None  # the protocol checks it
    return load_real_filings(
        Path(data.truth),
        data.texts,
        tasks=protocol.ranking_questions,
        length=length,
        count_tokens=model.count_tokens,
    )


def _divided(protocol: Protocol, task: str, samples: Sequence[Sample]) -> Split:
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
    return split(samples[: protocol.data.samples], protocol.data.train_share, protocol.seed)


def save_splits(data: StudyData, protocol: Protocol, folder: Path) -> Path:
    """Write splits.json, a line for each model, length and task.

    Raises:
        UserFacingError: it cannot be written.
    """
    path = ResultPaths(folder).splits
    content = {
        "seed": protocol.seed,
        "data": protocol.data.model_dump(mode="json"),
        "parts": [part.record() for part in data.parts.values()],
    }
    save_text(path, json_lines(content, ("parts",)))
    return path


def check_splits(data: StudyData, folder: Path) -> None:
    """Raise UserFacingError where the data is not what was prepared in the results folder, or nothing was."""
    path = ResultPaths(folder).splits
    try:
        recorded = {
            (part["model"], part["length"], part["task"]): part["digests"]
            for part in json.loads(path.read_bytes())["parts"]
        }
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
