"""The cache for several threads: it holds what it should, at its capacity and under load."""

import threading

from utils.runtime.locked_cache import LockedCache


def test_what_was_used_last_stays_and_what_is_too_large_is_not_kept() -> None:
    cache = LockedCache[str, str](6, len)
    cache["a"], cache["b"] = "123", "456"
    assert cache.get("a") == "123"
    cache["c"] = "789"
    assert "b" not in cache and cache.get("a") == "123" and cache.get("c") == "789"
    cache["d"] = "1234567"
    assert cache.get("d") is None and len(cache) == 2
    cache.forget(lambda key: key == "a")
    assert cache.get("a", "gone") == "gone"


def test_eight_threads_at_its_capacity() -> None:
    cache, errors = LockedCache[int, int](50), []

    def work(seed: int) -> None:
        try:
            for step in range(3000):
                key = (seed * 7919 + step * 31) % 120
                found = cache.get(key)
                assert found in (None, key)
                cache[key] = key
        except Exception as error:  # whatever breaks it
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(cache) == 50
    for key in range(1000, 1050):
        cache[key] = key
    assert len(cache) == 50 and all(cache.get(key) == key for key in range(1000, 1050))
