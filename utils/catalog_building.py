"""From a model to its catalog: probe inputs, scores, listed heads, suggested prompts.

Where the patterns come from is the caller's business (`bridge_patterns` in the analyzer).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from torch import Tensor

from utils.catalog import (
    DECIMALS,
    RANKING_METHODS,
    SCHEMA_VERSION,
    Catalog,
    Category,
    ListedHead,
    Matrix,
    ProbeInput,
    RoleThresholds,
    Settings,
)
from utils.errors import UserFacingError
from utils.head_analysis import (
    RoleMeasurement,
    measure,
    other_heads,
    roles_of_probe,
    score_sequences,
    top_heads,
)
from utils.head_roles import ROLES, HeadRole
from utils.heads import Head
from utils.model_loading import LoadedModel
from utils.probe_inputs import probe_sequences
from utils.prompt_check import RunPrompt, choose_prompts
from utils.prompts import tokenize_prompt

# Token sequences in, each with its attention [layer, head, query, key] out, in any order.
PatternSource = Callable[[Sequence[Sequence[int]]], Iterator[tuple[Sequence[int], Tensor]]]
# What is measured, sequences done, sequences in all.
Progress = Callable[[str, int, int], None]

_VERSIONED = ("torch", "transformers", "transformer-lens")


@dataclass(frozen=True)
class AnalysisOptions:
    """What the user may choose.

    Attributes:
        seed: of the random probe inputs.
        sequences: how many sequences each random probe set has.
        device: where the patterns are computed; noted in the catalog.
    """

    seed: int = 0
    sequences: int = 50
    device: str = "cpu"


@dataclass(frozen=True)
class Analysis:
    """A catalog, and a sentence for each thing about it that the user should know."""

    catalog: Catalog
    notes: tuple[str, ...]


def analyze(
    loaded: LoadedModel,
    patterns: PatternSource,
    options: AnalysisOptions,
    progress: Progress = lambda what, done, total: None,
) -> Analysis:
    """Measure every head of a model for every role, and make its catalog.

    Args:
        loaded: the model; only what is known about it is used here, it is not run.
        patterns: runs sequences through it.
        options: seed, number of sequences, device.
        progress: called after every sequence.

    Raises:
        UserFacingError: the model cannot read the probe inputs.
    """
    scores: dict[str, dict[str, Tensor]] = {}
    inputs: dict[str, ProbeInput] = {}
    for probe in sorted({probe for role in ROLES.values() for probe in role.probes}):
        sequences = probe_sequences(
            probe, loaded.tokenizer, loaded.bos_id, loaded.special_ids, options.seed, options.sequences
        )
        lengths = [len(sequence) for sequence in sequences]
        inputs[probe] = ProbeInput(sequences=len(lengths), shortest=min(lengths), longest=max(lengths))
        counted = _counted(patterns(sequences), probe, len(sequences), progress)
        for role, table in score_sequences(roles_of_probe(probe), counted, loaded.special_ids).items():
            scores.setdefault(role, {})[probe] = table
    # In the registry's order, whatever the probes' order was.
    measured = {role: measure(scores[role]) for role in ROLES if role in scores}
    prompts = _run_prompts(loaded, patterns, progress)
    categories, notes = _categories(loaded, measured, prompts)
    several = {role: found.by_probe for role, found in measured.items() if len(found.by_probe) > 1}
    catalog = Catalog(
        schema_version=SCHEMA_VERSION,
        model_name=loaded.name,
        num_layers=loaded.geometry.n_layers,
        num_heads=loaded.geometry.n_heads,
        analysis_date=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=Settings(
            seed=options.seed,
            sequences=options.sequences,
            device=options.device,
            bos_id=loaded.bos_id,
            special_ids=sorted(loaded.special_ids),
            inputs=inputs,
            thresholds={
                role: RoleThresholds(
                    threshold=ROLES[role].threshold, lower_threshold=ROLES[role].lower_threshold
                )
                for role in measured
            },
            versions={package: version(package) for package in _VERSIONED},
        ),
        categories=categories,
        all_scores={role: _matrix(found.mean) for role, found in measured.items()},
        all_scores_std={role: _matrix(found.std) for role, found in measured.items()},
        probe_scores={
            role: {probe: _matrix(table) for probe, table in by_probe.items()}
            for role, by_probe in several.items()
        },
        rankings={method: [] for method in RANKING_METHODS},
    )
    return Analysis(catalog, tuple(notes))


def _matrix(table: Tensor) -> Matrix:
    return [[round(score, DECIMALS) for score in row] for row in table.tolist()]


def _counted(
    patterns: Iterator[tuple[Sequence[int], Tensor]], what: str, total: int, progress: Progress
) -> Iterator[tuple[Sequence[int], Tensor]]:
    for done, pattern in enumerate(patterns, start=1):
        yield pattern
        progress(what, done, total)


def _run_prompts(loaded: LoadedModel, patterns: PatternSource, progress: Progress) -> dict[str, RunPrompt]:
    """Every prompt of the registry that this model's page would take, as the model reads it, by its text."""
    tokens: dict[str, tuple[int, ...]] = {}
    for role in ROLES.values():
        for text in role.example_prompts:
            try:
                tokens[text] = tokenize_prompt(loaded, text).ids
            except UserFacingError:
                continue  # too many tokens for the page, with this model's tokenizer
    distinct = sorted(set(tokens.values()))
    run = dict(_counted(patterns(distinct), "prompts", len(distinct), progress))
    return {text: RunPrompt(text, ids, run[ids]) for text, ids in tokens.items()}


def _categories(
    loaded: LoadedModel, measured: Mapping[str, RoleMeasurement], prompts: Mapping[str, RunPrompt]
) -> tuple[dict[str, Category], list[str]]:
    categories: dict[str, Category] = {}
    notes: list[str] = []
    for key, role in ROLES.items():
        if role.measured:
            heads = top_heads(measured[key].mean, role.threshold, role.lower_threshold)
        else:
            heads = other_heads(measured)
        candidates = [prompts[text] for text in role.example_prompts if text in prompts]
        suggested = choose_prompts(key, heads, candidates, loaded.special_ids, loaded.geometry.windows)
        if role.measured and not heads:
            notes.append(f"no head of {loaded.name} reaches {role.threshold} for {key}")
        elif role.measured and not suggested:
            notes.append(
                f"none of the prompts for {key} wakes a head of {loaded.name}: the catalog suggests none"
            )
        categories[key] = _category(role, heads, suggested)
    return categories, notes


def _category(role: HeadRole, heads: Sequence[tuple[Head, float]], suggested: Sequence[str]) -> Category:
    return Category(
        display_name=role.display_name,
        description=role.description,
        explanation=role.explanation,
        icon=role.icon,
        requires_repetition=role.requires_repetition,
        suggested_prompts=list(suggested),
        top_heads=[
            ListedHead(layer=head.layer, head=head.head, score=round(score, DECIMALS))
            for head, score in heads
        ],
    )
