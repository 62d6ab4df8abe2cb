"""What ranking heads takes on long filings, beside the patterns of the whole prompt.

python benchmarks/long_context.py
python benchmarks/long_context.py --lengths 1024 2048 --json

A random model in demo-llama's shape, its position limit raised, reads a generated filing of each length for
QRHead and summed attention. "ours" is what the study does: the prompt through the key/value cache in chunks,
attention rows for the question and the last token alone (`retrieval.rankings.ranking`). "whole" is
`output_attentions=True` over all of it, once with the question and once with the null query, where two such
patterns' worth of memory is free. Each runs in a process of its own, so that its peak memory is its own;
memory is the peak above what the process held when the work began. How far the scores are apart is measured
at the smallest length. Growth is the exponent e of length^e between the smallest and the largest length: 1 is
linear, 2 quadratic.
"""

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from benchmarks.measure import (
    MEBIBYTE,
    add_options,
    clock_for,
    machine,
    peak_memory,
    positive,
    report,
)
from benchmarks.random_models import save_random_demo_llama
from retrieval.filings.generated import make_filings_of_length
from retrieval.filings.prompting import EncodedPrompt, count_tokens, encode_sample
from retrieval.rankings.methods import RankingOptions
from retrieval.rankings.ranking import read_sample, sample_scores
from retrieval.rankings.scores import qrhead_score, summed_attention
from utils.forward.ablation import forward
from utils.models.loading import LoadedModel, load_model
from utils.models.memory import free_memory, size_text

LENGTHS = (2048, 4096, 8192, 16384)
METHODS = ("qrhead", "summed_attention")
TASK = "employee_count"
OPTIONS = RankingOptions()
Way = Literal["ours", "whole"]
WAYS: tuple[Way, ...] = get_args(Way)
Scores = dict[str, Tensor]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, repeats=1)
    parser.add_argument(
        "--lengths",
        type=positive,
        nargs="+",
        default=list(LENGTHS),
        metavar="N",
        help=f"tokens of the prompts (default: {' '.join(map(str, LENGTHS))})",
    )
    return parser


def _load(folder: Path, length: int) -> tuple[LoadedModel, EncodedPrompt]:
    loaded = load_model("random", folder)
    sample = make_filings_of_length(TASK, 1, 0, length, lambda text: count_tokens(loaded, text))[0]
    return loaded, encode_sample(loaded, sample)


def ours(loaded: LoadedModel, encoded: EncodedPrompt) -> Scores:
    """Both methods' scores, [layer, head], as the study makes them."""
    readings = read_sample(loaded, encoded, METHODS, OPTIONS)
    found = {method: sample_scores(method, readings, OPTIONS).scores for method in METHODS}
    return {method: scores for method, scores in found.items() if scores is not None}


def whole(loaded: LoadedModel, encoded: EncodedPrompt) -> Scores:
    """The same from the patterns of the whole prompt, one prompt after the other."""
    needle = encoded.spans[OPTIONS.span]
    query, last = _rows(loaded, encoded.ids, encoded.spans["question"])
    null, _ = _rows(loaded, encoded.null_ids, encoded.null_spans["question"])
    return {
        "qrhead": qrhead_score(query, null, needle, encoded.shared),
        "summed_attention": summed_attention(last, needle),
    }


