"""What each head usually puts out: the constant of mean ablation (docs/METHODS.md, section 4).

A head's mean is taken over all positions from 1 on of the natural probe sentences, of its slice of the input
of the attention output projection. Position 0 is left out: there a head sees the first token alone, and in
many models that token's values are like no others.
"""

import threading
import weakref

import torch
from torch import Tensor

from utils.forward.head_outputs import head_outputs
from utils.models.loading import LoadedModel
from utils.models.prompts import check_rows
from utils.roles.probe_inputs import probe_sequences

# A model's means go with the model.
_MEANS: weakref.WeakKeyDictionary[LoadedModel, Tensor] = weakref.WeakKeyDictionary()
_GUARD = threading.Lock()


def mean_head_outputs(loaded: LoadedModel) -> Tensor:
    """Every head's mean output on the natural probe sentences, [layer, head, d_head].

    Computed at the first call for a model (one forward a sentence, under its lock) and kept as long as the
    model. Do not change it in place: all callers share it.

    Returns:
        Means in the model's own type and on its device; summed in float64.
    """
    cached = _cached(loaded)
    if cached is not None:
        return cached
    # Who comes second waits for the first and finds what it kept.
    with loaded.lock:
        cached = _cached(loaded)
        if cached is None:
            # Inference tensors, which a caller in inference mode would leave here, cannot be used everywhere.
            with torch.inference_mode(False):
                cached = _compute(loaded)
            with _GUARD:
                _MEANS[loaded] = cached
    return cached


def _cached(loaded: LoadedModel) -> Tensor | None:
    with _GUARD:
        return _MEANS.get(loaded)


def _compute(loaded: LoadedModel) -> Tensor:
    sequences = probe_sequences("natural", loaded.tokenizer, loaded.bos_id)
    for ids in sequences:
        check_rows(loaded, ids, "test sentence")
    outputs = [head_outputs(loaded, ids[: loaded.context_length])[:, :, 1:] for ids in sequences]
    total = torch.stack([output.double().sum(dim=2) for output in outputs]).sum(dim=0)
    mean = total / sum(output.shape[2] for output in outputs)
    return mean.to(outputs[0].dtype)
