"""A file is read again only after it changed."""

import os
from pathlib import Path

import pytest

from utils.runtime.file_cache import FileCache


def test_files_are_read_again_when_they_change_come_or_go(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    cache, reads = FileCache[int](), []

    def read() -> int:
        reads.append(1)
        return len(reads)

    assert cache.get(read, one, other) == ((None, None), 1)
    assert cache.get(read, one, other)[1] == 1
    one.write_text("a")
    (changed, missing), value = cache.get(read, one, other)
    assert (changed, missing, value) == (one.stat().st_mtime_ns, None, 2)
    os.utime(one, ns=(0, 5))
    assert cache.get(read, one, other) == ((5, None), 3)
    assert cache.get(read, one) == ((5,), 4), "other files, another entry"
    one.unlink()
    assert cache.get(read, one, other) == ((None, None), 5)


def test_an_error_is_not_cached(tmp_path: Path) -> None:
    cache = FileCache[str]()
    with pytest.raises(FileNotFoundError):
        cache.get((tmp_path / "text").read_text, tmp_path / "text")
    assert cache.get(lambda: "made", tmp_path / "text") == ((None,), "made")
