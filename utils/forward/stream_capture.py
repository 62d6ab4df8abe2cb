"""What each part of a model writes into the residual stream, recorded in a forward that runs anyway.

Plain hooks that only look, so that nothing of the forward changes. They see a head's output as the output
projection gets it, after PyVene has ablated heads.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from utils.errors import UserFacingError
from utils.forward.layer_replay import decoder_layer
from utils.models.families import output_projection
from utils.models.loading import LoadedModel


@dataclass(frozen=True, eq=False)
class StreamParts:
    """What one forward of one text wrote into the residual stream; on the CPU, float32.

    Attributes:
        embeddings: what the first layer reads [position, width].
        head_outputs: each head's output before the output projection [layer, position, head, d_head]; of an
            ablated head what was put in its place.
        values: each key/value head's values [layer, position, kv_head, d_head].
        mlps: what the feed-forward blocks add to the stream [layer, position, width].
        final: the stream that the final norm reads [position, width].
    """

    embeddings: Tensor
    head_outputs: Tensor
    values: Tensor
    mlps: Tensor
    final: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return sum(getattr(self, field.name).nbytes for field in fields(self))


def check_stream(loaded: LoadedModel) -> None:
    """Raise UserFacingError for a model whose prediction is no sum of what its parts write."""
    reason = loaded.family.stream.not_a_sum(loaded.model.config)
    if reason:
        raise UserFacingError(
            f"What the heads of {loaded.name} write cannot be told apart: {reason}.",
            "Attention, predictions and ablation work as with any other model.",
        )


class StreamRecorder:
    """Collects the parts while a forward runs; `parts` puts one row of the batch together afterwards."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._found: dict[tuple[str, int], Tensor] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and positions of the batch."""
        rows, positions = self._found["embeddings", 0].shape[:2]
        return rows, positions

    def keep(self, name: str, layer: int, value: Tensor) -> None:
        """Remember a tensor [row, position, ...] of a layer."""
        self._found[name, layer] = value

    def parts(self, row: int = 0, length: int | None = None) -> StreamParts:
        """The parts of one row, of its first `length` positions or all; call it outside inference mode."""
        geometry = self._loaded.geometry

        def one(name: str, layer: int = 0) -> Tensor:
            return self._found[name, layer][row, :length]

        def all_layers(name: str, heads: int = 0) -> Tensor:
            layers = [one(name, layer) for layer in range(geometry.n_layers)]
            stacked = torch.stack([layer.float().cpu() for layer in layers])
            return stacked.unflatten(-1, (heads, geometry.head_dim)) if heads else stacked

        return StreamParts(
            embeddings=one("embeddings").clone().float().cpu(),
            head_outputs=all_layers("heads", geometry.n_heads),
            values=all_layers("values", geometry.n_kv_heads),
            mlps=all_layers("mlp"),
            final=one("final").clone().float().cpu(),
        )


@contextlib.contextmanager
def recorded_stream(loaded: LoadedModel) -> Iterator[StreamRecorder]:
    """Record what the forward within the block writes into the stream; under the model's lock.

    Raises:
        UserFacingError: the model's stream is no sum of its parts (`check_stream`).
    """
    check_stream(loaded)
    recorder = StreamRecorder(loaded)
    stream, model, geometry = loaded.family.stream, loaded.model, loaded.geometry

    def first_read(module: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.keep("embeddings", 0, args[0] if args else kwargs["hidden_states"])

    def final_read(module: nn.Module, args: Any) -> None:
        recorder.keep("final", 0, args[0])

    def heads_of(layer: int) -> Callable[..., None]:
        # A hook after the module gets the input as the hooks before it, PyVene's among them, have made it.
        return lambda module, args, output: recorder.keep("heads", layer, args[0])

    def values_of(layer: int) -> Callable[..., None]:
        return lambda module, args, output: recorder.keep(
            "values", layer, stream.values_part(output, geometry).clone()
        )

    def mlp_of(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            # OPT's blocks work on the positions of all rows in one dimension.
            recorder.keep("mlp", layer, output.reshape(*recorder.shape, -1))

        return hook

    with loaded.lock, contextlib.ExitStack() as hooks:
        first = decoder_layer(loaded, 0)
        hooks.callback(first.register_forward_pre_hook(first_read, with_kwargs=True).remove)
        norm = model.get_submodule(stream.final_norm)
        hooks.callback(norm.register_forward_pre_hook(final_read).remove)
        for layer in range(geometry.n_layers):
            projection = output_projection(model, loaded.family, layer)
            values = model.get_submodule(stream.values.format(layer=layer))
            mlp = model.get_submodule(stream.mlp.format(layer=layer))
            for module, hook in (
                (projection, heads_of(layer)),
                (values, values_of(layer)),
                (mlp, mlp_of(layer)),
            ):
                hooks.callback(module.register_forward_hook(hook).remove)
        yield recorder
