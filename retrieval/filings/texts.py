"""The texts of real filings by name: from a folder, a JSONL file or a Hugging Face dataset."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from utils.errors import UserFacingError

SECTION = "section_1"
_SUFFIXES = (".txt", ".htm", ".html", ".json")
_DATASET_FILES = ("*.jsonl", "*.json", "*.parquet", "*.csv", "*.arrow")
_MARKUP = ("<html", "<body", "<div", "<table")


def plain_name(filename: str) -> str:
    """A filing's name without the ending that one source writes and another does not."""
    name = filename.strip()
    return next((name[: -len(end)] for end in _SUFFIXES if name.lower().endswith(end)), name)


def load_texts(
    source: str | Path,
    filenames: Collection[str],
    section: str = SECTION,
    config: str | None = None,
    split: str = "train",
) -> dict[str, str]:
    """The texts of the filings named, {name without ending: text}; others in the source are passed over.

    Args:
        source: a folder of plain .txt files named as the filings are; a .jsonl file of objects with
            "filename" and the section; a folder or a name on the Hugging Face hub ("eloukas/edgar-corpus")
            that the library `datasets` can load, whose rows hold the same two.
        filenames: the filings that are wanted.
        section: the field of a row that holds the text.
        config: the dataset's configuration ("year_1993"), where it has several.
        split: the dataset's split.

    Raises:
        UserFacingError: no such file, folder or dataset, a field that is missing, a line that is no JSON, or
            a text with HTML in it.
    """
    wanted = {plain_name(name) for name in filenames}
    path = Path(source)
    if path.is_dir() and any(path.glob("*.txt")):
        texts = {name: _read(path / f"{name}.txt") for name in wanted if (path / f"{name}.txt").is_file()}
    elif path.is_file():
        texts = _wanted(_json_lines(path), wanted, section, str(path))
    elif path.is_dir() and not any(any(path.rglob(pattern)) for pattern in _DATASET_FILES):
        raise UserFacingError(
            f"The folder {path} holds no texts.",
            "Name a folder of .txt files, a .jsonl file, or a Hugging Face dataset.",
        )
    elif path.is_dir() or _may_be_on_the_hub(str(source)):
        texts = _wanted(_dataset_rows(str(source), config, split), wanted, section, str(source))
    else:
        raise UserFacingError(
            f"There is no file or folder {source}.",
            "Name a folder of .txt files, a .jsonl file, or a Hugging Face dataset such as "
            "eloukas/edgar-corpus.",
        )
    for name, text in texts.items():
        if any(tag in text[:20_000].lower() for tag in _MARKUP):
            raise UserFacingError(
                f"The text of {name} holds HTML.", "Take the tags out first: the study reads plain text."
            )
    return texts


def _may_be_on_the_hub(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and "\\" not in name


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserFacingError(
            f"{path} cannot be read ({error.strerror}).", "Check its permissions."
        ) from error


def _json_lines(path: Path) -> Iterator[Any]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise UserFacingError(
                        f"Line {number} of {path} is not JSON ({error.msg}).",
                        'Each line must be an object with "filename" and the text of a section.',
                    ) from None
    except OSError as error:
        raise UserFacingError(
            f"{path} cannot be read ({error.strerror}).", "Check its permissions."
        ) from error


def _dataset_rows(name: str, config: str | None, split: str) -> Iterator[Any]:
    # It takes seconds to import and is needed for this alone.
    from datasets import load_dataset

    try:
        # Streamed: of a year of filings only those in the ground truth are kept.
        yield from load_dataset(name, config, split=split, streaming=True)
    except Exception as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserFacingError(
            f"The dataset {name} cannot be loaded ({why.rstrip('.')}).",
            "Check its name, configuration and split, and the connection; or name a folder or a .jsonl file.",
        ) from error


def _wanted(rows: Iterable[Any], wanted: set[str], section: str, source: str) -> dict[str, str]:
    """The texts wanted; reading stops when all have been found."""
    texts: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise UserFacingError(
                f"Row {number} of {source} is not an object.",
                f'Each row must be an object with "filename" and "{section}".',
            )
        if missing := [field for field in ("filename", section) if field not in row]:
            raise UserFacingError(
                f"Row {number} of {source} has no field {missing[0]!r}.",
                f"Its fields are: {', '.join(map(str, row)) or 'none'}; the one with the text may be chosen.",
            )
        name = plain_name(str(row["filename"]))
        if name in wanted and name not in texts:
            texts[name] = str(row[section] or "")
            if len(texts) == len(wanted):
                break
    return texts
