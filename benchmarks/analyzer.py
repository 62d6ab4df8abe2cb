"""How fast the analyzer scores a model, beside TransformerLens's detect_head and a bare forward.

python benchmarks/analyzer.py
python benchmarks/analyzer.py --json

A random model in GPT-2 small's shape reads 50 sequences (BOS, 25 random tokens, the same 25 again) in three
ways, in turn: our analyzer scores all heads for all five roles; detect_head, as released, for its three; the
plain Hugging Face model reads the same tokens in the same chunks and gives its last logits alone. The check
of the suggested prompts comes on top in an analysis and is timed apart. Peak memory is measured in processes
of their own, for as many sequences and for four times as many. With one thread seconds are the processor's,
so that other work on the machine does not count; with more they are the clock's.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from transformer_lens.head_detector import detect_head
from transformers.utils import logging as transformers_logging

from benchmarks.measure import (
    MEBIBYTE,
    add_options,
    add_sizes,
    clock_for,
    interleaved,
    machine,
    median_ratio,
    peak_memory,
    report,
    timed,
)
from benchmarks.random_models import GPT2_SIZES, save_random_gpt2
from utils.analyzer.bridge_patterns import CHUNK, BridgePatterns
from utils.analyzer.catalog_building import run_prompts
from utils.analyzer.detect_head_comparison import DETECTORS, TOLERANCE, TextSequence, compare, text_sequences
from utils.analyzer.measuring import score_sequences
from utils.analyzer.suggested_prompts import choose_prompts
from utils.heads import Head
from utils.models.loading import LoadedModel, load_model
from utils.roles.probe_inputs import probe_sequences
from utils.roles.registry import pattern_roles

# What is promised.
MIN_TO_DETECT_HEAD = 6
MAX_TO_FORWARD = 1.2
# So many times the sequences must not take more memory.
MORE = 4


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, repeats=3)
    add_sizes(parser, sequences=(50, "sequences"), **GPT2_SIZES)
    return parser


@dataclass(frozen=True)
class _Subject:
    """The random model in the two forms in which it is run."""

    plain: LoadedModel
    bridged: LoadedModel
    source: BridgePatterns
    sequences: list[TextSequence]

    @property
    def tokens(self) -> list[tuple[int, ...]]:
        return [sequence.tokens for sequence in self.sequences]


def _load(folder: Path, sequences: int) -> _Subject:
    # Each form has a model of its own, since the bridge changes its model.
    bridged = load_model("random", folder)
    source = BridgePatterns(bridged)
    return _Subject(load_model("random", folder), bridged, source, text_sequences(bridged, source, sequences))


def score(bridged: LoadedModel, source: BridgePatterns, tokens: Sequence[Sequence[int]]) -> None:
    """The analyzer's scoring: all heads, all roles."""
    score_sequences(pattern_roles(), source.patterns(tokens), bridged.special_ids)


def _forward(subject: _Subject) -> None:
    """The plain model over the same tokens, with no cache and no more logits than it must give."""
    for start in range(0, len(subject.sequences), CHUNK):
        ids = torch.tensor(subject.tokens[start : start + CHUNK])
        with torch.inference_mode():
            subject.plain.model(ids, logits_to_keep=1, use_cache=False)


def _detect_head(subject: _Subject) -> None:
    """detect_head as released, for its three roles."""
    texts = [sequence.text for sequence in subject.sequences]
    for detector in DETECTORS.values():
        detect_head(subject.source.bridge, texts, detector.name)


def _check_prompts(subject: _Subject) -> None:
    """What an analysis does besides scoring: run the suggested prompts and try them on random heads."""
    prompts = list(run_prompts(subject.bridged, subject.source.patterns).values())
    geometry = subject.bridged.geometry
    heads = [(Head(0, head), 0.5) for head in range(min(8, geometry.n_heads))]
    for role in pattern_roles():
        choose_prompts(role, heads, prompts, subject.bridged.special_ids, geometry.windows)


