"""Files are written whole or not at all."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from utils.runtime.files import (
    alone_in,
    check_writable,
    defer_signals,
    sweep_leftovers,
    write_json_atomic,
    write_text_atomic,
)

ROOT = Path(__file__).resolve().parents[3]


def test_the_new_text_stands_alone_in_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    write_text_atomic(path, "new é\n")
    assert path.read_text(encoding="utf-8") == "new é\n"
    assert os.listdir(tmp_path) == ["a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text_atomic(path, "old")

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_text_atomic(path, "new" * 10_000)
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupt_before_the_move_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_json_atomic(path, {"old": 1})

    def interrupt(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_json_atomic(path, {"new": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("data", [float("nan"), {"a": [float("inf")]}, {"a": object()}])
def test_what_is_no_json_changes_nothing(tmp_path: Path, data: object) -> None:
    path = tmp_path / "a.json"
    write_json_atomic(path, [1])
    with pytest.raises((ValueError, TypeError)):
        write_json_atomic(path, data)
    assert json.loads(path.read_text(encoding="utf-8")) == [1]
    assert os.listdir(tmp_path) == ["a.json"]


def test_text_that_no_file_can_hold_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text_atomic(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "half \ud83d")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_text_atomic(tmp_path / "none" / "a.txt", "x")


def test_json_keeps_characters_as_they_are_and_ends_its_line(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "a.json", {"é": ["→"]}, indent=None)
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{"é": ["→"]}\n'


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    handler = signal.getsignal(signal.SIGINT)
    steps = []
    with pytest.raises(KeyboardInterrupt):
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with defer_signals():
                signal.raise_signal(signal.SIGINT)
                steps.append("written")
            steps.append("never")
        finally:
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            signal.signal(signal.SIGINT, handler)
    assert steps == ["written"]


def test_a_folder_is_tried_without_leaving_anything(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert os.listdir(tmp_path / "new" / "folder") == []
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError):
        check_writable(tmp_path / "file")


def test_one_block_at_a_time_writes_in_a_folder(tmp_path: Path) -> None:
    seen: list[str] = []
    waits, leave = threading.Event(), threading.Event()

    def second() -> None:
        # Another process has another handle, as another thread has here.
        with alone_in(tmp_path, waits.set, every=0.01):
            seen.append("second")

    thread = threading.Thread(target=second)
    with alone_in(tmp_path, leave.set):
        thread.start()
        waits.wait()
        seen.append("first")
    thread.join()
    assert seen == ["first", "second"] and not leave.is_set()
    assert os.listdir(tmp_path) == []
    with alone_in(tmp_path / "none", leave.set):
        assert not leave.is_set()


def test_what_a_killed_writer_left_is_swept_by_the_next_and_no_others(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; import utils.runtime.files as files\n"
        "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_text_atomic(Path(sys.argv[1]), 'half')"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    # One that this process is writing, one of another machine, one of an earlier version.
    own = tmp_path / left.name.replace(left.name.split("-")[-1], f"{os.getpid()}.part")
    others = [own, tmp_path / ".a.txt.x.00000000-1.part", tmp_path / ".a.txt.part", tmp_path / "my.part"]
    for path in others:
        path.write_text("", encoding="utf-8")
    write_text_atomic(tmp_path / "b.txt", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"b.txt", *(path.name for path in others)}
    sweep_leftovers(tmp_path / "missing")
