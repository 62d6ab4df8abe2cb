"""A cell in parts of a few samples: a stopped study loses minutes, and processes share one cell's work.

A part is a task with some of the cell's samples. What comes of it is a file of its own until all are there;
then they are one cell, the same as if it had been run in one go: a sample's answers depend on nothing else.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from study.ablation.tasks import CellTask
from study.data.cell_records import AblationCell, load_cell, save_cell, save_cell_at
from study.data.results_folder import ResultPaths
from utils.errors import UserFacingError

# Samples of one part: at 256 tokens and 100 sets a part is some minutes of a core.
PART = 5


class CellInParts:
    """One cell, some of whose samples may be done.

    Args:
        task: the whole cell.
        folder: the results folder.
    """

    def __init__(self, task: CellTask, folder: Path) -> None:
        self._task = task
        self._folder = folder
        paths = ResultPaths(folder)
        cell = paths.cell(task.model.name, task.question, task.length, task.portion, task.data)
        self._parts = paths.parts(cell)
        self._starts = range(0, len(task.samples), PART)

    def left(self) -> Iterator[CellTask]:
        """The parts that are still to be run."""
        for start in self._starts:
            if self._found(start) is None:
                yield replace(self._task, samples=self._task.samples[start : start + PART])

    def add(self, part: CellTask, cell: AblationCell) -> None:
        """Put a part away, and the whole cell where it was the last one.

        Raises:
            UserFacingError: a file cannot be written.
        """
        save_cell_at(cell, self._path(self._task.samples.index(part.samples[0])))
        self.finish()

    def finish(self) -> None:
        """Put the whole cell away where all its parts are there.

        Raises:
            UserFacingError: a file cannot be written.
        """
        found = [self._found(start) for start in self._starts]
        cells = [cell for cell in found if cell is not None]
        if not cells or len(cells) < len(found):
            return
        save_cell(_joined(cells), self._folder)
        for start in self._starts:
            self._path(start).unlink(missing_ok=True)
        for folder in (self._parts, self._parts.parent):
            with contextlib.suppress(OSError):  # not empty: parts of other cells
                folder.rmdir()

    def _path(self, start: int) -> Path:
        return self._parts / f"{start:03d}.json"

    def _found(self, start: int) -> AblationCell | None:
        """A part that was made from what would be used now."""
        if not self._path(start).exists():
            return None
        try:
            cell = load_cell(self._path(start))
        except UserFacingError:  # damaged: made again
            return None
        keys = [sample.key for sample in self._task.samples[start : start + PART]]
        same = cell.fingerprint == self._task.fingerprint and [one.key for one in cell.samples] == keys
        return cell if same else None


def _joined(parts: list[AblationCell]) -> AblationCell:
    first = parts[0]
    sets = [
        one.model_copy(update={"matches": [match for part in parts for match in part.sets[place].matches]})
        for place, one in enumerate(first.sets)
    ]
    samples = [sample for part in parts for sample in part.samples]
    return first.model_copy(update={"samples": samples, "sets": sets})
