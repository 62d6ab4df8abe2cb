"""Long work in threads of this process: one job a key, however many people ask; progress, time left, cancel.

Never a forked process: a forward in the child of a process that has run torch may hang (DEPENDENCIES, Dash).
A result is not handed over here: the work leaves it where the page looks for it (a catalog file, a cache).
What there is of it before may be published: it stands in the job's view until the job ends.
"""

import logging
import threading
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cachetools import LRUCache

from utils.errors import UserFacingError
from utils.runtime.turns import Asker, asking

logger = logging.getLogger(__name__)

# What is being done, done so far, in all. It raises CancelledError where the work should stop.
Progress = Callable[[str, int, int], None]
State = Literal["waiting", "running", "done", "failed", "cancelled"]

# Finished jobs are remembered so that every page that waits hears how they ended.
REMEMBERED = 200
# Jobs that may wait for a worker; whoever comes then hears that it is too much.
MAX_WAITING = 100
# A page that waits asks every second or less; a job that nobody has asked for so long is ended.
GONE_SECONDS = 30.0
# Longer than anything on a page should take on a small machine.
TIME_LIMIT = 1_200.0
UNFORESEEN = UserFacingError("Something went wrong on the server.", "Try again; the server's log says more.")
TOO_MANY = UserFacingError("The server has too much to do already.", "Try again in a minute.")

# The threads of all jobs of this process that have not ended, and whose jobs they do.
_threads: "dict[threading.Thread, Jobs]" = {}
_threads_guard = threading.Lock()
_all_jobs: "weakref.WeakSet[Jobs]" = weakref.WeakSet()


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
        before: how many jobs go before this one while it waits.
    """

    state: State
    what: str = ""
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    error: UserFacingError | None = None
    partial: Any = None
    before: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "cancelled")


@dataclass(eq=False)
class _Job:
    key: Hashable
    work: Callable[["JobProgress"], None]
    waiting: set[str]
    time_limit: float | None
    # Whose it is: of the first who asked for it.
    session: str = ""
    left: set[str] = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)
    asked: float = field(default_factory=lambda: time.monotonic())
    begun: float | None = None
    state: State = "waiting"
    what: str = ""
    done: int = 0
    total: int = 0
    # When the first piece was done and how many were done then: what came before it was preparation.
    pace_from: tuple[float, int] | None = None
    error: UserFacingError | None = None
    partial: Any = None
    over: threading.Event = field(default_factory=threading.Event)

    def end(self, state: State, error: UserFacingError | None = None) -> None:
        """It is over, whoever waits."""
        self.error, self.partial, self.state = error, None, state
        self.over.set()

    def check(self) -> None:
        """Raise CancelledError where nobody waits for it, UserFacingError where it has taken too long."""
        # "" is the server itself, which does not ask.
        if "" not in self.waiting and time.monotonic() - self.asked > GONE_SECONDS:
            self.cancelled.set()
        if self.cancelled.is_set():
            raise CancelledError
        if self.begun and self.time_limit and time.monotonic() - self.begun > self.time_limit:
            minutes = round(self.time_limit / 60)
            raise UserFacingError(
                f"This took longer than {minutes} minutes and was stopped.",
                "Ask for less, such as a shorter prompt, or when fewer people use the server.",
            )

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
            UserFacingError: it has taken too long.
        """
        job = self._job
        job.check()
        job.what, job.done, job.total = what, done, total
        if job.pace_from is None and done > 0:
            job.pace_from = (time.monotonic(), done)

    def publish(self, partial: Any) -> None:
        """Show a part of the result (`JobView.partial`): a value that nobody changes afterwards."""
        self._job.partial = partial


