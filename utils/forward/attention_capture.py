"""One forward: every layer's attention pattern and the logits.

The patterns are the model's own softmax, which transformers hands out with `output_attentions=True`. The
other way, an attention function of ours that passes the pattern through an extra module for PyVene to
collect, gives the same numbers, but changes the model's modules and has to follow each family's attention
(upcast softmax, soft caps, masks); here nothing is recomputed and nothing is added. It needs the wrapper that
leaves transformers' hooks alone (`pyvene_adapter.OwnHooksIntervenable`), and eager attention.
"""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from utils.errors import UserFacingError
from utils.forward.ablation import AblationMethod, forward, replacements
from utils.forward.chosen_logits import chosen_logits
from utils.forward.layer_replay import recorded_layers
from utils.forward.stream_capture import StreamParts, recorded_stream
from utils.heads import Head
from utils.models.loading import LoadedModel

# A matrix product over few rows takes another way through the processor and rounds otherwise, by up to 1e-5
# in the logits; with 16 rows the bundled models give the very numbers of a whole forward, with 8 they do not.
# So a text that is cut, or runs with others, is of at least so many tokens.
MIN_PRODUCT_ROWS = 16


@dataclass(frozen=True, eq=False)
class Capture:
    """What one forward gave, on the CPU in float32.

    Attributes:
        attention: [layer, head, query, key], probabilities; each row sums to 1.
        logits: [position, vocab], of all positions or the last one.
        stream: what each part wrote into the residual stream, where that was asked for.
        layers: what each decoder layer gave out, where that was asked for: hidden states
            [1, position, width], or a tuple of such tensors where the family hands on more; on the model's
            device, inference tensors.
    """

    attention: torch.Tensor
    logits: torch.Tensor
    stream: StreamParts | None = None
    layers: tuple[Any, ...] | None = None


def capture(
    loaded: LoadedModel,
    ids: Sequence[int],
    ablated: Collection[Head] = (),
    mode: AblationMethod = "zero",
    stream: bool = False,
    layers: bool = False,
    last_only: bool = False,
) -> Capture:
    """Run `ids` (BOS included where the model has one) with the heads `ablated`, as `mode` says.

    Args:
        loaded: the model.
        ids: the tokens.
        ablated: heads to ablate.
        mode: what is put in their place.
        stream: also keep what each part writes into the residual stream, from the same forward.
        layers: also keep what each layer gives out.
        last_only: give the logits of the last position alone.

    Raises:
        UserFacingError: no tokens, more than the model's context, a token outside its vocabulary, a head
            that it does not have, no such mode, or `stream` of a model whose stream is no sum of its parts.
    """
    check_ids(loaded, ids)
    # The key/value cache stays on, as it is in a plain call: without it keys lie otherwise in memory and the
    # matrix product rounds otherwise, by up to some 1e-5 in the logits.
    inputs = {
        "input_ids": torch.tensor([list(ids)], device=loaded.model.device),
        "output_attentions": True,
    }
    # What is put in the heads' place comes from forwards of its own, which must not be recorded.
    replacements(loaded, mode if ablated else "zero")
    with contextlib.ExitStack() as recording:
        recorder = recording.enter_context(recorded_stream(loaded)) if stream else None
        outputs = recording.enter_context(recorded_layers(loaded)) if layers else None
        if last_only:
            recording.enter_context(chosen_logits(loaded, [len(ids) - 1]))
        output = forward(loaded, inputs, ablated, mode)
    patterns = output.attentions or ()
    # transformers gives an empty tuple, not an error, where its hooks are gone or attention is not eager.
    if len(patterns) != loaded.geometry.n_layers or output.logits is None:
        raise RuntimeError(
            f"{loaded.name} gave the patterns of {len(patterns)} layers, expected {loaded.geometry.n_layers}."
        )
    # Outside inference mode these make ordinary tensors, which any later computation may use.
    return Capture(
        attention=torch.stack([pattern[0] for pattern in patterns]).float().cpu(),
        logits=output.logits[0].clone().float().cpu(),
        stream=None if recorder is None else recorder.parts(),
        layers=None if outputs is None else tuple(output for (output,) in outputs),
    )


def check_ids(loaded: LoadedModel, ids: Sequence[int]) -> None:
    """Raise UserFacingError for tokens that the model cannot run: none, too many, or an unknown one."""
    if not ids:
        raise UserFacingError("There are no tokens to run.", "Type a prompt.")
    if len(ids) > loaded.context_length:
        raise UserFacingError(
            f"{len(ids)} tokens are more than {loaded.name} can read at once.",
            f"Shorten the prompt to {loaded.context_length} tokens.",
        )
    vocabulary: int = loaded.model.config.vocab_size
    for token in ids:
        if not 0 <= token < vocabulary:
            raise UserFacingError(
                f"Token {token} is not in the vocabulary of {loaded.name}.",
                f"Its tokens are numbered from 0 to {vocabulary - 1}.",
            )
