"""A cache with room holds what transformers' own holds, token by token and row by row."""

import pytest
import torch
from transformers.cache_utils import DynamicCache

from retrieval.reading.roomy_cache import give_room


def tokens(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    keys, values = torch.randn(2, 3, 2, count, 4, generator=draws)
    return keys, values


@pytest.mark.parametrize("room", [1, 2, 9])
def test_the_same_as_without_room(room: int) -> None:
    plain, roomy = DynamicCache(), DynamicCache()
    for layer in range(2):
        for cache in (plain, roomy):
            cache.update(*tokens(5, layer), layer)
    give_room(roomy, room)
    for step in range(4):
        if step == 2:
            for cache in (plain, roomy):
                cache.batch_select_indices(torch.tensor([0, 2]))
        for layer in range(2):
            keys, values = (each[: 3 if step < 2 else 2] for each in tokens(1, 10 * step + layer))
            expected = plain.update(keys, values, layer)
            for found, wanted in zip(roomy.update(keys, values, layer), expected, strict=True):
                assert torch.equal(found, wanted)
        assert roomy.get_seq_length() == plain.get_seq_length() == 6 + step


def test_a_token_more_copies_nothing() -> None:
    cache = DynamicCache()
    cache.update(*tokens(5, 0), 0)
    give_room(cache, 3)
    places = {cache.update(*tokens(1, step), 0)[0].data_ptr() for step in range(3)}
    assert len(places) == 1
    assert cache.update(*tokens(1, 9), 0)[0].data_ptr() not in places
