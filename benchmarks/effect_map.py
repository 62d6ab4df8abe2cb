"""How fast the effect map is, beside ablating the heads one after the other.

python benchmarks/effect_map.py
python benchmarks/effect_map.py --json
python benchmarks/effect_map.py --model models/smollm2-135m-instruct --tokens 15 --threads 2

A random model in GPT-2 small's shape, or the model of a folder, reads 32 tokens. The effect map switches off
every head alone, in batches that begin at the heads' layer. One at a time, each head is a call of its own, in
three ways: a whole forward with attention patterns and all logits, which is what the promised ratio is
measured against; the bare forward with all logits; and the bare forward with the last position's logits,
the least that one call can do. These take the same time for any head, so some heads of all layers stand for
all. Each call ends with the same measures as the map. Besides, the map's own batches run once more without
PyVene and with nothing switched off, each from its first layer on: what of the map's time is the model's own.
The values of the map and of those calls are compared in the same run. With one thread seconds are the
processor's, with more they are the clock's.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from benchmarks.measure import add_options, add_sizes, clock_for, interleaved, machine, report
from benchmarks.random_models import GPT2_SIZES, save_random_gpt2
from utils.effects.ablated_batches import batches, rows_per_batch
from utils.effects.effect_map import EffectMap, effect_map
from utils.effects.measures import MEASURES, values
from utils.errors import UserFacingError
from utils.forward.ablation import forward
from utils.forward.attention_capture import capture
from utils.forward.layer_replay import Forward, repeated, replaced_layers
from utils.forward.partial_forward import CleanRun, run_clean
from utils.heads import Head
from utils.models.loading import LoadedModel, load_model

# What is promised.
MAX_TO_ONE_AT_A_TIME = 0.6
MAX_TO_REMAINING_LAYERS = 1.15
TOLERANCE = 1e-5
# With the weights that a new model begins with no head does anything that a comparison could see.
WEIGHT_FACTOR = 3.0

Run = Callable[[Sequence[Head]], Tensor]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, repeats=3)
    add_sizes(
        parser,
        tokens=(32, "tokens of the prompt"),
        sample=(24, "heads that are switched off one at a time"),
        **GPT2_SIZES,
    )
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="the folder of a model, instead of a random one"
    )
    return parser


def _load_random(folder: Path) -> LoadedModel:
    loaded = load_model("random", folder)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            if weight.dim() > 1:
                weight.mul_(WEIGHT_FACTOR)
    return loaded


def _ways(loaded: LoadedModel, ids: Sequence[int]) -> dict[str, Run]:
    """The ways to run one ablation: each gives the last position's logits."""
    inputs = {"input_ids": torch.tensor([list(ids)])}
    last = {**inputs, "logits_to_keep": 1}
    return {
        "whole": lambda heads: capture(loaded, ids, heads).logits[-1],
        "forward": lambda heads: forward(loaded, inputs, heads).logits[0, -1],
        "last_logits": lambda heads: forward(loaded, last, heads).logits[0, -1],
    }


def _remaining_layers(loaded: LoadedModel, clean: CleanRun, sets: Sequence[Sequence[Head]]) -> None:
    """The map's batches as bare forwards from each batch's first layer on, with the last logits."""
    for positions in batches(sets, rows_per_batch(clean.ids.shape[1], loaded.model.config.vocab_size)):
        rows, first = len(positions), min(sets[position][0].layer for position in positions)

        def replay(layer: int, forward: Forward, rows: int = rows) -> Forward:
            return lambda *args, **kwargs: repeated(clean.layers[layer], rows)

        with torch.inference_mode(), replaced_layers(loaded, range(first), replay):
            loaded.model(clean.ids.expand(rows, -1), logits_to_keep=1)


def _one_at_a_time(run: Run, heads: Sequence[Head], found: EffectMap) -> None:
    clean = run([])
    for head in heads:
        values(clean, run([head])[None], found.target, found.other)


def _largest_difference(run: Run, heads: Sequence[Head], found: EffectMap) -> dict[str, float]:
    """Between the map's values and those of one ablation after the other, by measure."""
    clean = run([])
    differences = dict.fromkeys(MEASURES, 0.0)
    for head in heads:
        alone = values(clean, run([head])[None], found.target, found.other)
        for measure in MEASURES:
            difference = abs(float(alone[measure]) - float(getattr(found, measure)[head]))
            differences[measure] = max(differences[measure], difference)
    return {str(measure): difference for measure, difference in differences.items()}


