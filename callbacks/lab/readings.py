"""What the lab has read, kept for all who ask for the same: readings, attention rows, ablations."""

from collections.abc import Callable, Mapping
from typing import Any

from callbacks.background import Background
from retrieval.filings.real import RealFiling
from retrieval.lab.ablation import LabAblation, ablate_top
from retrieval.lab.reading import LabReading, Written, read_lab
from retrieval.lab.rows import QuestionRows, read_question_rows
from retrieval.lab.samples import check_own
from retrieval.lab.state import LabPrompt
from utils.catalog.rankings import CatalogRanking, catalog_rankings
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMode
from utils.heads import Head
from utils.links.reading import read_store
from utils.live.service import LiveService
from utils.runtime.jobs import JobView, Progress
from utils.runtime.locked_cache import LockedCache

# Readings and ablations are small; a class asks for a few.
MAX_CACHED = 200
# Attention rows of all heads are not: 1.5 MB for a small model, a hundred times that for a large one.
ROWS_BYTES = 256 * 2**20
# How long an answer may keep the browser waiting before it shows progress instead, in seconds.
PATIENCE = 0.4


def _nothing(what: str, done: int, total: int) -> None:
    """Progress that nobody hears."""


class LabReadings:
    """Reads prompts, and keeps what it has read; a miss is read again.

    Args:
        service: the live entry point: its models and catalogs.
        patience: seconds that one who asks waits at most before hearing how far it is.
        filings: the operator's real filings, by name.
    """

    def __init__(
        self,
        service: LiveService,
        patience: float = PATIENCE,
        filings: Mapping[str, RealFiling] | None = None,
    ) -> None:
        self.service = service
        self.filings = filings or {}
        self.patience = patience
        self._readings: Background[LabReading] = Background(MAX_CACHED)
        self._ablations: Background[LabAblation] = Background(MAX_CACHED)
        self._rows: LockedCache[LabPrompt, QuestionRows] = LockedCache(
            ROWS_BYTES, lambda rows: rows.rows.nbytes
        )

    def _read(
        self,
        prompt: LabPrompt,
        progress: Progress,
        publish: Callable[[Written], None] = lambda written: None,
    ) -> LabReading:
        loaded = self.service.store.get(
            prompt.model, lambda what, done, total: progress(f"loading: {what}", done, total)
        )
        reading, rows = read_lab(loaded, prompt, progress, publish, self.filings)
        self._keep_rows(reading, rows)
        return reading

    def _patience(self, again: bool) -> float:
        """How long to wait for work to end, in seconds.

        A tick does not wait: Dash drops its answer when the next tick comes before it, and the page would
        never hear how far the work is.
        """
        return self.patience if again else 0

    def _keep_rows(self, reading: LabReading, rows: QuestionRows) -> None:
        # The cache refuses what is larger than all of it.
        if rows.rows.nbytes <= ROWS_BYTES:
            self._rows[reading.prompt] = rows

    def follow(self, prompt: LabPrompt, session_id: str, again: bool) -> LabReading | JobView:
        """Read a prompt as a job, its model loaded first: what was read, or how far it is.

        What the job has published is the answer as far as it is written.

        Raises:
            UserFacingError: there is no such model, or the prompt cannot be read.
        """
        store = self.service.store
        store.source(prompt.model)
        # Before it is kept as a job's key.
        if prompt.own:
            check_own(
                prompt, store.get(prompt.model).context_length if store.is_loaded(prompt.model) else None
            )
        found = self._readings.soon(
            prompt,
            lambda progress: self._read(prompt, progress, progress.publish),
            session_id,
            again,
            self._patience(again),
        )
        return _or_raise(found)

    def leave(self, prompt: LabPrompt, session_id: str) -> None:
        """`session_id` no longer waits for the reading."""
        self._readings.leave(prompt, session_id)

    def shown(self, store: Any) -> LabReading | None:
        """The reading behind a browser's store; None for none, or for a tampered store."""
        prompt = read_store(LabPrompt, store)
        if prompt is None:
            return None
        cached = self._readings.get(prompt)
        if cached is None:
            try:
                cached = self._read(prompt, _nothing)
            except UserFacingError:
                return None
            self._readings.keep(prompt, cached)
        return cached

    def rows(self, reading: LabReading) -> QuestionRows:
        """The attention of the reading's question.

        Raises:
            UserFacingError: its model cannot be loaded any more.
        """
        cached = self._rows.get(reading.prompt)
        if cached is None:
            cached = read_question_rows(self.service.store.get(reading.prompt.model), reading.encoded)
            self._keep_rows(reading, cached)
        return cached

    def catalog(self, model: str, method: str) -> CatalogRanking | None:
        """A method's ranking over many prompts, from the model's catalog; None where it has none."""
        return catalog_rankings(self.service.catalog(model)).get(method)

    def ablation(
        self, reading: LabReading, top: list[Head], mode: AblationMode, session_id: str, again: bool
    ) -> LabAblation | JobView:
        """The answer without some heads as a job: what came of it, or how far it is.

        Raises:
            UserFacingError: too many heads, or the model cannot be loaded any more.
        """

        def compute(progress: Progress) -> LabAblation:
            sample = reading.encoded.sample
            loaded = self.service.store.get(reading.prompt.model)
            return ablate_top(
                loaded,
                reading.encoded.ids,
                sample.answer,
                top,
                mode,
                seed=reading.prompt.seed,
                progress=progress,
            )

        key = _ablation_key(reading, top, mode)
        return _or_raise(self._ablations.soon(key, compute, session_id, again, self._patience(again)))

    def known_ablation(self, reading: LabReading, top: list[Head], mode: AblationMode) -> LabAblation | None:
        """The answer without some heads, None where nobody has asked for it yet."""
        return self._ablations.get(_ablation_key(reading, top, mode))

    def ablates(self, reading: LabReading, top: list[Head], mode: AblationMode) -> bool:
        """Whether the answer without some heads is being computed."""
        view = self._ablations.view(_ablation_key(reading, top, mode))
        return view is not None and not view.ended

    def leave_ablation(
        self, reading: LabReading, top: list[Head], mode: AblationMode, session_id: str
    ) -> None:
        """`session_id` no longer waits for the ablation."""
        self._ablations.leave(_ablation_key(reading, top, mode), session_id)


def _ablation_key(reading: LabReading, top: list[Head], mode: AblationMode) -> tuple[Any, ...]:
    return reading.prompt, tuple(sorted(top)), mode


def _or_raise(found: Any) -> Any:
    """A job's result or view; its error where it failed."""
    if isinstance(found, JobView) and found.error is not None:
        raise found.error
    return found
