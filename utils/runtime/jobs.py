"""Long work in threads of this process: one job a key, however many people ask; progress, time left, cancel.

Never a forked process: a forward in the child of a process that has run torch may hang (DEPENDENCIES, Dash).
A result is not handed over here: the work leaves it where the page looks for it (a catalog file, a cache).
What there is of it before may be published: it stands in the job's view until the job ends.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from utils.errors import UserFacingError

logger = logging.getLogger(__name__)

# What is being done, done so far, in all. It raises CancelledError where the work should stop.
Progress = Callable[[str, int, int], None]
State = Literal["waiting", "running", "done", "failed", "cancelled"]

# Finished jobs are remembered so that every page that waits hears how they ended.
REMEMBERED = 200
UNFORESEEN = UserFacingError("Something went wrong on the server.", "Try again; the server's log says more.")

# The threads of all jobs of this process that have not ended.
_threads: "dict[threading.Thread, _Job]" = {}
_threads_guard = threading.Lock()


class CancelledError(Exception):
    """Nobody waits for this work any more; raised by the `Progress` that the work calls."""


@dataclass(frozen=True)
class JobView:
    """How far a job is, as a page shows it.

    Attributes:
        state: "waiting" for a free worker, "running", or how it ended.
        what: what is being done, in a word or two.
        done: pieces done.
        total: pieces in all, 0 where this is not known yet.
        seconds_left: by the pace so far; None where there is none to go by.
        error: why it failed.
        partial: what the work has published of its result so far; None where nothing, and when it has ended.
    """

    state: State
    what: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    error: UserFacingError | None = None
    partial: Any = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")


@dataclass
class _Job:
    waiting: set[str]
    cancelled: threading.Event = field(default_factory=threading.Event)
    state: State = "waiting"
    what: str = ""
    done: int = 0
    total: int = 0
    # When the first piece was done and how many were done then: what came before it was preparation.
    pace_from: tuple[float, int] | None = None
    error: UserFacingError | None = None
    partial: Any = None

    def view(self) -> JobView:
        left = None
        if self.state == "running" and self.pace_from and self.done > self.pace_from[1]:
            since, first = self.pace_from
            left = (time.monotonic() - since) / (self.done - first) * (self.total - self.done)
        partial = self.partial if self.state == "running" else None
        return JobView(self.state, self.what, self.done, self.total, left, self.error, partial)


class JobProgress:
    """How a job's work tells how far it is: a `Progress` that can also publish a part of the result."""

    def __init__(self, job: _Job) -> None:
        self._job = job

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell what is being done, how much of it is done, and how much there is.

        Raises:
            CancelledError: nobody waits for the work any more.
        """
        job = self._job
        if job.cancelled.is_set():
            raise CancelledError
        job.what, job.done, job.total = what, done, total
        if job.pace_from is None and done > 0:
            job.pace_from = (time.monotonic(), done)

    def publish(self, partial: Any) -> None:
        """Show a part of the result (`JobView.partial`): a value that nobody changes afterwards."""
        self._job.partial = partial


class Jobs:
    """Runs jobs, `workers` of them at a time, in the order they were asked for.

    Args:
        workers: jobs that run at once; the others wait.
    """

    def __init__(self, workers: int = 1) -> None:
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._guard = threading.Lock()
        self._free = threading.Semaphore(workers)

    def start(self, key: Hashable, work: Callable[[JobProgress], None], session_id: str = "") -> JobView:
        """Start `work` under `key`, or join the job that is under way there.

        Args:
            key: what is to be done; the same key means the same work.
            work: does it, calling the progress that it is handed after each piece.
            session_id: a name for the one who asks, so that each may leave without stopping the others.
        """
        with self._guard:
            job = self._jobs.get(key)
            if job is not None and not job.view().ended and not job.cancelled.is_set():
                job.waiting.add(session_id)
                return job.view()
            job = _Job({session_id})
            self._jobs[key] = job
            self._jobs.move_to_end(key)
            self._forget_old()
        # A daemon: work that does not heed `stop_all` does not keep a server from ending.
        thread = threading.Thread(target=self._run, args=(job, work), name=f"job {key}", daemon=True)
        with _threads_guard:
            thread.start()
            _threads[thread] = job
        return job.view()

    def view(self, key: Hashable) -> JobView | None:
        """How far the job under `key` is; None where there was none."""
        with self._guard:
            job = self._jobs.get(key)
        return job.view() if job else None

    def leave(self, key: Hashable, session_id: str = "") -> None:
        """`session_id` no longer waits for the job; it is cancelled when nobody does."""
        with self._guard:
            job = self._jobs.get(key)
            if job is None or job.view().ended:
                return
            job.waiting.discard(session_id)
            if not job.waiting:
                job.cancelled.set()

    def _forget_old(self) -> None:
        for key, job in list(self._jobs.items()):
            if len(self._jobs) <= REMEMBERED:
                return
            if job.view().ended:
                del self._jobs[key]

    def _run(self, job: _Job, work: Callable[[JobProgress], None]) -> None:
        with _forgotten_at_its_end(), self._free:
            try:
                if job.cancelled.is_set():
                    raise CancelledError
                job.state = "running"
                work(JobProgress(job))
                job.state = "done"
            except CancelledError:
                job.state = "cancelled"
            except UserFacingError as error:
                job.error, job.state = error, "failed"
            except BaseException:
                logger.exception("a job failed")
                job.error, job.state = UNFORESEEN, "failed"
            finally:
                job.partial = None


@contextmanager
def _forgotten_at_its_end() -> Iterator[None]:
    try:
        yield
    finally:
        with _threads_guard:
            del _threads[threading.current_thread()]


def stop_all(seconds: float) -> bool:
    """Cancel every job of this process and wait for their threads, for when the process ends.

    Args:
        seconds: how long to wait at most.

    Returns:
        Whether all of them have ended.
    """
    with _threads_guard:
        running = dict(_threads)
    for job in running.values():
        job.cancelled.set()
    until = time.monotonic() + seconds
    for thread in running:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in running)
