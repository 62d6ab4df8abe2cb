"""Everything under the study's results folder: where it is, its schema, reading and writing.

    splits.json, data_report.json, data_report.md           the data (stage prepare)
    rankings/<model>__<method>__<task>__<length>.json       one ranking each (stage rank)
    ablations/<model>__<question>__<length>__<portion>.json one `AblationCell` each (stage ablate)
    tables/<name>.json                                      aggregates of the two (`study.tables.columns`)
    figures/, FINDINGS.md                                   stages figures and report

"/" in a model's name is "--" in a file's. Files are written whole or not at all. No time of day
stands in a cell or in a table: the same study gives the same files to the last byte, however often it was
stopped.

The aggregated tables and their columns are `study.tables.columns`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    field_serializer,
    field_validator,
    model_validator,
)

from study.data.results_folder import ResultPaths, json_lines, read_model, save_text
from utils.heads import Head, parse_head

if TYPE_CHECKING:
    from retrieval.rankings.records import RankingRecord

CELL_SCHEMA = 2

Tested = Literal["within", "across", "shared", "global", "across_data"]
Condition = Literal[
    "within",
    "across",
    "shared",
    "global",
    "across_data",
    "random_uniform",
    "random_layer_matched",
    "single",
]
TESTED: tuple[Tested, ...] = get_args(Tested)
CONTROLS: tuple[Condition, ...] = ("random_uniform", "random_layer_matched")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class CellSample(_Strict):
    """One test sample of a cell.

    Attributes:
        key: the sample's key, as in splits.json.
        truth: the expected answer.
        clean_output: what the model writes with all heads on.
        clean_match: whether that is right (`retrieval.filings.grading.is_right`).
        clean_exact: whether it is just the expected answer and nothing else.
    """

    key: str
    truth: str
    clean_output: str
    clean_match: bool
    clean_exact: bool = False


class HeadSet(_Strict):
    """One set of heads that was switched off, and what came of it.

    Attributes:
        condition: why this set: a tested condition, a random control, or a head by itself.
        method: the ranking method; null for single heads.
        source: the task whose ranking the tested heads come from; null for shared, global and single.
        k: how many heads.
        draw: which draw of a random control, from 0.
        of: of which tested condition a random set is the control (with the same method, source and k).
        short: heads of a layer-matched set that come from the nearest layers, theirs being too small.
        unscored: heads of a tested set whose score is not above 0: they are in it for their number alone.
        heads: the heads, sorted.
        matches: for each sample of the cell, whether the answer is right; "1" and "0" in the file.
    """

    condition: Condition
    method: str | None = None
    source: str | None = None
    k: int = Field(ge=1)
    draw: int | None = Field(default=None, ge=0)
    of: Tested | None = None
    short: int = Field(default=0, ge=0)
    unscored: int = Field(default=0, ge=0)
    heads: list[str]
    matches: list[bool]

    @field_validator("matches", mode="before")
    @classmethod
    def _from_digits(cls, value: Any) -> Any:
        if isinstance(value, str) and not set(value) - set("01"):
            return [digit == "1" for digit in value]
        return value

    @field_serializer("matches")
    def _to_digits(self, value: list[bool]) -> str:
        return "".join("1" if match else "0" for match in value)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.heads)) != self.k or len(self.heads) != self.k:
            raise ValueError(f"heads must be {self.k} different heads (k). Got {len(self.heads)}.")
        if (self.condition in CONTROLS) != (self.of is not None and self.draw is not None):
            raise ValueError("random sets, and no others, have 'of' and 'draw'.")
        return self

    def head_set(self) -> list[Head]:
        """The heads as heads."""
        return [parse_head(name) for name in self.heads]


class AblationCell(_Strict):
    """A portion of the ablations of one model on one question in one setting, or all of them (`merged`).

    Attributes:
        schema_version: of this format.
        model: the model's name.
        question: the task whose question is asked.
        length: tokens of the prompts, as the protocol asks for.
        data: "generated" or "real" filings.
        portion: which part it is (`study.ablation.head_sets.portions`); "" for all parts together.
        stem: whether the answers begin with the task's stem.
        n_layers: layers of the model.
        n_heads: query heads a layer.
        fingerprint: of all that the cell depends on; a cell with another one is done again.
        settings: what it was made with.
        notes: what could not be done and why, a sentence each.
        samples: the test samples.
        sets: what was ablated.
    """

    schema_version: int = CELL_SCHEMA
    model: str
    question: str
    length: int = Field(ge=1)
    data: str = "generated"
    portion: str = ""
    stem: bool = True
    n_layers: int = Field(ge=1)
    n_heads: int = Field(ge=1)
    fingerprint: str
    settings: dict[str, JsonValue]
    notes: list[str] = []
    samples: list[CellSample] = Field(min_length=1)
    sets: list[HeadSet]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.schema_version != CELL_SCHEMA:
            raise ValueError(f"schema_version must be {CELL_SCHEMA}. Got {self.schema_version}.")
        for one in self.sets:
            # Of portions together, single heads may be tried on the first samples only.
            fits = len(one.matches) == len(self.samples) or (not self.portion and len(one.matches) > 0)
            if not fits or len(one.matches) > len(self.samples):
                raise ValueError(
                    f"matches must be one a sample, {len(self.samples)}. Got {len(one.matches)}."
                )
            for layer, head in one.head_set():
                if layer >= self.n_layers or head >= self.n_heads:
                    raise ValueError(f"L{layer}H{head} is no head of {self.n_layers} x {self.n_heads}.")
        return self

    @property
    def total_heads(self) -> int:
        """Heads of the model."""
        return self.n_layers * self.n_heads

    @property
    def clean(self) -> list[bool]:
        """Whether each sample is answered with all heads on."""
        return [sample.clean_match for sample in self.samples]

    @property
    def units(self) -> list[int]:
        """Of which unit each sample is, numbered from 0.

        A real filing is of its company, with whose number its name begins ("1000564_2002", the names of
        EDGAR-CORPUS). A generated one, and one with another name, stands for itself.
        """
        names = [sample.key.removeprefix(f"{self.question}-") for sample in self.samples]
        if self.data == "real":
            numbers = [name.split("_")[0] for name in names]
            names = [
                number if number.isdigit() else name for number, name in zip(numbers, names, strict=True)
            ]
        places = {name: place for place, name in enumerate(dict.fromkeys(names))}
        return [places[name] for name in names]


NO_STEM = "no_stem"


def merged(cells: Sequence[AblationCell]) -> list[AblationCell]:
    """The portions of each model, question and setting as one cell, in the order of the first of each.

    What was asked without the stem is left out.

    Raises:
        ValueError: portions of one question with other samples, or other answers with all heads on.
    """
    groups: dict[tuple[str, str, int, str], list[AblationCell]] = {}
    for cell in cells:
        if cell.portion != NO_STEM:
            groups.setdefault((cell.model, cell.question, cell.length, cell.data), []).append(cell)
    found = []
    for group in groups.values():
        longest = max(group, key=lambda cell: len(cell.samples))
        for cell in group:
            if cell.samples != longest.samples[: len(cell.samples)]:
                raise ValueError(
                    f"the portion {cell.portion} of {cell.model} {cell.question} {cell.length} has other "
                    "samples than the rest."
                )
        found.append(
            longest.model_copy(
                update={
                    "portion": "",
                    "sets": [one for cell in group for one in cell.sets],
                    "notes": list(dict.fromkeys(note for cell in group for note in cell.notes)),
                }
            )
        )
    return found


def save_cell(cell: AblationCell, folder: Path) -> Path:
    """Write a cell into the results folder `folder`, a set a line; returns its path.

    Raises:
        UserFacingError: the folder cannot be written to.
    """
    path = ResultPaths(folder).cell(cell.model, cell.question, cell.length, cell.portion, cell.data)
    save_cell_at(cell, path)
    return path


def save_cell_at(cell: AblationCell, path: Path) -> None:
    """Write a cell, a set a line.

    Raises:
        UserFacingError: the file cannot be written.
    """
    # What does not apply is left out: most of the sets' fields.
    data = cell.model_dump(mode="json", exclude_none=True)
    save_text(path, json_lines(data, ("samples", "sets")))


def load_cell(path: Path) -> AblationCell:
    """Read one cell.

    Raises:
        UserFacingError: there is none, or the file is damaged.
    """
    return read_model(path, AblationCell, "python scripts/run_study.py ablate")


def load_cells(folder: Path) -> list[AblationCell]:
    """All cells of the results folder `folder`, by name of their files.

    Raises:
        UserFacingError: one of them is damaged.
    """
    return [load_cell(path) for path in sorted((folder / "ablations").glob("*.json"))]


def load_rankings(folder: Path) -> list["RankingRecord"]:
    """All rankings of the results folder `folder`, by name of their files.

    Raises:
        UserFacingError: one of them is damaged.
    """
    from retrieval.rankings.records import load_ranking

    return [load_ranking(path) for path in sorted((folder / "rankings").glob("*.json"))]
