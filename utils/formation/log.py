"""Reads the log that a model's training left beside it (`training_log.jsonl`, by `training/loop.py`).

A line is a checkpoint: tokens seen, losses, accuracies, every head's score for every role; the first one also
names the model that the training went on from, where there is one. Scaffolds are not in it: the recipe tells
of them (`training.recipes.Recipe.scaffolds`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from utils.errors import UserFacingError
from utils.formation.history import Checkpoint, History, Scaffold
from utils.heads import Head, parse_head
from utils.roles.registry import measured_roles
from utils.runtime.validation import what_is_wrong

LOG_NAME = "training_log.jsonl"
# The bundled ones have 0.2 MB; all of it goes to the browser.
MAX_BYTES = 4 * 2**20
# A folder a training of which the log alone comes with HeadScope, without the model.
LOGS = Path(__file__).resolve().parents[2] / "training" / "logs"

_Share = Annotated[float, Field(ge=0, le=1)]


class _Best(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)
    head: str
    score: _Share


class _Line(BaseModel):
    """A line as it stands in the file; fields that later versions may add are passed over."""

    model_config = ConfigDict(allow_inf_nan=False)
    tokens: int = Field(ge=0)
    context: int = Field(ge=1)
    losses: dict[str, float]
    repeated_accuracy: _Share
    filing_accuracy: dict[str, _Share]
    best_heads: dict[str, _Best]
    role_scores: dict[str, list[list[_Share]]]
    base: Annotated[str, Field(min_length=1, max_length=100)] | None = None


def log_path(folder: Path) -> Path:
    """Where a model's folder has its training log, if it has one."""
    return folder / LOG_NAME


def logs_alone(folder: Path = LOGS) -> dict[str, Path]:
    """The trainings in a folder of logs without models: the folder of each, by name."""
    return {path.name: path for path in sorted(folder.glob("*")) if log_path(path).is_file()}


def load_history(
    model: str, folder: Path, scaffolds: Sequence[Scaffold] = (), unaided: bool = False
) -> History:
    """Read the training log in a model's folder.

    Args:
        model: the model's name, for the page and for errors.
        folder: the model's folder.
        scaffolds: where a scaffold stood, from the recipe.
        unaided: as in `History`, from the recipe too.

    Raises:
        UserFacingError: there is no log, it cannot be read, is too large, or a line of it is damaged.
    """
    try:
        with log_path(folder).open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise UserFacingError(
            f"There is no training log of {model}.",
            "Choose a bundled model, or train one with scripts/train_demo_model.py.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UserFacingError(
            f"The training log of {model} cannot be read ({why}).", _put_back(model)
        ) from error
    if len(content) > MAX_BYTES:
        raise UserFacingError(
            f"The training log of {model} is too large: at most {MAX_BYTES // 2**20} MB are read.",
            "Keep fewer of its lines, evenly over the training.",
        )
    checkpoints: list[Checkpoint] = []
    base = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            parsed = _Line.model_validate_json(line)
            if not checkpoints:
                base = parsed.base
            checkpoints.append(_checkpoint(parsed, checkpoints[-1] if checkpoints else None))
        except ValidationError as error:
            raise _damaged(model, number, what_is_wrong(error)) from error
        except (ValueError, UserFacingError) as error:
            raise _damaged(model, number, getattr(error, "message", str(error))) from error
    if not checkpoints:
        raise UserFacingError(f"The training log of {model} is empty.", _put_back(model))
    ordered = tuple(sorted(scaffolds, key=lambda scaffold: scaffold.start))
    return History(model, tuple(checkpoints), ordered, base, unaided)


def _put_back(model: str) -> str:
    return f"Copy the {LOG_NAME} of {model} again, or choose another model."


def _damaged(model: str, number: int, what: str) -> UserFacingError:
    return UserFacingError(
        f"Line {number} of the training log of {model} is damaged ({what.rstrip('.')}).", _put_back(model)
    )


def _checkpoint(line: _Line, before: Checkpoint | None) -> Checkpoint:
    """One line, which must fit the one before it."""
    roles = [role for role in measured_roles() if role in line.role_scores and role in line.best_heads]
    if not roles:
        raise ValueError("it scores none of the known roles")
    tables = {role: tuple(tuple(row) for row in line.role_scores[role]) for role in roles}
    shapes = {tuple(len(row) for row in table) for table in tables.values()}
    if len(shapes) != 1 or len(set(next(iter(shapes)))) != 1 or 0 in next(iter(shapes)):
        raise ValueError("its roles must have the same number of layers, and the layers of heads")
    point = Checkpoint(
        tokens=line.tokens,
        context=line.context,
        losses=line.losses,
        repeated_accuracy=line.repeated_accuracy,
        filing_accuracy=line.filing_accuracy,
        best={role: _best(line.best_heads[role], tables[role]) for role in roles},
        role_scores=tables,
    )
    if before is not None:
        if point.tokens <= before.tokens:
            raise ValueError(f"tokens must rise: {point.tokens:,} after {before.tokens:,}")
        same = (
            (before.role_scores.keys(), point.role_scores.keys()),
            (before.losses.keys(), point.losses.keys()),
            (before.filing_accuracy.keys(), point.filing_accuracy.keys()),
            (_layers(before), _layers(point)),
        )
        if any(one != two for one, two in same):
            raise ValueError("it has other roles, heads, losses or questions than the line before")
    return point


def _layers(point: Checkpoint) -> list[int]:
    return [len(row) for row in next(iter(point.role_scores.values()))]


def _best(best: _Best, table: Sequence[Sequence[float]]) -> tuple[Head, float]:
    head = parse_head(best.head)
    if head.layer >= len(table) or head.head >= len(table[0]):
        raise ValueError(f"{head} is not a head of the model")
    return head, best.score
