"""Tiny random models in Hugging Face layout: one case a row of the family registry.

The weights are drawn with a large spread, so that attention is far from uniform and each head matters: with
the usual 0.02 a test comparing two results would hardly notice the wrong head.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

BOS = "<|endoftext|>"

_TEXT = (
    "The cat sat on the mat. The cat sat on the mat again, and the dog looked at the cat.",
    "One day a little girl went to the park with her mother. She saw a big red ball and she was happy.",
    "red, blue, green, red, yellow, blue. It was founded in 1929 in the state of Delaware.",
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 320 tokens; BOS is token 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS)


def build_gpt2(vocab_size: int) -> PreTrainedModel:
    """3 layers of 4 heads, 8 wide."""
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab_size,
            n_positions=128,
            n_embd=32,
            n_layer=3,
            n_head=4,
            initializer_range=0.4,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def build_llama(vocab_size: int) -> PreTrainedModel:
    """4 layers of 6 query heads on 2 key-value heads; heads 16 wide, where hidden size / heads is 8."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocab_size,
            max_position_embeddings=128,
            hidden_size=48,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=6,
            num_key_value_heads=2,
            head_dim=16,
            initializer_range=0.4,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


BUILDERS: dict[str, Callable[[int], PreTrainedModel]] = {"gpt2": build_gpt2, "llama": build_llama}


def save_tiny_model(model_type: str, folder: Path) -> Path:
    """Save a seeded random model of this family, with its tokenizer, into `folder`; returns the folder."""
    tokenizer = build_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = BUILDERS[model_type](len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
