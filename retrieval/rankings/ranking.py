"""From samples to rankings: what the model does with each is read once for all methods that are asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from retrieval.filings.generated import NULL_QUERY, Sample
from retrieval.filings.grading import normalise, rouge1_recall, sentence_end
from retrieval.filings.prompting import (
    EncodedPrompt,
    chat_date,
    encode_sample,
    stem_of,
    uses_chat_template,
    usual_stem,
)
from retrieval.rankings.methods import (
    Need,
    RankingMethod,
    RankingOptions,
    Readings,
    methods_named,
    missing_spans,
)
from retrieval.rankings.records import RankingRecord, make_record, statistics_of
from retrieval.reading.decoding import Wrote, greedy_with_rows
from retrieval.reading.query_rows import Reading, query_rows, read_on
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel
from utils.runtime.jobs import Progress
from utils.runtime.provenance import today

READING = "ranking heads"
_VERSIONED = ("torch", "transformers", "pyvene", "rouge-score")


@dataclass(frozen=True, eq=False)
class SampleScores:
    """One method's scores on one prompt.

    Attributes:
        scores: [layer, head]; None where the method cannot be used on this prompt.
        counted: whether the study counts the sample.
        problem: why not, in a sentence; "" where it counts.
        details: what else there is to tell, by name (`RankingMethod.details`).
    """

    scores: Tensor | None
    counted: bool
    problem: str
    details: dict[str, Any]


# What `read_sample` does, step by step.
READ_STEPS = ("reading up to the question", "reading the question", "writing the answer")


def read_sample(
    loaded: LoadedModel,
    encoded: EncodedPrompt,
    methods: Iterable[str],
    options: RankingOptions,
    step: Callable[[str], None] = lambda what: None,
    wrote: Wrote = lambda token, probability: None,
) -> Readings:
    """Read what the methods need of one prompt: the prompt once, the null query from where they part.

    Args:
        loaded: the model.
        encoded: the prompt (`encode_sample`).
        methods: keys of the methods.
        options: their options.
        step: called before each of `READ_STEPS`, those that are needed; an exception from it ends the work.
        wrote: called with each token of the answer as it is written (`greedy_with_rows`).

    Raises:
        UserFacingError: there is no such method.
    """
    needs: set[Need] = {need for method in methods_named(methods) for need in method.needs}
    ids, prefix = encoded.ids, None
    found: dict[str, Any] = {}
    if "question" in needs or "null" in needs:
        start, end = encoded.spans[options.query_name]
        null_start, null_end = encoded.null_spans[options.query_name]
        common = min(encoded.shared, start, null_start)
        step(READ_STEPS[0])
        prefix = read_on(loaded, ids[:common]) if common else None
        step(READ_STEPS[1])
        if "null" in needs:
            null_ids = encoded.null_ids
            found["null_rows"] = query_rows(loaded, null_ids, null_start, null_end, prefix)
        if "question" in needs:
            prefix = _up_to(loaded, ids, start, prefix)
            prefix = read_on(loaded, ids[start:end], prefix, rows=True)
            found["query_rows"] = prefix.rows
    if needs & {"last", "answer"}:
        prefix = _up_to(loaded, ids, len(ids) - 1, prefix)
        last = read_on(loaded, ids[-1:], prefix, rows=True)
        assert last.rows is not None
        found["last_row"] = last.rows[:, :, -1]
        if "answer" in needs:
            step(READ_STEPS[2])
            written, rows = greedy_with_rows(
                loaded, ids, options.new_tokens, before=last, ends=sentence_end, wrote=wrote
            )
            recall = rouge1_recall(encoded.sample.answer, written.text)
            found |= {"written": written, "answer_rows": rows, "rouge": recall}
    return Readings(ids, encoded.spans, encoded.shared, **found)


def _up_to(loaded: LoadedModel, ids: Sequence[int], end: int, before: Reading | None) -> Reading | None:
    read = 0 if before is None else len(before.ids)
    return read_on(loaded, ids[read:end], before) if read < end else before


def sample_scores(method: str, readings: Readings, options: RankingOptions) -> SampleScores:
    """One method's scores on a prompt, from its readings; shown also where the study would not count them.

    Raises:
        UserFacingError: there is no such method.
    """
    row = methods_named([method])[0]
    if missing := missing_spans(readings.spans, row, options):
        problem = f"{row.name} needs to know where in the filing the {missing[0]} is, and it was not found."
        return SampleScores(None, False, problem, {})
    scores = row.score(readings, options)
    if scores is None:
        raise ValueError(f"{method} was not among the methods that the prompt was read for.")
    problem = ""
    if row.gated and not _answered(readings, options):
        problem = (
            f"The answer has {readings.rouge:.0f}% of the expected words; only answers with more than "
            f"{options.rouge_threshold:g}% count."
        )
    return SampleScores(scores, not problem, problem, row.details(readings, options))


def _answered(readings: Readings, options: RankingOptions) -> bool:
    return readings.rouge is not None and readings.rouge > options.rouge_threshold


def rank_heads(
    loaded: LoadedModel,
    samples: Sequence[Sample],
    methods: Iterable[str],
    options: RankingOptions,
    length: int,
    progress: Progress = lambda what, done, total: None,
    settings: Mapping[str, Any] | None = None,
    model_key: str | None = None,
    stem: bool | None = None,
) -> dict[str, RankingRecord]:
    """Rank all heads by each method over the samples of one question.

    Args:
        loaded: the model.
        samples: filings with one and the same question.
        methods: keys of the methods.
        options: their options.
        length: the prompts' length that was asked for, in tokens; for the record.
        progress: called after each sample.
        settings: what else the record's settings should hold (seed, source of the samples).
        model_key: the model's key in the protocol; by default its name.
        stem: whether the answer begins with the task's stem; by default as suits the model (`usual_stem`).

    Returns:
        A record a method.

    Raises:
        UserFacingError: an unknown method, no samples, one without an expected answer, one longer than the
            model's context.
    """
    rows = methods_named(methods)
    question = _question(samples)
    task = samples[0].task
    begin = usual_stem(loaded, task) if stem is None else stem_of(task, stem)
    collected: dict[str, _Collected] = {row.key: _Collected(row.control) for row in rows}
    tokens = []
    for done, sample in enumerate(samples, start=1):
        encoded = encode_sample(loaded, sample, begin)
        tokens.append(len(encoded.ids))
        usable = [row for row in rows if not missing_spans(encoded.spans, row, options)]
        readings = read_sample(loaded, encoded, [row.key for row in usable], options)
        for row in rows:
            if row in usable:
                collected[row.key].add(sample_scores(row.key, readings, options))
            else:
                collected[row.key].skipped += 1
        progress(READING, done, len(samples))
    shape = (0, loaded.geometry.n_layers, loaded.geometry.n_heads)
    about = {
        "model_key": model_key or loaded.name,
        "model_name": loaded.name,
        "question": samples[0].task,
        "question_prompt": question,
        "total_tokens": length,
        "timestamp": today(),
    }
    common = {
        **(settings or {}),
        "prompt_tokens": {
            "shortest": min(tokens),
            "longest": max(tokens),
            "mean": round(sum(tokens) / len(tokens), 2),
        },
        "chat_template": uses_chat_template(loaded),
        "stem": begin or None,
        **({} if (date := chat_date(loaded)) is None else {"chat_date": date}),
        "device": loaded.model.device.type,
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "versions": {package: version(package) for package in _VERSIONED},
    }
    records = {}
    for row in rows:
        found = collected[row.key]
        scores = torch.stack(found.scores) if found.scores else torch.zeros(shape)
        statistics = statistics_of(scores, row.only_positive(options))
        fields = _fields(row, options, found) | {"settings": common | _settings(row, options)}
        records[row.key] = make_record(statistics, about | fields)
    return records


def _question(samples: Sequence[Sample]) -> str:
    """The question that all samples ask."""
    if not samples:
        raise UserFacingError("There are no samples to rank heads on.", "Choose more, or another question.")
    if len({sample.task for sample in samples}) > 1:
        raise ValueError("samples must be of one question.")
    for number, sample in enumerate(samples, start=1):
        if not normalise(sample.answer):
            raise UserFacingError(
                f"Sample {number} of {sample.task} has no expected answer, so no answer to it can be right.",
                "Leave it out.",
            )
    start, end = samples[0].spans["question"]
    return samples[0].prompt[start:end]


class _Collected:
    """One method's scores so far.

    Args:
        control: the detail that is averaged (`RankingMethod.control`).
    """

    def __init__(self, control: str | None) -> None:
        self.control = control
        self.scores: list[Tensor] = []
        self.skipped = 0
        self.processed = 0
        self._controls: list[float] = []

    def add(self, found: SampleScores) -> None:
        self.processed += 1
        if not found.counted or found.scores is None:
            return
        self.scores.append(found.scores)
        if self.control is not None:
            self._controls.append(found.details[self.control])

    def mean_control(self) -> dict[str, float]:
        """The mean of the control under its name; nothing where there is none."""
        if self.control is None or not self._controls:
            return {}
        return {self.control: round(sum(self._controls) / len(self._controls), 6)}


def _fields(row: RankingMethod, options: RankingOptions, found: _Collected) -> dict[str, Any]:
    return {
        "method": row.key,
        "span": row.spans(options)[0],
        "null_query": NULL_QUERY if "null" in row.needs else None,
        "rouge_threshold": float(options.rouge_threshold) if row.gated else None,
        "successful_samples": len(found.scores),
        "samples_processed": found.processed,
        "samples_skipped": found.skipped,
        **found.mean_control(),
    }


def _settings(row: RankingMethod, options: RankingOptions) -> dict[str, Any]:
    """The options that matter to the method."""
    return {name: getattr(options, name) for name in row.options}
