"""Counts the forward passes of language models, whoever asks for them and however."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import GenerationMixin


@dataclass
class ForwardCount:
    """How many forwards there were since the counting began; a batch counts once."""

    passes: int = 0


@contextlib.contextmanager
def counting_forwards() -> Iterator[ForwardCount]:
    """Count the forwards of every model with an output layer, in all threads, inside the `with`."""
    count = ForwardCount()

    def seen(module: nn.Module, args: Any) -> None:
        # The decoder inside a language model is a model too: it is not counted again.
        if isinstance(module, GenerationMixin):
            count.passes += 1

    handle = register_module_forward_pre_hook(seen)
    try:
        yield count
    finally:
        handle.remove()
