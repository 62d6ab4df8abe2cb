"""A bounded cache some of whose entries stay for good: what was prepared for a class before it began."""

from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from cachetools import LRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class PinnableCache(LRUCache[K, V]):
    """Keeps what was used last, and what is pinned; as `LRUCache` not safe for several threads by itself.

    Args:
        maxsize: most that the entries that are not pinned may take.
        getsizeof: how much an entry takes.
        most_pinned: most that the pinned entries may take, in the same unit.
    """

    def __init__(self, maxsize: int, getsizeof: Callable[[V], int], most_pinned: int) -> None:
        super().__init__(maxsize, getsizeof)
        self._pinned: dict[K, V] = {}
        self._room = most_pinned
        self._size_of = getsizeof

    def pin(self, key: K, value: V) -> bool:
        """Keep an entry until it is deleted; False, and nothing is pinned, where there is no room left."""
        if key in self._pinned:
            return True
        size = self._size_of(value)
        if size > self._room:
            return False
        # An entry is in one of the two places only.
        if key in self:
            super().__delitem__(key)
        self._pinned[key] = value
        self._room -= size
        return True

    def __delitem__(self, key: K) -> None:
        if key in self._pinned:
            self._room += self._size_of(self._pinned.pop(key))
        else:
            super().__delitem__(key)

    def __iter__(self) -> Iterator[K]:
        yield from self._pinned
        yield from super().__iter__()

    def __len__(self) -> int:
        return len(self._pinned) + super().__len__()

    def __contains__(self, key: object) -> bool:
        return key in self._pinned or super().__contains__(key)

    def __getitem__(self, key: K) -> V:
        if key in self._pinned:
            return self._pinned[key]
        return super().__getitem__(key)

    def get(self, key: K, default: Any = None) -> Any:
        """The entry, or `default`."""
        return self[key] if key in self else default

    def __setitem__(self, key: K, value: V) -> None:
        if key in self._pinned:
            self._room += self._size_of(self._pinned.pop(key)) - self._size_of(value)
            self._pinned[key] = value
        else:
            super().__setitem__(key, value)
