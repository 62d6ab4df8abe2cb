"""Files that are written whole or not at all."""

import contextlib
import json
import os
import platform
import re
import signal
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

try:
    import fcntl
except ImportError:  # Windows, which locks no folders
    fcntl = None

# Whose a temporary file is: a digest of this machine's name, and the process.
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_WRITER = re.compile(r"([0-9a-f]{8})-([0-9]{1,9})")


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` to `path` (UTF-8) through a temporary file in the same folder.

    A reader sees the old file or the new one, never half of one; after an error the old one stands.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.
    """
    sweep_leftovers(path.parent)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=f".{_HOST}-{os.getpid()}.part"
    )
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes the file readable by its owner alone; a catalog is for everyone.
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a process left in `folder` and below when it was killed while it wrote.

    Only where nobody else writes there now. What cannot be deleted stays.
    """
    for path in folder.rglob(".*.part"):
        with contextlib.suppress(OSError):
            path.unlink()


def sweep_leftovers(folder: Path) -> None:
    """Delete the temporary files in `folder` of processes of this machine that are no more.

    Others may be writing there: theirs stay, and so does what cannot be deleted.
    """
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            # ".NAME.HOST-PROCESS.part"
            name, _, owner = entry.name.removesuffix(".part").rpartition(".")
            written = _WRITER.fullmatch(owner)
            if not (name.startswith(".") and entry.name.endswith(".part")):
                continue
            if written and written[1] == _HOST and not psutil.pid_exists(int(written[2])):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def write_json_atomic(path: Path, data: Any, indent: int | None = 1) -> None:
    """Write `data` as JSON (no NaN or infinity) by `write_text_atomic`."""
    write_text_atomic(path, json.dumps(data, indent=indent, allow_nan=False, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Put off Ctrl+C and SIGTERM until the block has ended, for a command line that writes a file.

    SIGTERM would end the process at once and leave the temporary file.
    """
    caught: list[int] = []
    before = {}
    # Only the main thread may set handlers; nothing interrupts another one.
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if number := getattr(signal, name, None):  # Windows lacks one
                before[number] = signal.signal(number, lambda got, frame: caught.append(got))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        signal.raise_signal(caught[0])


@contextlib.contextmanager
def alone_in(folder: Path, wait: Callable[[], None], every: float = 0.25) -> Iterator[None]:
    """Keep other processes of this machine out of the same block for the same folder.

    A process that is killed keeps nobody out. All are let in where a folder is missing or cannot be locked
    (Windows).

    Args:
        folder: whose files the block writes.
        wait: called again and again while another process is within; what it raises passes through.
        every: seconds between two calls.
    """
    handle = None
    if fcntl is not None:
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
    if fcntl is None or handle is None:
        yield
        return
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                wait()
                time.sleep(every)
        yield
    finally:
        os.close(handle)


def check_writable(folder: Path) -> None:
    """Find out whether files can be made in `folder` (made where it is missing): before work, not after it.

    By trying: to root every folder looks writable, one on a read-only disk too. What killed processes left
    there is deleted.

    Raises:
        OSError: they cannot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep_leftovers(folder)
    with defer_signals(), tempfile.TemporaryFile(dir=folder):
        pass
