"""Decoder layers: what one gives out recorded and handed out again, and each heard of as it runs.

Modules are given another forward for a while, for which they go by the model's lock.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, nn

from utils.models.loading import LoadedModel

Forward = Callable[..., Any]


def decoder_layer(loaded: LoadedModel, layer: int) -> nn.Module:
    """The decoder layer that holds this output projection: its path up to the layer's number."""
    above, _, _ = loaded.family.output_projection.partition("{layer}")
    return loaded.module(f"{above}{layer}")


@contextlib.contextmanager
def recorded_layers(loaded: LoadedModel) -> Iterator[list[list[Any]]]:
    """Record what each decoder layer gives out in each forward within the block; under the model's lock.

    Yields:
        By layer, its outputs in order: hidden states [batch, position, width], or a tuple of such tensors
        where the family hands on more.
    """
    outputs: list[list[Any]] = [[] for _ in range(loaded.geometry.n_layers)]
    with loaded.lock, contextlib.ExitStack() as hooks:
        for layer, found in enumerate(outputs):

            def record(module: nn.Module, args: Any, output: Any, found: list[Any] = found) -> None:
                found.append(output)

            hooks.callback(decoder_layer(loaded, layer).register_forward_hook(record).remove)
        yield outputs


@contextlib.contextmanager
def heard_layers(loaded: LoadedModel, heard: Callable[[int], None]) -> Iterator[None]:
    """Hear of each decoder layer that this thread runs within the block, while a long forward goes on.

    The model's lock is taken at the block's two ends alone, so that others may use the model between two
    forwards; theirs are not heard.

    Args:
        loaded: the model.
        heard: called after each layer with how many tokens went through it, rows times positions. It must not
            raise: a forward that breaks off may leave PyVene's hooks behind.
    """
    mine = threading.get_ident()

    def hear(module: nn.Module, args: Any, output: Any) -> None:
        if threading.get_ident() == mine:
            hidden = output if isinstance(output, Tensor) else output[0]
            heard(hidden.shape[0] * hidden.shape[1])

    handles = []
    try:
        with loaded.lock:
            for layer in range(loaded.geometry.n_layers):
                handles.append(decoder_layer(loaded, layer).register_forward_hook(hear))
        yield
    finally:
        with loaded.lock:
            for handle in handles:
                handle.remove()


@contextlib.contextmanager
def replaced_layers(
    loaded: LoadedModel, layers: Iterable[int], forward_of: Callable[[int, Forward], Forward]
) -> Iterator[None]:
    """Let decoder layers run another forward within the block; under the model's lock.

    Args:
        loaded: the model.
        layers: the layers.
        forward_of: makes a layer's other forward, from its number and its own forward.
    """
    with loaded.lock, contextlib.ExitStack() as undo:
        for layer in layers:
            module = decoder_layer(loaded, layer)
            undo.enter_context(replaced_forward(loaded, module, forward_of(layer, module.forward)))
        yield


@contextlib.contextmanager
def replaced_forward(loaded: LoadedModel, module: nn.Module, forward: Forward) -> Iterator[None]:
    """Let one module run another forward within the block; under the model's lock."""
    with loaded.lock:
        # A forward of the instance's own goes before that of its class, and may be there already.
        own = vars(module).get("forward")
        module.forward = forward
        try:
            yield
        finally:
            if own is None:
                del module.forward
            else:
                module.forward = own


def repeated(output: Any, rows: int) -> Any:
    """A layer's output for one row, for `rows` rows: a copy, since what comes after may write into it."""
    if isinstance(output, Tensor):
        return output.repeat(rows, *[1] * (output.dim() - 1))
    if isinstance(output, tuple):
        return tuple(repeated(part, rows) for part in output)
    return output
