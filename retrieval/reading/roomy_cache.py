"""A key/value cache with room for an answer: a token more is written into it, and nothing is copied.

transformers' layers make new tensors of all keys and values for each token. Of twenty prompts of 500 tokens
that copies half a gigabyte a token, which takes as long as what is computed.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer


class _RoomyLayer(DynamicLayer):
    """One layer's keys and values [row, kv head, position, d_head], the beginning of larger tensors.

    Args:
        layer: what is to be taken over.
        room: tokens that there is to be room for.
    """

    def __init__(self, layer: DynamicLayer, room: int) -> None:
        super().__init__()
        assert layer.keys is not None and layer.values is not None
        self.dtype, self.device, self.is_initialized = layer.keys.dtype, layer.keys.device, True
        self._room = room
        self._take(layer.keys, layer.values)

    def _take(self, keys: Tensor, values: Tensor) -> None:
        self._whole_keys, self._whole_values = (
            torch.cat((each, each.new_empty(*each.shape[:2], self._room, each.shape[3])), dim=2)
            for each in (keys, values)
        )
        self._show(keys.shape[2])

    def _show(self, length: int) -> None:
        self.keys, self.values = self._whole_keys[:, :, :length], self._whole_values[:, :, :length]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """Write some tokens more; all of them are given back."""
        assert self.keys is not None and self.values is not None
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        if end > self._whole_keys.shape[2]:
            self._take(self.keys, self.values)
        self._whole_keys[:, :, start:end] = key_states
        self._whole_values[:, :, start:end] = value_states
        self._show(end)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Leave out all other rows."""
        assert self.keys is not None
        length = self.keys.shape[2]
        self._whole_keys, self._whole_values = self._whole_keys[indices], self._whole_values[indices]
        self._show(length)


def give_room(cache: Any, tokens: int) -> None:
    """Let a key/value cache grow by `tokens` without copies; layers with a window stay as they are.

    The cache must not be branched any more: tokens are written in place.
    """
    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.keys is not None:
            cache.layers[place] = _RoomyLayer(layer, tokens)
