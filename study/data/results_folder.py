"""The study's results folder: where each file is, reading and writing it whole."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ValidationError,
)

from utils.errors import UserFacingError
from utils.heads import file_name
from utils.runtime.files import defer_signals, write_text_atomic
from utils.runtime.validation import what_is_wrong

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "results"


Record = TypeVar("Record", bound=BaseModel)


GENERATED = "generated"


def _setting(length: int, data: str) -> str:
    """A setting in a file's name: the length, with the data before it where that is not generated."""
    return str(length) if data == GENERATED else f"{data}-{length}"


@dataclass(frozen=True)
class ResultPaths:
    """Where things are in one results folder.

    Attributes:
        folder: the results folder.
    """

    folder: Path

    @property
    def splits(self) -> Path:
        """Which samples are for ranking and which for ablation."""
        return self.folder / "splits.json"

    @property
    def findings(self) -> Path:
        """The findings in words."""
        return self.folder / "FINDINGS.md"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.folder / "figures"

    def ranking(self, model: str, method: str, task: str, length: int, data: str = GENERATED) -> Path:
        """The ranking of one method."""
        name = f"{file_name(model)}__{method}__{task}__{_setting(length, data)}.json"
        return self.folder / "rankings" / name

    def cell(self, model: str, question: str, length: int, portion: str, data: str = GENERATED) -> Path:
        """A portion of the ablations of one question."""
        name = f"{file_name(model)}__{question}__{_setting(length, data)}__{portion}.json"
        return self.folder / "ablations" / name

    def parts(self, cell: Path) -> Path:
        """The folder of the finished samples of a cell that is not whole yet."""
        return cell.parent / "parts" / cell.stem

    def table(self, name: str) -> Path:
        """One aggregated table, a key of `study.tables.columns.COLUMNS`."""
        return self.folder / "tables" / f"{name}.json"


def read_model(path: Path, kind: type[Record], remedy: str) -> Record:
    """Read a file of one kind of record.

    Raises:
        UserFacingError: there is none, or it is damaged; `remedy` is the command that makes it.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserFacingError(f"There is no file {path}.", f"Make it with: {remedy}") from None
    except OSError as error:
        raise UserFacingError(
            f"{path} cannot be read ({error.strerror or type(error).__name__}).",
            "Check the file's permissions.",
        ) from error
    except ValidationError as error:
        raise UserFacingError(
            f"{path} is damaged ({what_is_wrong(error)}).",
            f"Make it with: {remedy}",
        ) from error


def save_text(path: Path, text: str) -> None:
    """Write a file of the results whole or not at all, its folder made where it is missing.

    Raises:
        UserFacingError: it cannot be written.
    """
    with unwritable(path), defer_signals():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, text)


@contextlib.contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Turn what the disk refuses while `path` is written into one sentence.

    Raises:
        UserFacingError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UserFacingError(
            f"{path} cannot be written ({error.strerror or type(error).__name__}).",
            "Choose a folder that can be written to with --results.",
        ) from error


def json_lines(data: Mapping[str, Any], long: Sequence[str]) -> str:
    """JSON with the entries of the lists named in `long` on a line each, so that files can be compared."""
    parts = []
    for key, value in data.items():
        if key in long and value:
            entries = ",\n  ".join(json.dumps(entry, allow_nan=False, ensure_ascii=False) for entry in value)
            text = f"[\n  {entries}\n ]"
        else:
            text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
