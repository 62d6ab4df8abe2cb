"""Threads at once, and work that waits until a test lets it go on."""

import threading
from collections.abc import Callable

PATIENCE = 20  # seconds, for what should take a moment


class StopError(Exception):
    """What a test's progress raises to stop the work."""


def in_threads(number: int, work: Callable[[], object]) -> None:
    """Do `work` in several threads at once and wait for them."""
    start = threading.Barrier(number)

    def run() -> None:
        start.wait(PATIENCE)
        work()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Gate:
    """A progress that stops at a stage until it is opened."""

    def __init__(self, stage: str = "reading the weights") -> None:
        self._stage = stage
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.error: BaseException | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if what == self._stage and not self.reached.is_set():
            self.reached.set()
            assert self.opened.wait(PATIENCE)
            if self.error is not None:
                raise self.error
