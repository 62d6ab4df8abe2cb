"""What a bundled model can do, on held-out data that is generated here.

Greedy accuracy is read off one forward over prompt and answer: greedy decoding gives the answer exactly
when every token of it, and the end token after it, is the most likely one given those before.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from retrieval.filings import generated
from training import chat
from utils.heads import Head
from utils.roles.probe_inputs import probe_sequences
from utils.roles.registry import ROLES, pattern_roles
from utils.roles.scores import role_score

HELD_OUT_SEED = 990_001
PROBE_SEED = 990_002
EVALUATION_OPTIONS = generated.FilingOptions(filler_sentences=4)
FORWARD_ROWS = 16


def log_probabilities(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Log probability of each token after the first, [rows, tokens - 1]."""
    parts = []
    for chunk in ids.split(FORWARD_ROWS):
        logits = model(chunk, use_cache=False).logits[:, :-1].float()
        parts.append(logits.log_softmax(-1).gather(-1, chunk[:, 1:, None])[..., 0])
    return torch.cat(parts)


def _greedy_right(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Whether each token after the first is the most likely one, bool [rows, tokens - 1]."""
    return torch.cat(
        [
            model(part, use_cache=False).logits[:, :-1].argmax(-1) == part[:, 1:]
            for part in ids.split(FORWARD_ROWS)
        ]
    )


@torch.inference_mode()
def repeated_accuracy(model: PreTrainedModel, tokenizer: Any, count: int = 50) -> float:
    """Share of the repeated half that greedy decoding gets right, in BOS + 25 random tokens + the same 25.

    The first token of the second half cannot be foreseen and does not count.
    """
    bos = tokenizer.bos_token_id
    rows = probe_sequences("repeated", tokenizer, bos, {bos}, HELD_OUT_SEED, count)
    ids = torch.tensor(rows)
    half = (ids.shape[1] - 1) // 2
    return float(_greedy_right(model, ids)[:, half + 1 :].float().mean())


def _plain_length(tokenizer: Any, text: str) -> int:
    return 1 + len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _prompt_ids(tokenizer: Any, text: str) -> list[int]:
    """What a model reads before it answers: the start token and the text, or its chat template around it."""
    if tokenizer.chat_template:
        return tokenizer(chat.rendered(tokenizer, [text]), add_special_tokens=False)["input_ids"]
    return [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]


@torch.inference_mode()
def filing_accuracy(
    model: PreTrainedModel,
    tokenizer: Any,
    count: int = 50,
    tasks: Sequence[str] = generated.MAIN_TASKS,
    length: int | None = None,
) -> dict[str, float]:
    """Exact-match accuracy of greedy answers on held-out filings, {question: share}.

    A model that has a chat template is asked in it, any other with the plain prompt.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer.
        count: filings a question.
        tasks: the questions.
        length: tokens of the plain prompt, start token included; None for filings of four filler sentences.
    """
    result = {}
    for task in tasks:
        right = []
        if length is None:
            samples = generated.make_filings(task, count, HELD_OUT_SEED, EVALUATION_OPTIONS)
        else:
            count_tokens = partial(_plain_length, tokenizer)
            samples = generated.make_filings_of_length(task, count, HELD_OUT_SEED, length, count_tokens)
        for sample in samples:
            prompt = _prompt_ids(tokenizer, sample.prompt)
            answer = tokenizer(" " + sample.answer, add_special_tokens=False)["input_ids"]
            ids = torch.tensor([[*prompt, *answer, tokenizer.eos_token_id]])
            right.append(bool(_greedy_right(model, ids)[0, len(prompt) - 1 :].all()))
        result[task] = sum(right) / len(right)
    return result


@torch.inference_mode()
def role_score_table(model: PreTrainedModel, tokenizer: Any, sequences: int = 20) -> dict[str, Tensor]:
    """Every head's score for every role that its pattern shows, {role: [layer, head]}, as in the catalog.

    The model must attend eagerly, so that it gives its patterns out.
    """
    bos = tokenizer.bos_token_id
    sums: dict[tuple[str, str], list[Tensor]] = {}
    for probe in ("repeated", "word_lists", "natural"):
        for ids in probe_sequences(probe, tokenizer, bos, {bos}, PROBE_SEED, sequences)[:sequences]:
            output = model(torch.tensor([ids]), output_attentions=True, use_cache=False)
            attention = torch.stack([layer[0] for layer in output.attentions])
            for role in pattern_roles():
                if probe in ROLES[role].probes:
                    sums.setdefault((role, probe), []).append(role_score(role, attention, ids, {bos}))
    means = {key: torch.stack(values).mean(0) for key, values in sums.items()}
    return {
        role: torch.stack([means[role, probe] for probe in ROLES[role].probes]).amax(0)
        for role in pattern_roles()
    }


def best_heads(table: dict[str, Tensor]) -> dict[str, dict[str, Any]]:
    """The best head of each role, {role: {"head": "L1H2", "score": 0.9}}."""
    best = {}
    for role, scores in table.items():
        layer, head = divmod(int(scores.argmax()), scores.shape[1])
        best[role] = {"head": str(Head(layer, head)), "score": round(float(scores.max()), 4)}
    return best


@torch.inference_mode()
def prose_loss(model: PreTrainedModel, tokenizer: Any, ids: Tensor, context: int) -> float:
    """Mean loss a token (nats) over a text cut into rows of BOS and `context - 1` tokens."""
    rows = ids[: len(ids) // (context - 1) * (context - 1)].view(-1, context - 1)
    rows = torch.cat((torch.full((len(rows), 1), tokenizer.bos_token_id), rows), dim=1)
    return -float(log_probabilities(model, rows).mean())


def ngram_losses(train: Tensor, held_out: Tensor, vocabulary: int) -> tuple[float, float]:
    """Unigram and bigram loss (nats a token) of `held_out`, counted on `train`.

    Both are smoothed: one is added to every unigram count, and bigrams fall back on the unigram with the
    strength, out of seven, that suits the held-out text best, so that the baseline is no straw man.
    """
    unigram = torch.bincount(train, minlength=vocabulary).double() + 1
    unigram /= unigram.sum()
    unigram_loss = -float(unigram[held_out].log().mean())
    pairs = torch.bincount(train[:-1] * vocabulary + train[1:], minlength=vocabulary**2)
    before = torch.bincount(train[:-1], minlength=vocabulary).double()
    first, second = held_out[:-1], held_out[1:]
    seen = pairs[first * vocabulary + second].double()
    losses = [
        -float(((seen + strength * unigram[second]) / (before[first] + strength)).log().mean())
        for strength in (1, 3, 10, 30, 100, 300, 1000)
    ]
    return unigram_loss, min(losses)


@torch.inference_mode()
def continuations(
    model: PreTrainedModel, tokenizer: Any, openings: Sequence[str], tokens: int = 40
) -> list[str]:
    """One seeded continuation of each opening (temperature 0.7, the 40 most likely tokens)."""
    texts = []
    for number, opening in enumerate(openings):
        generator = torch.Generator().manual_seed(number)
        ids = [tokenizer.bos_token_id, *tokenizer(opening, add_special_tokens=False)["input_ids"]]
        for _ in range(tokens):
            top = (model(torch.tensor([ids]), use_cache=False).logits[0, -1] / 0.7).topk(40)
            pick = torch.multinomial(top.values.softmax(-1), 1, generator=generator)
            ids.append(int(top.indices[pick]))
            if ids[-1] == tokenizer.bos_token_id:
                break
        texts.append(tokenizer.decode(ids[1:], skip_special_tokens=True))
    return texts
