"""Every head's scores for the output roles, on inputs that the live forward reads.

What heads write comes from `forward/attention_capture.py`, as on the page, and not from TransformerLens: it
is measured before that changes the model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.analyzer.suggested_prompts import RunPrompt
from utils.catalog.catalog import DECIMALS, ProbeInput
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.forward.stream_capture import check_stream
from utils.models.loading import LoadedModel, unknown_tokens
from utils.models.prompts import check_rows, tokenize_prompt
from utils.roles.activity import prompt_scores
from utils.roles.output_probes import OUTPUT_SEQUENCES, PROBE_NAMES, OutputProbe, output_probes
from utils.roles.registry import ROLES, output_roles
from utils.roles.written import Written, WrittenScores
from utils.runtime.jobs import Progress
from utils.writing.live_outputs import written_on

STAGES = {
    "names": "completing sentences with names",
    "completions": "completing repeated sequences",
    "repeated_words": "reading sentences with a repeated word",
}
_PROMPTS = "reading the suggested prompts"


@dataclass(frozen=True, eq=False)
class OutputMeasurement:
    """One output role's scores, each tensor [layer, head], float64, rounded as the catalog has them.

    Attributes:
        mean: the catalog's score: the larger of the means over a probe set's inputs that count.
        std: standard deviation over the inputs of the set that gave `mean`.
        mass: the mean attention mass on the role's targets there, whatever the heads write.
        effect: their mean effect on those tokens' logits there, by attention.
        by_probe: the mean on each probe set; zeros where no input counts.
        counted: how many inputs of each probe set count.
    """

    mean: Tensor
    std: Tensor
    mass: Tensor
    effect: Tensor
    by_probe: dict[str, Tensor]
    counted: dict[str, int]


@dataclass(frozen=True, eq=False)
class Outputs:
    """All that a catalog says about output roles.

    Attributes:
        measured: by role.
        inputs: the probe sets.
        prompts: the candidates for suggested prompts as the model read them, by text.
        problem: why nothing could be measured, "" where it could.
    """

    measured: dict[str, OutputMeasurement]
    inputs: dict[str, ProbeInput]
    prompts: dict[str, RunPrompt]
    problem: str = ""

    @property
    def counted(self) -> dict[str, int]:
        """How many inputs of each probe set count."""
        every = (found.counted for found in self.measured.values())
        return {name: count for counted in every for name, count in counted.items() if name in self.inputs}


def _prompt_texts() -> list[str]:
    return list(dict.fromkeys(text for role in output_roles() for text in ROLES[role].example_prompts))


def output_pieces(sequences: int) -> int:
    """How many pieces `read_outputs` reports at the most: an input or a prompt that the model reads."""
    return len(PROBE_NAMES) * min(sequences, OUTPUT_SEQUENCES) + len(_prompt_texts())


def read_outputs(
    loaded: LoadedModel,
    seed: int = 0,
    sequences: int = OUTPUT_SEQUENCES,
    progress: Progress = lambda what, done, total: None,
) -> Outputs:
    """Measure the output roles of a model, before TransformerLens changes it.

    Args:
        loaded: the model; nothing in it is changed.
        seed: of the random inputs.
        sequences: how many each probe set has at the most.
        progress: called after each input; done and total count the pieces of `output_pieces`.

    Raises:
        UserFacingError: an input has a token that the model has no row for.
    """
    total, done = output_pieces(sequences), 0

    def step(what: str) -> None:
        nonlocal done
        done += 1
        progress(what, done, total)

    try:
        check_stream(loaded)
    except UserFacingError as error:
        return Outputs(measure_outputs(loaded, {}), {}, {}, str(error))
    probes = {
        name: output_probes(
            name,
            loaded.tokenizer,
            loaded.bos_id,
            loaded.special_ids | unknown_tokens(loaded),
            seed,
            min(sequences, OUTPUT_SEQUENCES),
            loaded.context_length,
        )
        for name in PROBE_NAMES
    }
    measured = measure_outputs(loaded, probes, lambda probe: step(STAGES[probe]))
    inputs = {
        name: ProbeInput(
            sequences=len(rows),
            shortest=min(len(row.ids) for row in rows),
            longest=max(len(row.ids) for row in rows),
        )
        for name, rows in probes.items()
        if rows
    }
    prompts: dict[str, RunPrompt] = {}
    for text in _prompt_texts():
        try:
            ids = tokenize_prompt(loaded, text).ids
        except UserFacingError:
            continue  # too many tokens for the page, with this model's tokenizer
        captured = capture(loaded, ids, stream=True)
        written = written_on(loaded, ids, captured)
        assert written is not None
        # Worked out now: nothing of the model is needed afterwards.
        effects = written.effects(slice(None))
        prompts[text] = RunPrompt(text, ids, captured.attention, Written(effects.__getitem__, written.answer))
        step(_PROMPTS)
    return Outputs(measured, inputs, prompts)


def score_outputs(loaded: LoadedModel, probe: OutputProbe) -> dict[str, WrittenScores] | None:
    """Every head's scores for the output roles on one input; None where the model does not get it right.

    A role that does not apply to the input is left out.
    """
    check_rows(loaded, probe.ids, "test input")
    captured = capture(loaded, probe.ids, stream=True)
    if probe.answer is not None and int(captured.logits[-1].argmax()) != probe.answer:
        return None
    written = written_on(loaded, probe.ids, captured)
    scores = prompt_scores(
        captured.attention, probe.ids, output_roles(), loaded.special_ids, loaded.geometry.windows, written
    )
    return {role: found for role, found in scores.written.items() if scores.target(role).applicable}


def measure_outputs(
    loaded: LoadedModel,
    probes: Mapping[str, Sequence[OutputProbe]],
    step: Callable[[str], None] = lambda probe: None,
) -> dict[str, OutputMeasurement]:
    """Measure every head for every output role.

    Args:
        loaded: the model, as it was loaded; nothing in it is changed.
        probes: the inputs of each probe set.
        step: called with a probe set's name after each input.

    Returns:
        By role. Where the model gets no input right, all scores are 0.

    Raises:
        UserFacingError: an input has a token that the model has no row for.
    """
    found: dict[str, dict[str, list[WrittenScores]]] = {role: {} for role in output_roles()}
    for name, inputs in probes.items():
        for probe in inputs:
            scores = score_outputs(loaded, probe) or {}
            for role, one in scores.items():
                if name in ROLES[role].probes:
                    found[role].setdefault(name, []).append(one)
            step(name)
    shape = (loaded.geometry.n_layers, loaded.geometry.n_heads)
    return {
        role: _measurement({name: by_probe.get(name, []) for name in ROLES[role].probes}, shape)
        for role, by_probe in found.items()
    }


def _measurement(
    by_probe: Mapping[str, Sequence[WrittenScores]], shape: tuple[int, int]
) -> OutputMeasurement:
    def stacked(name: str, probe: str) -> Tensor:
        found = [getattr(one, name).double() for one in by_probe[probe]]
        return torch.stack(found) if found else torch.zeros(1, *shape, dtype=torch.float64)

    means = torch.stack([stacked("score", probe).mean(0) for probe in by_probe])
    mean, best = means.max(0)

    def of_best(values: list[Tensor]) -> Tensor:
        return torch.stack(values).gather(0, best[None])[0].round(decimals=DECIMALS)

    return OutputMeasurement(
        mean=mean.round(decimals=DECIMALS),
        std=of_best([stacked("score", probe).std(0, correction=0) for probe in by_probe]),
        mass=of_best([stacked("mass", probe).mean(0) for probe in by_probe]),
        effect=of_best([stacked("effect", probe).mean(0) for probe in by_probe]),
        by_probe={
            probe: table.round(decimals=DECIMALS) for probe, table in zip(by_probe, means, strict=True)
        },
        counted={probe: len(scores) for probe, scores in by_probe.items()},
    )
