"""What was read from files, read anew when one of them changed."""

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

V = TypeVar("V")

# When each file was changed, in nanoseconds; None for one that is not there.
Changed = tuple[int | None, ...]


class FileCache(Generic[V]):
    """A value for each group of files, as old as they are; may be used by several threads at once."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[Changed, V]] = {}
        self._guard = threading.Lock()

    def get(self, read: Callable[[], V], *paths: Path, of: Hashable = None) -> tuple[Changed, V]:
        """When the files were changed, and what `read` makes of them.

        Args:
            read: called where a file was changed, came or went since the last call. Its errors are passed on
                and nothing is cached then.
            paths: the files; the same ones, with the same `of`, are one entry.
            of: what the value depends on besides.
        """
        changed = tuple(_changed(path) for path in paths)
        with self._guard:
            cached = self._values.get((paths, of))
        if cached is None or cached[0] != changed:
            cached = changed, read()
            with self._guard:
                self._values[paths, of] = cached
        return cached


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
