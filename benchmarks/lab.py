"""How long the retrieval lab takes from a prompt to all its rankings, beside one plain forward of it.

python benchmarks/lab.py
python benchmarks/lab.py --json
python benchmarks/lab.py --model demo-llama --tokens 192 --threads 2

The lab reads a generated filing of 512 tokens with a question: the prompt, the null query, the answer token
by token, and scores every head by every method. Beside it one forward of the prompt's tokens that hands out
all attention patterns and logits. The longest gap is the longest time in which the lab said nothing about how
far it is, on the clock, loading not counted. With one thread seconds are the processor's, with more they are
the clock's.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from transformers.utils import logging as transformers_logging

from benchmarks.measure import add_options, add_sizes, clock_for, interleaved, machine, median_ratio, report
from retrieval.filings.tasks import TASKS
from retrieval.lab.reading import LabReading, read_lab
from retrieval.lab.state import LabPrompt
from retrieval.rankings.methods import METHODS
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.models.loading import LoadedModel
from utils.models.sources import REAL_MODEL, find_model, load_source

# What is promised: on the clock, with two cores to itself.
MAX_SECONDS = 10.0
MAX_GAP_SECONDS = 1.0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, repeats=3)
    add_sizes(parser, tokens=(512, "tokens of the prompt"))
    parser.add_argument(
        "--model", default=REAL_MODEL, metavar="NAME_OR_DIR", help="the model (default: %(default)s)"
    )
    parser.add_argument(
        "--question", choices=TASKS, default="inc_state", help="what is asked (default: %(default)s)"
    )
    return parser


class _Gaps:
    """The longest time between two progress messages, in seconds on the clock."""

    def __init__(self) -> None:
        self.messages = 0
        self.longest = 0.0
        self._last = time.perf_counter()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Hear a message."""
        now = time.perf_counter()
        self.longest = max(self.longest, now - self._last)
        self._last = now
        self.messages += 1


def _measure(loaded: LoadedModel, arguments: argparse.Namespace) -> dict[str, Any]:
    prompt = LabPrompt(loaded.name, arguments.question, length=arguments.tokens)
    reading, _ = read_lab(loaded, prompt)
    ids = reading.encoded.ids
    gaps: list[_Gaps] = []

    def lab() -> LabReading:
        gaps.append(_Gaps())
        found, _ = read_lab(loaded, prompt, gaps[-1])
        gaps[-1]("done", 1, 1)
        return found

    seconds = interleaved(
        {"lab": lab, "forward": lambda: capture(loaded, ids)},
        arguments.repeats,
        warm_up=1,
        clock=clock_for(arguments.threads),
    )
    counted = gaps[1:]
    return {
        "ratio_to_forward": median_ratio(seconds["lab"], seconds["forward"]),
        "lab_seconds": statistics.median(seconds["lab"]),
        "forward_seconds": statistics.median(seconds["forward"]),
        "longest_gap_seconds": max(gap.longest for gap in counted),
        "messages": min(gap.messages for gap in counted),
        "rankings": sum(ranking.scores is not None for ranking in reading.rankings.values()),
        "answer_tokens": len(reading.answer.ids),
        "seconds": seconds,
        "tokens": len(ids),
        "model": loaded.name,
        "layers": loaded.geometry.n_layers,
        "heads": loaded.geometry.n_heads,
        "repeats": arguments.repeats,
        **machine(arguments.threads),
    }


def _rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (
            "prompt to all rankings",
            f"{found['lab_seconds']:.2f} s",
            f"at most {MAX_SECONDS:.0f} s on two cores",
        ),
        ("one forward with all patterns", f"{found['forward_seconds']:.2f} s", ""),
        ("lab / forward", f"{found['ratio_to_forward']:.2f}", ""),
        (
            "longest gap between messages",
            f"{found['longest_gap_seconds']:.2f} s",
            f"at most {MAX_GAP_SECONDS:.0f} s",
        ),
        ("messages", f"{found['messages']:,}", ""),
        ("rankings", f"{found['rankings']} of {len(METHODS)}", ""),
        ("tokens of the answer", str(found["answer_tokens"]), ""),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    transformers_logging.disable_progress_bar()
    try:
        found = _measure(load_source(find_model(arguments.model)), arguments)
    except UserFacingError as error:
        parser.error(str(error))
    title = (
        f"{found['model']}: {found['layers']} layers x {found['heads']} heads, {found['tokens']} tokens; "
        f"medians of {found['repeats']}; {found['threads']} thread(s)"
    )
    report(title, ("what", "measured", "promised"), _rows(found), found, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
