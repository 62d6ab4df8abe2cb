"""What each part of a model writes into the residual stream, recorded in a forward that runs anyway.

Plain hooks that only look, so that nothing of the forward changes. They see a head's output as the output
projection gets it, after PyVene has ablated heads.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from utils.errors import UserFacingError
from utils.forward.layer_replay import decoder_layer
from utils.models.loading import LoadedModel


@dataclass(frozen=True, eq=False)
class StreamParts:
    """What one forward of one text wrote into the residual stream; on the CPU, float32.

    The forward's own tensors where it can be, a layer each: to copy them would take a good part of the time
    that is spent on a text besides its forward. Do not change them in place.

    Attributes:
        embeddings: what the first layer reads [position, width].
        head_outputs: by layer, each head's output before the output projection [position, head, d_head]; of
            an ablated head what was put in its place.
        values: by layer, each key/value head's values [position, kv_head, d_head].
        mlps: by layer, what the feed-forward block adds to the stream [position, width].
        final: the stream that the final norm reads [position, width].
    """

    embeddings: Tensor
    head_outputs: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    mlps: tuple[Tensor, ...]
    final: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        layers = (*self.head_outputs, *self.values, *self.mlps)
        return sum(part.nbytes for part in (self.embeddings, *layers, self.final))


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
            whole = self._found[name, layer]
            own = whole[row, :length].float().cpu()
            # A part of a batch would keep the tensors of all rows alive.
            return own if len(whole) == 1 else own.clone()

        def by_layer(name: str) -> Iterator[Tensor]:
            return (one(name, layer) for layer in range(geometry.n_layers))

        def by_head(name: str, heads: int) -> tuple[Tensor, ...]:
            return tuple(part.unflatten(-1, (heads, geometry.head_dim)) for part in by_layer(name))

        return StreamParts(
            embeddings=one("embeddings"),
            head_outputs=by_head("heads", geometry.n_heads),
            values=by_head("values", geometry.n_kv_heads),
            mlps=tuple(by_layer("mlp")),
            final=one("final"),
        )


@contextlib.contextmanager
def recorded_stream(loaded: LoadedModel) -> Iterator[StreamRecorder]:
    """Record what the forward within the block writes into the stream; under the model's lock.

    Raises:
        UserFacingError: the model's stream is no sum of its parts (`check_stream`).
    """
    check_stream(loaded)
    recorder = StreamRecorder(loaded)
    stream, geometry = loaded.family.stream, loaded.geometry

    def first_read(module: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.keep("embeddings", 0, args[0] if args else kwargs["hidden_states"])

    def final_read(module: nn.Module, args: Any) -> None:
        recorder.keep("final", 0, args[0])

    def heads_of(layer: int) -> Callable[..., None]:
        # A hook after the module gets the input as the hooks before it, PyVene's among them, have made it.
        return lambda module, args, output: recorder.keep("heads", layer, args[0])

    def values_of(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            values = stream.values_part(output, geometry)
            # Where they are a part of what is given out, keys and queries are not kept with them.
            recorder.keep("values", layer, values if values is output else values.clone())

        return hook

    def mlp_of(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            # OPT's blocks work on the positions of all rows in one dimension.
            recorder.keep("mlp", layer, output.reshape(*recorder.shape, -1))

        return hook

    with loaded.lock, contextlib.ExitStack() as hooks:
        first = decoder_layer(loaded, 0)
        hooks.callback(first.register_forward_pre_hook(first_read, with_kwargs=True).remove)
        norm = loaded.module(stream.final_norm)
        hooks.callback(norm.register_forward_pre_hook(final_read).remove)
        for layer in range(geometry.n_layers):
            projection = loaded.output_projection(layer)
            values = loaded.module(stream.values.format(layer=layer))
            mlp = loaded.module(stream.mlp.format(layer=layer))
            for module, hook in (
                (projection, heads_of(layer)),
                (values, values_of(layer)),
                (mlp, mlp_of(layer)),
            ):
                hooks.callback(module.register_forward_hook(hook).remove)
        yield recorder
