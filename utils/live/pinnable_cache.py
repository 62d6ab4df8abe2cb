"""A bounded cache some of whose entries stay for good: what was prepared for a class before it began."""

from collections import ChainMap
from collections.abc import Callable, Hashable
from typing import TypeVar

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class PinnableCache(ChainMap[K, V]):
    """Keeps what was used last, and what is pinned; as `LRUCache` not safe for several threads by itself.

    Args:
        maxsize: most that the entries that are not pinned may take.
        getsizeof: how much an entry takes.
        max_pinned: most that the pinned entries may take, in the same unit.

    Attributes:
        pinned: the entries that stay.
        recent: those that were used last; an entry is in one of the two only.
    """

    def __init__(self, maxsize: int, getsizeof: Callable[[V], int], max_pinned: int) -> None:
        self.pinned: dict[K, V] = {}
        self.recent: LRUCache[K, V] = LRUCache(maxsize, getsizeof)
        self._size = getsizeof
        self._max_pinned = max_pinned
        super().__init__(self.pinned, self.recent)

    def pin(self, key: K, value: V) -> bool:
        """Keep an entry until it is deleted; False, and nothing is pinned, where there is no room left."""
        if key not in self.pinned:
            if sum(map(self._size, self.pinned.values())) + self._size(value) > self._max_pinned:
                return False
            self.recent.pop(key, None)
            self.pinned[key] = value
        return True

    def __setitem__(self, key: K, value: V) -> None:
        (self.pinned if key in self.pinned else self.recent)[key] = value

    def __delitem__(self, key: K) -> None:
        del (self.pinned if key in self.pinned else self.recent)[key]
