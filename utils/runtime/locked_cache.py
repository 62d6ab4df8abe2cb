"""A cache of what was used last, for several threads at once.

`cachetools.LRUCache` moves entries about even when one is only read: without a lock two threads break it for
good.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LockedCache(Generic[K, V]):
    """Keeps what was used last.

    Args:
        maxsize: most that all entries may take.
        getsizeof: how much an entry takes; 1 by default. One that is larger than `maxsize` is not kept.
    """

    def __init__(self, maxsize: int, getsizeof: Callable[[V], int] | None = None) -> None:
        self._entries: LRUCache[K, V] = LRUCache(maxsize, getsizeof)
        self._size = getsizeof or (lambda value: 1)
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def get(self, key: K, default: V | None = None) -> V | None:
        """The entry, which is from now on the one used last."""
        with self._guard:
            return self._entries.get(key, default)

    def __setitem__(self, key: K, value: V) -> None:
        if self._size(value) <= self._entries.maxsize:
            with self._guard:
                self._entries[key] = value

    def forget(self, unwanted: Callable[[K], bool]) -> None:
        """Drop the entries whose keys are `unwanted`."""
        with self._guard:
            for key in [key for key in self._entries if unwanted(key)]:
                del self._entries[key]
