"""Results that take a while: computed once as a job, kept for all who ask for the same."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from utils.runtime.jobs import JobProgress, Jobs, JobView
from utils.runtime.locked_cache import LockedCache
from utils.runtime.shared_cache import SharedResults

Result = TypeVar("Result")


class Background(Generic[Result]):
    """Computes and keeps results by key.

    Args:
        cached: how many results are kept.
        workers: how many are computed at once.
        shared: where other servers' results are found; keys then begin with the model's name.
    """

    def __init__(self, cached: int, workers: int = 2, shared: SharedResults[Result] | None = None) -> None:
        self._jobs = Jobs(workers)
        self._shared = shared
        self._kept: LockedCache[Hashable, Result] = LockedCache(cached)

    def get(self, key: Hashable) -> Result | None:
        """The result, None where it is not there (yet)."""
        cached = self._kept.get(key)
        if cached is None and self._shared is not None and isinstance(key, tuple):
            cached = self._shared.get(key)
            if cached is not None:
                self._kept[key] = cached
        return cached

    def view(self, key: Hashable) -> JobView | None:
        """How far the computation of a result is, None where nobody has asked for it."""
        return self._jobs.view(key)

    def keep(self, key: Hashable, result: Result) -> None:
        """Keep a result that was computed elsewhere."""
        self._kept[key] = result
        if self._shared is not None and isinstance(key, tuple):
            self._shared.put(key, result)

    def follow(
        self, key: Hashable, compute: Callable[[JobProgress], Result], session_id: str, again: bool
    ) -> JobView:
        """How far the computation is; it starts where there was none.

        Args:
            key: what is computed.
            compute: does it; what it publishes of the result is `partial` of the view.
            session_id: the visit.
            again: whether one that failed or was cancelled starts anew (someone asks for it, no tick).
        """
        view = self._jobs.view(key)
        if view is None or (view.ended and again) or self._is_missed(key, view, session_id):

            def work(progress: JobProgress) -> None:
                self.keep(key, compute(progress))

            view = self._jobs.start(key, work, session_id)
        return view

    def _is_missed(self, key: Hashable, view: JobView, session_id: str) -> bool:
        """Whether a job was ended since nobody asked, and now somebody does: another server had its page."""
        return view.state == "cancelled" and not self._jobs.has_left(key, session_id)

    def soon(
        self,
        key: Hashable,
        compute: Callable[[JobProgress], Result],
        session_id: str,
        again: bool,
        patience: float,
    ) -> Result | JobView:
        """The result where it is there or comes in a moment; else how far it is.

        Args:
            key: what is computed.
            compute: does it.
            session_id: the visit.
            again: as in `follow`.
            patience: how long to wait for it, in seconds, so that quick work shows no progress.
        """
        cached = self.get(key)
        if cached is not None:
            return cached
        view = self.follow(key, compute, session_id, again)
        if patience and not view.ended:
            view = self._jobs.wait(key, patience) or view
        cached = self._kept.get(key)
        return view if cached is None else cached

    def leave(self, key: Hashable, session_id: str) -> None:
        """`session_id` no longer waits for the result."""
        self._jobs.leave(key, session_id)
