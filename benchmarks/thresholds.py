"""What each threshold lets pass: random heads, and the heads of the bundled models.

python benchmarks/thresholds.py
python benchmarks/thresholds.py --json

A threshold is worth something where heads that do nothing in particular stay below it. Random heads are
scored on the analyzer's own test inputs, as a catalog scores heads: some choose their keys by position, the
same in every sequence, others by token, the same wherever the tokens stand; both with logits of standard
deviation 1, 2 and 4, from nearly even attention to attention on one or two keys. The share given is the
largest of these six. The heads of the bundled models are counted in their catalogs. The chosen threshold of
each role is marked.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from benchmarks.measure import positive, report
from benchmarks.random_writers import ReadInput, random_output_scores, read_input
from utils.analyzer.measuring import PatternChunk, measure, roles_of_probe, score_sequences
from utils.catalog.catalog import Catalog, load_catalog
from utils.models.loading import LoadedModel, load_model
from utils.models.sources import BUNDLED
from utils.roles.output_probes import OUTPUT_SEQUENCES, output_probes
from utils.roles.output_probes import PROBE_NAMES as OUTPUT_PROBES
from utils.roles.probe_inputs import probe_sequences
from utils.roles.random_heads import HEAD_DIM, LOGIT_STDS, RANDOM_HEADS, random_head_patterns
from utils.roles.registry import ROLES, pattern_roles

CATALOGS = Path(__file__).resolve().parents[1] / "head_categories"
THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
KINDS = ("position", "token")
# Random heads that are made at once.
_BATCH = 25

Probes = dict[str, list[list[int]]]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    for name, default, what in (
        ("heads", RANDOM_HEADS, "random heads of each kind"),
        ("sequences", 50, "sequences in each random set of test inputs"),
    ):
        parser.add_argument(
            f"--{name}", type=positive, default=default, metavar="N", help=f"{what} (default: {default})"
        )
    parser.add_argument(
        "--model",
        default="demo-gpt2",
        metavar="NAME",
        help="the bundled model whose tokenizer makes the test inputs (default: demo-gpt2)",
    )
    return parser


def random_scores(
    probes: Probes, special_ids: Sequence[int], kind: str, logit_std: float, heads: int
) -> dict[str, Tensor]:
    """The catalog scores [head] that random heads get for each role.

    Args:
        probes: the test inputs, by set.
        special_ids: ids that never count as a repetition.
        kind: "position" or "token", what a head chooses its keys by.
        logit_std: standard deviation of the logits.
        heads: how many.
    """
    batches: dict[str, list[Tensor]] = defaultdict(list)
    for seed, start in enumerate(range(0, heads, _BATCH)):
        count = min(_BATCH, heads - start)
        by_role: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for probe, sequences in probes.items():
            chunks = _chunks(sequences, kind, logit_std, count, seed)
            for role, scores in score_sequences(roles_of_probe(probe), chunks, special_ids).items():
                by_role[role][probe] = scores
        for role, by_probe in by_role.items():
            batches[role].append(measure(by_probe, ROLES[role].combine).mean[0])
    return {role: torch.cat(scores) for role, scores in batches.items()}


def random_writing_scores(
    loaded: LoadedModel, inputs: Mapping[str, Sequence[ReadInput]], kind: str, logit_std: float, heads: int
) -> dict[str, Tensor]:
    """The catalog scores [head] that random heads get for each output role; arguments as of `random_scores`.

    As many heads in each layer of the model as make `heads` in all, at least.
    """
    each = -(-heads // loaded.geometry.n_layers)
    count = each * loaded.geometry.n_layers
    means: dict[str, list[Tensor]] = defaultdict(list)
    for probe, read in inputs.items():
        chunks = _chunks([one.probe.ids for one in read], kind, logit_std, count, seed=0) if read else ()
        patterns = [chunk.layers[0][0] for chunk in chunks]
        for role, scores in random_output_scores(loaded, read, patterns, each).items():
            if scores and probe in ROLES[role].probes:
                means[role].append(torch.stack([one.score for one in scores]).mean(0))
    return {role: torch.stack(found).amax(0) for role, found in means.items()}


def _chunks(
    sequences: Sequence[Sequence[int]], kind: str, logit_std: float, heads: int, seed: int
) -> Iterator[PatternChunk]:
    """The patterns of one layer of random heads on each sequence."""
    longest = max(len(tokens) for tokens in sequences)
    by_position = random_head_patterns(longest, logit_std, heads, seed)
    generator = torch.Generator().manual_seed(seed)
    used = max(token for tokens in sequences for token in tokens) + 1
    query, key = (torch.randn(heads, used, HEAD_DIM, generator=generator) for _ in range(2))
    for tokens in sequences:
        n = len(tokens)
        if kind == "position":
            # The first rows of a causal pattern are the pattern of the shorter sequence.
            pattern = by_position[:, :n, :n]
        else:
            logits = logit_std * (query[:, tokens] @ key[:, tokens].transpose(1, 2)) / HEAD_DIM**0.5
            future = torch.ones(n, n, dtype=torch.bool).triu(1)
            pattern = logits.masked_fill(future, -torch.inf).softmax(-1)
        yield PatternChunk((tokens,), (pattern[None],))


def _probes(tokenizer: Any, bos_id: int | None, special_ids: Sequence[int], count: int) -> Probes:
    names = sorted({probe for role in pattern_roles() for probe in ROLES[role].probes})
    return {name: probe_sequences(name, tokenizer, bos_id, special_ids, count=count) for name in names}


def _outputs(loaded: LoadedModel, count: int) -> dict[str, list[ReadInput]]:
    """The inputs of the output roles that count on the model, as it read them."""
    found: dict[str, list[ReadInput]] = {}
    for name in OUTPUT_PROBES:
        probes = output_probes(name, loaded.tokenizer, loaded.bos_id, loaded.special_ids, count=count)
        found[name] = [one for probe in probes if (one := read_input(loaded, probe)) is not None]
    return found


def _measure(arguments: argparse.Namespace, catalogs: dict[str, Catalog]) -> dict[str, Any]:
    loaded = load_model(arguments.model, BUNDLED / arguments.model)
    settings = catalogs[arguments.model].settings
    special = settings.special_ids
    probes = _probes(loaded.tokenizer, settings.bos_id, special, arguments.sequences)
    outputs = _outputs(loaded, min(arguments.sequences, OUTPUT_SEQUENCES))
    random: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for kind in KINDS:
        for logit_std in LOGIT_STDS:
            found = random_scores(probes, special, kind, logit_std, arguments.heads)
            found |= random_writing_scores(loaded, outputs, kind, logit_std, arguments.heads)
            for role, scores in found.items():
                random[role][f"by {kind}, logits {logit_std:g}"] = scores
    result: dict[str, Any] = {}
    for role, row in ROLES.items():
        if not row.measured:
            continue
        result[role] = {
            "threshold": row.threshold,
            "lower_threshold": row.lower_threshold,
            "random_heads": {
                kind: {"mean": float(scores.mean()), "largest": float(scores.max())}
                for kind, scores in random[role].items()
            },
            "at": {
                str(threshold): {
                    "random_share": max(
                        float((scores >= threshold).double().mean()) for scores in random[role].values()
                    ),
                    **{
                        model: sum(
                            score >= threshold for line in catalog.all_scores.get(role, []) for score in line
                        )
                        for model, catalog in catalogs.items()
                    },
                }
                for threshold in THRESHOLDS
            },
        }
    return result


def table_rows(found: dict[str, Any], models: Sequence[str]) -> list[tuple[str, ...]]:
    """The rows of the table: role, threshold, random heads, heads of each model, mark of the chosen one."""
    rows = []
    for role, message in found.items():
        largest = max(scores["largest"] for scores in message["random_heads"].values())
        rows.append((role, f"random heads reach {largest:.2f}", "", *("" for _ in models)))
        for threshold in THRESHOLDS:
            at = message["at"][str(threshold)]
            mark = " <" if threshold == message["threshold"] else ""
            counts = [str(at[model]) for model in models]
            rows.append(("", f"{threshold:.2f}{mark}".ljust(6), f"{at['random_share']:.1%}", *counts))
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    arguments = build_parser().parse_args(argv)
    catalogs = {path.stem: load_catalog(path) for path in sorted(CATALOGS.glob("*.json"))}
    found = _measure(arguments, catalogs)
    sizes = {name: catalog.num_layers * catalog.num_heads for name, catalog in catalogs.items()}
    columns = ("role", "threshold", "random heads", *(f"{name} ({size})" for name, size in sizes.items()))
    title = f"Heads at or above a threshold; {arguments.heads} random heads of each kind; < is the chosen one"
    report(title, columns, table_rows(found, list(catalogs)), found, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