def _measure(loaded: LoadedModel, arguments: argparse.Namespace) -> dict[str, Any]:
    geometry = loaded.geometry
    rng = torch.Generator().manual_seed(0)
    vocabulary: int = loaded.model.config.vocab_size
    ids = torch.randint(vocabulary, (arguments.tokens,), generator=rng).tolist()
    total = geometry.n_layers * geometry.n_heads
    every = [Head(*divmod(position, geometry.n_heads)) for position in range(total)]
    count = min(arguments.sample, total)
    heads = [every[position * total // count] for position in range(count)]
    found = effect_map(loaded, ids)
    ways = _ways(loaded, ids)
    clean = run_clean(loaded, ids)
    works: dict[str, Callable[[], object]] = {
        "map": lambda: effect_map(loaded, ids, found.target, found.other),
        "remaining_layers": lambda: _remaining_layers(loaded, clean, [[head] for head in every]),
    }
    for name, run in ways.items():
        run(heads[:1])
        works[name] = lambda run=run: _one_at_a_time(run, heads, found)
    seconds = interleaved(works, arguments.repeats, warm_up=0, clock=clock_for(arguments.threads))
    # A head, in the map one of all, else one of the sample; the clean forward counts in each.
    each = {
        name: statistics.median(times) / (count if name in ways else total) for name, times in seconds.items()
    }
    return {
        "ratio_to_one_at_a_time": each["map"] / each["whole"],
        "ratio_to_forward": each["map"] / each["forward"],
        "ratio_to_last_logits": each["map"] / each["last_logits"],
        "ratio_to_remaining_layers": each["map"] / each["remaining_layers"],
        "largest_difference": _largest_difference(ways["whole"], heads, found),
        "largest_kl": float(found.kl.max()),
        "seconds_a_head": each,
        "seconds": seconds,
        "map_seconds": statistics.median(seconds["map"]),
        "one_at_a_time_heads": count,
        "tokens": arguments.tokens,
        "model": loaded.name,
        "layers": geometry.n_layers,
        "heads": geometry.n_heads,
        "width": loaded.model.config.hidden_size,
        "repeats": arguments.repeats,
        **machine(arguments.threads),
    }


def _rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    each = {name: f"{1000 * value:.1f} ms" for name, value in found["seconds_a_head"].items()}
    return [
        ("effect map, all heads", f"{found['map_seconds']:.2f} s", ""),
        ("a head in the map", each["map"], ""),
        ("a head alone, with patterns and all logits", each["whole"], ""),
        ("a head alone, bare forward", each["forward"], ""),
        ("a head alone, last logits only", each["last_logits"], ""),
        ("a head in the map's batches, bare forward", each["remaining_layers"], ""),
        (
            "map / patterns and all logits",
            f"{found['ratio_to_one_at_a_time']:.2f}",
            f"at most {MAX_TO_ONE_AT_A_TIME}",
        ),
        ("map / bare forward", f"{found['ratio_to_forward']:.2f}", ""),
        ("map / last logits only", f"{found['ratio_to_last_logits']:.2f}", ""),
        (
            "map / batched forward of the remaining layers",
            f"{found['ratio_to_remaining_layers']:.2f}",
            f"at most {MAX_TO_REMAINING_LAYERS}",
        ),
        *(
            (
                f"largest difference, {MEASURES[measure].label}",
                f"{difference:.1e}",
                f"at most {TOLERANCE:.0e}",
            )
            for measure, difference in found["largest_difference"].items()
        ),
        ("largest effect, KL", f"{found['largest_kl']:.2g}", ""),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.width % arguments.heads:
        parser.error(f"argument --width: must be a multiple of the heads. Got {arguments.width}.")
    torch.set_num_threads(arguments.threads)
    transformers_logging.disable_progress_bar()
    if arguments.model:
        try:
            loaded = load_model(arguments.model.name, arguments.model)
        except UserFacingError as error:
            parser.error(str(error))
        found = _measure(loaded, arguments)
    else:
        with tempfile.TemporaryDirectory() as folder:
            save_random_gpt2(
                Path(folder),
                arguments.layers,
                arguments.heads,
                arguments.width,
                max(1024, arguments.tokens),
            )
            found = _measure(_load_random(Path(folder)), arguments)
    title = (
        f"{found['model']}: {found['layers']} layers x {found['heads']} heads, {found['width']} wide, "
        f"{found['tokens']} tokens; {found['one_at_a_time_heads']} heads one at a time; medians of "
        f"{found['repeats']}; {found['threads']} thread(s)"
    )
    report(title, ("what", "measured", "promised"), _rows(found), found, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
