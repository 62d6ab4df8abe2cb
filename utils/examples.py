"""Example prompts from YAML files: the instructor's own, or the ones that come with HeadScope.

A file is one mapping with `title` and `prompt`, and if wanted `order` (a number; small ones come first). A file that cannot be read is
named with its line and skipped; the others load.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

EXAMPLES_FOLDER = Path(__file__).resolve().parents[1] / "examples"
FIRST_PROMPT = "The cat sat on the mat. The cat sat on the"


class Example(BaseModel):
    """One example prompt.

    Attributes:
        title: what the menu shows.
        prompt: the text.
        order: place in the menu, small numbers first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, max_length=80)
    prompt: str = Field(min_length=1, max_length=4000)
    order: int = 100


@dataclass(frozen=True)
class ExampleSet:
    """The examples of a folder.

    Attributes:
        examples: in menu order.
        problems: one sentence for each file that was skipped.
    """

    examples: tuple[Example, ...]
    problems: tuple[str, ...] = ()


def load_examples(folder: Path = EXAMPLES_FOLDER) -> ExampleSet:
    """Read every .yaml file of a folder; never raises."""
    if not folder.is_dir():
        return ExampleSet((), (f"The examples folder {folder.name} is missing; check --examples.",))
    found: list[tuple[str, Example]] = []
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append((path.name, Example.model_validate(_read(path))))
        except (OSError, UnicodeError, yaml.YAMLError, ValidationError, ValueError) as error:
            problems.append(f"Example {path.name} was skipped: {_reason(error)}.")
    found.sort(key=lambda item: (item[1].order, item[0]))
    return ExampleSet(tuple(example for _, example in found), tuple(problems))


def _read(path: Path) -> Any:
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("line 1: it must hold title: and prompt:")
    return data


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
