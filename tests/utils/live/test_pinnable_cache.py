"""The cache whose pinned entries stay."""

from utils.live.pinnable_cache import PinnableCache


def cache() -> PinnableCache[str, str]:
    return PinnableCache(10, len, 8)


def test_pinned_entries_stay_while_others_go() -> None:
    kept = cache()
    kept["a"] = "aaaa"
    assert kept.pin("a", kept["a"]) and kept.pin("b", "bb")
    for number in range(20):
        kept[f"x{number}"] = "xxx"
    assert kept["a"] == kept.get("a") == "aaaa" and kept["b"] == "bb" and "b" in kept
    assert "x0" not in kept and kept.get("x0") is None and kept["x19"] == "xxx"


def test_pins_are_bounded_and_what_is_pinned_once_counts_once() -> None:
    kept = cache()
    assert kept.pin("a", "aaaaa") and kept.pin("a", "aaaaa")
    assert not kept.pin("b", "bbbb") and "b" not in kept
    assert kept.pin("b", "bbb")
    assert not kept.pin("c", "c")


def test_entries_of_both_kinds_are_there_once_and_can_be_deleted() -> None:
    kept = cache()
    for name in "abc":
        kept[name] = "xx"
    assert kept.pin("a", kept["a"]) and kept.pin("d", "yy")
    assert sorted(kept) == ["a", "b", "c", "d"] and len(kept) == 4 and kept.currsize == 4
    for name in list(kept):
        del kept[name]
    assert list(kept) == [] and len(kept) == kept.currsize == 0
    assert kept.pin("e", "yyyyyyyy"), "the room is free again"


def test_a_pinned_entry_can_be_replaced() -> None:
    kept = cache()
    assert kept.pin("a", "aaaaaa")
    kept["a"] = "z"
    for number in range(20):
        kept[f"x{number}"] = "xxx"
    assert kept["a"] == "z" and kept.pin("b", "bbbbbbb") and not kept.pin("c", "c")
