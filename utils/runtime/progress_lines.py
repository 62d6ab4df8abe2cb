"""How a command line tells how far it is: a line for people on stderr, or JSON lines for a program on stdout.

The JSON is one object a line. `{"what": "...", "done": n, "total": m}` while the work goes on, done counted
over all of it and total 0 where that is not known yet; last `{"catalog": path}`, or
`{"error": message, "remedy": what to do}`. The app reads it (`analysis_jobs`).
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from utils.errors import UserFacingError

# A line on a terminal is written over at most this often, in seconds.
_REFRESH = 0.1


class ProgressLines(Protocol):
    """What a command line needs for one piece of work."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how far the work is."""
        ...

    def finish(self, path: str) -> None:
        """Tell where the result is."""
        ...

    def fail(self, error: UserFacingError) -> None:
        """Tell why there is none."""
        ...

    def close(self) -> None:
        """End a line that is being written over, so that another may follow."""
        ...


class JsonLines:
    """JSON objects, one a line, each sent at once.

    Args:
        stream: where they go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def _write(self, **message: Any) -> None:
        line = json.dumps(message) + "\n"
        if line != self._last:
            self._stream.write(line)
            self._stream.flush()
        self._last = line

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how far the work is."""
        self._write(what=what, done=done, total=total)

    def finish(self, path: str) -> None:
        """Tell where the result is."""
        self._write(catalog=path)

    def fail(self, error: UserFacingError) -> None:
        """Tell why there is none."""
        self._write(error=error.message, remedy=error.remedy)

    def close(self) -> None:
        """Nothing is open."""


class TextLines:
    """One line on stderr that is written over on a terminal; a line a stage in a log. The result on stdout.

    Args:
        name: what the work is about, said first.
        progress: where the progress goes; stderr where it is None.
        results: where the results go; stdout where it is None.
        clock: seconds from some time on.
    """

    def __init__(
        self,
        name: str,
        progress: TextIO | None = None,
        results: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._progress = progress or sys.stderr
        self._results = results or sys.stdout
        self._clock = clock
        self._began = (clock(), 0, 0)  # when work of this size began, done then, in all
        self._shown = 0.0
        self._stage = self._reported = ""
        self._open = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how far the work is."""
        now = self._clock()
        new_stage = what != self._stage
        self._stage = what
        if total != self._began[2]:
            self._began = (now, done, total)
        if not self._progress.isatty():
            # From the first piece on: where nothing comes of it, the error is the one line.
            if done and what != self._reported:
                self._reported = what
                self._progress.write(f"{self._name}: {what}{_share(done, total)}\n")
        elif new_stage or done == total or now - self._shown >= _REFRESH:
            since, first, _ = self._began
            left = _time_left(now - since, done - first, total - first)
            self._progress.write(f"\r\033[K{self._name}: {what}{_share(done, total)}{left}")
            self._open, self._shown = True, now
        self._progress.flush()

    def finish(self, path: str) -> None:
        """Write where the result is."""
        self._results.write(f"{path}\n")
        self._results.flush()

    def fail(self, error: UserFacingError) -> None:
        """Nothing here: errors stand on stderr whoever reads the progress."""

    def close(self) -> None:
        """End the line that is being written over."""
        if self._open:
            self._progress.write("\n")
            self._progress.flush()
            self._open = False


def _share(done: int, total: int) -> str:
    return f" ({done / total:.0%})" if done and total else ""


def _time_left(seconds: float, done: int, total: int) -> str:
    if not 0 < done < total:
        return ""
    left = seconds / done * (total - done)
    return f", {left:.0f} s left" if left < 100 else f", {left / 60:.0f} min left"
