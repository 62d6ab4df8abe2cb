"""What all benchmarks share: times that a busy machine does not spoil, peak memory, a table or a JSON object.

Nothing here knows what is measured. A benchmark is a script with a `main(argv) -> int` that calls
`add_options`, `add_sizes`, `interleaved`, `peak_memory` and `report`.
"""

import argparse
import json
import multiprocessing
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEBIBYTE = 2**20


def add_options(parser: argparse.ArgumentParser, repeats: int = 5) -> None:
    """The options of every benchmark: --json, --repeats and --threads."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument(
        "--repeats",
        type=positive,
        default=repeats,
        metavar="N",
        help=f"times that each thing is timed; the median counts (default: {repeats})",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=1,
        metavar="N",
        help="threads that torch uses (default: 1, which other work on the machine disturbs least)",
    )


def add_sizes(parser: argparse.ArgumentParser, **sizes: tuple[int, str]) -> None:
    """An option for each size of what is measured, with the default and what it counts."""
    for name, (default, what) in sizes.items():
        parser.add_argument(
            f"--{name}", type=positive, default=default, metavar="N", help=f"{what} (default: {default})"
        )


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text) if re.fullmatch(r"\d{1,6}", text) else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1. Got '{text}'.")
    return number


Clock = Callable[[], float]


def clock_for(threads: int) -> Clock:
    """The clock to measure with: this process's processor time for one thread, elapsed time for more.

    On a machine with nothing else to do the first is the elapsed time of one thread; on a busy one it leaves
    out what others take. Of many threads it would count those that wait for each other.
    """
    return time.process_time if threads == 1 else time.perf_counter


def timed(
    work: Callable[[], object], repeats: int, warm_up: int = 1, clock: Clock = time.perf_counter
) -> list[float]:
    """Seconds of each of `repeats` calls, after `warm_up` calls that do not count."""
    return interleaved({"": work}, repeats, warm_up, clock)[""]


def interleaved(
    works: Mapping[str, Callable[[], object]],
    repeats: int,
    warm_up: int = 1,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each call of each work, taken in turn: a, b, c, a, b, c.

    A machine that is slower for a while then slows all of them, and their ratios stay what they are.

    Args:
        works: what to time, by name.
        repeats: how many times each.
        warm_up: calls of each beforehand that do not count.
        clock: seconds from some time on.
    """
    for _ in range(warm_up):
        for work in works.values():
            work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = clock()
            work()
            seconds[name].append(clock() - start)
    return seconds


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of `above` over that of `below`."""
    return statistics.median(above) / statistics.median(below)


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process in bytes, and how long its work took in seconds.

    Attributes:
        before: when the work began.
        peak: the most while it ran.
        processor: processor time, of all threads together.
        elapsed: time on the clock.
    """

    before: int
    peak: int
    processor: float
    elapsed: float


def peak_memory(prepare: Callable[..., Callable[[], object]], *args: Any) -> Memory:
    """Peak memory and time of some work in a process of its own, which nothing else has filled before.

    Args:
        prepare: a function at the top of a module (the process is spawned, and imports it); it makes ready
            and returns the work. Only the work is measured.
        *args: for `prepare`; they are pickled.

    Raises:
        RuntimeError: the process failed; it has said why on stderr.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_memory, args=(sender, prepare, args))
    process.start()
    sender.close()
    try:
        memory: Memory = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process that measures memory ended with {process.exitcode}.") from None
    process.join()
    return memory


def _measure_memory(sender: Any, prepare: Callable[..., Callable[[], object]], args: Sequence[Any]) -> None:
    work = prepare(*args)
    _forget_peak()
    before = _status("VmRSS")
    processor, elapsed = time.process_time(), time.perf_counter()
    work()
    processor, elapsed = time.process_time() - processor, time.perf_counter() - elapsed
    sender.send(Memory(before, _status("VmHWM"), processor, elapsed))
    sender.close()


def _status(field: str) -> int:
    """VmRSS (memory now) or VmHWM (most so far), bytes; getrusage would count what the parent had."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except FileNotFoundError:
        # Not Linux: the most so far stands for both, in bytes on macOS.
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 0


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pass  # the peak then counts the making ready too


def machine(threads: int) -> dict[str, Any]:
    """What a time depends on, for the JSON object: cores, threads, versions."""
    import torch

    return {
        "clock": "processor time" if clock_for(threads) is time.process_time else "elapsed time",
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def report(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    result: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Print a table with its title, or with `as_json` the result as one JSON object on one line.

    Args:
        title: one line above the table.
        columns: heads of the columns.
        rows: the cells as they are to be shown; the first column stands left, the others right.
        result: the numbers, for machines; NaN and infinity are refused.
        as_json: which of the two.
    """
    if as_json:
        sys.stdout.write(json.dumps(dict(result), allow_nan=False) + "\n")
        return
    table = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
    lines = [title, ""]
    for number, row in enumerate(table):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    sys.stdout.write("\n".join(lines) + "\n")
