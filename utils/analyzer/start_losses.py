"""Which token a model's texts should begin with, where neither its family nor its tokenizer says.

A model is given what it saw at the start of documents in pretraining: the candidate with which it predicts
the natural sentences best (docs/METHODS.md, section 6).
"""

from dataclasses import replace

import torch

from utils.catalog.catalog import DECIMALS, StartLoss
from utils.models.loading import LoadedModel
from utils.models.start_tokens import start_candidates
from utils.models.tokenizer_panics import panics_explained
from utils.roles.probe_inputs import NATURAL_SENTENCES


def start_loss(loaded: LoadedModel, start: int | None) -> float:
    """Mean loss in nats a token over the natural sentences with `start` first.

    A sentence's first token is not counted: without a start token nothing predicts it.
    """
    total, count = 0.0, 0
    for sentence in NATURAL_SENTENCES:
        with panics_explained():
            text = loaded.text_tokenizer.encode(sentence, add_special_tokens=False).ids
        ids = torch.tensor([[*(() if start is None else (start,)), *text]], device=loaded.model.device)
        with loaded.lock, torch.inference_mode():
            logits = loaded.model(ids, use_cache=False).logits[0].double()
        targets = ids[0, -(len(text) - 1) :]
        predicted = logits[-len(text) : -1].log_softmax(-1)
        total -= float(predicted.gather(-1, targets[:, None]).sum())
        count += len(targets)
    return total / count


def choose_start(loaded: LoadedModel) -> tuple[LoadedModel, list[StartLoss] | None]:
    """The model with the best of the candidates first, and the losses of all of them.

    Where convention or tokenizer decides, the model as it is, and None.
    """
    if not loaded.start_open:
        return loaded, None
    losses = [
        StartLoss(
            bos_id=start,
            token="" if start is None else str(loaded.tokenizer.convert_ids_to_tokens(start)),
            loss=round(start_loss(loaded, start), DECIMALS),
        )
        for start in start_candidates(loaded.tokenizer)
    ]
    best = min(losses, key=lambda candidate: candidate.loss)
    return replace(loaded, bos_id=best.bos_id, bos_added=best.bos_id is not None), losses