class Jobs:
    """Runs jobs, `workers` of them at a time; those who ask take turns.

    A job that waits has no thread. It ends when nobody waits for it any more: all have left, or no page has
    asked how far it is for `GONE_SECONDS`.

    Args:
        workers: jobs that run at once; the others wait.
        for_each: jobs that one session may have; with another it leaves its oldest. A page shows one of a
            kind.
        time_limit: how long one may run, in seconds; None for as long as it takes.
    """

    def __init__(self, workers: int = 1, for_each: int = 1, time_limit: float | None = TIME_LIMIT) -> None:
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._guard = threading.Lock()
        self._workers, self._for_each, self._time_limit = workers, for_each, time_limit
        self._working = 0
        # When a session's last job began, as the number of that job.
        self._served: LRUCache[str, int] = LRUCache(REMEMBERED)
        self._begun = 0
        _all_jobs.add(self)

    def start(self, key: Hashable, work: Callable[[JobProgress], None], session_id: str = "") -> JobView:
        """Start `work` under `key`, or join the job that is under way there.

        Args:
            key: what is to be done; the same key means the same work.
            work: does it, calling the progress that it is handed after each piece.
            session_id: a name for the one who asks, so that each may leave without stopping the others; ""
                for the server itself, whose jobs end by themselves alone.
        """
        with self._guard:
            job = self._jobs.get(key)
            if job is not None and not job.view().ended and not job.cancelled.is_set():
                job.waiting.add(session_id)
                job.left.discard(session_id)
                job.asked = time.monotonic()
                return self._view(job)
            if session_id:
                self._leave_oldest(session_id)
            if len(self._line()) >= MAX_WAITING:
                return JobView("failed", error=TOO_MANY)
            job = _Job(key, work, {session_id}, self._time_limit, session_id)
            self._jobs[key] = job
            self._jobs.move_to_end(key)
            self._forget_old()
            view = self._view(job)
            if self._working < self._workers:
                self._working += 1
                # A daemon: work that does not heed `stop_all` does not keep a server from ending.
                thread = threading.Thread(target=self._work, name="jobs", daemon=True)
                with _threads_guard:
                    _threads[thread] = self
                thread.start()
        return view

    def view(self, key: Hashable) -> JobView | None:
        """How far the job under `key` is, for someone who waits for it; None where there was none."""
        with self._guard:
            job = self._jobs.get(key)
            if job is None:
                return None
            job.asked = time.monotonic()
            return self._view(job)

    def wait(self, key: Hashable, seconds: float) -> JobView | None:
        """As `view`, when the job has ended, or after so many seconds."""
        with self._guard:
            job = self._jobs.get(key)
        if job is not None:
            job.over.wait(seconds)
        return self.view(key)

    def leave(self, key: Hashable, session_id: str = "") -> None:
        """`session_id` no longer waits for the job; it is cancelled when nobody does."""
        with self._guard:
            job = self._jobs.get(key)
            if job is not None:
                self._leave(job, session_id)

    def has_left(self, key: Hashable, session_id: str) -> bool:
        """Whether `session_id` has left the job under `key`; not where it ended since nobody asked."""
        with self._guard:
            job = self._jobs.get(key)
            return job is not None and session_id in job.left

    def leave_all(self, session_id: str) -> None:
        """`session_id` no longer waits for anything."""
        with self._guard:
            for job in self._jobs.values():
                self._leave(job, session_id)

    def cancel_all(self) -> None:
        """End every job, whoever waits."""
        with self._guard:
            for job in self._jobs.values():
                job.cancelled.set()

    @property
    def under_way(self) -> int:
        """How many jobs run or wait."""
        with self._guard:
            return sum(not job.view().ended for job in self._jobs.values())

    def states(self) -> Counter[State]:
        """How many jobs are in each state, those that are remembered included."""
        with self._guard:
            return Counter(job.state for job in self._jobs.values())

    def _leave(self, job: _Job, session_id: str) -> None:
        if job.view().ended:
            return
        job.waiting.discard(session_id)
        job.left.add(session_id)
        if not job.waiting:
            job.cancelled.set()

    def _leave_oldest(self, session_id: str) -> None:
        own = [job for job in self._jobs.values() if session_id in job.waiting and not job.view().ended]
        for job in own[: max(0, len(own) + 1 - self._for_each)]:
            self._leave(job, session_id)

    def _line(self) -> list[_Job]:
        """The jobs that wait, in the order in which they are done: each session's first, then each's second.

        Of as many, the one whose session had a job longest ago.
        """
        own: Counter[str] = Counter()
        places = []
        for number, job in enumerate(self._jobs.values()):
            if job.state == "waiting" and not job.cancelled.is_set():
                places.append((own[job.session], self._served.get(job.session, 0), number, job))
                own[job.session] += 1
        return [job for *_, job in sorted(places, key=lambda place: place[:3])]

    def _view(self, job: _Job) -> JobView:
        line = self._line() if job.state == "waiting" else []
        return replace(job.view(), before=line.index(job) + self._working) if job in line else job.view()

    def _forget_old(self) -> None:
        for key, job in list(self._jobs.items()):
            if len(self._jobs) <= REMEMBERED:
                return
            if job.view().ended:
                del self._jobs[key]

    def _next(self) -> _Job | None:
        """The job that is next, from now on running; None where there is none, and the worker goes home."""
        with self._guard:
            for job in self._jobs.values():
                if job.state == "waiting" and job.cancelled.is_set():
                    job.end("cancelled")
            line = self._line()
            if not line:
                self._working -= 1
                return None
            job = line[0]
            job.state, job.begun = "running", time.monotonic()
            self._served[job.session] = self._begun = self._begun + 1
            return job

    def _work(self) -> None:
        with _forgotten_at_its_end():
            while (job := self._next()) is not None:
                threading.current_thread().name = f"job {job.key}"
                with asking(Asker(f"job {id(job)}", long=True)):
                    _run(job)


def _run(job: _Job) -> None:
    try:
        job.check()
        job.work(JobProgress(job))
        job.end("done")
    except CancelledError:
        job.end("cancelled")
    except UserFacingError as error:
        job.end("failed", error)
    except BaseException:
        logger.exception("a job failed")
        job.end("failed", UNFORESEEN)


@contextmanager
def _forgotten_at_its_end() -> Iterator[None]:
    try:
        yield
    finally:
        with _threads_guard:
            del _threads[threading.current_thread()]


def leave_everything(session_id: str) -> None:
    """A visit has ended: it waits for no job of this process any more."""
    for jobs in list(_all_jobs):
        jobs.leave_all(session_id)


def job_states() -> Counter[State]:
    """How many jobs of this process are in each state, those that are remembered included."""
    return sum((jobs.states() for jobs in list(_all_jobs)), Counter())


def jobs_under_way() -> int:
    """How many jobs of this process run or wait."""
    return sum(jobs.under_way for jobs in list(_all_jobs))


def stop_all(seconds: float) -> bool:
    """Cancel every job of this process and wait for their threads, for when the process ends.

    Args:
        seconds: how long to wait at most.

    Returns:
        Whether all of them have ended.
    """
    with _threads_guard:
        running = dict(_threads)
    for jobs in running.values():
        jobs.cancel_all()
    until = time.monotonic() + seconds
    for thread in running:
        thread.join(max(0.0, until - time.monotonic()))
    return not any(thread.is_alive() for thread in running)
