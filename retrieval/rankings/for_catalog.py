"""The rankings that go into a model's catalog: all methods on generated filings, computed or the study's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.filings.generated import MAIN_TASKS, TASKS, Sample, make_filings_of_length
from retrieval.filings.prompting import count_tokens
from retrieval.rankings.methods import METHODS, RankingOptions
from retrieval.rankings.ranking import rank_heads
from retrieval.rankings.records import as_json, load_ranking
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel
from utils.runtime.jobs import Progress
from utils.wording import listed

LENGTH = 128
SAMPLES = 20


@dataclass(frozen=True)
class CatalogRankingOptions:
    """What the user may choose.

    Attributes:
        samples: filings for each question.
        length: tokens of a filing with its question; None for 128, or for what the model reads at most.
        seed: of the filings.
    """

    samples: int = SAMPLES
    length: int | None = None
    seed: int = 0


def samples_in_all(options: CatalogRankingOptions) -> int:
    """How many samples `rank_for_catalog` reports: known before the model is."""
    return len(MAIN_TASKS) * options.samples


def rank_for_catalog(
    loaded: LoadedModel, options: CatalogRankingOptions, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    """A list of ranking records a method, one a question, as plain JSON data.

    Args:
        loaded: the model.
        options: how many filings, how long, which.
        progress: called after each sample; done and total count over all questions.

    Raises:
        UserFacingError: no filing fits into the length or into the model's context.
    """
    longest = loaded.context_length - RankingOptions().new_tokens
    length = options.length or min(LENGTH, longest)
    if length > longest:
        raise UserFacingError(
            f"{length} tokens and an answer are more than {loaded.name} can read at once.",
            f"Choose a --ranking-length of at most {longest}.",
        )
    total, before = samples_in_all(options), 0
    rankings: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for task, samples in _filings(loaded, options, length).items():

        def report(what: str, done: int, of: int, before: int = before, task: str = task) -> None:
            progress(f"{what}: {TASKS[task].question}", before + done, total)

        settings = {"data": "generated filings", "seed": options.seed, "samples": options.samples}
        records = rank_heads(loaded, samples, METHODS, RankingOptions(), length, report, settings)
        for method, record in records.items():
            rankings[method].append(as_json(record))
        before += len(samples)
    return rankings


def _filings(loaded: LoadedModel, options: CatalogRankingOptions, length: int) -> dict[str, list[Sample]]:
    """The samples of each question.

    Raises:
        UserFacingError: the length is too small for a filing; where nobody chose it, the context is.
    """
    made: dict[str, list[Sample]] = {}
    for task in MAIN_TASKS:
        try:
            made[task] = make_filings_of_length(
                task, options.samples, options.seed, length, lambda text: count_tokens(loaded, text)
            )
        except UserFacingError as error:
            if options.length is not None:
                raise
            raise UserFacingError(
                f"{loaded.name} reads {loaded.context_length} tokens at once, which are too few for a filing "
                f"with its question and an answer of {RankingOptions().new_tokens} tokens.",
                "Analyze it without --rankings, or choose a model with a longer context.",
            ) from error
    return made


def finished_rankings(
    folder: Path, model_name: str, length: int | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The study's finished rankings of a model on generated filings, as `rank_for_catalog` gives its own.

    Args:
        folder: holds the study's ranking files.
        model_name: the model.
        length: tokens of the prompts; None for the shortest that there are.

    Raises:
        UserFacingError: there are none, not of all questions, or a file is damaged.
    """
    found = [
        record
        for path in sorted(folder.glob("*.json"))
        if (record := load_ranking(path)).model_name == model_name
        and record.settings.get("data") == "generated"
        and record.question in MAIN_TASKS
    ]
    taken = min((record.length for record in found), default=0) if length is None else length
    rankings: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for task in MAIN_TASKS:
        for record in found:
            if (record.question, record.length) == (task, taken):
                rankings[record.method].append(as_json(record))
    missing = any(records and len(records) != len(MAIN_TASKS) for records in rankings.values())
    if missing or not any(rankings.values()):
        tokens = f" of {taken} tokens" if taken else ""
        raise UserFacingError(
            f"The folder {folder} does not have the rankings of {model_name} on generated filings{tokens}.",
            "Make them with: python scripts/run_study.py rank",
        )
    return rankings


def empty_rankings(rankings: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A sentence for each method with rankings in which no sample counts: all heads tie in them at 0.

    Args:
        rankings: the records by method, as `rank_for_catalog` gives them.
    """
    notes = []
    for method, records in rankings.items():
        empty = [str(record["question"]) for record in records if record["successful_samples"] == 0]
        if empty:
            notes.append(
                f"no sample counts in the ranking by {method} of {listed(empty)}: it says nothing about the "
                "heads and is not shown"
            )
    return notes
