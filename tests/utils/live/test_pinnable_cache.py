"""The cache whose pinned entries stay."""

from utils.live.pinnable_cache import PinnableCache


def cache() -> PinnableCache[str, str]:
    return PinnableCache(10, len, 8)


def test_pinned_entries_stay_while_others_go() -> None:
    cached = cache()
    cached["a"] = "aaaa"
    assert cached.pin("a", cached["a"]) and cached.pin("b", "bb")
    for number in range(20):
        cached[f"x{number}"] = "xxx"
    assert cached["a"] == cached.get("a") == "aaaa" and cached["b"] == "bb" and "b" in cached
    assert "x0" not in cached and cached.get("x0") is None and cached["x19"] == "xxx"


def test_pins_are_bounded_and_what_is_pinned_once_counts_once() -> None:
    cached = cache()
    assert cached.pin("a", "aaaaa") and cached.pin("a", "aaaaa")
    assert not cached.pin("b", "bbbb") and "b" not in cached
    assert cached.pin("b", "bbb")
    assert not cached.pin("c", "c")


def test_entries_of_both_kinds_are_there_once_and_can_be_deleted() -> None:
    cached = cache()
    for name in "abc":
        cached[name] = "xx"
    assert cached.pin("a", cached["a"]) and cached.pin("d", "yy")
    assert sorted(cached) == ["a", "b", "c", "d"] and len(cached) == 4 and cached.recent.currsize == 4
    for name in list(cached):
        del cached[name]
    assert list(cached) == [] and len(cached) == cached.recent.currsize == 0
    assert cached.pin("e", "yyyyyyyy"), "the room is free again"


def test_a_pinned_entry_can_be_replaced() -> None:
    cached = cache()
    assert cached.pin("a", "aaaaaa")
    cached["a"] = "z"
    for number in range(20):
        cached[f"x{number}"] = "xxx"
    assert cached["a"] == "z" and cached.pin("b", "bbbbbbb") and not cached.pin("c", "c")
