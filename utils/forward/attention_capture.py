"""One forward by PyVene: every layer's attention pattern and the logits.

The patterns are the model's own softmax, which transformers hands out with `output_attentions=True`. The
other way, an attention function of ours that passes the pattern through an extra module for PyVene to
collect, gives the same numbers, but changes the model's modules and has to follow each family's attention
(upcast softmax, soft caps, masks); here nothing is recomputed and nothing is added. It needs the wrapper that
leaves transformers' hooks alone (`interventions.OwnHooksIntervenable`), and eager attention.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from utils.errors import UserFacingError
from utils.forward.ablation import AblationMode, forward
from utils.heads import Head
from utils.models.loading import LoadedModel


@dataclass(frozen=True, eq=False)
class Capture:
    """What one forward gave, on the CPU in float32.

    Attributes:
        attention: [layer, head, query, key], probabilities; each row sums to 1.
        logits: [position, vocab].
    """

    attention: torch.Tensor
    logits: torch.Tensor


def capture(
    loaded: LoadedModel, ids: Sequence[int], ablated: Collection[Head] = (), mode: AblationMode = "zero"
) -> Capture:
    """Run `ids` (BOS included where the model has one) with the heads `ablated`, as `mode` says.

    Raises:
        UserFacingError: no tokens, more than the model's context, a token outside its vocabulary, a head
            that it does not have, or no such mode.
    """
    check_ids(loaded, ids)
    # The key/value cache stays on, as it is in a plain call: without it keys lie otherwise in memory and the
    # matrix product rounds otherwise, by up to some 1e-5 in the logits.
    inputs = {
        "input_ids": torch.tensor([list(ids)], device=loaded.model.device),
        "output_attentions": True,
    }
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
