"""Random heads that also write: random queries and keys, values and outputs of a real model's norms.

What the thresholds of output roles are measured by (docs/METHODS.md, section 1). A random head sits in a
layer of the model and reads what that layer's heads read; its value and output matrices are Gaussian, with
the Frobenius norms that the layer's own heads have on average; its pattern is that of a random head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from utils.forward.attention_capture import capture
from utils.forward.stream_capture import StreamParts
from utils.models.loading import LoadedModel
from utils.roles.output_probes import OutputProbe
from utils.roles.registry import ROLES, output_roles
from utils.roles.scores import role_target
from utils.roles.written import WrittenScores, written_scores
from utils.writing.readout import final_scale, mean_direction, projection_rows, token_directions


@dataclass(frozen=True, eq=False)
class ReadInput:
    """One probe input as the model read it.

    Attributes:
        probe: the input.
        answer: the token that the model expects next.
        read: what the attention of each layer reads [layer, position, width].
        parts: what the forward wrote.
    """

    probe: OutputProbe
    answer: int
    read: Tensor
    parts: StreamParts


def read_input(loaded: LoadedModel, probe: OutputProbe) -> ReadInput | None:
    """Run one input; None where it does not count, because the model gets it wrong."""
    seen: dict[int, Tensor] = {}
    handles = []
    for layer in range(loaded.geometry.n_layers):

        def keep(module: Any, args: Any, layer: int = layer) -> None:
            seen[layer] = args[0]

        path = loaded.family.stream.values.format(layer=layer)
        handles.append(loaded.model.get_submodule(path).register_forward_pre_hook(keep))
    try:
        captured = capture(loaded, probe.ids, stream=True)
    finally:
        for handle in handles:
            handle.remove()
    answer = int(captured.logits[-1].argmax())
    if captured.stream is None or (probe.answer is not None and answer != probe.answer):
        return None
    read = torch.stack([seen[layer][0].float().cpu() for layer in range(len(seen))])
    return ReadInput(probe, answer, read, captured.stream)


def head_norms(loaded: LoadedModel, layer: int) -> tuple[float, float]:
    """The mean Frobenius norms of a layer's value and output matrices, one head each."""
    stream, geometry = loaded.family.stream, loaded.geometry
    projection = loaded.model.get_submodule(stream.values.format(layer=layer))
    rows = projection_rows(loaded, layer)
    with torch.inference_mode():
        basis = torch.eye(rows.shape[1])
        values = stream.values_part(projection(basis) - projection(torch.zeros_like(basis)), geometry)
    by_head = values.unflatten(-1, (geometry.n_kv_heads, geometry.head_dim))
    outputs = rows.unflatten(0, (geometry.n_heads, geometry.head_dim))
    return float(by_head.norm(dim=(0, 2)).mean()), float(outputs.norm(dim=(1, 2)).mean())


@dataclass(frozen=True, eq=False)
class RandomWriters:
    """Random heads of one layer.

    Attributes:
        values: [head, width, d_head].
        outputs: [head, d_head, width].
    """

    values: Tensor
    outputs: Tensor

    @classmethod
    def of_layer(cls, loaded: LoadedModel, layer: int, count: int, seed: int) -> "RandomWriters":
        """Draw some heads with the norms of a layer."""
        generator = torch.Generator().manual_seed(1000 * seed + layer)
        width, size = projection_rows(loaded, layer).shape[1], loaded.geometry.head_dim
        value_norm, output_norm = head_norms(loaded, layer)
        values = torch.randn(count, width, size, generator=generator)
        outputs = torch.randn(count, size, width, generator=generator)
        return cls(
            values * (value_norm / values.norm(dim=(1, 2), keepdim=True)),
            outputs * (output_norm / outputs.norm(dim=(1, 2), keepdim=True)),
        )

    def effects(self, loaded: LoadedModel, one: ReadInput, layer: int, patterns: Tensor) -> Tensor:
        """What the heads do to the text's own tokens, [head, query, key], centred over the vocabulary."""
        directions = token_directions(loaded, one.probe.ids) - mean_direction(loaded)
        written = patterns @ (one.read[layer] @ self.values)
        terms = written @ (self.outputs @ directions.T.cpu())
        return terms * final_scale(loaded, one.parts.final)[:, None]


def random_output_scores(
    loaded: LoadedModel, inputs: Sequence[ReadInput], patterns: Sequence[Tensor], heads: int, seed: int = 0
) -> dict[str, list[WrittenScores]]:
    """The scores of random heads for each output role on some inputs of one probe set.

    Args:
        loaded: the model.
        inputs: its inputs.
        patterns: the random heads' patterns on each input [head, query, key], `heads` of them for each layer.
        heads: random heads of each layer.
        seed: of values and outputs.

    Returns:
        {role: one an input to which the role applies}, tensors [layer * heads].
    """
    layers = loaded.geometry.n_layers
    writers = [RandomWriters.of_layer(loaded, layer, heads, seed) for layer in range(layers)]
    found: dict[str, list[WrittenScores]] = {role: [] for role in output_roles()}
    for one, pattern in zip(inputs, patterns, strict=True):
        by_layer = pattern.split(heads)
        effects = torch.cat(
            [writers[layer].effects(loaded, one, layer, by_layer[layer]) for layer in range(layers)]
        )
        for role in found:
            target = role_target(role, one.probe.ids, loaded.special_ids, one.answer)
            score = ROLES[role].score
            if target.applicable and score is not None:
                found[role].append(written_scores(pattern, effects, target, score.written))
    return found
