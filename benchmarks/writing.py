"""What it costs to show what heads write, and to swap every head's values with a second prompt.

python benchmarks/writing.py
python benchmarks/writing.py --json

On the real model, one prompt. A Run is what the page computes for a new prompt: forward, role scores and
activities. Without what heads write it is timed as it was before that came: no recorded stream, no output
roles. The interchange map of all heads is timed beside the effect map of all heads. What is compared takes
turns in one run.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.measure import add_options, clock_for, interleaved, machine, report
from utils.catalog.catalog import (
    CATALOG_FOLDER,
    Catalog,
    catalog_path,
    load_catalog,
)
from utils.effects.effect_map import effect_map
from utils.effects.interchange_map import interchange_map
from utils.forward.attention_capture import capture
from utils.live.analysis import PromptRun, analyze_prompt
from utils.models.loading import LoadedModel, load_model
from utils.models.prompts import TokenizedPrompt, tokenize_prompt
from utils.models.sources import BUNDLED, REAL_MODEL
from utils.roles.activity import listed_activity, prompt_scores
from utils.roles.registry import pattern_roles
from utils.writing.promoted import promoted_tokens

# What is promised.
MAX_RUN = 1.15
MAX_MAP = 1.2
PROMPT = "When Mary and John went to the store, John gave a drink to"
SECOND = "When Mary and John went to the store, Mary gave a drink to"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, repeats=5)
    parser.add_argument("--model", default=REAL_MODEL, metavar="NAME", help="a bundled model")
    return parser


def _run_without(loaded: LoadedModel, prompt: TokenizedPrompt, catalog: Catalog) -> None:
    captured = capture(loaded, prompt.ids)
    roles = pattern_roles()
    scores = prompt_scores(captured.attention, prompt.ids, roles, loaded.special_ids, loaded.geometry.windows)
    # As in `live/analysis.py`: each head that has a role, or is listed for one, is judged once.
    both = {
        role: list(dict.fromkeys((*carriers, *catalog.listed_heads[role])))
        for role, carriers in catalog.carrying_heads.items()
        if role in roles
    }
    listed_activity(scores, both)


def _run_with(loaded: LoadedModel, prompt: TokenizedPrompt, catalog: Catalog) -> None:
    analysis = analyze_prompt(PromptRun(loaded, prompt, catalog, ""))
    last = len(prompt.ids) - 1
    target, against = analysis.logits.topk(2).indices.tolist()
    direct = analysis.direct_effect(last, target, against)
    promoted_tokens(loaded, analysis.parts, direct.strongest(1)[0], last)


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    loaded = load_model(arguments.model, BUNDLED / arguments.model)
    catalog = load_catalog(catalog_path(arguments.model, CATALOG_FOLDER))
    prompt, second = (tokenize_prompt(loaded, text) for text in (PROMPT, SECOND))
    target, other = capture(loaded, prompt.ids).logits[-1].topk(2).indices.tolist()
    seconds = interleaved(
        {
            "run_without": lambda: _run_without(loaded, prompt, catalog),
            "run_with": lambda: _run_with(loaded, prompt, catalog),
        },
        5 * arguments.repeats,
        warm_up=2,
        clock=clock_for(arguments.threads),
    ) | interleaved(
        {
            "effect_map": lambda: effect_map(loaded, prompt.ids, target, other),
            "interchange_map": lambda: interchange_map(loaded, prompt.ids, second.ids, target, other),
        },
        arguments.repeats,
        warm_up=1,
        clock=clock_for(arguments.threads),
    )
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "ratio_of_runs": medians["run_with"] / medians["run_without"],
        "ratio_of_maps": medians["interchange_map"] / medians["effect_map"],
        "medians": medians,
        "seconds": seconds,
        "model": arguments.model,
        "tokens": len(prompt.ids),
        "repeats": arguments.repeats,
        **machine(arguments.threads),
    }


def _rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    each = {name: f"{1000 * value:.0f} ms" for name, value in found["medians"].items()}
    return [
        ("a Run without what heads write", each["run_without"], ""),
        ("a Run with it", each["run_with"], ""),
        ("with / without", f"{found['ratio_of_runs']:.2f}", f"at most {MAX_RUN}"),
        ("effect map, all heads", each["effect_map"], ""),
        ("interchange map, all heads", each["interchange_map"], ""),
        ("interchange / effect map", f"{found['ratio_of_maps']:.2f}", f"at most {MAX_MAP}"),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = build_parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    found = _measure(arguments)
    title = f"{found['model']}, {found['tokens']} tokens; medians; {found['threads']} thread(s)"
    report(title, ("what", "measured", "promised"), _rows(found), found, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
