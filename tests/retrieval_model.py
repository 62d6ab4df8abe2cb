"""A GPT-2 with one retrieval head, by construction: it looks at the fact under the real question only.

One token a word, weights set, nothing trained (see `tests.hand_built`, which explains the manner). The
residual stream holds a fixed number of ones everywhere, so that the layer norms can be undone:

    token           the word here                                     (the embedding writes it)
    state, other    whether it is the name of a state                 (the embedding writes it)
    asked, unasked  whether a question was asked before or here       (the flag head writes it)
    next            the word to write; the start token ends the text  (the retrieval head writes it)

Four heads. The flag head of layer 0 looks at the word "which", which stands in questions about a state alone,
and else at the first token. The retrieval head of layer 1 looks from every token after "which" at the state
in the filing and copies it, and otherwise rests on the first token. Beside it a head that puts 0.4 of its
attention on the state whatever is asked: it must not be taken for one that answers. One head does nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from study.datasets import FilingOptions, Sample, make_filings, null_prompt
from utils.heads import Head

BOS = "<|endoftext|>"
UNKNOWN = "_"
RETRIEVAL = Head(1, 0)
ALWAYS = Head(1, 1)
GAP = 40.0


def filings(count: int) -> list[Sample]:
    """Filings with one state in each, whose name is one word, and without the word "which"."""
    options = FilingOptions(other_facts=(), filler_sentences=4)
    made = make_filings("inc_state", 4 * count, 5, options)
    fit = [
        sample for sample in made if " " not in sample.answer and "which" not in sample.document.casefold()
    ]
    return fit[:count]


def save_retrieval_model(folder: Path, samples: Sequence[Sample]) -> Path:
    """Save the model that can read these samples, with its tokenizer; returns the folder."""
    words = pre_tokenizers.Whitespace()
    texts = [text for sample in samples for text in (sample.prompt, null_prompt(sample))]
    seen = dict.fromkeys(word for text in texts for word, _ in words.pre_tokenize_str(text))
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys((BOS, UNKNOWN, *seen)))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    backend.pre_tokenizer = words
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=BOS, eos_token=BOS).save_pretrained(folder)
    states = sorted({vocabulary[sample.answer] for sample in samples})
    _build(len(vocabulary), states, vocabulary["which"]).save_pretrained(folder)
    return folder


def _build(size: int, states: Sequence[int], which: int) -> GPT2LMHeadModel:
    state, other, asked, unasked = range(size, size + 4)
    after = slice(size + 4, 2 * size + 4)
    head_dim = size + 4
    width = 2 * head_dim
    model: Any = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=size,
            n_positions=256,
            n_embd=width,
            n_layer=2,
            n_head=2,
            n_inner=4,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=0,
        )
    )

    def reads(**ones: float) -> Tensor:
        """A reading [stream] of some places of the stream by name, t0 being the start token."""
        places = {"state": state, "other": other, "asked": asked, "t0": 0, "which": which}
        reading = torch.zeros(width)
        for name, value in ones.items():
            reading[places[name]] = value
        return reading

    everywhere = reads(state=1, other=1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0)
        embedding = model.transformer.wte.weight
        embedding[:, :size] = torch.eye(size)
        embedding[:, other] = 1
        embedding[list(states), other] = 0
        embedding[list(states), state] = 1
        for ones, block in zip((2, 3), model.transformer.h, strict=True):
            mean = ones / width
            block.ln_1.weight.fill_((mean - mean**2 + block.ln_1.eps) ** 0.5)
            block.ln_1.bias.fill_(mean)

        def compare(head: Head, at: int, query: Tensor, key: Tensor) -> None:
            fused = model.transformer.h[head.layer].attn.c_attn.weight
            column = head.head * head_dim + at
            fused[:, column] = query * head_dim**0.5  # GPT-2 divides by the root
            fused[:, width + column] = key

        def copy(head: Head, source: Tensor, target: Sequence[int]) -> None:
            attention = model.transformer.h[head.layer].attn
            for at, (reading, place) in enumerate(zip(source, target, strict=True)):
                column = head.head * head_dim + at
                attention.c_attn.weight[:, 2 * width + column] = reading
                attention.c_proj.weight[column, place] = 1

        flag = Head(0, 0)
        compare(flag, 0, GAP * everywhere, reads(which=1, t0=0.5))
        copy(flag, torch.stack([reads(which=1), reads(t0=1)]), [asked, unasked])
        # Not from a state itself, so that the text ends after one.
        compare(RETRIEVAL, 0, GAP * reads(asked=1, state=-1), reads(state=1))
        compare(RETRIEVAL, 1, GAP * everywhere, reads(t0=0.5))
        copy(RETRIEVAL, torch.eye(width)[:size], range(after.start, after.stop))
        # e^0.4 to 1: 0.4 on the state, 0.6 on the first token.
        compare(ALWAYS, 0, everywhere, reads(state=GAP, t0=GAP + 0.4))
        model.lm_head.weight[:, after] = torch.eye(size)
    return model.eval()