def _rows(loaded: LoadedModel, ids: Sequence[int], span: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The question's rows and the last token's, copied out of the whole pattern."""
    inputs = {"input_ids": torch.tensor([list(ids)]), "output_attentions": True, "logits_to_keep": 1}
    patterns = forward(loaded, inputs).attentions
    rows = torch.stack([pattern[0, :, slice(*span)] for pattern in patterns])
    return rows, torch.stack([pattern[0, :, -1] for pattern in patterns])


def work_in_a_process(folder: str, length: int, way: Way, threads: int) -> Callable[[], object]:
    """Make ready to rank on a filing of so many tokens, for `peak_memory`."""
    torch.set_num_threads(threads)
    transformers_logging.disable_progress_bar()
    loaded, encoded = _load(Path(folder), length)
    # Once on a short one, so that what torch allocates for good is there already.
    _, little = _load(Path(folder), 128)
    run = ours if way == "ours" else whole
    run(loaded, little)
    return lambda: run(loaded, encoded)


def whole_bytes(loaded: LoadedModel, length: int) -> int:
    """What the patterns of all layers take in float32, and the scores that one layer has in work."""
    geometry = loaded.geometry
    return 4 * geometry.n_heads * length**2 * (geometry.n_layers + 3)


def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    lengths = sorted(set(arguments.lengths))
    loaded, encoded = _load(folder, lengths[0])
    result: dict[str, Any] = {"lengths": [], "largest_difference": None}
    if whole_bytes(loaded, lengths[0]) <= free_memory("cpu"):
        one, other = ours(loaded, encoded), whole(loaded, encoded)
        result["largest_difference"] = max(float((one[key] - other[key]).abs().max()) for key in METHODS)
        result["largest_score"] = max(float(other[key].abs().max()) for key in METHODS)
    for length in lengths:
        row: dict[str, Any] = {"tokens": length, "ours": _run(folder, length, "ours", arguments)}
        need = whole_bytes(loaded, length)
        row["whole_needs_bytes"] = need
        fits = need <= free_memory("cpu")
        other = _run(folder, length, "whole", arguments) if fits else None
        row["whole"] = other
        for what, value in (other or {}).items():
            row[f"{what}_ratio"] = value / max(row["ours"][what], 1e-9)
        result["lengths"].append(row)
    result["growth"] = {way: growth_of(result["lengths"], way) for way in WAYS}
    return {**result, "repeats": arguments.repeats, **machine(arguments.threads)}


def _run(folder: Path, length: int, way: Way, arguments: argparse.Namespace) -> dict[str, float]:
    runs = [
        peak_memory(work_in_a_process, str(folder), length, way, arguments.threads)
        for _ in range(arguments.repeats)
    ]
    on_clock = clock_for(arguments.threads) is not clock_for(1)
    return {
        "seconds": statistics.median(run.elapsed if on_clock else run.processor for run in runs),
        "bytes": statistics.median(max(run.peak - run.before, 1) for run in runs),
    }


def growth_of(rows: Sequence[dict[str, Any]], way: Way) -> dict[str, float] | None:
    """Exponents between the smallest and the largest length that were run; None for one length."""
    there = [row for row in rows if row[way]]
    if len(there) < 2:
        return None
    first, last = there[0], there[-1]
    lengths = math.log(last["tokens"] / first["tokens"])
    return {
        what: math.log(max(last[way][what], 1e-9) / max(first[way][what], 1e-9)) / lengths
        for what in ("seconds", "bytes")
    }


def table_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row a length, one of growth, and one that says how far the scores are apart."""
    rows = []
    for row in found["lengths"]:
        mine, other = row["ours"], row["whole"]
        cells = [f"{mine['seconds']:.2f} s", f"{mine['bytes'] / MEBIBYTE:,.0f} MiB"]
        if other:
            cells += [f"{other['seconds']:.2f} s", f"{other['bytes'] / MEBIBYTE:,.0f} MiB"]
            cells += [f"{row['seconds_ratio']:.1f}", f"{row['bytes_ratio']:.1f}"]
        else:
            cells += ["-", f"needs {size_text(row['whole_needs_bytes'])}", "-", "-"]
        rows.append((f"{row['tokens']:,} tokens", *cells))
    growth = []
    for exponents in found["growth"].values():
        growth += [f"{exponents[what]:.2f}" if exponents else "-" for what in ("seconds", "bytes")]
    rows.append(("growth, exponent", *growth, "", ""))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if min(arguments.lengths) < 128:
        parser.error(f"argument --lengths: a filing has 128 tokens or more. Got {min(arguments.lengths)}.")
    torch.set_num_threads(arguments.threads)
    transformers_logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        save_random_demo_llama(Path(folder), max(arguments.lengths) + OPTIONS.new_tokens)
        found = _measure(Path(folder), arguments)
    apart = found["largest_difference"]
    title = (
        f"QRHead and summed attention, demo-llama's shape; {found['clock']}, {found['threads']} thread(s), "
        f"medians of {arguments.repeats}; peak memory above that of the loaded model; largest difference of "
        f"the scores {'not measured' if apart is None else f'{apart:.1e}'}"
    )
    columns = ("", "ours", "peak", "whole", "peak", "time ratio", "memory ratio")
    report(title, columns, table_rows(found), found, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
