"""Many sets of heads switched off on one text, each alone, in few forwards (many sets a batch)."""

from collections.abc import Collection, Iterator, Sequence

from torch import Tensor

from utils.effects.measures import Values, join, values
from utils.forward.ablation import AblationMethod
from utils.forward.partial_forward import CleanRun, next_logits
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.runtime.jobs import Progress

# Bounds of one batch. Above some 400 tokens a batch of a GPT-2-small shape gains nothing more on two cores.
MAX_TOKENS_LIMIT = 1024
MAX_ROWS = 32
# Of the logits of one batch, in float32.
MAX_LOGIT_BYTES = 64 * 2**20


def rows_per_batch(length: int, vocabulary: int) -> int:
    """How many rows of `length` tokens go through the model at once, at least one."""
    return max(1, min(MAX_ROWS, MAX_TOKENS_LIMIT // length, MAX_LOGIT_BYTES // (4 * vocabulary)))


def batches(sets: Sequence[Collection[Head]], most: int) -> Iterator[list[int]]:
    """Places of `sets` in batches of at most `most`, those that begin in the same layer together.

    A batch runs from its lowest layer on. It is closed early where the next set begins higher and the batch
    is half full: then what is saved by beginning higher is more than what is lost by a smaller batch.
    """
    lowest = [min((head.layer for head in heads), default=0) for heads in sets]
    batch: list[int] = []
    for position in sorted(range(len(sets)), key=lambda position: lowest[position]):
        higher = bool(batch) and lowest[position] > lowest[batch[-1]]
        if len(batch) == most or (higher and len(batch) >= most / 2):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def ablated_logits(
    loaded: LoadedModel,
    clean: CleanRun,
    sets: Sequence[Collection[Head]],
    mode: AblationMethod,
    progress: Progress,
    what: str,
) -> Iterator[tuple[list[int], Tensor]]:
    """The logits at the run's position with each of `sets` off alone.

    Args:
        loaded: the model; its lock is held for one batch at a time.
        clean: its clean run on the text.
        sets: the heads that are off, a set an ablation.
        mode: what is put in their place.
        progress: called after each batch how many sets are done.
        what: describes the work in progress messages.

    Yields:
        The places of some sets in `sets`, and their logits [set, vocab].
    """
    done = 0
    most = rows_per_batch(clean.ids.shape[1], loaded.model.config.vocab_size)
    for positions in batches(sets, most):
        logits = next_logits(loaded, clean, [sets[position] for position in positions], mode)
        yield positions, logits
        done += len(positions)
        progress(what, done, len(sets))


def ablated_values(
    loaded: LoadedModel,
    clean: CleanRun,
    sets: Sequence[Collection[Head]],
    target: int,
    other: int,
    mode: AblationMethod,
    progress: Progress,
    what: str,
) -> Values:
    """The measures of the prediction with each of `sets` off alone, one entry a set.

    Arguments as in `ablated_logits` and `effect_measures.values`. Logits are kept for one batch at a time.
    """
    parts: list[tuple[list[int], Values]] = []
    for positions, logits in ablated_logits(loaded, clean, sets, mode, progress, what):
        parts.append((positions, values(clean.logits, logits, target, other)))
    return join(parts)
