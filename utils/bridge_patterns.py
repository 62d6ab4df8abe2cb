"""Attention patterns by TransformerLens, many sequences at a time: the analyzer's side of the forward pass.

The running app never imports this module: it captures by PyVene (`attention_capture`), and importing
TransformerLens costs seconds and memory. That the two agree is tested (tests/utils/test_bridge_patterns.py).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.errors import UserFacingError
from utils.model_loading import LoadedModel

# Patterns held at once: a chunk of this many sequences, whatever the number of sequences in all.
CHUNK = 10


class BridgePatterns:
    """Runs one model through TransformerLens.

    The bridge changes the model object in place: do not hand `loaded` to PyVene or to anyone else afterwards.

    Args:
        loaded: the model, for this object alone.
        device: a torch device.
    """

    def __init__(self, loaded: LoadedModel, device: str = "cpu") -> None:
        self._loaded = loaded
        self._device = device
        self._bridge = TransformerBridge.boot_transformers(
            str(loaded.path),
            hf_model=loaded.model,
            tokenizer=loaded.tokenizer,  # pyright: ignore[reportArgumentType]
            device=device,
        )
        self._bridge.eval()

    def patterns(self, sequences: Sequence[Sequence[int]]) -> Iterator[tuple[Sequence[int], Tensor]]:
        """The pattern of every sequence, one after the other, those of one length together.

        Args:
            sequences: token ids, BOS included where the model is given one; of any lengths.

        Yields:
            (token ids, attention [layer, head, query, key] float32 on the CPU).

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
                chunk = group[start : start + CHUNK]
                yield from zip(chunk, self._run(chunk), strict=True)

    def _run(self, chunk: Sequence[Sequence[int]]) -> Tensor:
        """Patterns [sequence, layer, head, query, key] of sequences of one length."""
        ids = torch.tensor([list(sequence) for sequence in chunk], device=self._device)
        with torch.inference_mode():
            _, cache = self._bridge.run_with_cache(
                ids, names_filter=lambda name: name.endswith("hook_pattern"), logits_to_keep=1
            )
            layers = [cache["pattern", layer] for layer in range(self._loaded.geometry.n_layers)]
            return torch.stack(layers, dim=1).float().cpu()
