"""Attention patterns by TransformerLens, many sequences at a time: the analyzer's side of the forward pass.

The running app never imports this module: it captures by PyVene (`attention_capture`), and importing
TransformerLens costs seconds and memory. Tests hold the two to agree, and so does each analysis on its first
sentence: a config.json may have values that TransformerLens passes over.
"""

import contextlib
import copy
import logging
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.analyzer.measuring import PatternChunk
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.models.loading import LoadedModel, is_out_of_memory, read_whole_texts
from utils.models.prompts import check_rows
from utils.roles.probe_inputs import probe_sequences
from utils.wording import excerpt

logger = logging.getLogger(__name__)

_UNUSUAL = "Choose a model whose config.json sets nothing unusual."
_REASON = 80  # characters of TransformerLens's own words that are quoted

# Patterns held at once: a chunk of this many sequences, whatever the number of sequences in all.
CHUNK = 10


# How far the bridge's patterns may be from the live ones. Those of a config that it misreads are another
# model's, and far beyond; numbers of 16 bits differ by their rounding alone.
TOLERANCE = 1e-3
TOLERANCE_16_BIT = 0.1


class BridgePatterns:
    """Runs one model through TransformerLens.

    The bridge changes the model object in place: do not hand `loaded` to PyVene or to anyone else afterwards.
    Its tokenizer stays as it is.

    Args:
        loaded: the model, for this object alone; it runs where it is.

    Attributes:
        bridge: the model in TransformerLens.

    Raises:
        UserFacingError: TransformerLens cannot run the model, or computes other patterns than the live page.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._device = loaded.model.device
        # While the model is still transformers' own.
        sequence = _first_sequence(loaded)
        live = capture(loaded, sequence).attention
        with _explained(loaded.name):
            self.bridge = TransformerBridge.boot_transformers(
                str(loaded.path),
                hf_model=loaded.model,
                # A copy: the bridge adds tokens to a tokenizer that names no special ones.
                tokenizer=copy.deepcopy(loaded.tokenizer),  # pyright: ignore[reportArgumentType]
                device=str(self._device),
                dtype=loaded.model.dtype,
            )
            # The bridge may read the tokenizer from its folder once more.
            read_whole_texts(self.bridge.tokenizer)  # pyright: ignore[reportArgumentType]
            self.bridge.eval()
        self._check(sequence, live)

    def _check(self, sequence: Sequence[int], live: Tensor) -> None:
        """Refuse a model whose patterns are not the live ones [layer, head, query, key]."""
        bridged = torch.stack([layer[0] for layer in self._run([sequence])]).cpu()
        tolerance = TOLERANCE if self._loaded.model.dtype == torch.float32 else TOLERANCE_16_BIT
        # Written so that what is not a number passes: that is said where it is scored.
        if bridged.shape != live.shape or bool((difference := (bridged - live).abs()).max() > tolerance):
            far = f" by up to {difference.max():.3f}" if bridged.shape == live.shape else ""
            raise UserFacingError(
                "TransformerLens, by which models are analyzed, reads the config.json of "
                f"{self._loaded.name} otherwise than transformers does: their attention on the first test "
                f"sentence differs{far}.",
                _UNUSUAL,
            )

    def patterns(self, sequences: Sequence[Sequence[int]]) -> Iterator[PatternChunk]:
        """The patterns of all sequences, those of one length together, a chunk at a time.

        Args:
            sequences: token ids, BOS included where the model is given one; of any lengths.

        Yields:
            Patterns in float32, on the model's device.

        Raises:
            UserFacingError: a sequence is longer than the model's context, or has a token that it has no row
                for.
        """
        # Sequences of one length need no padding, and so no mask that could differ from the live forward's.
        by_length: dict[int, list[Sequence[int]]] = defaultdict(list)
        for sequence in sequences:
            check_rows(self._loaded, sequence, "test input")
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
        with _explained(self._loaded.name):
            return self._forward(chunk)

    def _forward(self, chunk: Sequence[Sequence[int]]) -> tuple[Tensor, ...]:
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
                f"it gave the patterns of {len(patterns)} of {self._loaded.geometry.n_layers} layers"
            )
        return tuple(patterns)


class _AllSeenError(Exception):
    """Ends a forward once the last pattern is there."""


def _first_sequence(loaded: LoadedModel) -> list[int]:
    """The first test sentence, as far as the model can read it."""
    sequence = probe_sequences("natural", loaded.tokenizer, loaded.bos_id)[0][: loaded.context_length]
    check_rows(loaded, sequence, "test input")
    return sequence


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn whatever fails inside TransformerLens into one sentence with its reason.

    It has a place for some parts of a model and some values of a config.json only, and says so by errors of
    many kinds, AssertionError among them.

    Raises:
        UserFacingError: it failed; too little memory passes through as it is, for that has another remedy.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        logger.warning("TransformerLens cannot run %s", name, exc_info=True)
        # An assertion says nothing but what it stands for: the line itself.
        reason = str(error) or traceback.extract_tb(error.__traceback__)[-1].line or ""
        said = f": {excerpt(' '.join(reason.split()), _REASON)}" if reason else ""
        raise UserFacingError(
            f"TransformerLens, by which models are analyzed, cannot run {name} "
            f"({type(error).__name__}{said}).",
            _UNUSUAL,
        ) from error
