"""Tiny random models in Hugging Face layout: one case a row of the family registry.

The weights are drawn with a large spread, so that attention is far from uniform and each head matters: with
the usual 0.02 a test comparing two results would hardly notice the wrong head.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

BOS = "<|endoftext|>"

_TEXT = (
    "The cat sat on the mat. The cat sat on the mat again, and the dog looked at the cat.",
    "One day a little girl went to the park with her mother. She saw a big red ball and she was happy.",
    "red, blue, green, red, yellow, blue. It was founded in 1929 in the state of Delaware.",
)


VOCABULARY = 320


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 320 tokens; BOS is token 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=BOS, eos_token=BOS)


def build_sentencepiece_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """A BPE tokenizer of 320 tokens as SentencePiece makes them: "▁" for a space, bytes for what it lacks.

    Args:
        family: "mistral" puts a space before the first word, "gemma2" does not; their special tokens differ.
    """
    names = ["<unk>", "<s>", "</s>"] if family == "mistral" else ["<pad>", "<eos>", "<bos>", "<unk>"]
    singles = [*names, *(f"<0x{byte:02X}>" for byte in range(256))]
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(
        _TEXT, trainers.BpeTrainer(vocab_size=VOCABULARY - len(singles), show_progress=False)
    )
    learned = json.loads(learner.to_str())["model"]
    # The learner's own numbers come after those of the special tokens and the bytes.
    vocabulary = {piece: number for number, piece in enumerate(singles)}
    vocabulary |= {piece: len(singles) + number for piece, number in learned["vocab"].items()}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    spaces = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if family == "mistral":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence([*spaces, decoders.Strip(" ", 1, 0)])
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
        )
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(spaces)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        pad_token="<pad>",
    )


# What all nine are given, under the names that their configs share.
_COMMON: dict[str, Any] = {
    "max_position_embeddings": 128,
    "num_hidden_layers": 4,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "initializer_range": 0.4,
}
# 6 query heads on 2 key-value heads, 16 wide, where hidden size / heads is 8.
_GROUPED: dict[str, Any] = _COMMON | {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
# Shorter than the prompts of the tests, so that the windows matter.
WINDOW = 5


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


def build_gpt_neo(vocab_size: int) -> PreTrainedModel:
    """4 layers of 4 heads, 8 wide; layers 1 and 3 are local."""
    return GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=vocab_size,
            max_position_embeddings=128,
            hidden_size=32,
            num_layers=4,
            num_heads=4,
            attention_types=[[["global", "local"], 2]],
            window_size=WINDOW,
            # Its attention does not divide by the root of the width: smaller weights keep the logits alike.
            initializer_range=0.25,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def build_gpt_neox(vocab_size: int) -> PreTrainedModel:
    """4 layers of 6 heads, 8 wide."""
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocab_size, hidden_size=48, intermediate_size=64, num_attention_heads=6, **_COMMON
        )
    )


def build_opt(vocab_size: int) -> PreTrainedModel:
    """3 layers of 4 heads, 8 wide."""
    return OPTForCausalLM(
        OPTConfig(
            vocab_size=vocab_size,
            max_position_embeddings=128,
            hidden_size=32,
            ffn_dim=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            init_std=0.4,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def build_llama(vocab_size: int) -> PreTrainedModel:
    """4 layers of 6 query heads on 2 key-value heads; heads 16 wide, where hidden size / heads is 8."""
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, **_GROUPED))


def build_qwen2(vocab_size: int) -> PreTrainedModel:
    """As the Llama, with heads of the usual width; layers 2 and 3 slide."""
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocab_size,
            use_sliding_window=True,
            sliding_window=WINDOW,
            max_window_layers=2,
            **{name: value for name, value in _GROUPED.items() if name != "head_dim"},
        )
    )


def build_qwen3(vocab_size: int) -> PreTrainedModel:
    """As the Llama; layer 3 slides."""
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocab_size,
            use_sliding_window=True,
            sliding_window=WINDOW,
            max_window_layers=3,
            **_GROUPED,
        )
    )


def build_mistral(vocab_size: int) -> PreTrainedModel:
    """As the Llama; every layer slides."""
    return MistralForCausalLM(MistralConfig(vocab_size=vocab_size, sliding_window=WINDOW, **_GROUPED))


def build_gemma2(vocab_size: int) -> PreTrainedModel:
    """As the Llama; layers 0 and 2 slide, and the soft caps are low enough to bend most logits."""
    return Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=vocab_size,
            sliding_window=WINDOW,
            query_pre_attn_scalar=16,
            attn_logit_softcapping=3.0,
            final_logit_softcapping=5.0,
            **_GROUPED,
        )
    )


BUILDERS: dict[str, Callable[[int], PreTrainedModel]] = {
    "gpt2": build_gpt2,
    "gpt_neo": build_gpt_neo,
    "gpt_neox": build_gpt_neox,
    "opt": build_opt,
    "llama": build_llama,
    "qwen2": build_qwen2,
    "qwen3": build_qwen3,
    "mistral": build_mistral,
    "gemma2": build_gemma2,
}


# The families whose tokenizers come from SentencePiece; the others have byte-level BPE.
SENTENCEPIECE = ("mistral", "gemma2")


def save_tiny_model(model_type: str, folder: Path) -> Path:
    """Save a seeded random model of this family, with its tokenizer, into `folder`; returns the folder."""
    sentencepiece = model_type in SENTENCEPIECE
    tokenizer = build_sentencepiece_tokenizer(model_type) if sentencepiece else build_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = BUILDERS[model_type](len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
