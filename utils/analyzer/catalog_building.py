"""From a model to its catalog: probe inputs, scores, listed heads, suggested prompts.

Where the patterns come from is the caller's business (`bridge_patterns` in the analyzer).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor

from utils.analyzer.measuring import (
    PatternChunk,
    RoleMeasurement,
    measure,
    roles_of_probe,
    score_sequences,
)
from utils.analyzer.measuring_outputs import OutputMeasurement, Outputs, output_pieces
from utils.analyzer.suggested_prompts import RunPrompt, choose_prompts
from utils.catalog.catalog import (
    DECIMALS,
    SCHEMA_VERSION,
    Catalog,
    Category,
    ListedHead,
    Matrix,
    OutputFactors,
    ProbeInput,
    RoleThresholds,
    Settings,
    StartLoss,
)
from utils.catalog.listing import other_heads, top_heads
from utils.errors import UserFacingError
from utils.heads import Head
from utils.models.files import weights_digest
from utils.models.loading import LoadedModel, unknown_tokens
from utils.models.prompts import tokenize_prompt
from utils.roles.probe_inputs import NATURAL_SENTENCES, probe_sequences
from utils.roles.registry import ROLES, HeadRole, output_roles, pattern_roles
from utils.runtime.jobs import Progress
from utils.runtime.provenance import today

# Token sequences in, their patterns out, in any order.
PatternSource = Callable[[Sequence[Sequence[int]]], Iterator[PatternChunk]]

# What the progress calls each set of test inputs.
PROBE_STAGES = {
    "natural": "reading test sentences",
    "repeated": "reading repeated sequences",
    "word_lists": "reading word lists",
}
_PROMPTS = "reading the suggested prompts"
_CHECKING = "checking the suggested prompts"

_VERSIONED = ("torch", "transformers", "transformer-lens")


@dataclass(frozen=True)
class AnalysisOptions:
    """What the user may choose.

    Attributes:
        seed: of the random probe inputs.
        sequences: how many sequences each random probe set has.
        device: where the patterns are computed; noted in the catalog.
        dtype: in which numbers; noted too.
    """

    seed: int = 0
    sequences: int = 50
    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Analysis:
    """A catalog, and a sentence for each thing about it that the user should know."""

    catalog: Catalog
    notes: tuple[str, ...]


@dataclass
class _Pieces:
    """Counts the pieces of the whole analysis, so that done over total tells how far all of it is."""

    progress: Progress
    total: int
    done: int = 0

    def step(self, what: str, pieces: int = 1) -> None:
        self.done += pieces
        self.progress(what, self.done, self.total)


def _probes() -> list[str]:
    return sorted({probe for role in pattern_roles() for probe in ROLES[role].probes})


def _prompt_texts() -> list[str]:
    """The prompts of the roles that a pattern shows, and of none."""
    rows = (role for role in ROLES.values() if not role.by_output)
    return list(dict.fromkeys(text for role in rows for text in role.example_prompts))


def pieces_in_all(options: AnalysisOptions, outputs: bool = True) -> int:
    """How many pieces the analysis will report: known before the model is.

    A piece is a sequence or a prompt that the model reads, or a role's prompt that is checked.

    Args:
        options: what the user may choose.
        outputs: whether output roles are measured too, by `measuring_outputs.read_outputs`, which comes
            first.
    """
    read = [len(NATURAL_SENTENCES) if probe == "natural" else options.sequences for probe in _probes()]
    checked = sum(len(role.example_prompts) for role in ROLES.values() if outputs or not role.by_output)
    first = output_pieces(options.sequences) if outputs else 0
    return first + sum(read) + len(_prompt_texts()) + checked


def analyze(
    loaded: LoadedModel,
    patterns: PatternSource,
    options: AnalysisOptions,
    progress: Progress = lambda what, done, total: None,
    start_losses: list[StartLoss] | None = None,
    outputs: Outputs | None = None,
) -> Analysis:
    """Measure every head of a model for every role, and make its catalog.

    Args:
        loaded: the model; only what is known about it is used here, it is not run.
        patterns: runs sequences through it.
        options: seed, number of sequences, device.
        progress: called after every piece; done and total count over the whole analysis. What it raises
            passes through.
        start_losses: of the candidates for the start token, where there were several (`choose_start`).
        outputs: what was measured of the output roles; None leaves them out of the catalog.

    Raises:
        UserFacingError: the model cannot read the probe inputs.
    """
    date = today()
    first = 0 if outputs is None else output_pieces(options.sequences)
    pieces = _Pieces(progress, pieces_in_all(options, outputs is not None), first)
    scores: dict[str, dict[str, Tensor]] = {}
    inputs: dict[str, ProbeInput] = {} if outputs is None else dict(outputs.inputs)
    never_drawn = loaded.special_ids | unknown_tokens(loaded)
    for probe in _probes():
        sequences = probe_sequences(
            probe,
            loaded.tokenizer,
            loaded.bos_id,
            never_drawn,
            options.seed,
            options.sequences,
            loaded.context_length,
        )
        lengths = [len(sequence) for sequence in sequences]
        inputs[probe] = ProbeInput(sequences=len(lengths), shortest=min(lengths), longest=max(lengths))
        counted = _counted(patterns(sequences), PROBE_STAGES[probe], pieces)
        for role, table in score_sequences(roles_of_probe(probe), counted, loaded.special_ids).items():
            scores.setdefault(role, {})[probe] = table
    # In the registry's order, whatever the probes' order was.
    measured = {role: found for role in ROLES if (found := _measured(role, scores, outputs)) is not None}
    prompts = {"": run_prompts(loaded, patterns, lambda done: pieces.step(_PROMPTS, done))}
    # Heads are listed by the numbers that the file holds, so that the two cannot contradict each other.
    all_scores = {role: _matrix(found.mean) for role, found in measured.items()}
    if outputs is not None:
        prompts |= dict.fromkeys(output_roles(), outputs.prompts)
    categories, notes = _categories(loaded, all_scores, prompts, pieces)
    if outputs is not None:
        notes += _output_notes(loaded, outputs)
    several = {role: found.by_probe for role, found in measured.items() if len(found.by_probe) > 1}
    catalog = Catalog(
        schema_version=SCHEMA_VERSION,
        model_name=loaded.name,
        num_layers=loaded.geometry.n_layers,
        num_heads=loaded.geometry.n_heads,
        analysis_date=date,
        settings=Settings(
            seed=options.seed,
            sequences=options.sequences,
            device=options.device,
            dtype=options.dtype,
            bos_id=loaded.bos_id,
            start_losses=start_losses,
            special_ids=sorted(loaded.special_ids),
            windows=list(loaded.geometry.windows) if any(loaded.geometry.windows) else None,
            inputs=inputs,
            counted={} if outputs is None else outputs.counted,
            thresholds={
                role: RoleThresholds(
                    threshold=ROLES[role].threshold, lower_threshold=ROLES[role].lower_threshold
                )
                for role in measured
            },
            versions={package: version(package) for package in _VERSIONED},
            weights_sha256=weights_digest(loaded.weight_files),
        ),
        categories=categories,
        all_scores=all_scores,
        all_scores_std={role: _matrix(found.std) for role, found in measured.items()},
        probe_scores={
            role: {probe: _matrix(table) for probe, table in by_probe.items()}
            for role, by_probe in several.items()
        },
        output_factors={}
        if outputs is None
        else {
            role: OutputFactors(mass=_matrix(found.mass), effect=_matrix(found.effect))
            for role, found in outputs.measured.items()
        },
        rankings={},
    )
    return Analysis(catalog, tuple(notes))


def _measured(
    role: str, scores: Mapping[str, Mapping[str, Tensor]], outputs: Outputs | None
) -> RoleMeasurement | OutputMeasurement | None:
    if outputs is not None and role in outputs.measured:
        return outputs.measured[role]
    return measure(scores[role], ROLES[role].combine) if role in scores else None


def _output_notes(loaded: LoadedModel, outputs: Outputs) -> list[str]:
    """What a user should know about the test inputs of the output roles."""
    if outputs.problem:
        return [outputs.problem]
    return [
        f"{loaded.name} completes none of the {one.sequences} inputs “{name}” rightly, so they show nothing"
        for name, one in outputs.inputs.items()
        if not outputs.counted[name]
    ]


def _matrix(table: Tensor) -> Matrix:
    return [[round(score, DECIMALS) for score in row] for row in table.tolist()]


def _counted(chunks: Iterator[PatternChunk], what: str, pieces: _Pieces) -> Iterator[PatternChunk]:
    for chunk in chunks:
        yield chunk
        pieces.step(what, len(chunk.sequences))


def run_prompts(
    loaded: LoadedModel, patterns: PatternSource, step: Callable[[int], None] = lambda pieces: None
) -> dict[str, RunPrompt]:
    """Every prompt of the registry that this model's page would take, as the model reads it, by its text.

    Args:
        loaded: the model.
        patterns: runs sequences through it.
        step: called with the number of prompts that are done since the last call.
    """
    tokens: dict[str, tuple[int, ...]] = {}
    texts = _prompt_texts()
    for text in texts:
        try:
            tokens[text] = tokenize_prompt(loaded, text).ids
        except UserFacingError:
            continue  # too many tokens for the page, with this model's tokenizer
    distinct = sorted(set(tokens.values()))
    run: dict[tuple[int, ...], Tensor] = {}
    for chunk in patterns(distinct):
        for number, ids in enumerate(chunk.sequences):
            run[tuple(ids)] = torch.stack([layer[number] for layer in chunk.layers]).cpu()
        step(len(chunk.sequences))
    step(len(texts) - len(distinct))
    return {text: RunPrompt(text, ids, run[ids]) for text, ids in tokens.items()}


def _categories(
    loaded: LoadedModel,
    tables: Mapping[str, Matrix],
    prompts: Mapping[str, Mapping[str, RunPrompt]],
    pieces: _Pieces,
) -> tuple[dict[str, Category], list[str]]:
    categories: dict[str, Category] = {}
    notes: list[str] = []
    for key, role in ROLES.items():
        if role.measured and key not in tables:
            continue  # nobody measured it
        if role.measured:
            heads = top_heads(tables[key], role.threshold, role.lower_threshold)
        else:
            heads = other_heads(tables, {key: ROLES[key].threshold for key in tables})
        run = prompts.get(key, prompts[""])
        candidates = [run[text] for text in role.example_prompts if text in run]
        suggested = choose_prompts(key, heads, candidates, loaded.special_ids, loaded.geometry.windows)
        pieces.step(_CHECKING, len(role.example_prompts))
        if role.measured and not heads:
            notes.append(f"no head of {loaded.name} reaches {role.threshold} for {key}")
        elif role.measured and not suggested:
            notes.append(
                f"none of the prompts for {key} activates a head of {loaded.name}: the catalog suggests none"
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
