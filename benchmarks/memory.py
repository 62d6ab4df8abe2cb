"""What the server's process takes after many prompts, with and without what it asks of the C library.

python benchmarks/memory.py
python benchmarks/memory.py --json --prompts 200
python benchmarks/memory.py --model models/demo-gpt2 --prompts 40

Each prompt is another one and is analyzed as a Run does it (`LiveService.analyze`), by several threads in
turn as the server has them; its caches are full long before the end. Once in a process as `python app.py`
sets it up (`utils.runtime.process_tuning`), once in one that is left as it is, one after the other.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import MEBIBYTE, add_options, machine, peak_memory, positive, report
from utils.runtime.process_tuning import tune_process

ROOT = Path(__file__).resolve().parents[1]
# What is promised: of the memory without it.
MAX_RATIO = 0.7
THREADS = 8
WORDS = "The king gave the boy a golden ring and the boy took it to the river where Mary and John sat".split()


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser)
    parser.add_argument(
        "--model",
        type=Path,
        default=ROOT / "models" / "smollm2-135m-instruct",
        metavar="DIR",
        help="the folder of a model",
    )
    parser.add_argument(
        "--prompts", type=positive, default=200, metavar="N", help="different prompts (default: 200)"
    )
    return parser


def _prompt(number: int, longest: int) -> str:
    """A text of up to so many words, another one for each number."""
    first = number % len(WORDS)
    words = islice(cycle(WORDS), first, first + longest // 4 + number * 37 % (3 * longest // 4))
    return f"{number} {' '.join(words)}"


def prepare(folder: Path, prompts: int, threads: int, tuned: bool) -> Callable[[], object]:
    """Make a process ready; what it returns analyzes the prompts."""
    if tuned:
        tune_process()
    import torch

    from utils.live.service import LiveService
    from utils.models.store import ModelStore

    torch.set_num_threads(threads)
    service = LiveService(ModelStore([folder]))
    # So long that the longest has some 120 tokens.
    longest = 110 * len(WORDS) // len(service.tokenize(folder.name, " ".join(WORDS)).ids)

    def work() -> None:
        with ExitStack() as stack:
            pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(THREADS)]
            for number in range(prompts):
                text = _prompt(number, longest)
                pools[number % THREADS].submit(service.analyze, folder.name, text).result()

    return work


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = build_parser().parse_args(argv)
    given = (arguments.model.resolve(), arguments.prompts, arguments.threads)
    measured = {}
    for name, tuned in (("tuned", True), ("untuned", False)):
        measured[name] = peak_memory(prepare, *given, tuned)
    peaks = {name: memory.peak for name, memory in measured.items()}
    ratio = peaks["tuned"] / peaks["untuned"]
    found: dict[str, Any] = {
        "ratio": ratio,
        "peak_bytes": peaks,
        "seconds": {name: memory.elapsed for name, memory in measured.items()},
        "model": arguments.model.name,
        "prompts": arguments.prompts,
        **machine(arguments.threads),
    }
    rows = [
        (f"{name}: most memory", f"{peaks[name] / MEBIBYTE:,.0f} MiB", "") for name in ("untuned", "tuned")
    ]
    rows.append(("tuned / untuned", f"{ratio:.2f}", f"at most {MAX_RATIO}"))
    title = f"{arguments.prompts} prompts on {arguments.model.name}"
    report(title, ("what", "measured", "promised"), rows, found, arguments.json)
    return 0


if __name__ == "__main__":
    # A process that is spawned imports this file, and no more.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
