"""Attention without patterns, for forwards that nobody asks for them.

Models are loaded with eager attention, which is the only one that hands out patterns. It writes the
scores of every query, head and row to memory several times over; torch's fused attention gives the same
outputs to rounding and takes two thirds of the time (demo-llama, prompts of 115 tokens: 7.5 ms a row
against 11).
"""

import contextlib
from collections.abc import Iterator

from utils.model_loading import LoadedModel


@contextlib.contextmanager
def fused_attention(loaded: LoadedModel) -> Iterator[None]:
    """Let the model run with torch's fused attention within the block, where its family allows that.

    The model's lock is held: whoever shares the model waits, and gets it back as it was. A family that caps
    its attention scores stays eager, since the fused form knows no cap.

    Args:
        loaded: the model.
    """
    model = loaded.model
    capped = getattr(model.config, "attn_logit_softcapping", None) is not None
    if capped or not getattr(model, "_supports_sdpa", False):
        yield
        return
    with loaded.lock:
        model.set_attn_implementation("sdpa")
        try:
            yield
        finally:
            model.set_attn_implementation("eager")