def scoring_in_a_process(folder: str, sequences: int, threads: int) -> Callable[[], object]:
    """Make ready to score so many sequences, for `peak_memory`."""
    torch.set_num_threads(threads)
    transformers_logging.disable_progress_bar()
    bridged = load_model("random", Path(folder))
    source = BridgePatterns(bridged)
    tokens = probe_sequences(
        "repeated", bridged.tokenizer, bridged.bos_id, bridged.special_ids, count=sequences
    )
    # Once before: what the first forward sets up does not grow with the sequences.
    score(bridged, source, tokens[:CHUNK])
    return lambda: score(bridged, source, tokens)


def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    subject = _load(folder, arguments.sequences)
    clock = clock_for(arguments.threads)
    works = {
        "forward": lambda: _forward(subject),
        "analyzer": lambda: score(subject.bridged, subject.source, subject.tokens),
        "detect_head": lambda: _detect_head(subject),
    }
    few = replace(subject, sequences=subject.sequences[:2])
    for warm_up in (_forward, _detect_head):
        warm_up(few)
    score(few.bridged, few.source, few.tokens)
    seconds = interleaved(works, arguments.repeats, warm_up=0, clock=clock)
    prompts = timed(lambda: _check_prompts(subject), 1, warm_up=0, clock=clock)
    agreement = compare(subject.bridged, subject.source, subject.sequences)
    memory = [
        peak_memory(scoring_in_a_process, str(folder), count, arguments.threads)
        for count in (arguments.sequences, MORE * arguments.sequences)
    ]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "ratio_to_detect_head": median_ratio(seconds["detect_head"], seconds["analyzer"]),
        "ratio_to_forward": median_ratio(seconds["analyzer"], seconds["forward"]),
        "seconds": medians,
        "seconds_each": seconds,
        "prompt_check_seconds": prompts[0],
        "largest_difference_from_detect_head": agreement.largest,
        "peak_memory_bytes": memory[0].peak,
        "peak_memory_bytes_with_more_sequences": memory[1].peak,
        "memory_before_bytes": [one.before for one in memory],
        "sequences": arguments.sequences,
        "more_sequences": MORE * arguments.sequences,
        "tokens": len(subject.sequences[0].tokens),
        "layers": arguments.layers,
        "heads": arguments.heads,
        "width": arguments.width,
        "repeats": arguments.repeats,
        **machine(arguments.threads),
    }


def table_rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The rows of the table: what, measured, promised."""
    seconds = found["seconds"]
    growth = found["peak_memory_bytes_with_more_sequences"] - found["peak_memory_bytes"]
    peak = found["peak_memory_bytes"] / MEBIBYTE
    return [
        ("bare forward", f"{seconds['forward']:.2f} s", ""),
        ("our analyzer, five roles", f"{seconds['analyzer']:.2f} s", ""),
        ("detect_head, three roles", f"{seconds['detect_head']:.2f} s", ""),
        ("check of the suggested prompts", f"{found['prompt_check_seconds']:.2f} s", ""),
        (
            "detect_head / our analyzer",
            f"{found['ratio_to_detect_head']:.2f}",
            f"at least {MIN_TO_DETECT_HEAD}",
        ),
        ("our analyzer / bare forward", f"{found['ratio_to_forward']:.2f}", f"at most {MAX_TO_FORWARD}"),
        *(
            (f"largest difference, {role}", f"{difference:.1e}", f"at most {TOLERANCE:.0e}")
            for role, difference in found["largest_difference_from_detect_head"].items()
        ),
        (f"peak memory, {found['sequences']} sequences", f"{peak:.0f} MiB", ""),
        (f"growth with {found['more_sequences']} sequences", f"{growth / MEBIBYTE:+.0f} MiB", "about 0"),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.width % arguments.heads:
        parser.error(f"argument --width: must be a multiple of the heads. Got {arguments.width}.")
    transformers_logging.disable_progress_bar()
    threads = torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            save_random_gpt2(Path(folder), arguments.layers, arguments.heads, arguments.width)
            found = _measure(Path(folder), arguments)
    finally:
        torch.set_num_threads(threads)
    title = (
        f"{arguments.layers} layers x {arguments.heads} heads, {arguments.width} wide; {arguments.sequences} "
        f"sequences of {found['tokens']} tokens; medians of {arguments.repeats}; threads: "
        f"{found['threads']}, {found['clock']}"
    )
    report(title, ("what", "measured", "promised"), table_rows(found), found, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
