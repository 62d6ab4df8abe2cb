"""Attention patterns by TransformerLens, many sequences at a time: the analyzer's side of the forward pass.

The running app never imports this module: it captures by PyVene (`attention_capture`), and importing
TransformerLens costs seconds and memory. A test holds the two to agree.
"""

import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.analyzer.measuring import PatternChunk
from utils.errors import UserFacingError
from utils.models.loading import LoadedModel, read_whole_texts

logger = logging.getLogger(__name__)

# Patterns held at once: a chunk of this many sequences, whatever the number of sequences in all.
CHUNK = 10


class BridgePatterns:
    """Runs one model through TransformerLens.

    The bridge changes the model object in place: do not hand `loaded` to PyVene or to anyone else afterwards.

    Args:
        loaded: the model, for this object alone; it runs where it is.

    Attributes:
        bridge: the model in TransformerLens.

    Raises:
        UserFacingError: TransformerLens cannot run the model.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._device = loaded.model.device
        try:
            self.bridge = TransformerBridge.boot_transformers(
                str(loaded.path),
                hf_model=loaded.model,
                tokenizer=loaded.tokenizer,  # pyright: ignore[reportArgumentType]
                device=str(self._device),
                dtype=loaded.model.dtype,
            )
        # In these four ways TransformerLens says that it has no place for a part of the model or for a value
        # of its config.json; whatever else it raises is a fault of ours or of its own, and is not hidden.
        except (ValueError, KeyError, NotImplementedError, AttributeError) as error:
            logger.warning("TransformerLens cannot run %s", loaded.name, exc_info=True)
            raise UserFacingError(
                f"TransformerLens, by which models are analyzed, cannot run {loaded.name}.",
                "Choose a model whose config.json sets nothing unusual.",
            ) from error
        # The bridge may read the tokenizer from its folder once more.
        read_whole_texts(self.bridge.tokenizer)  # pyright: ignore[reportArgumentType]
        self.bridge.eval()

    def patterns(self, sequences: Sequence[Sequence[int]]) -> Iterator[PatternChunk]:
        """The patterns of all sequences, those of one length together, a chunk at a time.

        Args:
            sequences: token ids, BOS included where the model is given one; of any lengths.

        Yields:
            Patterns in float32, on the model's device.

        Raises:
            UserFacingError: a sequence is longer than the model's context.
        """
        # Sequences of one length need no padding, and so no mask that could differ from the live forward's.
        by_length: dict[int, list[Sequence[int]]] = defaultdict(list)
        for sequence in sequences:
            by_length[len(sequence)].append(sequence)
        if by_length and max(by_length) > self._loaded.context_length:
            raise UserFacingError(
                f"The test inputs have up to {max(by_length)} tokens, and {self._loaded.name} reads "
                f"{self._loaded.context_length} at once.",
                "Choose a model with a longer context.",
            )
        for group in by_length.values():
            for start in range(0, len(group), CHUNK):
                chunk = tuple(group[start : start + CHUNK])
                yield PatternChunk(chunk, self._run(chunk))

    def _run(self, chunk: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
        """Each layer's patterns [sequence, head, query, key] of sequences of one length."""
        ids = torch.tensor([list(sequence) for sequence in chunk], device=self._device)
        patterns: list[Tensor] = []

        def keep(pattern: Tensor, hook: Any) -> None:
            patterns.append(pattern.detach().float())
            if len(patterns) == self._loaded.geometry.n_layers:
                raise _AllSeenError

        names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(self._loaded.geometry.n_layers)]
        # What the last layer makes of its pattern, and the logits, nobody asks for: with 12 layers 6% of the
        # time. The hooks are removed however it ends.
        with torch.inference_mode(), contextlib.suppress(_AllSeenError):
            self.bridge.run_with_hooks(ids, fwd_hooks=[(name, keep) for name in names], logits_to_keep=1)
        if len(patterns) != self._loaded.geometry.n_layers:
            raise RuntimeError(
                f"TransformerLens gave the patterns of {len(patterns)} layers of {self._loaded.name}, "
                f"expected {self._loaded.geometry.n_layers}."
            )
        return tuple(patterns)


class _AllSeenError(Exception):
    """Ends a forward once the last pattern is there."""
