"""A cell in parts is the cell in one go, and what was stopped goes on."""

from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.filings.generated import make_filings
from study.ablation import parts
from study.ablation.head_sets import PlannedSet
from study.ablation.parts import CellInParts
from study.ablation.tasks import CellTask
from study.data.cell_records import AblationCell, CellSample, HeadSet, load_cell, save_cell
from study.data.models import ModelRef
from utils.heads import Head

SAMPLES = tuple(make_filings("inc_state", 7, seed=1))
TASK = CellTask(
    model=ModelRef("m", "m", "cpu", "float32"), question="inc_state", length=64, data="generated",
    portion="wu24-own", samples=SAMPLES, sets=(PlannedSet("single", (Head(0, 0),)),), mode="zero", stem=True,
    new_tokens=4, batch_tokens=64, settings={}, notes=(), fingerprint="f",
)  # fmt: skip


def done(task: CellTask) -> AblationCell:
    """What a worker would give back: a sample is right by its number."""
    numbers = [int(sample.key[-4:]) for sample in task.samples]
    samples = [
        CellSample(key=sample.key, truth="x", clean_output="x", clean_match=True) for sample in task.samples
    ]
    matches = [number % 3 == 0 for number in numbers]
    one = HeadSet(condition="single", k=1, heads=["L0H0"], matches=matches)
    return AblationCell(
        model="m", question="inc_state", length=64, portion="wu24-own", n_layers=1, n_heads=1,
        fingerprint=task.fingerprint, settings={}, samples=samples, sets=[one],
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 3)


def test_parts_come_together_as_the_cell_in_one_go(tmp_path: Path) -> None:
    cell = CellInParts(TASK, tmp_path)
    todo = list(cell.left())
    assert [len(part.samples) for part in todo] == [3, 3, 1]
    for part in reversed(todo):  # processes finish in any order
        cell.add(part, done(part))
    (path,) = (tmp_path / "ablations").iterdir()  # no folder of parts is left
    whole = save_cell(done(TASK), tmp_path / "whole")
    assert path.read_bytes() == whole.read_bytes()
    assert load_cell(path).sets[0].matches == [True, False, False, True, False, False, True]


def test_a_stopped_cell_goes_on(tmp_path: Path) -> None:
    first = next(CellInParts(TASK, tmp_path).left())
    CellInParts(TASK, tmp_path).add(first, done(first))
    again = CellInParts(TASK, tmp_path)
    left = list(again.left())
    assert [part.samples for part in left] == [SAMPLES[3:6], SAMPLES[6:]]
    for part in left:
        CellInParts(TASK, tmp_path).add(part, done(part))
    assert load_cell(next((tmp_path / "ablations").glob("*.json"))) == done(TASK)


def test_a_part_that_is_there_when_stopped_before_the_whole_was_put_away_is_enough(tmp_path: Path) -> None:
    cell = CellInParts(TASK, tmp_path)
    for part in cell.left():
        cell.add(part, done(part))
    (path,) = (tmp_path / "ablations").glob("*.json")
    kept = path.read_bytes()
    path.unlink()
    cell = CellInParts(TASK, tmp_path)
    todo = list(cell.left())
    for part in todo[:-1]:
        cell.add(part, done(part))
    last = cell._path(6)
    last.parent.mkdir(parents=True, exist_ok=True)
    save_cell_of(done(todo[-1]), last)
    CellInParts(TASK, tmp_path).finish()
    assert path.read_bytes() == kept


def save_cell_of(cell: AblationCell, path: Path) -> None:
    parts.save_cell_at(cell, path)


@pytest.mark.parametrize("change", [{"fingerprint": "other"}, {"samples": SAMPLES[1:]}])
def test_parts_of_something_else_or_damaged_are_made_again(tmp_path: Path, change: dict[str, object]) -> None:
    first, second, _ = CellInParts(TASK, tmp_path).left()
    cell = CellInParts(TASK, tmp_path)
    cell.add(first, done(first))
    cell.add(second, done(second))
    assert len(list(CellInParts(TASK, tmp_path).left())) == 1
    other = replace(TASK, **change)  # type: ignore[arg-type]
    assert sum(len(part.samples) for part in CellInParts(other, tmp_path).left()) == len(other.samples)
    cell._path(0).write_text("{", encoding="utf-8")
    assert len(list(CellInParts(TASK, tmp_path).left())) == 2
