"""A download in a thread of its own: the caller hears how far it is, and may stop it."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from utils.runtime.jobs import Progress

T = TypeVar("T")

# How often the caller hears, in seconds.
_EVERY = 0.2
# How long a download that was asked to stop is waited for, in seconds. Then it is left to end by itself: at
# its next piece, or when its file is there.
_GRACE = 2


class _StoppedError(BaseException):
    """Nobody waits for this download any more; not an Exception, so that nothing makes a sentence of it."""


class _Count:
    """Bytes that have arrived, counted by the bars of one download."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.bars: list[Any] = []

    def bytes(self) -> int:
        # The library runs a bar over what the network brought and one over what is on the disk; either may
        # stand still for a while.
        return max((int(bar.n) for bar in list(self.bars)), default=0)

    def bar_class(self) -> type:
        """A class with as much of tqdm's interface as huggingface_hub uses, which draws nothing."""
        count = self

        class Bar:
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                self.n = kwargs.get("initial") or 0
                self.total = kwargs.get("total")
                self.format_dict: dict[str, Any] = {"rate": None}
                # The bar over the number of files has no unit.
                if kwargs.get("unit") == "B":
                    count.bars.append(self)

            def update(self, n: float | None = 1) -> None:
                # A server that ends does not wait for a download.
                if count.stopped.is_set() or not threading.main_thread().is_alive():
                    raise _StoppedError
                self.n += n or 0

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *error: object) -> None:
                pass

            def _nothing(self, *args: Any, **kwargs: Any) -> None:
                pass

            close = refresh = set_description = set_description_str = set_postfix_str = _nothing

        return Bar


def transfer(work: Callable[[type], T], what: str, total: int, progress: Progress) -> T:
    """Do `work` in a thread of its own and tell how far it is; returns what it returns.

    Args:
        work: gets the class of its progress bars (tqdm's interface) and downloads something.
        what: what `progress` is called with.
        total: bytes to come.
        progress: called in this thread. What it raises stops the download and passes through.

    Raises:
        Exception: what `work` raised.
    """
    count = _Count()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work(count.bar_class()))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name=what, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            progress(what, min(count.bytes(), total), total)
            thread.join(_EVERY)
    except BaseException:
        count.stopped.set()
        thread.join(_GRACE)
        raise
    if errors:
        raise errors[0]
    progress(what, total, total)
    return results[0]
