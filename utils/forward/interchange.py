"""Interchange: heads get the values that they have on a second prompt (docs/METHODS.md, section 4).

PyVene's own operation. The values are collected once for a second prompt and put in place by the same
intervention that zero and mean ablation use, so that each row of a batch may swap other heads.
"""

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import LRUCache
from torch import Tensor

from utils.errors import UserFacingError
from utils.forward.head_outputs import head_outputs
from utils.models.loading import LoadedModel

INTERCHANGE = "interchange"
# Second prompts whose values are kept with a model: those of one page and one map, and their neighbours.
MAX_CACHED = 8


@dataclass(frozen=True)
class Interchange:
    """The ablation method that puts a head's values on a second prompt in its place, position by position.

    Attributes:
        ids: the second prompt's tokens, as many as the text has that is run.
    """

    ids: tuple[int, ...]

    def __str__(self) -> str:
        """The method's key in results, links and exports."""
        return INTERCHANGE


_CACHES: weakref.WeakKeyDictionary[LoadedModel, LRUCache[tuple[int, ...], Tensor]] = (
    weakref.WeakKeyDictionary()
)
_GUARD = threading.Lock()


def interchange_values(loaded: LoadedModel, ids: Sequence[int]) -> Tensor:
    """Every head's values on a second prompt, [layer, head, position, d_head]; do not change them in place.

    Computed at the first call for a prompt (one forward under the model's lock) and kept for a while.
    """
    key = tuple(ids)
    with _GUARD:
        cache = _CACHES.setdefault(loaded, LRUCache(MAX_CACHED))
        if key in cache:
            return cache[key]
    values = head_outputs(loaded, key)
    with _GUARD:
        cache[key] = values
    return values


def check_lengths(first: int, second: int) -> None:
    """Raise UserFacingError where the two prompts have unlike numbers of tokens."""
    if first != second:
        raise UserFacingError(
            f"The prompt has {first} tokens and the second prompt {second}: heads can take over values only "
            "between prompts of one length.",
            "Add or cut a word, or pad the shorter one.",
        )
