"""What a Run and a toggle cost on the live page, beside one plain forward of the model.

python benchmarks/live.py
python benchmarks/live.py --json
python benchmarks/live.py --model models/demo-gpt2 --tokens 16

The plain forward is transformers' own, with attention patterns and the logits of all positions. A Run is what
the page computes for a new prompt (`LiveService.analyze`: forward, what heads write, scores, activities); a
toggle is the prediction with one head off (`LiveService.next_token_logits`), once for a head of each layer,
after the prompt's Run. What is compared takes turns in one run. The values are compared in the same run:
attention and last logits of the Run with the plain forward's, each toggle's with a plain forward in which a
hook writes zeros.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from benchmarks.measure import add_options, clock_for, interleaved, machine, positive, report
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.families import output_projection
from utils.models.loading import LoadedModel
from utils.models.prompts import tokenize_prompt
from utils.models.sources import BUNDLED, REAL_MODEL
from utils.models.store import ModelStore

# What is promised.
MAX_RUN = 1.05
MAX_TOGGLE = 0.7
TOLERANCE = 1e-5
LENGTHS = (16, 64, 128)
WARM_UP = 1
TEXT = "When Mary and John went to the store, John gave a drink to"


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add_options(parser, repeats=7)
    parser.add_argument(
        "--model", type=Path, default=BUNDLED / REAL_MODEL, metavar="DIR", help="the folder of a model"
    )
    parser.add_argument(
        "--tokens", type=positive, nargs="+", default=list(LENGTHS), metavar="N", help="tokens of the prompts"
    )
    return parser


def _prompt(loaded: LoadedModel, tokens: int, number: int) -> str:
    """A text of so many tokens that begins with another word each time, so that no cache has it."""
    words, text = cycle(TEXT.split()), str(number)
    # The last word may be of several tokens.
    while len(tokenize_prompt(loaded, text, 2 * tokens).ids) < tokens:
        text += f" {next(words)}"
    return text


@contextmanager
def _zeroed(loaded: LoadedModel, head: Head) -> Iterator[None]:
    """A hook by hand that switches a head off."""
    wide = loaded.geometry.head_dim

    def put(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Tensor]:
        values = args[0].clone()
        values[..., head.head * wide : (head.head + 1) * wide] = 0
        return (values,)

    hook = output_projection(loaded.model, loaded.family, head.layer).register_forward_pre_hook(put)
    try:
        yield
    finally:
        hook.remove()


def _plain(loaded: LoadedModel, ids: Sequence[int]) -> Any:
    with torch.inference_mode():
        return loaded.model(torch.tensor([list(ids)], device=loaded.model.device), output_attentions=True)


def _differences(
    service: LiveService, loaded: LoadedModel, text: str, heads: Sequence[Head]
) -> dict[str, float]:
    analysis = service.analyze(loaded.name, text)
    plain = _plain(loaded, analysis.prompt.ids)
    attention = torch.stack([layer[0] for layer in plain.attentions]).float().cpu()
    toggles = []
    for head in heads:
        with _zeroed(loaded, head):
            alone = _plain(loaded, analysis.prompt.ids).logits[0, -1].float().cpu()
        toggles.append(_largest(alone, service.next_token_logits(loaded.name, text, [head])))
    return {
        "attention": _largest(attention, analysis.attention),
        "logits": _largest(plain.logits[0, -1].float().cpu(), analysis.logits),
        "toggle": max(toggles),
    }


def _largest(one: Tensor, other: Tensor) -> float:
    # Logits are large numbers: theirs is the largest difference of the probabilities that they stand for.
    if one.dim() == 1:
        one, other = one.double().softmax(-1), other.double().softmax(-1)
    return float((one - other).abs().max())


def _measure(
    service: LiveService, loaded: LoadedModel, tokens: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    geometry = loaded.geometry
    heads = [Head(layer, layer % geometry.n_heads) for layer in range(geometry.n_layers)]
    texts = [_prompt(loaded, tokens, number) for number in range(arguments.repeats + WARM_UP)]
    unseen = iter(texts)
    ids = tokenize_prompt(loaded, texts[0], 2 * tokens).ids
    shown = ""

    def run() -> None:
        nonlocal shown
        shown = next(unseen)
        service.analyze(loaded.name, shown)

    def toggle() -> None:
        for head in heads:
            service.next_token_logits(loaded.name, shown, [head])

    seconds = interleaved(
        {"plain": lambda: _plain(loaded, ids), "run": run, "toggle": toggle},
        arguments.repeats,
        warm_up=WARM_UP,
        clock=clock_for(arguments.threads),
    )
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    medians["toggle"] /= len(heads)
    return {
        "tokens": tokens,
        "run": medians["run"] / medians["plain"],
        "toggle": medians["toggle"] / medians["plain"],
        "medians": medians,
        "largest_difference": _differences(service, loaded, shown, heads),
    }


def _rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for each in found["lengths"]:
        tokens, medians = each["tokens"], each["medians"]
        rows += [
            (f"{tokens} tokens: plain forward", f"{1000 * medians['plain']:.0f} ms", ""),
            (f"{tokens} tokens: Run / plain", f"{each['run']:.2f}", f"at most {MAX_RUN}"),
            (f"{tokens} tokens: toggle / plain", f"{each['toggle']:.2f}", f"at most {MAX_TOGGLE}"),
            *(
                (f"{tokens} tokens: largest difference, {what}", f"{value:.1e}", f"at most {TOLERANCE:.0e}")
                for what, value in each["largest_difference"].items()
            ),
        ]
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = build_parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    folder = arguments.model
    service = LiveService(ModelStore([folder]), max_tokens=2 * max(arguments.tokens))
    loaded = service.store.get(folder.name)
    found = {
        "lengths": [_measure(service, loaded, tokens, arguments) for tokens in arguments.tokens],
        "model": loaded.name,
        "repeats": arguments.repeats,
        **machine(arguments.threads),
    }
    title = f"{loaded.name}; medians; {found['threads']} thread(s), {found['clock']}"
    report(title, ("what", "measured", "promised"), _rows(found), found, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
