"""Example prompts from YAML files: the instructor's own, or the ones that come with HeadScope.

A file is one mapping with `title` and `prompt`, and if wanted `order` (a number; small ones come first). A
file that cannot be read is named with its line and skipped; the others load.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

EXAMPLES_FOLDER = Path(__file__).resolve().parents[1] / "examples"
FIRST_PROMPT = "The king gave the boy a golden ring, and the boy took the golden"


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
            found.append((path.name, _read(path)))
        except _UnreadableError as error:
            problems.append(f"Example {path.name} was skipped: {error}.")
    found.sort(key=lambda item: (item[1].order, item[0]))
    return ExampleSet(tuple(example for _, example in found), tuple(problems))


class _UnreadableError(Exception):
    """A file is no example; the message says why, with the line where there is one."""


def _read(path: Path) -> Example:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _UnreadableError(error.strerror or "it cannot be read") from error
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(f"line {line}: it is not UTF-8") from error
    try:
        data, tree = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _UnreadableError(f"line {mark.line + 1 if mark else 1}: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _UnreadableError(f"line {line}: {error.reason}") from error
    # ValueError: a date such as 2024-13-45; RecursionError: a thousand brackets.
    except (ValueError, RecursionError) as error:
        raise _UnreadableError("line 1: it holds something that is no title, prompt or order") from error
    if not isinstance(data, dict) or not isinstance(tree, yaml.MappingNode):
        raise _UnreadableError("line 1: it must hold title: and prompt:")
    try:
        return Example.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        # A key that is missing has no line of its own: the file begins at the first one.
        line = next((name.start_mark.line + 1 for name, _ in tree.value if name.value == key), 1)
        raise _UnreadableError(f"line {line}: {key}: {first['msg']}") from error
