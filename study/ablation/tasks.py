"""The study's two kinds of work, each a task for a worker: a ranking, a cell of ablations.

A task holds all that it depends on but the model, which the worker finds and loads; it is small and can be
sent to another process or machine. What comes back is what goes into a file, and depends on the task alone:
not on the worker, nor on what it did before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from retrieval.filings.generated import Sample
from retrieval.filings.grading import decided_end, is_right, sentence_end, values_match
from retrieval.filings.prompting import encode_sample, stem_of
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
        stem: whether answers begin with the task's stem.
        settings: what the records are to hold besides.
        fingerprints: by method, of all that its record depends on.
    """

    model: ModelRef
    question: str
    length: int
    samples: tuple[Sample, ...]
    methods: tuple[str, ...]
    options: RankingOptions
    stem: bool
    settings: Mapping[str, JsonValue]
    fingerprints: Mapping[str, str]

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.model.name} {self.question} {self.length}"

    @property
    def cost(self) -> float:
        """How much work it is, in tokens that go through all layers; for the time that is left."""
        # Reading with attention patterns takes a good deal longer than without.
        return 3.0 * len(self.samples) * (self.length + 2 * self.options.new_tokens)


@dataclass(frozen=True)
class CellTask:
    """A portion of one question's ablations in one setting.

    Attributes:
        model: the model.
        question: the task that the samples ask.
        length: tokens of a prompt.
        data: "generated" or "real" filings.
        portion: which part of the cell (`study.ablation.head_sets.portions`).
        samples: the test part.
        sets: what to switch off; equal sets are run once.
        mode: what is put in a head's place.
        stem: whether answers begin with the task's stem.
        new_tokens: at most so many tokens an answer.
        batch_tokens: bound on the tokens of prompts in one batch.
        settings: what the cell is to hold about itself.
        notes: what could not be planned.
        fingerprint: of all that the cell depends on.
    """

    model: ModelRef
    question: str
    length: int
    data: str
    portion: str
    samples: tuple[Sample, ...]
    sets: tuple[PlannedSet, ...]
    mode: AblationMode
    stem: bool
    new_tokens: int
    batch_tokens: int
    settings: Mapping[str, JsonValue]
    notes: tuple[str, ...]
    fingerprint: str

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.model.name} {self.question} {self.length} {self.data} {self.portion}"

    @property
    def cost(self) -> float:
        """As of `RankTask`: of each set only the layers from its lowest head on are run."""
        layers = int(max((head.layer for one in self.sets for head in one.heads), default=0)) + 1
        lowest = {one.heads: min(head.layer for head in one.heads) for one in self.sets}
        rows = 2.0 + sum(1 - layer / layers for layer in lowest.values())
        return len(self.samples) * self.length * rows


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
        task.stem,
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
        progress: called after each batch of prompts and before each token of their answers.

    Raises:
        UserFacingError: a sample that is longer than the model's context, or a head that it does not have.
    """
    # The first is the clean run.
    distinct: list[tuple[Head, ...]] = list(dict.fromkeys([(), *(planned.heads for planned in task.sets)]))
    matches: dict[tuple[Head, ...], list[bool]] = {heads: [] for heads in distinct}
    samples: list[CellSample] = []
    with fused_attention(loaded):
        for number, sample in enumerate(task.samples):

            def done(sets: int, number: int = number) -> None:
                progress(ABLATING, number * len(distinct) + sets, len(task.samples) * len(distinct))

            answers = _answers(loaded, task, sample, distinct, done)
            for heads, answer in zip(distinct, answers, strict=True):
                matches[heads].append(is_right(answer.text, sample.answer))
            clean = CellSample(
                key=sample.key,
                truth=sample.answer,
                clean_output=answers[0].text,
                clean_match=matches[()][-1],
                clean_exact=values_match(answers[0].text, sample.answer),
            )
            samples.append(clean)
    geometry = loaded.geometry
    return AblationCell(
        model=task.model.name,
        question=task.question,
        length=task.length,
        data=task.data,
        portion=task.portion,
        stem=task.stem,
        n_layers=geometry.n_layers,
        n_heads=geometry.n_heads,
        fingerprint=task.fingerprint,
        settings=dict(task.settings),
        notes=list(task.notes),
        samples=samples,
        sets=[_result(planned, matches[planned.heads]) for planned in task.sets],
    )


def _answers(
    loaded: LoadedModel,
    task: CellTask,
    sample: Sample,
    sets: Sequence[tuple[Head, ...]],
    done: Callable[[int], None],
) -> list[Decoded]:
    """The answers to one sample, a set a row: rows of one prompt, so without padding.

    The first set is the clean run, whose whole first sentence is kept. Of the others only right or wrong is:
    they are cut where that is decided.
    """
    ids = encode_sample(loaded, sample, stem_of(sample.task, task.stem)).ids
    rows = max(1, task.batch_tokens // len(ids))

    def decided(text: str) -> int | None:
        return decided_end(text, sample.answer)

    return answers_with_heads_off(
        loaded,
        ids,
        sets,
        task.mode,
        task.new_tokens,
        rows,
        [sentence_end, *[decided] * (len(sets) - 1)],
        done,
    )


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
