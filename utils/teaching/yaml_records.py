"""From an instructor's YAML file to a checked record, or to one sentence with the line that is wrong.

Presets and lessons are such files. A file that cannot be read is named with its line and skipped; the
others load.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from utils.errors import UserFacingError
from utils.wording import excerpt

# A file of this project has about 1 kB; what is far larger is something else.
MAX_BYTES = 100_000
LONGEST_STEM = 80


class Record(BaseModel):
    """Base of what is read from a file: nothing unknown in it, nothing changed afterwards.

    Attributes:
        key: the file's name without its ending, by which links name it; "" for a part of a file.
        folder: name of the folder that the file is in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    _key: str = PrivateAttr("")
    _folder: str = PrivateAttr("")

    @property
    def key(self) -> str:  # noqa: D102
        return self._key

    @property
    def folder(self) -> str:  # noqa: D102
        return self._folder


R = TypeVar("R", bound=Record)


class UnreadableError(Exception):
    """A file cannot be used; the message says why, with the line where there is one."""


@dataclass(frozen=True)
class Folders(Generic[R]):
    """What the files of some folders hold.

    Attributes:
        records: in the order of the folders and of the files' names.
        problems: one sentence for each file or folder that was skipped.
        notes: one sentence for each file that stands in the place of an earlier folder's.
    """

    records: tuple[R, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def find_record(records: Sequence[R], key: str, word: str) -> R:
    """The record that a link names.

    Args:
        records: those that there are.
        key: as the link has it.
        word: what a record is called in a sentence ("preset").

    Raises:
        UserFacingError: there is none of this name.
    """
    for record in records:
        if record.key == key:
            return record
    keys = ", ".join(record.key for record in records)
    raise UserFacingError(
        f"There is no {word} named {excerpt(key)}.",
        f"Choose one of: {keys}." if keys else f"There is no {word} here.",
    )


def read_folders(folders: Sequence[Path], record: type[R], word: str, option: str) -> Folders[R]:
    """Read every .yaml file of some folders; never raises.

    Args:
        folders: where to look. Of two files of one name the one in the later folder stands.
        record: what a file must hold.
        word: what a file is called in a sentence ("preset").
        option: the operator's option that names such a folder.
    """
    found: dict[str, R] = {}
    problems: list[str] = []
    notes: list[str] = []
    # A folder that is given twice is read once.
    for folder in {folder.resolve(): folder for folder in folders}.values():
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".yaml")
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            why = "is missing" if missing else f"cannot be read ({error.strerror or type(error).__name__})"
            problems.append(f"The {word}s folder {_shown(folder.name)} {why}; check {option}.")
            continue
        for path in paths:
            try:
                key = _key(path)
                here = read_record(path, record)
            except UnreadableError as error:
                problems.append(f"{word.capitalize()} {_shown(path.name)} was skipped: {error}.")
                continue
            here._key, here._folder = key, folder.name
            if key in found:
                notes.append(
                    f"{word.capitalize()} {path.name} of the folder {folder.name} stands in the place of the "
                    f"one in {found[key].folder}."
                )
            found[key] = here
    return Folders(tuple(found.values()), tuple(problems), tuple(notes))


def _shown(name: str) -> str:
    """A file's name without what cannot be shown (names on disk need not be valid text)."""
    return "".join(character if character.isprintable() else "�" for character in name)


def _key(path: Path) -> str:
    if len(path.stem) > LONGEST_STEM or not path.stem.isprintable() or "\\" in path.stem:
        raise UnreadableError(f"its name must be plain text of at most {LONGEST_STEM} characters")
    return path.stem


def read_record(path: Path, record: type[R]) -> R:
    """Read and check one file.

    Raises:
        UnreadableError: it cannot be opened, is no YAML, or holds something else.
    """
    text = _text(path)
    wanted = " and ".join(f"{name}:" for name, field in record.model_fields.items() if field.is_required())
    data, tree = _parse(text, wanted)
    if not isinstance(data, dict) or not isinstance(tree, yaml.MappingNode):
        raise UnreadableError(f"line 1: it must hold {wanted}")
    _refuse_doubles(tree, set())
    try:
        return record.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        line, named = _place(tree, first["loc"])
        message = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise UnreadableError(f"line {line}: {f'{named}: ' if named else ''}{message}") from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableError(error.strerror or "it cannot be read") from error
    if len(raw) > MAX_BYTES:
        raise UnreadableError(f"it has more than {MAX_BYTES:,} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"line {line}: it is not UTF-8") from error


def _parse(text: str, wanted: str) -> tuple[Any, yaml.Node | None]:
    """The file's data, and its tree of nodes, which know their lines."""
    try:
        return yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(f"line {mark.line + 1 if mark else 1}: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(f"line {line}: {error.reason}") from error
    # ValueError: a date such as 2024-13-45; RecursionError: a thousand brackets.
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"line 1: it holds something that is no {wanted}") from error


def _refuse_doubles(node: yaml.Node, seen: set[int]) -> None:
    """Raise UnreadableError for a key that a mapping has twice: YAML takes the last one without a word."""
    # An alias is the very node that it stands for: each is looked at once.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for name, value in node.value:
            if isinstance(name.value, str):
                if name.value in names:
                    raise UnreadableError(f"line {name.start_mark.line + 1}: {name.value}: stands twice")
                names.add(name.value)
            _refuse_doubles(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubles(value, seen)


def _place(tree: yaml.Node, location: Sequence[int | str]) -> tuple[int, str]:
    """Where an error is: the line from 1, and the keys on the way to it ("steps.2.act").

    A key that is missing has no line of its own: its mapping's begins the file or the list's entry. Parts of
    the location that stand for no node (a union's branch) are passed over.
    """
    node, line, names = tree, tree.start_mark.line + 1, []
    for part in location:
        step = _child(node, part)
        if step is None:
            if isinstance(node, yaml.MappingNode):
                names.append(str(part))
            continue
        node, line = step
        names.append(str(part + 1) if isinstance(part, int) else str(part))
    return line, ".".join(names)


def _child(node: yaml.Node, part: int | str) -> tuple[yaml.Node, int] | None:
    """The node under a key or an index, and its line; None where there is none."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(part):
                return value, name.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        value = node.value[part]
        return value, value.start_mark.line + 1
    return None
