"""The study's two kinds of work, each a task for a worker: a ranking, a cell of ablations.

A task holds all that it depends on but the model, which the worker finds and loads; it is small and can be
sent to another process or machine. What comes back is what goes into a file, and depends on the task alone:
not on the worker, nor on what it did before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from retrieval.filings.generated import Sample
from retrieval.filings.grading import values_match
from retrieval.filings.prompting import encode_sample
from retrieval.rankings.methods import RankingOptions
from retrieval.rankings.ranking import rank_heads
from retrieval.reading.ablated_answers import answers_with_heads_off, fused_attention
from retrieval.reading.decoding import Decoded
from study.ablation.head_sets import PlannedSet
from study.data.cell_records import AblationCell, CellSample, HeadSet
from study.data.models import ModelRef, loaded_model
from utils.catalog.ranking_record import RankingRecord
from utils.forward.ablation import AblationMode
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.runtime.jobs import Progress

ABLATING = "ablating heads"


@dataclass(frozen=True)
class RankTask:
    """One question's rankings by all methods at one length.

    Attributes:
        model: the model.
        question: the task that the samples ask.
        length: tokens of a prompt.
        samples: the train part.
        methods: keys of the methods.
        options: theirs.
        settings: what the records are to hold besides.
        fingerprints: by method, of all that its record depends on.
    """

    model: ModelRef
    question: str
    length: int
    samples: tuple[Sample, ...]
    methods: tuple[str, ...]
    options: RankingOptions
    settings: Mapping[str, JsonValue]
    fingerprints: Mapping[str, str]

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.model.name} {self.question} {self.length}"


@dataclass(frozen=True)
class CellTask:
    """One question's ablations at one length.

    Attributes:
        model: the model.
        question: the task that the samples ask.
        length: tokens of a prompt.
        samples: the test part.
        sets: what to switch off; equal sets are run once.
        mode: what is put in a head's place.
        spare_tokens: tokens that may be written beyond those of the right answer.
        batch_tokens: bound on the tokens of prompts in one batch.
        settings: what the cell is to hold about itself.
        notes: what could not be planned.
        fingerprint: of all that the cell depends on.
    """

    model: ModelRef
    question: str
    length: int
    samples: tuple[Sample, ...]
    sets: tuple[PlannedSet, ...]
    mode: AblationMode
    spare_tokens: int
    batch_tokens: int
    settings: Mapping[str, JsonValue]
    notes: tuple[str, ...]
    fingerprint: str

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.model.name} {self.question} {self.length}"


Task = RankTask | CellTask


def do_task(task: Task, progress: Progress) -> list[RankingRecord] | AblationCell:
    """Do one task in this process, with the model loaded where it is not yet.

    Raises:
        UserFacingError: the model cannot be had, or a sample cannot be asked.
    """
    loaded = loaded_model(task.model)
    if isinstance(task, RankTask):
        return run_ranking(loaded, task, progress)
    return run_cell(loaded, task, progress)


def run_ranking(loaded: LoadedModel, task: RankTask, progress: Progress) -> list[RankingRecord]:
    """Rank the heads by every method of the task; the prompts are read once for all.

    Raises:
        UserFacingError: as `retrieval.rankings.ranking.rank_heads`.
    """
    records = rank_heads(
        loaded,
        task.samples,
        task.methods,
        task.options,
        task.length,
        progress,
        task.settings,
        task.model.name,
    )
    done = []
    for method, record in records.items():
        settings: dict[str, Any] = {**record.settings, "fingerprint": task.fingerprints[method]}
        done.append(record.model_copy(update={"settings": settings}))
    return done


def run_cell(loaded: LoadedModel, task: CellTask, progress: Progress) -> AblationCell:
    """Ablate every set of the task for every sample, and see which answers are right.

    Args:
        loaded: the model.
        task: what to do.
        progress: called after each sample.

    Raises:
        UserFacingError: a sample that is longer than the model's context, or a head that it does not have.
    """
    # The first is the clean run.
    distinct: list[tuple[Head, ...]] = list(dict.fromkeys([(), *(planned.heads for planned in task.sets)]))
    matches: dict[tuple[Head, ...], list[bool]] = {heads: [] for heads in distinct}
    samples: list[CellSample] = []
    with fused_attention(loaded):
        for done, sample in enumerate(task.samples, start=1):
            answers = _answers(loaded, task, sample, distinct)
            for heads, answer in zip(distinct, answers, strict=True):
                matches[heads].append(values_match(answer.text, sample.answer))
            clean = CellSample(
                key=sample.key,
                truth=sample.answer,
                clean_output=answers[0].text,
                clean_match=matches[()][-1],
            )
            samples.append(clean)
            progress(ABLATING, done, len(task.samples))
    geometry = loaded.geometry
    return AblationCell(
        model=task.model.name,
        question=task.question,
        length=task.length,
        n_layers=geometry.n_layers,
        n_heads=geometry.n_heads,
        fingerprint=task.fingerprint,
        settings=dict(task.settings),
        notes=list(task.notes),
        samples=samples,
        sets=[_result(planned, matches[planned.heads]) for planned in task.sets],
    )


def _answers(
    loaded: LoadedModel, task: CellTask, sample: Sample, sets: Sequence[tuple[Head, ...]]
) -> list[Decoded]:
    """The answers to one sample, a set a row: rows of one prompt, so without padding."""
    ids = encode_sample(loaded, sample).ids
    # As it stands in a text, after a space.
    truth = loaded.text_tokenizer.encode(f" {sample.answer}", add_special_tokens=False).ids
    rows = max(1, task.batch_tokens // len(ids))
    return answers_with_heads_off(loaded, ids, sets, task.mode, len(truth) + task.spare_tokens, rows)


def _result(planned: PlannedSet, matches: Sequence[bool]) -> HeadSet:
    return HeadSet(
        condition=planned.condition,
        method=planned.method,
        source=planned.source,
        k=planned.k,
        draw=planned.draw,
        of=planned.of,
        short=planned.short,
        unscored=planned.unscored,
        heads=[str(head) for head in planned.heads],
        matches=list(matches),
    )
